"""``ando session open``: open a channel with a deposit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ando_cli.cli.command import Command
from ando_cli.cli.groups import grouped
from ando_cli.cli.help import examples
from ando_cli.cli.options import ConnectionOptions, PaymentOptions
from ando_cli.commands._quote import show_quote
from ando_cli.commands.session._shape import channel_shape
from ando_cli.errors import Code, PaymentError, ServerError
from ando_cli.http.extensions import PAID
from ando_cli.inference import paid as paid_route
from ando_cli.money import amount, parse_amount
from ando_cli.redact import short
from ando_cli.runtime.context import invocation
from ando_cli.runtime.quoting import ask_price
from ando_cli.runtime.wiring import assemble, connect_with_channel
from ando_cli.session.channel import State
from ando_cli.tempo.protocol import Protocol

if TYPE_CHECKING:
    from ando_cli.rails.settlement import Paid

app = typer.Typer(add_completion=False)


@app.command(
    "open",
    cls=Command,
    epilog=examples(
        "ando session open",
        "ando session open --deposit 5 --delegate --yes",
        "ando session open --dry-run -j",
    ),
)
@grouped
def open_(
    ctx: typer.Context,
    *,
    deposit: Annotated[
        str | None,
        typer.Option(
            metavar="AMOUNT", help="How much to deposit. Default: what the gateway suggests, within the limits."
        ),
    ] = None,
    protocol: Annotated[Protocol | None, typer.Option(help="The session protocol, if the gateway offers both.")] = None,
    delegate: Annotated[
        bool,
        typer.Option(
            "--delegate",
            help="Create a key for this channel alone. It stays in the OS keyring and signs vouchers instead of the "
            "wallet's key. [env: ANDO_DELEGATE]",
        ),
    ] = False,
    payment: PaymentOptions,
    connection: ConnectionOptions,
) -> None:
    """Open a channel with a deposit. Later requests then only sign vouchers.

    A gateway opens a channel only together with a request, so this sends the smallest one, for one token.
    """
    state = invocation(ctx)
    terminal = state.terminal
    wanted = None if deposit is None else parse_amount(deposit, "--deposit")
    options = connection.with_channel(payment, deposit=wanted, protocol=protocol, delegate=delegate)
    with assemble(state, options) as parts:
        client = connect_with_channel(state, parts, options)
        terminal.stage("asking")
        quote = ask_price(client, paid_route.smallest())
        if payment.dry_run:
            show_quote(terminal, parts, quote)
            return
        channel = quote.channel if quote else None
        if delegate and channel is not None and not channel.delegated:
            raise PaymentError(
                f"a channel exists already ({channel.state}), and the wallet's own key signs for it",
                hint="close it first with `ando session close`; if it is still opening, run `ando session sync`",
                code=Code.CHANNEL_NOT_DELEGATED,
            )
        opened = channel is None or channel.state is not State.OPEN
        if opened:
            terminal.note("opening a channel needs a request: sending the smallest one, for one token")
            response = client.post(paid_route.smallest())
            paid: Paid | None = response.extensions.get(PAID)
            channel = paid.channel if paid else None
    if channel is None:
        raise ServerError("the gateway did not ask for payment, so no channel was opened", hint="check --base-url")
    if (delegate or state.settings.delegate) and not channel.delegated:
        terminal.warn("this channel was opened before, and the wallet's own key signs for it")
    if terminal.json_output:
        terminal.json({"opened": opened, "session": channel_shape(channel, full=False)})
        return
    if not opened:
        terminal.note("a channel is open already; nothing was sent")
    terminal.answer(f"{short(channel.channel_id)}  deposit {amount(channel.deposit)}, left {amount(channel.left)}")
