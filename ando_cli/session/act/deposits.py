"""Opening and topping up a channel: decide the amount, ask the user, then sign and record the transaction.

Nothing here sends; the payment rail does, once the record is written. The caller holds the lock of the channel
(``Session.exclusive``): one process at a time makes deposits into one, and the others wait and find it open.
"""

from __future__ import annotations

import os
import sys
import typing
from dataclasses import replace
from typing import TYPE_CHECKING

from ando_cli.errors import Code, KeyringUnusableError, StoreError, WalletMissingError
from ando_cli.frozen import frozen
from ando_cli.session.act import fees as owed
from ando_cli.session.act.chain import TRANSACTION_SECONDS
from ando_cli.session.act.session import Deposit
from ando_cli.session.channel import Channel, ChannelKey, Pending, State
from ando_cli.session.decide import policy
from ando_cli.session.decide.policy import Committed
from ando_cli.tempo.abi import ZERO_ADDRESS
from ando_cli.tempo.channel import ChannelTerms
from ando_cli.tempo.fees import Operation, forced_close_fee, max_fee
from ando_cli.tempo.protocol import Protocol

if TYPE_CHECKING:
    from ando_cli.mpp.session import SessionRequest
    from ando_cli.session.act.session import Session
    from ando_cli.tempo.fees import Fees


class Book(typing.Protocol):
    """Writes into the ledger what is committed to a channel; called in the transaction that records it."""

    def __call__(self, channel: Channel, committed: Committed, /) -> None:
        """Write it."""


def _unbooked(_: Channel, __: Committed) -> None:
    """Write nothing into the ledger."""


@frozen
class _Means:
    """What there is to deposit: the fees of a transaction, the wallet's balance, what of it the fees may take.

    ``offset`` is what has to be added to this computer's clock for the chain's time, in seconds.
    """

    fees: Fees
    balance: int
    reserve: int
    offset: float

    def valid_before(self, session: Session) -> int:
        """Until when a transaction that is signed now is valid, by the chain's clock."""
        return int(session.clock.now() + self.offset) + TRANSACTION_SECONDS


def open_channel(
    session: Session,
    key: ChannelKey,
    request: SessionRequest,
    book: Book = _unbooked,
    *,
    route: str = "",
    replaces: str | None = None,
) -> Channel:
    """Decide the deposit, ask for consent, sign the transaction, and record the channel as opening.

    Args:
        session: the parts.
        key: what the channel is for.
        request: what the gateway asks for.
        book: writes into the ledger what is committed, in the same step as the record.
        route: the request that it is opened with, as ``Channel.route`` has it.
        replaces: the pinned payee in whose place the user accepted the one of ``key``.

    Raises:
        PaymentError: a limit or the balance is too small, the clock is wrong, the answer was no, or another payee was
            pinned meanwhile.
        NetworkError: the chain could not be asked.
        WalletError: the channel is to have a key of its own, and there is no place to keep it.
    """
    keys = session.keys
    keys.check_for_new()
    session.check_budgets(request.amount)
    means = _means(session, request, Operation.OPEN)
    deposit = _opening_deposit(session, request, means.balance, means.reserve)
    policy.check_raise(request.amount, session.limits.caps, session.tally.committed)
    price = None if request.suggested_deposit or session.limits.deposit else request.amount
    session.user.consent(
        Deposit(True, deposit, key.gateway, session.network.token_symbol, step=request.amount, price=price)
    )
    import ando_cli.tempo.transaction  # noqa: F401 - it takes its time, and the store is held while it signs

    signer = keys.signer_for_new(key.payer)
    try:
        with session.store.transaction():
            warning = session.check_budgets(request.amount)
            channel = replace(_sign_open(session, key, request, deposit, means, signer), route=route)
            session.store.add(channel, replaces=replaces)
            _owe(session, channel, request, Operation.OPEN, means.fees)
            book(channel, Committed(deposited=deposit, raised=request.amount))
    except Exception:
        keys.drop(signer, key.payer)  # no channel exists that it could sign for
        raise
    session.tally.add(deposited=deposit, raised=request.amount)
    session.tally.opened.append(channel.channel_id)
    if warning:
        session.user.warn(warning)
    return channel


def expected_deposit(session: Session, request: SessionRequest, needed: int | None = None) -> int:
    """Decide, as ``open_channel`` and ``top_up`` do, what would be deposited now. Nobody is asked, nothing is signed.

    Without a wallet, its balance is no limit.

    Args:
        session: the parts.
        request: what the gateway asks for.
        needed: what an open channel lacks, in base units; ``None`` where a channel is opened.

    Raises:
        PaymentError: a limit or the balance is too small, or the clock is wrong.
        NetworkError: the chain could not be queried.
    """
    try:
        owner = session.keys.payer
    except (WalletMissingError, KeyringUnusableError):
        balance, reserve = sys.maxsize, 0
    else:
        operation = Operation.OPEN if needed is None else Operation.TOP_UP
        means = _means(session, request, operation, owner)
        balance, reserve = means.balance, means.reserve
    if needed is None:
        return _opening_deposit(session, request, balance, reserve)
    return _top_up_amount(session, request, needed, balance, reserve)


def _opening_deposit(session: Session, request: SessionRequest, balance: int, reserve: int) -> int:
    caps, committed, wanted = session.deposit_caps(), session.tally.committed, session.limits.deposit
    if wanted is None:
        wished = policy.wished_deposit(request, session.budget_left())
        return policy.opening_deposit(request, wished, caps, committed, balance, reserve)
    policy.check_size(wanted, Protocol(request.session_protocol))
    return policy.explicit_deposit(wanted, request.amount, caps, committed, balance, reserve)


