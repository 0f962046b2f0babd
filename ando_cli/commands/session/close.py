"""``ando session close``: settle what was spent, and get the rest of the deposit back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ando_cli.cli.command import Command
from ando_cli.cli.groups import grouped
from ando_cli.cli.help import examples
from ando_cli.cli.options import ConnectionOptions, DryRunOption, PaymentOptions
from ando_cli.commands.session._options import FullOption, OptionalIdArgument
from ando_cli.errors import (
    AndoError,
    AuthorisedUnknownError,
    Code,
    ExitCode,
    NetworkError,
    PaymentError,
    ServerError,
    UsageError,
)
from ando_cli.frozen import frozen
from ando_cli.money import amount, known_amount
from ando_cli.rails.management import Close
from ando_cli.redact import short, shown_id
from ando_cli.runtime.context import invocation
from ando_cli.runtime.manage import channels_in_use, manage, pick
from ando_cli.runtime.wiring import assemble
from ando_cli.session.act import closing
from ando_cli.session.act.closing import Ended
from ando_cli.session.channel import FUNDED, Channel, State
from ando_cli.times import duration, iso_time

if TYPE_CHECKING:
    from ando_cli.runtime.context import Invocation
    from ando_cli.runtime.wiring import Parts
    from ando_cli.terminal.output import Terminal

_WAIT_STEP = 5.0

app = typer.Typer(add_completion=False)


@frozen
class _Way:
    """How to close, from the flags."""

    force: bool
    finish: bool
    wait: bool
    full: bool
    dry_run: bool
    buys: bool

    @property
    def name(self) -> str:
        return "finish" if self.finish else "force" if self.force else "cooperative"


@app.command(
    cls=Command,
    epilog=examples(
        "ando session close",
        "ando session close --force 0x8c2f",
        "ando session close --finish --wait 0x8c2f",
        "ando session close --all --dry-run",
    ),
)
@grouped
def close(
    ctx: typer.Context,
    *,
    channel_id: OptionalIdArgument = None,
    every: Annotated[
        bool, typer.Option("--all", help="Close every channel of this network that is not closed.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Close on the chain, without the gateway; takes a grace period and two fees."),
    ] = False,
    finish: Annotated[
        bool, typer.Option("--finish", help="Withdraw after --force, once the grace period is over.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="With --force or --finish: wait until it is over.")] = False,
    buy_receipt: Annotated[
        bool,
        typer.Option(
            "--buy-receipt",
            help="If the gateway counts more than receipts show and does not say how much: pay for the smallest answer "
            "to be told, and if that fails offer all that was authorised.",
        ),
    ] = False,
    full: FullOption = False,
    dry_run: DryRunOption = False,
    connection: ConnectionOptions,
) -> None:
    """Close a channel: the gateway takes what was spent, the rest of the deposit comes back.

    If the gateway refuses or cannot be reached, --force asks the chain to close, and --finish withdraws the money after
    the grace period.
    """
    state = invocation(ctx)
    if every and channel_id is not None:
        raise UsageError("--all and an id cannot be used together", hint="leave one of them out")
    if force and finish:
        raise UsageError(
            "--force and --finish are two steps: --force first, --finish after the grace period",
            hint="leave one of them out",
        )
    if wait and not (force or finish):
        raise UsageError("--wait goes with --force or --finish", hint="leave it out")
    if buy_receipt and (force or finish):
        raise UsageError("--buy-receipt asks the gateway, --force and --finish do not", hint="leave one of them out")
    way = _Way(force, finish, wait, full, dry_run, buy_receipt)
    with assemble(state, connection.with_channel(PaymentOptions(yes=True))) as parts:
        if every:
            shown = [_end_or_tell(state, parts, channel, way) for channel in channels_in_use(parts, FUNDED)]
        else:
            shown = [_end(state, parts, pick(parts, channel_id, FUNDED), way)]
    _show(state.terminal, shown, many=every)
    failed = sum(each["action"] == "failed" for each in shown)
    if failed and state.terminal.json_output:
        raise typer.Exit(ExitCode.PAYMENT)  # the list names them, and says why
    if failed:
        raise PaymentError(
            f"{failed} of {len(shown)} channels are not closed",
            hint="`ando session close --force` closes them without the gateway, then `--finish` withdraws the money",
            code=Code.NOT_ALL_CLOSED,
        )


def _end_or_tell(state: Invocation, parts: Parts, channel: Channel, way: _Way) -> dict[str, Any]:
    """Close one of several channels; a failure is part of the answer."""
    named = {"id": shown_id(channel.channel_id, full=way.full)}
    try:
        return _end(state, parts, channel, way)
    except AuthorisedUnknownError as error:
        # What was signed for a spare is not known here: it stays as it is until somebody says.
        action = "skipped" if channel.state is State.SPARE else "failed"
        return {**named, "action": action, "code": error.code, "message": error.message, "hint": error.hint}
    except AndoError as error:
        return {**named, "action": "failed", "code": error.code, "message": error.message, "hint": error.hint}


def _end(state: Invocation, parts: Parts, channel: Channel, way: _Way) -> dict[str, Any]:
    """Close one channel as the flags say, as far as is possible now."""
    named = {"id": shown_id(channel.channel_id, full=way.full)}
    if way.dry_run:
        return {**named, **_unsigned(channel, way)}
    if not way.force and not way.finish:
        return {**named, **_ended(_close_with_gateway(state, parts, channel, way), way.full)}
    if way.force:
        state.terminal.stage("asking the chain to close")
        grace = closing.request(parts.session, channel)
        if isinstance(grace, Ended):
            return {**named, **_ended(grace, way.full)}
        if not way.wait:
            moment = {"closes_at": iso_time(grace.closes_at), "seconds_left": grace.left}
            return {**named, "action": "close_requested", **moment}
    if way.wait:
        _wait(state.terminal, parts, channel)
    state.terminal.stage("withdrawing")
    return {**named, **_ended(closing.withdraw(parts.session, channel), way.full)}


def _unsigned(channel: Channel, way: _Way) -> dict[str, Any]:
    """What a dry run tells: how much the gateway would be offered, and what may follow where it counts more."""
    shown = {"action": "none", "dry_run": True, "way": way.name, "left": amount(channel.left)}
    if way.name != "cooperative":
        return shown
    offered = {"offered": amount(channel.spent), "at_most": amount(channel.cumulative_amount)}
    return {**shown, **offered, "buys_receipt": way.buys and channel.spent < channel.cumulative_amount}


def _close_with_gateway(state: Invocation, parts: Parts, channel: Channel, way: _Way) -> Ended:
    if channel.state is State.CLOSING:
        raise PaymentError(
            "this channel is already being closed on the chain",
            hint=f"ando session close --finish {short(channel.channel_id)}",
            code=Code.CLOSING,
        )

    def may_buy(at_most: int) -> bool:
        return way.buys or bool(
            state.terminal.ask(
                "The gateway counts more as spent than receipts show. Pay for the smallest answer to be told how much, "
                f"and if that fails offer all that was authorised, {amount(at_most)}?"
            )
        )

    try:
        ended = manage(state, parts, Close(may_buy), channel).ended
    except (NetworkError, PaymentError, ServerError) as error:
        hint = "`ando session close --force` needs no gateway"
        raise error.with_hint(f"{error.hint}; {hint}" if error.hint else hint) from None
    if ended is None:
        raise PaymentError(
            "the close worked, but its result is not known", hint="ando session sync", code=Code.OUTCOME_UNKNOWN
        )
    return ended


def _wait(terminal: Terminal, parts: Parts, channel: Channel) -> None:
    """Wait until the grace period is over, with a bar on a terminal."""
    grace = closing.grace(parts.session, channel)
    if isinstance(grace, Ended) or not grace.left:
        return
    terminal.note(f"the grace period ends in {duration(grace.left)}; Ctrl-C is safe, and --finish continues from there")
    with terminal.countdown("grace period", grace.left) as advance:
        while not isinstance(grace, Ended) and grace.left:
            parts.session.clock.sleep(min(_WAIT_STEP, grace.left))
            grace = closing.grace(parts.session, channel)
            advance(0 if isinstance(grace, Ended) else grace.left)


def _ended(ended: Ended, full: bool) -> dict[str, Any]:
    return {
        "action": "closed",
        "captured": known_amount(ended.captured),
        "captured_at_most": amount(ended.at_most if ended.captured is None else ended.captured),
        "refunded": known_amount(ended.refunded),
        "refunded_at_least": amount(ended.refunded_at_least),
        "transaction": None if ended.transaction is None else shown_id(ended.transaction, full=full),
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
            taken = f"{each['captured']} captured, {each['refunded']} refunded"
            if each["captured"] is None:
                taken = f"up to {each['captured_at_most']} captured, at least {each['refunded_at_least']} refunded"
            terminal.answer(f"{each['id']}  closed: {taken}{transaction}")
            if each["captured"] is None:
                terminal.note("the RPC does not show what was captured; `ando session sync` asks again")
        elif each["action"] in ("failed", "skipped"):
            terminal.warn(f"{each['id']}: {each['message']}; {each['hint']}")
        elif each["action"] == "close_requested":
            left = duration(each["seconds_left"])
            terminal.answer(
                f"{each['id']}  close requested: the money can be withdrawn in {left}, at {each['closes_at']}"
            )
            terminal.note(f"then: ando session close --finish {each['id']}")
        else:
            terminal.answer(f"{each['id']}  would be closed ({each['way']}), with {each['left']} left")
            if "offered" in each:
                terminal.note(_if_more(each))
            terminal.note("dry run: nothing was signed")


def _if_more(shown: dict[str, Any]) -> str:
    """What a cooperative close would offer, and do where the gateway counts more."""
    offers = f"the gateway would be offered {shown['offered']}, as receipts show"
    if shown["offered"] == shown["at_most"]:
        return offers
    then = "pays for the smallest answer to find out" if shown["buys_receipt"] else "asks you first"
    return f"{offers}; if it counts more, ando offers the amount it names, up to {shown['at_most']}, or else {then}"
