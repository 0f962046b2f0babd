"""``ando session``: the life of payment channels. What is not here is in the ``session_…`` modules beside it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ando_cli.cli.command import Command
from ando_cli.cli.globals import SharedOptionsGroup
from ando_cli.cli.help import examples
from ando_cli.cli.options import (
    AcceptPayeeOption,
    ConnectTimeoutOption,
    DryRunOption,
    MaxSpendOption,
    TimeoutOption,
    YesOption,
    pay_options,
)
from ando_cli.commands import session_close, session_recover
from ando_cli.commands._quote import show_quote
from ando_cli.errors import Code, PaymentError, ServerError
from ando_cli.http.client import CHAT_PATH
from ando_cli.inference.chat import smallest_body
from ando_cli.money import amount, parse_amount
from ando_cli.rails.payment import PAID
from ando_cli.redact import age, short
from ando_cli.runtime.context import invocation
from ando_cli.runtime.wiring import connect, existing_store
from ando_cli.session.channel import FUNDED, Channel, State
from ando_cli.tempo.protocol import Protocol  # noqa: TC001 - typer reads it

if TYPE_CHECKING:
    from ando_cli.rails.payment import Paid

app = typer.Typer(
    cls=SharedOptionsGroup,
    add_completion=False,
    help="Open, top up, look at and close payment channels.",
)


@app.command(
    "open",
    cls=Command,
    epilog=examples(
        "ando session open",
        "ando session open --deposit 5 --delegate --yes",
        "ando session open --dry-run -j",
    ),
)
def open_(
    ctx: typer.Context,
    deposit: Annotated[
        str | None,
        typer.Option(
            metavar="AMOUNT", help="What to deposit. Without it, what the gateway suggests, within the limits."
        ),
    ] = None,
    protocol: Annotated[
        Protocol | None, typer.Option(help="The session protocol, where the gateway offers both.")
    ] = None,
    delegate: Annotated[
        bool,
        typer.Option(
            "--delegate",
            help="Make a key for this channel alone, kept in the OS keyring, that signs its vouchers instead of the "
            "wallet's. [env: ANDO_DELEGATE]",
        ),
    ] = False,
    dry_run: DryRunOption = False,
    max_spend: MaxSpendOption = None,
    yes: YesOption = False,
    accept_payee: AcceptPayeeOption = None,
    timeout: TimeoutOption = None,
    connect_timeout: ConnectTimeoutOption = None,
) -> None:
    """Open a channel with a deposit, so that later requests only sign vouchers.

    The gateway takes an open only together with a request, so this sends the smallest one, for one token.
    """
    state = invocation(ctx)
    terminal = state.terminal
    wanted = None if deposit is None else parse_amount(deposit, "--deposit")
    options = pay_options(
        max_spend, yes, accept_payee, timeout, connect_timeout, deposit=wanted, protocol=protocol, delegate=delegate
    )
    with connect(state, options) as client:
        terminal.stage("asking")
        quote = client.quote(CHAT_PATH, smallest_body())
        if dry_run:
            show_quote(terminal, quote, state.settings)
            return
        channel = quote.channel if quote else None
        if delegate and channel is not None and not channel.delegated:
            raise PaymentError(
                f"there is a channel already, which is {channel.state} and signed for with the wallet's own key",
                hint="close it first: ando session close; what is opening still is settled by `ando session sync`",
                code=Code.CHANNEL_NOT_DELEGATED,
            )
        opened = channel is None or channel.state is not State.OPEN
        if opened:
            terminal.note("opening takes a request: sending the smallest one, for one token")
            response = client.post(CHAT_PATH, smallest_body())
            paid: Paid | None = response.extensions.get(PAID)
            channel = paid.channel if paid else None
    if channel is None:
        raise ServerError("the gateway asked for no payment, so no channel was opened", hint="check --base-url")
    if (delegate or state.settings.delegate) and not channel.delegated:
        terminal.warn("this channel was opened before, and is signed for with the wallet's own key")
    if terminal.json_output:
        terminal.json({"opened": opened, "session": _shown(channel, full=False)})
        return
    if not opened:
        terminal.note("there is an open channel already; nothing was sent")
    terminal.answer(f"{short(channel.channel_id)}  deposit {amount(channel.deposit)}, left {amount(channel.left)}")


@app.command(
    "list",
    cls=Command,
    epilog=examples(
        "ando session list",
        "ando session list --chain --full -j",
    ),
)
def list_(
    ctx: typer.Context,
    chain: Annotated[bool, typer.Option("--chain", help="Hold those of this network against the chain.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Show channel ids in full.")] = False,
) -> None:
    """List the channels that this machine knows, as they were last seen.

    What is left of a deposit can be spent, or comes back when the channel is closed: that of a channel that is closing
    with `ando session close --finish`, that of a spare one with `ando session close --force`.
    """
    state = invocation(ctx)
    terminal = state.terminal
    store = existing_store(state.settings)
    channels = [] if store is None else store.channels()
    compared = session_recover.compare_all(state, channels) if chain else None
    if terminal.structured:
        shown = [_shown(channel, full=full) for channel in channels]
        for row, on_chain in zip(shown, compared or (), strict=compared is not None):
            row["chain"] = on_chain and session_recover.chain_shape(on_chain)
        terminal.json(shown)
        return
    if not channels:
        terminal.note("no channels yet: the first paid request opens one, or `ando session open`")
        return
    now = int(time.time())
    rows = []
    for channel, on_chain in zip(channels, compared or [None] * len(channels), strict=True):
        row = {name: str(value) for name, value in _shown(channel, full=full).items()}
        row |= {"gateway": row["gateway"].partition("://")[2], "age": age(now - channel.created_at)}
        row["chain"] = "?" if on_chain is None else ", ".join(on_chain.differences) or "agrees"
        rows.append(row)
    # What all have in common is said once: there is room for what differs, and amounts are never folded.
    common = {name: rows[0][name] for name in ("gateway", "network") if len({row[name] for row in rows}) == 1}
    columns = ["id", "gateway", "network", "deposit", "authorised", "spent", "left", "state", "age"]
    columns = [name for name in columns if name not in common] + (["chain"] if chain else [])
    if common:
        terminal.note(" on ".join(common.values()))
    terminal.table(
        columns,
        [[row[name] for name in columns] for row in rows],
        right=("deposit", "authorised", "spent", "left", "age"),
        fold=("gateway", "network", "chain", *(("id",) if full else ())),
        spare=("authorised", "age"),
    )


def _shown(channel: Channel, *, full: bool) -> dict[str, Any]:
    return {
        "id": channel.channel_id if full else short(channel.channel_id),
        "gateway": channel.gateway,
        "network": channel.network,
        "deposit": amount(channel.deposit),
        "authorised": amount(channel.cumulative_amount),
        "spent": amount(channel.spent),
        "left": amount(channel.left if channel.state in FUNDED else 0),
        "state": str(channel.state),
        "created_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(channel.created_at)),
    }


app.command("topup", cls=Command, epilog=session_close.TOPUP_EXAMPLES)(session_close.topup)
app.command("close", cls=Command, epilog=session_close.CLOSE_EXAMPLES)(session_close.close)
app.command("show", cls=Command, epilog=session_recover.SHOW_EXAMPLES)(session_recover.show)
app.command("sync", cls=Command, epilog=session_recover.SYNC_EXAMPLES)(session_recover.sync)
app.command("recover", cls=Command, epilog=session_recover.RECOVER_EXAMPLES)(session_recover.recover)
app.command("forget", cls=Command, epilog=session_recover.FORGET_EXAMPLES)(session_recover.forget)
