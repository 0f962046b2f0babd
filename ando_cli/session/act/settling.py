"""Finding the outcome of a channel and its pending transaction on the chain, and recording it.

An absence is not a proof: a channel that one node does not show is given up only where its time is over for sure.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ando_cli.errors import Code, PaymentError
from ando_cli.session.act.chain import TRANSACTION_SECONDS
from ando_cli.session.channel import Channel, Pending, State
from ando_cli.tempo.protocol import Protocol

if TYPE_CHECKING:
    from ando_cli.session.act.session import Session
    from ando_cli.tempo.channel import ChannelState

_SETTLING_SECONDS = 60
"""How long after its time a transaction may still be on its way, where only our own clock says that it is over."""

_TOP_UP_POLLS = 20
_TOP_UP_POLL_SECONDS = 0.25


def resolve(session: Session, channel: Channel) -> None:
    """Record what the chain says of ``channel`` and of its pending transaction.

    Raises:
        NetworkError: the chain could not be asked.
        PaymentError: the chain does not show a channel that is too young to be given up.
    """
    record(session, look(session, channel)[0])


def look(session: Session, channel: Channel) -> tuple[Channel, ChannelState | None]:
    """Return ``channel`` as it is by the chain's word, and that word. Nothing is recorded.

    Raises:
        NetworkError, PaymentError: as ``resolve``.
    """
    chain = session.chain.checked()
    # The time is asked for first: what is absent from a later state was not mined by then either.
    chain_time = chain.latest_timestamp()
    terms = channel.terms
    state = chain.channel(terms.escrow, channel.channel_id, terms.protocol)
    expired = channel.pending is not None and _is_over(session, channel.pending, chain_time)
    if state is None:
        return _absent(session, channel, expired), None
    if state.finalized:
        return replace(channel, state=State.CLOSED, spent=state.settled, pending=None), state
    if state.close_requested_at:
        # Ours or not, the request makes the gateway refuse the channel: another one is needed.
        closes_at = state.close_requested_at + chain.close_grace_period(terms.escrow, terms.protocol)
        closing = replace(channel, state=State.CLOSING, deposit=state.deposit, closes_at=closes_at, pending=None)
        return closing, state
    if channel.state in (State.CLOSING, State.SPARE):
        return replace(channel, deposit=state.deposit), state
    if channel.state is State.OPENING or expired or _shows(state, channel):
        return replace(channel, state=State.OPEN, deposit=state.deposit, pending=None), state
    return channel, state


def _is_over(session: Session, pending: Pending, chain_time: int) -> bool:
    """Whether a transaction that no block shows will not come to be any more."""
    return chain_time >= pending.valid_before or session.clock.now() >= pending.valid_before + _SETTLING_SECONDS


def _shows(state: ChannelState, channel: Channel) -> bool:
    """Return whether the chain shows the whole deposit of the channel."""
    return channel.pending is None or state.deposit >= channel.deposit + channel.pending.amount


def _absent(session: Session, channel: Channel, expired: bool) -> Channel:
    """``channel``, which the chain does not show."""
    if channel.state is State.OPENING:
        return replace(channel, state=State.ABANDONED, pending=None) if expired else channel
    # The precompile keeps nothing of a channel that is closed but the event of its closing.
    v2 = channel.terms.protocol is Protocol.V2
    taken = session.chain.captured(channel) if v2 else None
    if channel.state is State.OPEN and taken is None:
        _check_age(session, channel)
    if v2:  # it was there
        return replace(channel, state=State.CLOSED, spent=channel.spent if taken is None else taken, pending=None)
    return replace(channel, state=State.ABANDONED, pending=None) if channel.state is State.OPEN else channel


def _check_age(session: Session, channel: Channel) -> None:
    if session.clock.now() < channel.created_at + TRANSACTION_SECONDS + _SETTLING_SECONDS:
        raise PaymentError(
            "the chain does not show the channel, which is too young to be given up",
            hint="no other channel was opened; try again in a minute",
            code=Code.DEPOSIT_IN_FLIGHT,
        )


def record(session: Session, seen: Channel) -> None:
    """Record a channel that ``look`` returned.

    Raises:
        StoreError: it could not be recorded.
    """
    store, channel_id = session.store, seen.channel_id
    match seen.state:
        case State.CLOSED:
            end(session, seen, State.CLOSED, seen.spent)
        case State.ABANDONED:
            end(session, seen, State.ABANDONED)
        case State.CLOSING:
            store.closing(channel_id, seen.closes_at)
            store.seen(channel_id, seen.deposit)
        case State.SPARE:
            store.seen(channel_id, seen.deposit)
        case State.OPEN if seen.pending is None:
            store.opened(channel_id, seen.deposit)


def end(session: Session, channel: Channel, state: State, captured: int | None = None) -> None:
    """Record that ``channel`` is over (``Store.ended``), and remove the key that was made for it.

    Raises:
        StoreError: it could not be recorded.
    """
    session.store.ended(channel.channel_id, state, captured)
    session.keys.drop(channel.terms.signer, channel.terms.payer)


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
