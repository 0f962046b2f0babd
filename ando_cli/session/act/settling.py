"""Finding the outcome of a channel and its pending transaction on the chain, and recording it.

An absence is not a proof. A channel that the chain does not show is given up only where it is absent from a block that
is younger than the channel, and absent again some seconds later; its record is looked at again by ``session sync``, and
the key that signs for it stays. The chain's time counts, ours does not.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ando_cli.errors import Code, PaymentError
from ando_cli.session.act import fees
from ando_cli.session.act.chain import TRANSACTION_SECONDS
from ando_cli.session.channel import FUNDED, LIVE, Channel, State
from ando_cli.tempo.protocol import Protocol

if TYPE_CHECKING:
    from ando_cli.session.act.session import Session
    from ando_cli.tempo.channel import ChannelState
    from ando_cli.tempo.receipts import Block

_AGAIN_SECONDS = 3.0
"""How long after the first look an absence is looked for again before it is believed."""

_TOP_UP_POLLS = 20
_TOP_UP_POLL_SECONDS = 0.25


def resolve(session: Session, channel: Channel) -> None:
    """Record what the chain says of ``channel`` and of its pending transaction.

    Raises:
        NetworkError: the chain could not be asked.
        PaymentError: the chain does not show the channel, and that proves nothing.
    """
    record(session, look(session, channel)[0])


def look(session: Session, channel: Channel) -> tuple[Channel, ChannelState | None]:
    """Return ``channel`` as it is by the chain's word, and that word. Nothing is recorded.

    Raises:
        NetworkError, PaymentError: as ``resolve``.
    """
    block, state = session.chain.at(channel)
    if state is not None and channel.state in LIVE and _ends(session, channel, state):
        # As with an absence: one answer ends no channel that is paid from.
        session.clock.sleep(_AGAIN_SECONDS)
        block, state = session.chain.at(channel)
    if state is not None:
        return _shown(session, channel, block, state), state
    if channel.terms.protocol is Protocol.V2 and channel.state not in (State.OPENING, State.ABANDONED):
        # The precompile keeps nothing of a channel that is closed but the event of its closing.
        taken = _captured(session, channel)
        if taken is not None:
            return _closed(channel, taken), None
    if channel.state not in FUNDED or (channel.state is State.OPENING and not young(channel, block)):
        return channel, None  # over already, or not there yet
    if channel.terms.protocol is Protocol.V1 and channel.state in (State.CLOSING, State.SPARE):
        return channel, None  # the contract shows what was ever opened: the node knows nothing
    return _absent(session, channel, block)


def young(channel: Channel, block: Block) -> bool:
    """Tell whether ``block`` is younger than the channel's opening, so that it shows a channel that is there.

    The chain takes no transaction from its ``valid_before`` on, so that is when a channel was opened at the latest.
    """
    if channel.state is State.OPENING and channel.pending is not None:
        return block.timestamp >= channel.pending.valid_before
    return block.timestamp >= channel.created_at + TRANSACTION_SECONDS


def _absent(session: Session, channel: Channel, block: Block) -> tuple[Channel, ChannelState | None]:
    """``channel``, which the chain does not show at ``block``: is that to be believed?"""
    if young(channel, block):
        session.clock.sleep(_AGAIN_SECONDS)
        block, state = session.chain.at(channel)
        if state is not None:
            return _shown(session, channel, block, state), state
    if not young(channel, block):
        raise PaymentError(
            "the chain does not show the channel, at a block that does not prove that it is gone",
            hint="no other channel was opened; try again in a minute",
            code=Code.DEPOSIT_IN_FLIGHT,
        )
    if channel.state is State.OPENING or channel.terms.protocol is Protocol.V1:
        return replace(channel, state=State.ABANDONED, pending=None), None
    return _closed(channel, None), None  # it was there


def _shown(session: Session, channel: Channel, block: Block, state: ChannelState) -> Channel:
    """``channel``, which the chain shows as ``state`` at ``block``."""
    if state.finalized:
        return _closed(channel, state.settled if state.deposit else _captured(session, channel))
    if channel.captured is not None:
        return channel  # its end is proven: this node is behind
    terms, deposit = channel.terms, min(state.deposit, _signed_for(channel))
    if channel.state not in FUNDED:
        channel = replace(channel, state=_place(session, channel), pending=None)
    if state.close_requested_at:
        # Ours or not, the request makes the gateway refuse the channel: another one is needed.
        period = session.chain.checked().close_grace_period(terms.escrow, terms.protocol)
        closes_at = state.close_requested_at + period
        return replace(channel, state=State.CLOSING, deposit=deposit, closes_at=closes_at, pending=None)
    if channel.state is State.CLOSING and not session.store.asked_to_close(channel.channel_id):
        # Nobody asked for a close: not we, and by this answer nobody else either.
        return replace(channel, state=_place(session, channel), deposit=deposit, closes_at=0)
    if channel.state in (State.CLOSING, State.SPARE):
        return replace(channel, deposit=deposit)
    over = channel.pending is not None and block.timestamp >= channel.pending.valid_before
    if channel.state is State.OPENING or over or _shows(state, channel):
        return replace(channel, state=State.OPEN, deposit=deposit, pending=None)
    return channel


def _ends(session: Session, channel: Channel, state: ChannelState) -> bool:
    """Whether ``state`` ends a channel and no event proves it."""
    return bool(state.close_requested_at) or (state.finalized and _captured(session, channel) is None)


def _signed_for(channel: Channel) -> int:
    """What was put into the channel from here: no node's word raises what may be signed above that."""
    adding = channel.pending is not None and channel.state is not State.OPENING
    return channel.deposit + (channel.pending.amount if channel.pending is not None and adding else 0)


