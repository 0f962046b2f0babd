"""Comparing our record of a channel with the chain, and updating it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ando_cli.errors import PaymentError
from ando_cli.frozen import frozen
from ando_cli.session.act import fees, settling
from ando_cli.session.channel import FUNDED, Channel, State
from ando_cli.session.decide import comparison

if TYPE_CHECKING:
    from ando_cli.session.act.session import Session
    from ando_cli.session.decide.comparison import Change, Comparison


@frozen
class Synced:
    """A channel after its comparison with the chain: what changed, and what the user should know."""

    channel: Channel
    changes: tuple[Change, ...]
    note: str | None = None


def compare(session: Session, channel: Channel) -> Comparison:
    """Ask the chain about ``channel``. Nothing is recorded.

    Raises:
        NetworkError: the chain could not be queried.
        PaymentError: it is another chain.
    """
    block, state = session.chain.at(channel)
    return comparison.compared(channel, state, proven=settling.young(channel, block))


def doubtful(session: Session, channel: Channel) -> bool:
    """Tell whether the chain may have more to say of ``channel``.

    There may be money in it, nothing proved its end, or a fee is not known.
    """
    unended = channel.state in FUNDED or channel.state is State.ABANDONED or channel.unproven
    return unended or bool(session.store.owed(channel.channel_id))


def sync(session: Session, channel: Channel, *, dry_run: bool = False) -> Synced:
    """Update the record of ``channel`` from the chain. Signs nothing, and does not change what was authorised.

    Args:
        session: the parts.
        channel: as it is on record.
        dry_run: record nothing.

    Raises:
        NetworkError: the chain could not be queried.
        StoreError: the record cannot be changed, or another process is busy with the channel.
    """
    session.chain.checked()
    with session.exclusive(channel.key):
        before = session.store.channel(channel.channel_id)
        if before is None or not doubtful(session, before):
            return Synced(before or channel, (), "ended meanwhile")
        if not dry_run:
            fees.settle(session, before)
        try:
            after, state = settling.look(session, before)
        except PaymentError as error:
            return Synced(before, (), error.message)
        changes = comparison.changes(before, after)
        if changes and not dry_run:
            settling.record(session, after)
    return Synced(after, changes, comparison.note(after, state))
