"""``ando voucher``: sign one by hand, check one, and take apart what travels between a client and a gateway."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from ando_cli.app import SharedOptionsGroup
from ando_cli.cli.command import Command
from ando_cli.cli.help import examples
from ando_cli.errors import (
    BudgetExceededError,
    Code,
    ConsentRequiredError,
    ExitCode,
    PaymentDeclinedError,
    PaymentError,
    UsageError,
)
from ando_cli.money import amount as money
from ando_cli.money import parse_amount
from ando_cli.mpp import fields
from ando_cli.mpp.malformed import MalformedError
from ando_cli.redact import short
from ando_cli.runtime.context import invocation
from ando_cli.runtime.wiring import PayOptions, assemble, existing_store, find_budgets
from ando_cli.session.act.vouchers import Drawer, record_voucher
from ando_cli.session.record.lookup import find_channel
from ando_cli.session.report.inspection import LIMIT, Kind, inspect
from ando_cli.tempo.protocol import Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from ando_cli.config.settings import Settings
    from ando_cli.session.act.lifecycle import Lifecycle
    from ando_cli.session.channel import Channel
    from ando_cli.session.record.store import Store
    from ando_cli.terminal.output import Terminal

_T = TypeVar("_T")

_PANEL = "A channel that is not on record"
_ALL_THREE = "give --escrow, --chain-id and --protocol, and the whole id"
_LONGEST_SIGNATURE = 1024
"""Characters that are read from stdin in search of a signature."""

app = typer.Typer(
    cls=SharedOptionsGroup,
    add_completion=False,
    help="Sign and check vouchers by hand; take apart what is sent to pay.",
)

# What is left over is looked at here: Typer's own complaint would repeat it, and it may be a signature.
_LEFT_OVER = {"allow_extra_args": True}

ChannelOption = Annotated[
    str, typer.Option("--channel", metavar="ID", help="The channel: any unique prefix of its id.", show_default=False)
]
AmountOption = Annotated[
    str | None, typer.Option("--amount", metavar="AMOUNT", help="What it is worth in all, such as 1.25.")
]
BaseUnitsOption = Annotated[
    str | None, typer.Option("--base-units", metavar="N", help="The same as a whole number of base units.")
]
EscrowOption = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="The contract that holds the deposit.", rich_help_panel=_PANEL)
]
ChainIdOption = Annotated[int | None, typer.Option(metavar="N", help="Its chain.", rich_help_panel=_PANEL)]
ProtocolOption = Annotated[str | None, typer.Option(metavar="v1|v2", help="Its protocol.", rich_help_panel=_PANEL)]


@app.command(
    "sign",
    cls=Command,
    context_settings=_LEFT_OVER,
    epilog=examples(
        "ando voucher sign --channel 0x8c2f --amount 1.25",
        "ando voucher sign --channel 0x8c2f --base-units 1250000 --max-spend 1 -j",
    ),
)
def sign(
    ctx: typer.Context,
    channel: ChannelOption,
    amount: AmountOption = None,
    base_units: BaseUnitsOption = None,
    max_spend: Annotated[
        str | None,
        typer.Option(metavar="AMOUNT", help="The most that this may newly authorise. [env: ANDO_MAX_SPEND]"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask, and pass the limit of max_spend.")] = False,
    escrow: EscrowOption = None,
    chain_id: ChainIdOption = None,
    protocol: ProtocolOption = None,
) -> None:
    """Sign a voucher and print its signature. A voucher is money.

    The amount is cumulative: it includes all that was signed for the channel before. What is signed is recorded first.
    """
    state = invocation(ctx)
    terminal = state.terminal
    _check_left_over(ctx)
    cumulative = _cumulative_amount(amount, base_units)
    cap = None if max_spend is None else parse_amount(max_spend, "--max-spend")
    with assemble(state, PayOptions(max_spend=cap, assume_yes=yes)) as parts, ExitStack() as stack:
        store = _existing(parts.settings, stack)
        drawer, record = _find(store, channel, escrow, chain_id, protocol)
        digest = _digest(drawer, cumulative)
        key = parts.lifecycle.key() if record is None else parts.lifecycle.signer(record)
        cap, budgets = parts.lifecycle.caps.max_spend, find_budgets(parts.settings)
        if store is not None and record is not None:
            allow = _consent(
                terminal, cumulative, cap, yes or parts.settings.sandbox, recorded=True, budgeted=budgets is not None
            )
            _put_on_record(terminal, parts.lifecycle, record, cumulative, allow)
        else:
            if budgets is not None:
                raise BudgetExceededError(
                    "a budget is set, and the channel is not on record: what this voucher adds is not known",
                    hint="nothing was signed; put the channel on record: ando session recover ID",
                )
            _consent(terminal, cumulative, cap, yes, recorded=False)(cumulative)
            terminal.warn("the channel is not on record: its deposit is not known, and nothing is recorded")
        signature = drawer.sign(key, cumulative)
    terminal.warn(
        f"a voucher is money: with this signature the payee can take {money(cumulative)} in all from the channel"
    )
    if terminal.json_output:
        terminal.json(
            {
                "channelId": drawer.channel_id,
                "cumulativeAmount": str(cumulative),
                "signature": signature,
                "digest": digest,
                "domain": drawer.domain,
            }
        )
    else:
        terminal.answer(signature)


@app.command(
    "verify",
    cls=Command,
    context_settings=_LEFT_OVER,
    epilog=examples(
        "ando voucher verify --channel 0x8c2f --amount 1.25 --signature - < signature.txt",
    ),
)
def verify(
    ctx: typer.Context,
    channel: ChannelOption,
    signature: Annotated[
        str, typer.Option(metavar="HEX", help="The signature, of 65 or 64 bytes; - reads stdin.", show_default=False)
    ],
    amount: AmountOption = None,
    base_units: BaseUnitsOption = None,
    signer: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Who should have signed it.", rich_help_panel=_PANEL)
    ] = None,
    escrow: EscrowOption = None,
    chain_id: ChainIdOption = None,
    protocol: ProtocolOption = None,
) -> None:
    """Check a voucher: its signer, channel, amount and form. Exit code 0 where it is good, 4 where it is not."""
    state = invocation(ctx)
    terminal = state.terminal
    _check_left_over(ctx)
    cumulative = _cumulative_amount(amount, base_units)
    with ExitStack() as stack:
        drawer, record = _find(_existing(state.settings, stack), channel, escrow, chain_id, protocol)
    wanted = None if signer is None else _read(fields.address, signer, "--signer")
    if record is not None:
        _check_same("--signer", wanted, record.terms.signer)
        wanted = record.terms.signer
    if wanted is None:
        raise UsageError("the channel is not on record: nobody knows who signs for it", hint="give --signer")
    _digest(drawer, cumulative)
    if signature == "-":
        signature = _decoded(terminal.read_bytes(_LONGEST_SIGNATURE))
    digits = signature.strip()
    fault = drawer.fault(cumulative, digits if digits[:2] in ("0x", "0X") else f"0x{digits}", wanted)
    if terminal.json_output:
        terminal.json({"valid": fault is None, "reason": fault})
        if fault is not None:
            raise typer.Exit(ExitCode.PAYMENT)
    elif fault is not None:
        raise PaymentError(
            f"the voucher is not valid: {fault}",
            hint="the amount is cumulative, and a voucher is for one channel only",
            code=Code.VOUCHER_INVALID,
        )
    else:
        terminal.answer(f"valid: {money(cumulative)} in all from {short(drawer.channel_id)}")


@app.command(
    "inspect",
    cls=Command,
    epilog=examples(
        "pbpaste | ando voucher inspect",
        "ando voucher inspect --reveal < credential.txt",
    ),
)
def inspect_(
    ctx: typer.Context,
    value: Annotated[
        list[str] | None, typer.Argument(metavar="VALUE", help="What to take apart. Without it, or with -, stdin.")
    ] = None,
    reveal: Annotated[bool, typer.Option("--reveal", help="Hide and shorten nothing.")] = False,
) -> None:
    """Show what is in a challenge, a credential, a receipt or a voucher, as JSON.

    Better on stdin than as an argument: other programs of this computer can see arguments.
    """
    terminal = invocation(ctx).terminal
    # A value with spaces that was not quoted arrives in pieces.
    text = " ".join(value or ())
    piped = text in ("", "-")
    if piped:
        if terminal.stdin_tty:
            terminal.note("paste it, then press Enter and Ctrl-D")
        text = _decoded(terminal.read_bytes(LIMIT + 1))
    try:
        found = inspect(text, reveal=reveal)
    except MalformedError as error:
        raise UsageError(str(error), code=Code.NOT_INSPECTABLE) from None
    for fault in found.faults:
        terminal.warn(f"there is another challenge, which is malformed: {fault}")
    if found.pays and not piped:
        what = "credential" if found.kind is Kind.CREDENTIAL else "voucher"
        terminal.warn(f"an argument is seen by other programs of this computer: give a {what} on stdin")
    if terminal.json_output:
        terminal.json(found.shown)
    else:
        terminal.answer(json.dumps(found.shown, ensure_ascii=False, indent=2))


def _existing(settings: Settings, stack: ExitStack) -> Store | None:
    store = existing_store(settings)
    if store is not None:
        stack.callback(store.close)
    return store


def _find(
    store: Store | None, channel: str, escrow: str | None, chain_id: int | None, protocol: str | None
) -> tuple[Drawer, Channel | None]:
    """What the voucher is for, and the channel's record where there is one: flags do not get round a record.

    Raises:
        UsageError: the channel is neither on record nor described in full, or the flags contradict the record.
    """
    where = (
        None if escrow is None else _read(fields.address, escrow, "--escrow"),
        None if chain_id is None else _read(fields.chain_id, chain_id, "--chain-id"),
        None if protocol is None else _protocol(protocol),
    )
    try:
        whole = fields.hash32(channel.strip().lower(), "--channel")
    except MalformedError:
        whole = None
    record = store.channel(whole) if store is not None and whole is not None else None
    if record is None and whole is not None:
        if where[0] is not None and where[1] is not None and where[2] is not None:
            return Drawer(whole, where[0], where[1], where[2]), None
        raise UsageError("no channel on record has this id", hint=_ALL_THREE)
    if record is None:
        record = find_channel(store, channel)
    found = Drawer.of(record)
    known = (found.escrow, found.chain_id, found.protocol)
    for name, given, recorded in zip(("--escrow", "--chain-id", "--protocol"), where, known, strict=True):
        _check_same(name, given, recorded)
    return found, record


def _check_same(name: str, given: object, recorded: object) -> None:
    if given is not None and given != recorded:
        raise UsageError(f"{name} is not what is on record for the channel", hint=f"leave {name} out")


def _check_left_over(ctx: typer.Context) -> None:
    if ctx.args:
        raise UsageError(
            "there is more on the line than options, and it is not shown here", hint=f"{ctx.command_path} --help"
        )


def _cumulative_amount(amount: str | None, base_units: str | None) -> int:
    if (amount is None) == (base_units is None):
        raise UsageError("the amount is given with --amount or with --base-units", hint="use one of them")
    if amount is not None:
        return parse_amount(amount, "--amount")
    return _read(fields.amount, base_units, "--base-units")


def _digest(drawer: Drawer, cumulative: int) -> str:
    try:
        return drawer.digest(cumulative)
    except ValueError:
        raise UsageError(f"the amount is too large for {drawer.protocol}", hint="give a smaller one") from None


def _protocol(text: str) -> Protocol:
    try:
        return Protocol(text.lower())
    except ValueError:
        raise UsageError("--protocol is neither v1 nor v2", hint="give one of them") from None


def _read(reader: Callable[[object, str], _T], value: object, name: str) -> _T:
    try:
        return reader(value, name)
    except MalformedError as error:
        raise UsageError(str(error), hint="ando voucher --help") from None


def _decoded(data: bytes) -> str:
    # What is not UTF-8 is none of the things that are looked for, and so is the replacement character.
    return data.decode("utf-8", errors="replace")


def _put_on_record(
    terminal: Terminal, lifecycle: Lifecycle, record: Channel, cumulative: int, allow: Callable[[int], None]
) -> None:
    warnings: list[str | None] = []
    raised_by = record_voucher(
        lifecycle.store, record, cumulative, allow,
        lambda by: warnings.append(lifecycle.check_budgets(by, record.network)),
    )  # fmt: skip
    if not raised_by:
        terminal.note(f"no more than the {money(record.cumulative_amount)} on record, which stays as it is")
        return
    terminal.note(f"recorded: {money(cumulative)} signed in all, {money(raised_by)} more than before")
    if warnings[-1] is not None:
        terminal.warn(warnings[-1])


def _consent(
    terminal: Terminal, cumulative: int, cap: int | None, assumed: bool, *, recorded: bool, budgeted: bool = False
) -> Callable[[int], None]:
    """What allows a raise. Only ``--yes`` or a person does where there is no record: no limit is known to hold then."""

    def allow(raised_by: int) -> None:
        what = f"a voucher for {money(cumulative)} in all"
        more = f"{money(raised_by)} more than before" if recorded else "on a channel that is not on record"
        if assumed:
            if cap is not None and raised_by > cap:
                terminal.warn(f"{what}, {more}, passes the {money(cap)} of max_spend, as --yes allows")
            return
        if cap is not None and raised_by > cap:
            raise BudgetExceededError(
                f"{what}, {more}, is above the {money(cap)} of --max-spend",
                hint=f"nothing was signed; allow it with --max-spend {money(raised_by)}, or with --yes",
                code=Code.MAX_SPEND_EXCEEDED,
            )
        answer = terminal.ask(f"A voucher is money. Sign {what}, {more}?")
        if answer is None and not (recorded and (budgeted or cap is not None)):
            limit = f"--max-spend {money(raised_by)} (or ANDO_MAX_SPEND), or with " if recorded else ""
            raise ConsentRequiredError(
                f"{what}, {more}: there is no terminal to ask on",
                hint=f"nothing was signed; allow it with {limit}--yes",
            )
        if answer is False:
            raise PaymentDeclinedError("the voucher was declined", hint="nothing was signed")

    return allow
