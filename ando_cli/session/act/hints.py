"""Using a gateway's hint about a channel, if our own signature and the chain confirm it.

Nothing is signed here, and no claim of the gateway can raise what we sign. A hint restores what this wallet signed
before, in a run whose record was lost, or on another machine.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ando_cli.session.channel import State
from ando_cli.session.decide import snapshot as snapshots
from ando_cli.tempo.protocol import Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ando_cli.session.act.session import Session
    from ando_cli.session.channel import Channel, ChannelKey


def adopt(session: Session, key: ChannelKey, snapshot: Mapping[str, Any]) -> Channel | None:
    """Put the channel that ``snapshot`` proves on record, where no channel is live for ``key``.

    The caller holds the lock for ``key``.

    Returns:
        The channel, or ``None`` where nothing was proven or the channel is on record already.

    Raises:
        NetworkError: the chain could not be queried.
        StoreError: it could not be recorded.
    """
    proven = snapshots.prove(snapshot, key)
    if proven is None:
        return None
    if proven.terms.signer != session.keys.payer and not session.keys.holds(proven.terms.signer):
        return None  # nothing could be signed for it here
    if session.store.channel(proven.terms.channel_id) is not None:
        return None
    state = session.chain.checked().channel(key.escrow, proven.terms.channel_id, Protocol.V2)
    channel = snapshots.adopted(proven, state, key)
    if channel is None:
        return None
    # Nobody here consented to what the chain says was deposited: what may be signed is within the limit of one deposit.
    within = max(channel.cumulative_amount, session.limits.caps.max_deposit)
    channel = replace(channel, deposit=min(channel.deposit, within))
    session.store.adopt(channel)
    return channel


def catch_up(session: Session, channel: Channel, snapshot: Mapping[str, Any]) -> bool:
    """Raise the record of ``channel`` to what ``snapshot`` proves to have been signed for it elsewhere.

    Returns:
        Whether the record was behind.

    Raises:
        NetworkError: the chain could not be queried.
        StoreError: it could not be recorded.
    """
    proven = snapshots.prove(snapshot, channel.key)
    if proven is None or channel.state is not State.OPEN or channel.pending is not None:
        return False
    if proven.terms != channel.terms or proven.cumulative_amount <= channel.cumulative_amount:
        return False
    state = session.chain.checked().channel(channel.terms.escrow, channel.channel_id, Protocol.V2)
    found = snapshots.adopted(proven, state, channel.key)
    if found is None:
        return False
    store, raised = session.store, found.cumulative_amount
    with store.transaction():
        before = store.channel(channel.channel_id)
        if before is None or not store.raise_cumulative(channel.channel_id, channel.cumulative_amount, raised):
            return False
        # No node's word raises what may be signed above what was deposited from here, or is proven to be signed for.
        store.opened(channel.channel_id, min(found.deposit, max(before.deposit, raised)))
        store.receipted(channel.channel_id, found.accepted, found.spent)
        store.carry(
            channel.channel_id,
            authorised=raised - before.cumulative_amount,
            spent=max(0, found.spent - before.spent),
        )
    return True
