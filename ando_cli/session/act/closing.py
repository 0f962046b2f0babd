"""Ending a channel: confirming a cooperative close, and closing without the gateway (docs/protocol.md, section 4).

Without the gateway it takes two transactions of the payer's own, ``requestClose`` and ``withdraw``, and a grace period
between them in which the payee can still settle the highest voucher. They go to the chain through our own RPC, and cost
a fee.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ando_cli.errors import Code, InsufficientFundsError, PaymentError
from ando_cli.frozen import frozen
from ando_cli.money import amount
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


@frozen
class Ended:
    """What a closed channel came to, in base units, and the transaction that did it where it is known."""

    captured: int
    refunded: int
    transaction: str | None = None


@frozen
class Grace:
    """A requested close: when the deposit can be taken back, and the time now; unix seconds by the chain's clock."""

    closes_at: int
    now: int

    @property
    def left(self) -> int:
        """Seconds until then, 0 when it is past."""
        return max(0, self.closes_at - self.now)


def confirm(session: Session, channel: Channel, captured: int) -> Ended:
    """Wait for the chain to show a close that the gateway said it carried out, and record it.

    Args:
        session: the parts.
        channel: as it is on record.
        captured: what was signed for the closing, which counts where the chain tells nothing of closed channels.

    Raises:
        PaymentError: the chain does not show it.
        NetworkError: the chain could not be asked.
    """
    chain = session.chain.checked()
    for _ in range(_POLLS):
        state = _state(chain, channel)
        if state is None or state.finalized:
            return _ended(session, channel, captured if state is None else state.settled)
        session.clock.sleep(_POLL_SECONDS)
    raise PaymentError(
        "the gateway says that it closed the channel, but the chain does not show it",
        hint="look again with `ando session sync`",
        code=Code.CLOSE_UNCONFIRMED,
    )


def over(session: Session, channel: Channel) -> Ended | None:
    """Return what ``channel`` came to, if the chain shows that it is closed, whoever did it; that is recorded.

    Raises:
        NetworkError: the chain could not be asked.
        PaymentError: the chain does not show a channel that is too young to be given up.
    """
    seen, _ = settling.look(session, channel)
    if seen.state is not State.CLOSED:
        return None
    settling.record(session, seen)
    return Ended(seen.spent, max(0, channel.deposit - seen.spent))


def request(session: Session, channel: Channel) -> Grace | Ended:
    """Ask the escrow to close ``channel``, unless that was done before, and record when it can be withdrawn from.

    Nothing is paid from a channel from the moment that this is recorded, which is before it is sent.

    Returns:
        When it can be withdrawn from; or what it came to, where it is closed already.

    Raises:
        PaymentError: the chain shows no such channel, or the transaction failed.
        NetworkError: the chain could not be asked.
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
    """Return when ``channel`` can be withdrawn from; or what it came to, where it is closed already.

    Raises:
        PaymentError: no close was requested, or the chain shows no such channel.
        NetworkError: the chain could not be asked.
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
        NetworkError: the chain could not be asked.
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
    ended = _ended(session, channel, state.settled)
    return Ended(ended.captured, ended.refunded, transaction)


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
    # The chain's clock counts: it is what the transaction is held against.
    valid_before = session.chain_now(chain.latest_timestamp()) + TRANSACTION_SECONDS
    mined = chain.broadcast(build(terms, key=key, fees=fees, valid_before=valid_before))
    if not mined.succeeded:
        raise PaymentError(
            "the chain refused the transaction",
            hint="look with `ando session show --chain`; only a fee was paid",
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
            "the chain shows no open channel of this id", hint="look with `ando session sync`", code=Code.CHANNEL_CLOSED
        )
    return ended


def _grace(session: Session, chain: Chain, channel: Channel, state: ChannelState) -> Grace:
    """The grace period of a close that the chain shows to be requested; recorded."""
    period = chain.close_grace_period(channel.terms.escrow, channel.terms.protocol)
    grace = Grace(state.close_requested_at + period, chain.latest_timestamp())
    session.store.closing(channel.channel_id, grace.closes_at)
    return grace


def _ended(session: Session, channel: Channel, captured: int) -> Ended:
    """Record the end. On v2 the event of the closing is the word of the chain; without it, ``captured`` is."""
    if channel.terms.protocol is Protocol.V2:
        taken = session.chain.captured(channel)
        captured = captured if taken is None else taken
    settling.end(session, channel, State.CLOSED, captured)
    return Ended(captured, max(0, channel.deposit - captured))
