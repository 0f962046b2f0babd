"""What differs between our record of a channel and what the chain says of it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ando_cli.frozen import frozen
from ando_cli.money import amount
from ando_cli.redact import short
from ando_cli.session.channel import Channel, State

if TYPE_CHECKING:
    from ando_cli.tempo.channel import ChannelState

# By its own words the chain cannot tell a v2 channel that is closed from one that never was.
_ABSENT = (State.OPENING, State.CLOSED, State.ABANDONED)


@frozen
class Comparison:
    """What the chain says, ``None`` where it shows no such channel, and the names of what differs from our record."""

    state: ChannelState | None
    differences: tuple[str, ...]


@frozen
class Change:
    """One part of a record, before and after. Amounts in base units, times in unix seconds."""

    field: str
    before: str | int
    after: str | int


def compared(channel: Channel, state: ChannelState | None, *, proven: bool = True) -> Comparison:
    """Hold the record of a channel against the chain's word of it.

    Args:
        channel: as it is on record.
        state: the chain's word; ``None`` where the chain shows no such channel.
        proven: whether it is the word of a block that is younger than the channel. An older one agrees with nothing.
    """
    if state is None:
        agrees = channel.state in _ABSENT and (proven or channel.state is State.OPENING or channel.captured is not None)
        return Comparison(None, () if agrees else ("state",))
    differences = {
        "state": channel.state is State.ABANDONED
        or state.finalized != (channel.state is State.CLOSED)
        or (not state.finalized and bool(state.close_requested_at) != (channel.state is State.CLOSING)),
        "deposit": state.deposit != channel.deposit and channel.state is not State.CLOSED,
        "authorised": state.settled > channel.cumulative_amount,
    }
    return Comparison(state, tuple(name for name, differs in differences.items() if differs))


def changes(before: Channel, after: Channel) -> tuple[Change, ...]:
    """Return the parts of a record that are not the same before and after."""
    pairs: tuple[tuple[str, str | int, str | int], ...] = (
        ("state", str(before.state), str(after.state)),
        ("deposit", before.deposit, after.deposit),
        ("spent", before.spent, after.spent),
        ("captured", _known(before.captured), _known(after.captured)),
        ("pending_deposit", _pending(before), _pending(after)),
        ("closes_at", before.closes_at, after.closes_at),
    )
    return tuple(Change(name, old, new) for name, old, new in pairs if old != new)


def note(channel: Channel, state: ChannelState | None) -> str | None:
    """Return what the user should know about a channel whose record agrees with the chain, if anything."""
    named = short(channel.channel_id)
    if channel.unproven:
        most = amount(channel.captured_at_most)
        return f"what its close took is not known, up to {most}: the RPC shows no event of it"
    if state is None:
        return None if channel.state in _ABSENT else "the chain does not show this channel"
    if not state.finalized and state.settled > channel.cumulative_amount:
        return (
            f"the gateway settled {amount(state.settled)}, more than is on record here as authorised: "
            f"`ando session recover {named}` updates the record"
        )
    if not state.finalized and state.deposit > channel.deposit + _pending(channel):
        return (
            f"the chain shows a deposit of {amount(state.deposit)}, more than was deposited from here: "
            f"`ando session recover {named}` takes that over"
        )
    if channel.state is State.CLOSING and not state.close_requested_at:
        return f"its close did not reach the chain: `ando session close --force {named}` asks again"
    return None


def _known(units: int | None) -> str | int:
    return "unknown" if units is None else units


def _pending(channel: Channel) -> int:
    return 0 if channel.pending is None else channel.pending.amount
