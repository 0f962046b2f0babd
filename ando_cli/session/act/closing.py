"""Ending a channel: confirming a cooperative close, and closing without the gateway (docs/protocol.md, section 4).

Without the gateway it takes two transactions of the payer's own, ``requestClose`` and ``withdraw``, and a grace period
between them in which the payee can still settle the highest voucher. They go to the chain through our own RPC, and cost
a fee.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ando_cli.errors import Code, InsufficientFundsError, PaymentError
from ando_cli.frozen import frozen
from ando_cli.money import amount
from ando_cli.session.act import fees as owed
from ando_cli.session.act import settling
from ando_cli.session.act.chain import TRANSACTION_SECONDS
from ando_cli.session.channel import State
from ando_cli.tempo.fees import Operation, max_fee
from ando_cli.tempo.protocol import Protocol
from ando_cli.times import duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from ando_cli.session.act.chain import Chain
    from ando_cli.session.act.session import Session
    from ando_cli.session.channel import Channel
    from ando_cli.tempo.channel import ChannelState, ChannelTerms
    from ando_cli.tempo.fees import Fees
    from ando_cli.tempo.keys import PrivateKey

_POLLS = 20
_POLL_SECONDS = 0.25
_POLLS_OF_EVENTS = 7
"""Each how many polls the events are searched, which takes longer than a poll."""


@frozen
class Ended:
    """What a closed channel came to, in base units, and the transaction that did it where it is known.

    Attributes:
        captured: what the payee took in all; ``None`` where nothing proved it yet.
        at_most: the most that it can be.
        deposit: what was put into the channel: what was not captured came back.
        transaction: the hash, as it was said.
    """

    captured: int | None
    at_most: int
    deposit: int
    transaction: str | None = None

    @property
    def refunded(self) -> int | None:
        """What came back; ``None`` where that is not proven yet."""
        return None if self.captured is None else max(0, self.deposit - self.captured)

    @property
    def refunded_at_least(self) -> int:
        """The least that came back."""
        return max(0, self.deposit - (self.at_most if self.captured is None else self.captured))

    def __str__(self) -> str:
        if self.captured is None or self.refunded is None:
            return f"up to {amount(self.at_most)} captured, at least {amount(self.refunded_at_least)} refunded"
        return f"{amount(self.captured)} captured, {amount(self.refunded)} refunded"


@frozen
class Grace:
    """A requested close: when the deposit can be taken back, and the time now; unix seconds by the chain's clock."""

    closes_at: int
    now: int

    @property
    def left(self) -> int:
        """The seconds until then; 0 if it is past."""
        return max(0, self.closes_at - self.now)


def confirm(session: Session, channel: Channel, transaction: str | None = None) -> Ended:
    """Wait for the chain to show a close that the gateway said it carried out, and record it.

    Args:
        session: the parts.
        channel: as it is on record.
        transaction: the hash of the closing transaction, where the gateway named it. Its receipt proves what was
            taken, whoever named it; the gateway's word alone proves nothing.

    Raises:
        PaymentError: the chain does not show it.
        NetworkError: the chain could not be queried.
    """
    chain = session.chain.checked()
    for poll in range(_POLLS):
        state = _state(chain, channel)
        if state is not None and state.finalized:
            return _ended(session, channel, state, transaction)
        if state is None and channel.terms.protocol is Protocol.V2 and poll % _POLLS_OF_EVENTS == 0:
            taken = session.chain.captured(channel, transaction)
            if taken is not None:
                return _over(session, channel, taken, transaction)
        session.clock.sleep(_POLL_SECONDS)
    ended = over(session, channel)  # where events are not served, an absence that can be believed ends a v2 channel
    if ended is None:
        raise PaymentError(
            "the gateway says that it closed the channel, but the chain does not show it",
            hint="look again with `ando session sync`",
            code=Code.CLOSE_UNCONFIRMED,
        )
    return ended


def over(session: Session, channel: Channel) -> Ended | None:
    """Return the outcome of ``channel`` if the chain shows that it is closed, whoever closed it, and record it.

    Raises:
        NetworkError: the chain could not be asked.
        PaymentError: the chain does not show the channel, and that proves nothing.
    """
    seen, _ = settling.look(session, channel)
    if seen.state is not State.CLOSED:
        return None
    settling.record(session, seen)
    return _came_to(channel, seen.captured, None)


def request(session: Session, channel: Channel) -> Grace | Ended:
    """Ask the escrow to close ``channel``, unless that was done before, and record when it can be withdrawn from.

    This is recorded before it is sent, and from then on nothing is paid from the channel.

    Returns:
        When it can be withdrawn from, or its outcome if it is closed already.

    Raises:
        PaymentError: the chain shows no such channel, or the transaction failed.
        NetworkError: the chain could not be queried.
    """
    from ando_cli.tempo.transaction import request_close_transaction

    chain = session.chain.checked()
    state = _open_state(session, chain, channel)
    if not isinstance(state, Ended) and state.close_requested_at == 0:
        session.store.closing(channel.channel_id, 0)
        _transact(session, chain, channel, request_close_transaction, Operation.REQUEST_CLOSE)
        state = _open_state(session, chain, channel)
    return state if isinstance(state, Ended) else _grace(session, chain, channel, state)


