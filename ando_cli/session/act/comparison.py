"""Our record of a channel beside what the chain says of it, and bringing the one up to the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ando_cli.errors import PaymentError
from ando_cli.frozen import frozen
from ando_cli.money import amount
from ando_cli.redact import short
from ando_cli.session.channel import FUNDED, Channel, State

if TYPE_CHECKING:
    from ando_cli.session.act.lifecycle import Lifecycle
    from ando_cli.tempo.rpc import ChannelState

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


@frozen
class Synced:
    """A channel that was compared with the chain, what that changed, and what the user should know."""

    channel: Channel
    changes: tuple[Change, ...]
    note: str | None = None


def compare(lifecycle: Lifecycle, channel: Channel) -> Comparison:
    """Ask the chain about ``channel``. Nothing is recorded.

    Raises:
        NetworkError: the chain could not be asked.
        PaymentError: it is another chain.
    """
    terms = channel.terms
    state = lifecycle.checked_chain().channel(terms.escrow, channel.channel_id, terms.protocol)
    if state is None:
        return Comparison(None, () if channel.state in _ABSENT else ("state",))
    differences = {
        "state": state.finalized != (channel.state is State.CLOSED)
        or (not state.finalized and bool(state.close_requested_at) != (channel.state is State.CLOSING)),
        "deposit": state.deposit != channel.deposit and channel.state is not State.CLOSED,
        "authorised": state.settled > channel.cumulative_amount,
    }
    return Comparison(state, tuple(name for name, differs in differences.items() if differs))


def sync(lifecycle: Lifecycle, channel: Channel, *, dry_run: bool = False) -> Synced:
    """Bring the record of ``channel`` up to what the chain says. Signs nothing; what was authorised stays as it is.

    Raises:
        NetworkError: the chain could not be asked.
        StoreError: the record cannot be changed, or another process is busy with the channel.
    """
    lifecycle.checked_chain()
    with lifecycle.exclusive(channel.key):
        before = lifecycle.store.channel(channel.channel_id)
        if before is None or before.state not in FUNDED:
            return Synced(before or channel, (), "ended meanwhile")
        try:
            after, state = lifecycle.look(before)
        except PaymentError as error:
            return Synced(before, (), error.message)
        changes = _changes(before, after)
        if changes and not dry_run:
            lifecycle.record(after)
    return Synced(after, changes, _note(after, state))


def _changes(before: Channel, after: Channel) -> tuple[Change, ...]:
    pairs: tuple[tuple[str, str | int, str | int], ...] = (
        ("state", str(before.state), str(after.state)),
        ("deposit", before.deposit, after.deposit),
        ("spent", before.spent, after.spent),
        ("pending_deposit", _pending(before), _pending(after)),
        ("closes_at", before.closes_at, after.closes_at),
    )
    return tuple(Change(name, old, new) for name, old, new in pairs if old != new)


def _pending(channel: Channel) -> int:
    return 0 if channel.pending is None else channel.pending.amount


def _note(channel: Channel, state: ChannelState | None) -> str | None:
    named = short(channel.channel_id)
    if state is None:
        return None if channel.state in _ABSENT else "the chain does not show this channel"
    if not state.finalized and state.settled > channel.cumulative_amount:
        return (
            f"the gateway settled {amount(state.settled)}, more than is on record here as authorised: "
            f"`ando session recover {named}` takes that over"
        )
    if channel.state is State.CLOSING and not state.close_requested_at:
        return f"its close did not reach the chain: `ando session close --force {named}` asks again"
    return None
