"""The channel and the amount of a voucher: the options that ``sign`` and ``verify`` share, and how to read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from ando_cli.cli import candidates
from ando_cli.errors import UsageError
from ando_cli.money import parse_amount
from ando_cli.mpp import fields
from ando_cli.mpp.malformed import MalformedError
from ando_cli.session.drawer import Drawer
from ando_cli.session.record.lookup import find_channel
from ando_cli.tempo.protocol import Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from ando_cli.session.channel import Channel
    from ando_cli.session.record.store import Store

_T = TypeVar("_T")

PANEL = "For a channel that is not on record"
_ALL_THREE = "give --escrow, --chain-id and --protocol, and the whole id"

# Extra arguments are checked here: Typer's own error would repeat them, and one may be a signature.
LEFT_OVER = {"allow_extra_args": True}

ChannelOption = Annotated[
    str,
    typer.Option(
        "--channel",
        metavar="ID",
        help="The channel: any unique prefix of its id.",
        show_default=False,
        autocompletion=candidates.channels,
    ),
]
AmountOption = Annotated[
    str | None, typer.Option("--amount", metavar="AMOUNT", help="The cumulative amount, such as 1.25.")
]
BaseUnitsOption = Annotated[
    str | None, typer.Option("--base-units", metavar="N", help="The cumulative amount as a whole number of base units.")
]
EscrowOption = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="The contract that holds the deposit.", rich_help_panel=PANEL)
]
ChainIdOption = Annotated[
    int | None, typer.Option(metavar="N", help="The id of the channel's chain.", rich_help_panel=PANEL)
]
ProtocolOption = Annotated[
    str | None, typer.Option(metavar="v1|v2", help="The channel's session protocol.", rich_help_panel=PANEL)
]


def check_left_over(ctx: typer.Context) -> None:
    """Check that only options were given.

    Raises:
        UsageError: there are arguments; they are not repeated.
    """
    if ctx.args:
        raise UsageError(
            "this command takes options only; the extra arguments are not shown here", hint=f"{ctx.command_path} --help"
        )


def cumulative_amount(amount: str | None, base_units: str | None) -> int:
    """Return the amount in base units, from either option.

    Raises:
        UsageError: neither option or both were given, or the value is not an amount.
    """
    if (amount is None) == (base_units is None):
        raise UsageError("give the amount either with --amount or with --base-units", hint="use one of them")
    if amount is not None:
        return parse_amount(amount, "--amount")
    return read_field(fields.amount, base_units, "--base-units")


def find_subject(
    store: Store | None, channel: str, escrow: str | None, chain_id: int | None, protocol: str | None
) -> tuple[Drawer, Channel | None]:
    """Return the voucher's channel, and its record if there is one: flags cannot override a record.

    Raises:
        UsageError: the channel is neither on record nor described in full, or the flags contradict the record.
    """
    where = (
        None if escrow is None else read_field(fields.address, escrow, "--escrow"),
        None if chain_id is None else read_field(fields.chain_id, chain_id, "--chain-id"),
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
        check_same(name, given, recorded)
    return found, record


def check_same(name: str, given: object, recorded: object) -> None:
    """Check that the option ``name``, if given, agrees with the record.

    Raises:
        UsageError: it is not.
    """
    if given is not None and given != recorded:
        raise UsageError(f"{name} differs from the record of the channel", hint=f"leave {name} out")


def digest_of(drawer: Drawer, cumulative: int) -> str:
    """Return the digest that a voucher's signature signs, as hex.

    Raises:
        UsageError: the amount does not fit the protocol.
    """
    try:
        return drawer.digest(cumulative)
    except ValueError:
        raise UsageError(f"the amount is too large for {drawer.protocol}", hint="give a smaller one") from None


def read_field(reader: Callable[[object, str], _T], value: object, name: str) -> _T:
    """Return what ``reader`` reads from the value of the option ``name``.

    Raises:
        UsageError: the value is malformed.
    """
    try:
        return reader(value, name)
    except MalformedError as error:
        raise UsageError(str(error), hint="ando voucher --help") from None


def decoded(data: bytes) -> str:
    """Return what was piped in as text."""
    # Nothing that is searched for can hold invalid UTF-8 or the replacement character.
    return data.decode("utf-8", errors="replace")


def _protocol(text: str) -> Protocol:
    try:
        return Protocol(text.lower())
    except ValueError:
        raise UsageError("invalid --protocol: expected v1 or v2", hint="give one of them") from None