def _shows(state: ChannelState, channel: Channel) -> bool:
    """Return whether the chain shows the whole deposit of the channel."""
    return channel.pending is None or state.deposit >= channel.deposit + channel.pending.amount


def _place(session: Session, channel: Channel) -> State:
    """Where a channel belongs that was taken for over, and is there."""
    live = session.store.live(channel.key)
    usable = not channel.delegated or session.keys.holds(channel.terms.signer)
    return State.OPEN if live is None and usable else State.SPARE


def _captured(session: Session, channel: Channel) -> int | None:
    return session.chain.captured(channel, session.store.closing_transaction(channel.channel_id))


def _closed(channel: Channel, taken: int | None) -> Channel:
    taken = channel.captured if taken is None else taken  # what was proven once stays proven
    spent = channel.spent if taken is None else taken
    return replace(channel, state=State.CLOSED, spent=spent, captured=taken, pending=None)


def record(session: Session, seen: Channel) -> None:
    """Record a channel that ``look`` returned.

    Raises:
        StoreError: it could not be recorded.
    """
    store, channel_id = session.store, seen.channel_id
    known = store.channel(channel_id)
    closing = known is not None and known.state is State.CLOSING and seen.state is not State.CLOSING
    if known is not None and seen.state in FUNDED and (known.state not in FUNDED or closing):
        store.adopt(seen)
        return
    match seen.state:
        case State.CLOSED:
            end(session, seen, State.CLOSED, seen.captured)
        case State.ABANDONED:
            end(session, seen, State.ABANDONED)
        case State.CLOSING:
            store.closing(channel_id, seen.closes_at)
            store.seen(channel_id, seen.deposit)
        case State.SPARE:
            store.seen(channel_id, seen.deposit)
        case State.OPEN if seen.pending is None:
            store.opened(channel_id, seen.deposit)
            fees.settle(session, seen)


def end(
    session: Session, channel: Channel, state: State, captured: int | None = None, tx_hash: str | None = None
) -> None:
    """Record that ``channel`` is over (``Store.ended``), and remove the key that was made for it.

    A key stays as long as nothing proves that the money is out of the channel: it may be needed again.

    Raises:
        StoreError: it could not be recorded.
    """
    session.store.ended(channel.channel_id, state, captured, tx_hash)
    if captured is not None:
        session.keys.drop(channel.terms.signer, channel.terms.payer)
    fees.settle(session, channel)


def confirm_top_up(session: Session, channel: Channel) -> None:
    """Wait for the chain to show a top-up that the gateway said it sent, and record the new deposit.

    Raises:
        PaymentError: the chain does not show it.
        NetworkError: the chain could not be queried.
    """
    for _ in range(_TOP_UP_POLLS):
        resolve(session, channel)
        now = session.store.channel(channel.channel_id)
        if now is None or now.pending is None:
            return
        session.clock.sleep(_TOP_UP_POLL_SECONDS)
    raise PaymentError(
        "the gateway accepted the top-up, but the chain does not show it",
        hint="the next request checks again before anything is signed",
        code=Code.DEPOSIT_IN_FLIGHT,
    )