def _top_up_amount(session: Session, request: SessionRequest, needed: int, balance: int, reserve: int) -> int:
    wished = policy.wished_deposit(request, session.budget_left())
    return policy.top_up_amount(wished, session.deposit_caps(), session.tally.committed, needed, balance, reserve)


def _terms(key: ChannelKey, request: SessionRequest, signer: str) -> ChannelTerms:
    """Return the terms of the new channel, without what its transaction adds."""
    protocol = Protocol(request.session_protocol)
    operator = (request.operator or ZERO_ADDRESS) if protocol is Protocol.V2 else ZERO_ADDRESS
    return ChannelTerms(
        payer=key.payer, payee=key.payee, token=key.token, salt="0x" + os.urandom(32).hex(),
        authorized_signer=signer, escrow=key.escrow, chain_id=key.chain_id, protocol=protocol, operator=operator,
    )  # fmt: skip


def _sign_open(
    session: Session, key: ChannelKey, request: SessionRequest, deposit: int, means: _Means, signer: str
) -> Channel:
    from ando_cli.tempo.transaction import open_transaction

    terms = _terms(key, request, signer)
    valid_before = means.valid_before(session)
    signed = open_transaction(
        terms,
        deposit,
        key=session.keys.wallet(),
        fees=means.fees,
        valid_before=valid_before,
        fee_payer=request.fee_payer,
    )
    return Channel(
        channel_id=signed.terms.channel_id, gateway=key.gateway, network=key.network, terms=signed.terms,
        state=State.OPENING, deposit=deposit, cumulative_amount=request.amount,
        pending=Pending(signed.transaction, deposit, valid_before), step=request.amount,
    )  # fmt: skip


def top_up(session: Session, channel: Channel, request: SessionRequest, needed: int, book: Book = _unbooked) -> Channel:
    """Decide how much, ask for consent, sign the transaction, and record it as pending.

    Args:
        session: the parts.
        channel: what is added to.
        request: what the gateway asks for.
        needed: what the channel lacks, in base units.
        book: as for ``open_channel``.

    Raises:
        PaymentError: a limit or the balance is too small, the clock is wrong, or the answer was no.
        NetworkError: the chain could not be queried.
    """
    session.keys.signer(channel)  # what cannot be spent is not added to
    means = _means(session, request, Operation.TOP_UP)
    additional = _top_up_amount(session, request, needed, means.balance, means.reserve)
    price = None if request.suggested_deposit else request.amount
    return _add(session, channel, request, _Addition(additional, means, price), book)


def top_up_by(
    session: Session, channel: Channel, request: SessionRequest, additional: int, book: Book = _unbooked
) -> Channel:
    """Add the amount that the user gave: as ``top_up``, but with an error if a limit does not cover it.

    Raises:
        PaymentError, NetworkError: as ``top_up``.
    """
    session.keys.signer(channel)
    means = _means(session, request, Operation.TOP_UP)
    policy.explicit_deposit(
        additional, 1, session.deposit_caps(), session.tally.committed, means.balance, means.reserve
    )
    return _add(session, channel, request, _Addition(additional, means), book)


@frozen
class _Addition:
    """What is added to a deposit, and with which means; ``price`` as in ``Deposit``."""

    amount: int
    means: _Means
    price: int | None = None


def _add(session: Session, channel: Channel, request: SessionRequest, addition: _Addition, book: Book) -> Channel:
    from ando_cli.tempo.transaction import top_up_transaction

    additional, fees = addition.amount, addition.means.fees
    policy.check_size(channel.deposit + additional, channel.terms.protocol)
    symbol = session.network.token_symbol
    session.user.consent(Deposit(False, additional, channel.gateway, symbol, price=addition.price))
    # Nothing else tells two equal top-ups of one second apart, and the chain mines the same transaction once.
    fees = replace(fees, gas_limit=fees.gas_limit - int.from_bytes(os.urandom(2)))
    valid_before = addition.means.valid_before(session)
    transaction = top_up_transaction(
        channel.terms, additional, key=session.keys.wallet(), fees=fees, valid_before=valid_before,
        fee_payer=request.fee_payer,
    )  # fmt: skip
    pending = Pending(transaction, additional, valid_before)
    with session.store.transaction():
        if not session.store.topping_up(channel.channel_id, pending):
            raise StoreError(
                "the channel changed while it was topped up",
                hint="try again",
                code=Code.STORE_CONFLICT,
                retryable=True,
            )
        _owe(session, replace(channel, pending=pending), request, Operation.TOP_UP, fees)
        book(channel, Committed(deposited=additional))
    session.tally.add(deposited=additional)
    return replace(channel, pending=pending)


def _owe(session: Session, channel: Channel, request: SessionRequest, operation: Operation, fees: Fees) -> None:
    """Record the fee of the pending transaction, unless a sponsor pays it."""
    if channel.pending is not None and not request.fee_payer:
        owed.owe(session, channel, operation, channel.pending.transaction, fees)


def _means(session: Session, request: SessionRequest, operation: Operation, owner: str | None = None) -> _Means:
    """Ask the chain what there is. Where ``owner`` is given, no key is read.

    What a close without the gateway costs stays in the wallet: without it the deposit could not be got back alone.
    """
    chain = session.chain.checked()
    now = session.chain_now(chain.latest_timestamp())
    sponsored = request.fee_payer
    fees = chain.fees(operation, sponsored=sponsored)
    balance = chain.balance(request.currency, owner or session.keys.wallet().address)
    reserve = forced_close_fee(fees, sponsored=sponsored) + (0 if sponsored else max_fee(fees))
    return _Means(fees, balance, reserve, now - session.clock.now())