def grace(session: Session, channel: Channel) -> Grace | Ended:
    """Return when ``channel`` can be withdrawn from, or its outcome if it is closed already.

    Raises:
        PaymentError: no close was requested, or the chain shows no such channel.
        NetworkError: the chain could not be queried.
    """
    chain = session.chain.checked()
    state = _open_state(session, chain, channel)
    if isinstance(state, Ended):
        return state
    if state.close_requested_at == 0:
        raise PaymentError(
            "no close was requested for this channel", hint="ando session close --force", code=Code.CLOSE_NOT_REQUESTED
        )
    return _grace(session, chain, channel, state)


def withdraw(session: Session, channel: Channel) -> Ended:
    """Take back what is left in ``channel`` after its grace period, and record that it is closed.

    Raises:
        PaymentError: no close was requested, the grace period is not over, or the transaction failed.
        NetworkError: the chain could not be queried.
    """
    from ando_cli.tempo.transaction import withdraw_transaction

    found = grace(session, channel)
    if isinstance(found, Ended):
        return found
    if found.left:
        raise PaymentError(
            f"the grace period is not over: {duration(found.left)} left",
            hint="run `ando session close --finish` then, or add --wait",
            code=Code.GRACE_PERIOD,
            retry_after=found.left,
        )
    chain = session.chain.checked()
    state = _open_state(session, chain, channel)
    if isinstance(state, Ended):
        return state
    transaction = _transact(session, chain, channel, withdraw_transaction, Operation.WITHDRAW)
    return _ended(session, channel, None, transaction)


def _transact(session: Session, chain: Chain, channel: Channel, build: Callable[..., str], operation: Operation) -> str:
    """Sign and send one of the payer's own transactions; returns its hash.

    Raises:
        PaymentError: the wallet cannot pay the fee, or the chain refused it.
    """
    fees: Fees = chain.fees(operation)
    key: PrivateKey = session.keys.wallet()
    terms: ChannelTerms = channel.terms
    needed = max_fee(fees)
    if chain.balance(terms.token, key.address) < needed:
        raise InsufficientFundsError(
            f"the wallet cannot pay the transaction's fee of up to {amount(needed)}",
            hint="send it to the address that `ando wallet address` shows",
        )
    # The chain's clock counts: it is what the transaction is held against. However wrong ours is, money that comes back
    # must not wait for it.
    valid_before = session.chain_now(chain.latest_timestamp(), math.inf) + TRANSACTION_SECONDS
    signed = build(terms, key=key, fees=fees, valid_before=valid_before)
    owed.owe(session, channel, operation, signed, fees)
    mined = chain.broadcast(signed)
    owed.settle(session, channel)
    if not mined.succeeded:
        raise PaymentError(
            "the chain refused the transaction",
            hint="check with `ando session show --chain`; only a fee was paid",
            code=Code.TRANSACTION_FAILED,
        )
    return str(mined.tx_hash)


def _state(chain: Chain, channel: Channel) -> ChannelState | None:
    terms = channel.terms
    return chain.channel(terms.escrow, channel.channel_id, terms.protocol)


def _open_state(session: Session, chain: Chain, channel: Channel) -> ChannelState | Ended:
    state = _state(chain, channel)
    if state is not None and not state.finalized:
        return state
    ended = over(session, channel)
    if ended is None:
        raise PaymentError(
            "the chain shows no open channel of this id",
            hint="check with `ando session sync`",
            code=Code.CHANNEL_CLOSED,
        )
    return ended


def _grace(session: Session, chain: Chain, channel: Channel, state: ChannelState) -> Grace:
    """The grace period of a close that the chain shows to be requested; recorded."""
    period = chain.close_grace_period(channel.terms.escrow, channel.terms.protocol)
    grace = Grace(state.close_requested_at + period, chain.latest_timestamp())
    session.store.closing(channel.channel_id, grace.closes_at)
    return grace


def _ended(session: Session, channel: Channel, state: ChannelState | None, transaction: str | None) -> Ended:
    """Record the end. The event of the closing is the word of the chain, which wipes its record of the channel."""
    kept = state is not None and state.deposit > 0
    taken = state.settled if state is not None and kept else session.chain.captured(channel, transaction)
    return _over(session, channel, taken, transaction)


def _over(session: Session, channel: Channel, taken: int | None, transaction: str | None) -> Ended:
    settling.end(session, channel, State.CLOSED, taken, transaction)
    return _came_to(channel, taken, transaction)


def _came_to(channel: Channel, taken: int | None, transaction: str | None) -> Ended:
    return Ended(taken, channel.captured_at_most, channel.deposit, transaction)
