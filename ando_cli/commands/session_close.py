"""``ando session topup`` and ``ando session close``: more money into a channel, and the rest of it out again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ando_cli.cli.help import examples
from ando_cli.cli.options import (
    ConnectTimeoutOption,
    DryRunOption,
    MaxSpendOption,
    TimeoutOption,
    YesOption,
    pay_options,
)
from ando_cli.errors import AndoError, Code, ExitCode, NetworkError, PaymentError, ServerError, UsageError
from ando_cli.money import amount, parse_amount
from ando_cli.rails.management import Close, Managed, TopUpBy
from ando_cli.redact import short
from ando_cli.runtime.context import Invocation, invocation
from ando_cli.runtime.manage import is_ours, manage, pick
from ando_cli.runtime.wiring import Parts, assemble
from ando_cli.session.act import closing
from ando_cli.session.act.closing import Ended
from ando_cli.session.channel import FUNDED, LIVE, Channel, State

if TYPE_CHECKING:
    from ando_cli.terminal.output import Terminal

ENDABLE = FUNDED

_WAIT_STEP = 5.0

IdArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[ID]", help="The channel: any unique prefix of its id. Not needed where there is only one."
    ),
]
TOPUP_EXAMPLES = examples("ando session topup 2.50", "ando session topup --to 10 --channel 0x8c2f")
CLOSE_EXAMPLES = examples(
    "ando session close",
    "ando session close --force 0x8c2f",
    "ando session close --finish --wait 0x8c2f",
    "ando session close --all --dry-run",
)

FullOption = Annotated[bool, typer.Option("--full", help="Show ids and transactions in full.")]


def topup(
    ctx: typer.Context,
    additional: Annotated[
        str | None, typer.Argument(metavar="[AMOUNT]", help="What to add, such as 2.50.", show_default=False)
    ] = None,
    to: Annotated[str | None, typer.Option(metavar="AMOUNT", help="Add what is missing to this deposit.")] = None,
    channel_id: Annotated[
        str | None, typer.Option("--channel", metavar="ID", help="The channel: any unique prefix of its id.")
    ] = None,
    full: FullOption = False,
    dry_run: DryRunOption = False,
    max_spend: MaxSpendOption = None,
    yes: YesOption = False,
    timeout: TimeoutOption = None,
    connect_timeout: ConnectTimeoutOption = None,
) -> None:
    """Add to the deposit of an open channel, and show what it is then."""
    state = invocation(ctx)
    if (additional is None) == (to is None):
        raise UsageError("say how much: an amount to add, or --to a deposit", hint="ando session topup 5")
    by = parse_amount(additional, "the amount") if additional is not None else 0
    level = parse_amount(to, "--to") if to is not None else 0
    options = pay_options(max_spend, yes, None, timeout, connect_timeout)
    with assemble(state, options) as parts:
        channel = pick(parts, channel_id, LIVE)
        added = by or max(0, level - channel.deposit)
        if added and not dry_run:
            channel = manage(state, parts, TopUpBy(added), channel).channel
    shown = {
        "id": channel.channel_id if full else short(channel.channel_id),
        "dry_run": dry_run,
        "added": amount(added),
        "deposit": amount(channel.deposit + (added if dry_run else 0)),
        "left": amount(channel.left + (added if dry_run else 0)),
    }
    if state.terminal.json_output:
        state.terminal.json(shown)
        return
    if not added:
        state.terminal.note("the deposit is that high already; nothing was sent")
    elif dry_run:
        state.terminal.note("dry run: nothing was signed")
    state.terminal.answer(f"{shown['id']}  deposit {shown['deposit']}, left {shown['left']}")


def close(
    ctx: typer.Context,
    channel_id: IdArgument = None,
    every: Annotated[
        bool, typer.Option("--all", help="Close every channel of this network that is not closed.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Close on the chain, without the gateway. Takes a grace period and two fees."),
    ] = False,
    finish: Annotated[
        bool, typer.Option("--finish", help="Withdraw after --force, once the grace period is over.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="With --force or --finish: stay until it is over.")] = False,
    full: FullOption = False,
    dry_run: DryRunOption = False,
    timeout: TimeoutOption = None,
    connect_timeout: ConnectTimeoutOption = None,
) -> None:
    """Close a channel: the gateway takes what was spent, the rest of the deposit comes back.

    Where the gateway will not or cannot, --force asks the chain, and --finish takes the money after the grace period.
    """
    state = invocation(ctx)
    if every and channel_id is not None:
        raise UsageError("--all and an id exclude each other", hint="leave one of them out")
    if force and finish:
        raise UsageError("--force comes first, --finish after the grace period", hint="leave one of them out")
    if wait and not (force or finish):
        raise UsageError("--wait goes with --force or --finish", hint="leave it out")
    options = pay_options(None, True, None, timeout, connect_timeout)
    with assemble(state, options) as parts:
        if every:
            channels = [c for c in parts.lifecycle.store.channels() if is_ours(parts, c) and c.state in ENDABLE]
        else:
            channels = [pick(parts, channel_id, ENDABLE)]
        shown, failed = [], 0
        for channel in channels:
            try:
                shown.append(
                    _end(state, parts, channel, force=force, finish=finish, wait=wait, full=full, dry_run=dry_run)
                )
            except AndoError as error:
                if not every:
                    raise
                failed += 1
                named = {"id": channel.channel_id if full else short(channel.channel_id)}
                shown.append({**named, "action": "failed", "code": error.code, "message": error.message})
    _show(state.terminal, shown, many=every)
    if failed and state.terminal.json_output:
        raise typer.Exit(ExitCode.PAYMENT)  # the list says which ones, and why
    if failed:
        raise PaymentError(
            f"{failed} of {len(channels)} channels are not closed",
            hint="`ando session close --force` closes them without the gateway, `--finish` takes the money then",
            code=Code.NOT_ALL_CLOSED,
        )


def _end(
    state: Invocation,
    parts: Parts,
    channel: Channel,
    *,
    force: bool,
    finish: bool,
    wait: bool,
    full: bool,
    dry_run: bool,
) -> dict[str, Any]:
    """Close one channel the way that was asked for, as far as that goes now."""
    named = {"id": channel.channel_id if full else short(channel.channel_id)}
    way = "finish" if finish else "force" if force else "cooperative"
    if dry_run:
        return {**named, "action": "none", "dry_run": True, "way": way, "left": amount(channel.left)}
    lifecycle = parts.lifecycle
    if not force and not finish:
        if channel.state is State.CLOSING:
            raise PaymentError(
                "this channel is being closed on the chain already",
                hint=f"ando session close --finish {short(channel.channel_id)}",
                code=Code.CLOSING,
            )
        managed = _close_with_gateway(state, parts, channel)
        assert managed.ended is not None  # what a close that worked leaves
        return {**named, **_ended(managed.ended, full)}
    if force:
        state.terminal.stage("asking the chain to close")
        grace = closing.request(lifecycle, channel)
        if isinstance(grace, Ended):
            return {**named, **_ended(grace, full)}
        if not wait:
            return {
                **named,
                "action": "close_requested",
                "closes_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(grace.closes_at)),
                "seconds_left": grace.left,
            }
    if wait:
        _wait(state.terminal, parts, channel)
    state.terminal.stage("withdrawing")
    return {**named, **_ended(closing.withdraw(lifecycle, channel), full)}


def _close_with_gateway(state: Invocation, parts: Parts, channel: Channel) -> Managed:
    try:
        return manage(state, parts, Close(), channel)
    except (NetworkError, PaymentError, ServerError) as error:
        hint = "`ando session close --force` needs no gateway"
        raise error.with_hint(f"{error.hint}; {hint}" if error.hint else hint) from None


def _wait(terminal: Terminal, parts: Parts, channel: Channel) -> None:
    """Stay until the grace period is over, with a bar on a terminal."""
    grace = closing.grace(parts.lifecycle, channel)
    if isinstance(grace, Ended) or not grace.left:
        return
    terminal.note(
        f"the grace period ends in {closing.duration(grace.left)}; Ctrl-C is safe, --finish goes on from there"
    )
    with terminal.countdown("grace period", grace.left) as advance:
        while not isinstance(grace, Ended) and grace.left:
            parts.lifecycle.sleep(min(_WAIT_STEP, grace.left))
            grace = closing.grace(parts.lifecycle, channel)
            advance(0 if isinstance(grace, Ended) else grace.left)


def _ended(ended: Ended, full: bool) -> dict[str, Any]:
    transaction = ended.transaction
    return {
        "action": "closed",
        "captured": amount(ended.captured),
        "refunded": amount(ended.refunded),
        "transaction": transaction if full or transaction is None else short(transaction),
    }


def _show(terminal: Terminal, shown: list[dict[str, Any]], *, many: bool) -> None:
    if terminal.json_output:
        terminal.json(shown if many else shown[0])
        return
    if not shown:
        terminal.note("there is no channel to close")
    for each in shown:
        if each["action"] == "closed":
            transaction = f", transaction {each['transaction']}" if each["transaction"] else ""
            terminal.answer(
                f"{each['id']}  closed: {each['captured']} captured, {each['refunded']} refunded{transaction}"
            )
        elif each["action"] == "failed":
            terminal.warn(f"{each['id']}: {each['message']}")
        elif each["action"] == "close_requested":
            left = closing.duration(each["seconds_left"])
            terminal.answer(f"{each['id']}  close requested: the money can be taken in {left}, at {each['closes_at']}")
            terminal.note(f"then: ando session close --finish {each['id']}")
        else:
            terminal.answer(f"{each['id']}  would be closed ({each['way']}), with {each['left']} left")
            terminal.note("dry run: nothing was signed")
