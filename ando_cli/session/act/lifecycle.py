"""What the planner's steps do: record, then sign. Nothing here sends; the payment rail does.

Opening and topping up happen under a lock file, one process at a time for a channel: the others wait and find it open.
The lock is the operating system's, so a killed process releases it. A voucher needs no lock: the store raises the
cumulative amount by compare-and-swap, and whoever loses plans again.

Two keys sign. Transactions are always the wallet's. Vouchers are the wallet's too, or those of a key that was made for
the one channel and is named in it (its ``authorized_signer``); then the wallet's key is not read for them.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
import typing
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ando_cli.errors import AndoError, Code, NetworkError, PaymentError, StoreError, UntrustedError, WalletError
from ando_cli.files import make_private_folder
from ando_cli.frozen import frozen
from ando_cli.mpp.credential import ClosePayload, OpenPayload, TopUpPayload, VoucherPayload
from ando_cli.session.channel import Channel, ChannelKey, Pending, State
from ando_cli.session.decide import policy
from ando_cli.session.decide.policy import Caps, Committed
from ando_cli.tempo.abi import ZERO_ADDRESS
from ando_cli.tempo.channel import ChannelTerms
from ando_cli.tempo.protocol import Protocol
from ando_cli.tempo.voucher import sign_voucher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ando_cli.mpp.session import SessionRequest
    from ando_cli.session.decide.budget import Budgets, Standing
    from ando_cli.session.decide.planner import Voucher
    from ando_cli.session.record.store import Store
    from ando_cli.tempo.fees import Fees
    from ando_cli.tempo.keys import PrivateKey
    from ando_cli.tempo.network import Network
    from ando_cli.tempo.rpc import ChannelState, Mined

_T = TypeVar("_T")

TRANSACTION_SECONDS = 25
"""How long a transaction that we sign stays valid: the chain takes expiring nonces for at most 30 seconds."""

_SETTLING_SECONDS = 60
_TOP_UP_POLLS = 20
_TOP_UP_POLL_SECONDS = 0.25
WAIT_SECONDS = 120.0
"""How long a request waits for others on its channel."""


class Chain(typing.Protocol):
    """What is asked of the chain (``ando_cli.tempo.rpc.Rpc``). Each can raise ``NetworkError``."""

    def chain_id(self) -> int: ...
    def channel(self, escrow: str, channel_id: str, protocol: Protocol) -> ChannelState | None: ...
    def balance(self, token: str, owner: str) -> int: ...
    def fees(self) -> Fees: ...
    def latest_timestamp(self) -> int: ...
    def broadcast(self, transaction: str) -> Mined: ...
    def close_grace_period(self, escrow: str, protocol: Protocol) -> int: ...
    def captured(self, escrow: str, channel_id: str, protocol: Protocol) -> int | None: ...
    def opened_channels(
        self, escrow: str, payer: str, *, protocol: Protocol, from_block: int = 0
    ) -> list[ChannelTerms]: ...


class Delegates(typing.Protocol):
    """Where the keys of delegated channels are kept (``ando_cli.keys.delegates``). Each can raise ``WalletError``."""

    def check(self) -> None: ...
    def make(self) -> PrivateKey: ...
    def find(self, signer: str) -> PrivateKey | None: ...
    def remove(self, signer: str) -> None: ...


@frozen
class Deposit:
    """A deposit that is about to be signed for, as the user is asked about it. ``amount`` in base units."""

    opening: bool
    amount: int
    gateway: str
    symbol: str


class Book(typing.Protocol):
    """Writes into the ledger what is committed to a channel; called in the transaction that records it."""

    def __call__(self, channel: Channel, committed: Committed, /) -> None: ...


def _unbooked(_: Channel, __: Committed) -> None:
    """Nothing goes into the ledger."""


class Lifecycle:
    """Carries out the steps for one gateway's channels.

    Args:
        store: opens the place where everything is recorded, once, when it is needed.
        network: what is trusted.
        key: finds the wallet's key, once, when it is needed.
        chain: connects to the chain, once, when it is needed.
        caps: the user's limits.
        consent: asked before each deposit; raises ``PaymentError`` where the answer is no.
        locks: the folder of the lock files.
        clock: unix seconds.
        deposit: what the user asked to deposit in a new channel, if they named an amount.
        address: tells the wallet's address, once, when it is needed; without it the key is read for that.
        delegates: keeps the keys that sign for one channel alone.
        delegate: give each new channel such a key.
        budgets: what may be authorised in a day, in a month and in all; ``None`` where that is not limited.
        by_budget: tells whether nobody but the budgets allows a deposit, which is then bounded by what is left of them.
        warn: told what the user must know although the command goes on.

    ``gateway_time`` is the gateway's clock in unix seconds, as its last challenge said it; ``None`` where it did not.
    """

    def __init__(
        self,
        *,
        store: Callable[[], Store],
        network: Network,
        key: Callable[[], PrivateKey],
        chain: Callable[[], Chain],
        caps: Caps,
        consent: Callable[[Deposit], None],
        locks: Path,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        deposit: int | None = None,
        address: Callable[[], str] | None = None,
        delegates: Delegates | None = None,
        delegate: bool = False,
        budgets: Budgets | None = None,
        by_budget: Callable[[], bool] = lambda: False,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._store = _once(store)
        self.network = network
        self.caps = caps
        self.committed = Committed()
        self.gateway_time: float | None = None
        self.clock = clock
        self.sleep = sleep
        self._key = _once(key)
        self._chain = _once(chain)
        self._committing = threading.Lock()
        self._consent = consent
        self._locks = locks
        self._deposit = deposit
        self._address = None if address is None else _once(address)
        self._delegates = delegates
        self._delegate = delegate
        self._delegated: dict[str, PrivateKey] = {}
        self._budgets = budgets
        self._by_budget = by_budget
        self._warn = warn

    @property
    def store(self) -> Store:
        """The store.

        Raises:
            StoreError: it cannot be opened.
        """
        return self._store()

    def key(self) -> PrivateKey:
        """The wallet's key.

        Raises:
            WalletError: there is no usable wallet, or its key is not that of the address that is known of it.
        """
        key = self._key()
        if self._address is not None and self._address() != key.address:
            raise WalletError(
                "the wallet's key is not that of the address that is noted beside it",
                hint="nothing was signed; `ando wallet address` corrects the note",
                code=Code.WALLET_MISMATCH,
            )
        return key

    @property
    def payer(self) -> str:
        """The wallet's address. Its key is not read for it where it is known otherwise.

        Raises:
            WalletError: there is no usable wallet.
        """
        return self.key().address if self._address is None else self._address()

    def holds_delegate(self, signer: str) -> bool:
        """Whether the key of a delegated channel is at hand; a keyring that cannot be used does not hold it."""
        with suppress(WalletError):
            return self._delegates is not None and self._delegates.find(signer) is not None
        return False

    def signer(self, channel: Channel) -> PrivateKey:
        """The key that signs the vouchers of ``channel``: the wallet's, or the one that was made for it.

        Raises:
            WalletError: it is not at hand. Another one is never used in its stead.
        """
        terms = channel.terms
        if terms.signer == terms.payer:
            key = self.key()
            if key.address != terms.signer:
                raise WalletError(
                    "this channel belongs to another wallet",
                    hint="nothing was signed; use the wallet that opened it: `ando wallet address` shows which is here",
                    code=Code.SIGNER_MISMATCH,
                )
            return key
        found = self._delegated.get(terms.signer)
        if found is None and self._delegates is not None:
            found = self._delegates.find(terms.signer)
        if found is None or found.address != terms.signer:
            raise WalletError(
                "the key that was made to sign for this channel is not on this machine",
                hint="`ando session close --force` gets the deposit back with the wallet's key alone",
                code=Code.DELEGATE_MISSING,
            )
        self._delegated[terms.signer] = found
        return found

    def channel_key(self, gateway: str, request: SessionRequest) -> ChannelKey:
        """What a channel that pays ``request`` is for."""
        return ChannelKey(
            gateway=gateway,
            network=self.network.name,
            chain_id=request.chain_id,
            escrow=request.escrow_contract,
            token=request.currency,
            payee=request.recipient,
            payer=self.payer,
        )

    def exclusive(self, key: ChannelKey) -> AbstractContextManager[object]:
        """Hold the lock for deposits into ``key``'s channel, across processes.

        Raises:
            StoreError: another process held it for too long, or the lock file cannot be made.
        """
        return _lock(self._locks / (hashlib.sha256(repr(key).encode()).hexdigest()[:32] + ".lock"))

    def check_budgets(self, by: int, network: str | None = None) -> str | None:
        """Refuse to authorise ``by`` more than before, on ``network`` if it is another one, where it passes a budget.

        Whoever records the raise asks in the same transaction of the store.

        Returns:
            What to warn the user of once it is recorded, if anything.

        Raises:
            PaymentError: nothing was signed.
        """
        if self._budgets is None:
            return None
        from ando_cli.session.decide import budget  # only where one is configured

        standings = self._standings(self._budgets, network)
        budget.check(by, standings)
        return budget.warning(by, standings)

    def _standings(self, budgets: Budgets, network: str | None = None) -> list[Standing]:
        from ando_cli.session.decide import budget

        return budget.standings(budgets, self.clock(), partial(self.store.authorised, network or self.network.name))

    def _deposit_caps(self) -> Caps:
        """The limits of one deposit."""
        if self._budgets is None or not self._by_budget():
            return self.caps
        return replace(self.caps, budget_left=min(standing.left for standing in self._standings(self._budgets)))

    def open(self, key: ChannelKey, request: SessionRequest, book: Book = _unbooked) -> Channel:
        """Decide the deposit, ask for consent, sign the transaction, and record the channel as opening.

        Args:
            book: writes into the ledger what is committed, in the same step as the record.

        Raises:
            PaymentError: a limit or the balance is too small, the clock is wrong, or the answer was no.
            NetworkError: the chain could not be asked.
            WalletError: the channel is to have a key of its own, and there is no place to keep it.
        """
        if self._delegate:
            self._delegate_keeper().check()
        self.check_budgets(request.amount)
        fees, balance, reserve = self._means(request)
        caps = self._deposit_caps()
        if self._deposit is None:
            deposit = policy.opening_deposit(request, caps, self.committed, balance, reserve)
        else:
            policy.check_size(self._deposit, Protocol(request.session_protocol))
            deposit = policy.explicit_deposit(self._deposit, request.amount, caps, self.committed, balance, reserve)
        policy.check_raise(request.amount, self.caps, self.committed)
        self._consent(Deposit(True, deposit, key.gateway, self.network.token_symbol))
        import ando_cli.tempo.transaction  # noqa: F401 - it takes its time, and the store is held while it signs

        signer = self._make_delegate() if self._delegate else key.payer
        try:
            with self.store.transaction():
                warning = self.check_budgets(request.amount)
                channel = self._sign_open(key, request, deposit, fees, signer)
                self.store.add(channel)
                book(channel, Committed(deposited=deposit, raised=request.amount))
        except Exception:
            self._drop_delegate(signer, key.payer)  # no channel came to be that it could sign for
            raise
        self._commit(deposited=deposit, raised=request.amount)
        if warning:
            self._warn(warning)
        return channel

    def _sign_open(self, key: ChannelKey, request: SessionRequest, deposit: int, fees: Fees, signer: str) -> Channel:
        from ando_cli.tempo.transaction import open_transaction

        protocol = Protocol(request.session_protocol)
        operator = (request.operator or ZERO_ADDRESS) if protocol is Protocol.V2 else ZERO_ADDRESS
        terms = ChannelTerms(
            payer=key.payer, payee=key.payee, token=key.token, salt="0x" + os.urandom(32).hex(),
            authorized_signer=signer, escrow=key.escrow, chain_id=key.chain_id, protocol=protocol, operator=operator,
        )  # fmt: skip
        valid_before = int(self.clock()) + TRANSACTION_SECONDS
        signed = open_transaction(
            terms, deposit, key=self.key(), fees=fees, valid_before=valid_before, fee_payer=request.fee_payer
        )
        return Channel(
            channel_id=signed.terms.channel_id, gateway=key.gateway, network=key.network, terms=signed.terms,
            state=State.OPENING, deposit=deposit, cumulative_amount=request.amount,
            pending=Pending(signed.transaction, deposit, valid_before),
        )  # fmt: skip

    def top_up(self, channel: Channel, request: SessionRequest, needed: int, book: Book = _unbooked) -> Channel:
        """Decide how much, ask for consent, sign the transaction, and record it as pending.

        Args:
            book: as for ``open``.

        Raises:
            PaymentError: a limit or the balance is too small, the clock is wrong, or the answer was no.
            NetworkError: the chain could not be asked.
        """
        self.signer(channel)  # what cannot be spent is not added to
        fees, balance, reserve = self._means(request)
        additional = policy.top_up_amount(request, self._deposit_caps(), self.committed, needed, balance, reserve)
        return self._add(channel, request, additional, fees, book)

    def top_up_by(self, channel: Channel, request: SessionRequest, additional: int, book: Book = _unbooked) -> Channel:
        """Add what the user named: as ``top_up``, but an error where a limit does not cover it.

        Raises:
            PaymentError, NetworkError: as ``top_up``.
        """
        self.signer(channel)
        fees, balance, reserve = self._means(request)
        policy.explicit_deposit(additional, 1, self._deposit_caps(), self.committed, balance, reserve)
        return self._add(channel, request, additional, fees, book)

    def _add(self, channel: Channel, request: SessionRequest, additional: int, fees: Fees, book: Book) -> Channel:
        from ando_cli.tempo.transaction import top_up_transaction

        policy.check_size(channel.deposit + additional, channel.terms.protocol)
        self._consent(Deposit(False, additional, channel.gateway, self.network.token_symbol))
        # Nothing else tells two equal top-ups of one second apart, and the chain mines the same transaction once.
        fees = replace(fees, gas_limit=fees.gas_limit - int.from_bytes(os.urandom(2)))
        valid_before = int(self.clock()) + TRANSACTION_SECONDS
        transaction = top_up_transaction(
            channel.terms, additional, key=self.key(), fees=fees, valid_before=valid_before,
            fee_payer=request.fee_payer,
        )  # fmt: skip
        pending = Pending(transaction, additional, valid_before)
        with self.store.transaction():
            if not self.store.topping_up(channel.channel_id, pending):
                raise StoreError(
                    "the channel changed while it was topped up",
                    hint="try again",
                    code=Code.STORE_CONFLICT,
                    retryable=True,
                )
            book(channel, Committed(deposited=additional))
        self._commit(deposited=additional)
        return replace(channel, pending=pending)

    def voucher(self, channel: Channel, step: Voucher) -> bool:
        """Record the raise that ``step`` asks for; False where another process changed the amount meanwhile."""
        if step.raised_by == 0:
            return True
        raised = self.store.raise_cumulative(channel.channel_id, channel.cumulative_amount, step.cumulative_amount)
        if raised:
            self._commit(raised=step.raised_by)
        return raised

    def payload(self, channel: Channel) -> OpenPayload | TopUpPayload | VoucherPayload:
        """Sign what is to be sent for ``channel`` as recorded: its pending transaction, or its voucher."""
        pending = channel.pending
        if pending is not None and channel.tops_up:
            return TopUpPayload(channel.channel_id, pending.transaction, pending.amount)
        signature = self._sign(channel, channel.cumulative_amount)
        if pending is None:
            return VoucherPayload(channel.channel_id, channel.cumulative_amount, signature)
        signer = channel.terms.authorized_signer
        return OpenPayload(channel.channel_id, pending.transaction, signer, channel.cumulative_amount, signature)

    def close_payload(self, channel: Channel, cumulative_amount: int) -> ClosePayload:
        """Sign for the closing of ``channel`` at ``cumulative_amount``, which is at most what was signed before."""
        assert cumulative_amount <= channel.cumulative_amount
        return ClosePayload(channel.channel_id, cumulative_amount, self._sign(channel, cumulative_amount))

    def _sign(self, channel: Channel, cumulative_amount: int) -> str:
        terms = channel.terms
        return sign_voucher(
            self.signer(channel), channel.channel_id, cumulative_amount,
            escrow=terms.escrow, chain_id=terms.chain_id, protocol=terms.protocol,
        )  # fmt: skip

    def resolve(self, channel: Channel) -> None:
        """Record what the chain says of ``channel`` and of its pending transaction.

        Raises:
            NetworkError: the chain could not be asked.
            PaymentError: the chain does not show a channel that is too young to be given up.
        """
        self.record(self.look(channel)[0])

    def look(self, channel: Channel) -> tuple[Channel, ChannelState | None]:
        """``channel`` as it is by the chain's word, and that word. Nothing is recorded.

        Raises:
            NetworkError, PaymentError: as ``resolve``.
        """
        chain = self.checked_chain()
        # The time is asked for first: what is absent from a later state was not mined by then either.
        now = chain.latest_timestamp()
        terms, pending = channel.terms, channel.pending
        state = chain.channel(terms.escrow, channel.channel_id, terms.protocol)
        expired = pending is not None and (
            now >= pending.valid_before or self.clock() >= pending.valid_before + _SETTLING_SECONDS
        )
        if state is None:
            return self._absent(channel, expired), None
        if state.finalized:
            return replace(channel, state=State.CLOSED, spent=state.settled, pending=None), state
        if state.close_requested_at:
            # Ours or not, the request makes the gateway refuse the channel: another one is needed.
            closes_at = state.close_requested_at + chain.close_grace_period(terms.escrow, terms.protocol)
            return replace(
                channel, state=State.CLOSING, deposit=state.deposit, closes_at=closes_at, pending=None
            ), state
        if channel.state in (State.CLOSING, State.SPARE):
            return replace(channel, deposit=state.deposit), state
        if (
            channel.state is State.OPENING
            or pending is None
            or expired
            or state.deposit >= channel.deposit + pending.amount
        ):
            return replace(channel, state=State.OPEN, deposit=state.deposit, pending=None), state
        return channel, state

    def _absent(self, channel: Channel, expired: bool) -> Channel:
        """``channel``, which the chain does not show."""
        if channel.state is State.OPENING:
            return replace(channel, state=State.ABANDONED, pending=None) if expired else channel
        # The precompile keeps nothing of a channel that is closed but the event of its closing.
        v2 = channel.terms.protocol is Protocol.V2
        taken = self.captured(channel) if v2 else None
        if channel.state is State.OPEN and taken is None:
            self._check_age(channel)
        if v2:  # it was there
            return replace(channel, state=State.CLOSED, spent=channel.spent if taken is None else taken, pending=None)
        return replace(channel, state=State.ABANDONED, pending=None) if channel.state is State.OPEN else channel

    def captured(self, channel: Channel) -> int | None:
        """What the payee took from a channel that is closed, by the event of its closing; ``None`` where none is found.

        Of a closed v2 channel that is all that the chain keeps.
        """
        terms = channel.terms
        with suppress(NetworkError):  # not every node serves events
            return self.checked_chain().captured(terms.escrow, channel.channel_id, terms.protocol)
        return None

    def record(self, seen: Channel) -> None:
        """Record a channel that ``look`` returned."""
        channel_id = seen.channel_id
        match seen.state:
            case State.CLOSED:
                self.ended(seen, State.CLOSED, seen.spent)
            case State.ABANDONED:
                self.ended(seen, State.ABANDONED)
            case State.CLOSING:
                self.store.closing(channel_id, seen.closes_at)
                self.store.seen(channel_id, seen.deposit)
            case State.SPARE:
                self.store.seen(channel_id, seen.deposit)
            case State.OPEN if seen.pending is None:
                self.store.opened(channel_id, seen.deposit)

    def ended(self, channel: Channel, state: State, captured: int | None = None) -> None:
        """Record that ``channel`` is over (``Store.ended``), and remove the key that was made for it."""
        self.store.ended(channel.channel_id, state, captured)
        self._drop_delegate(channel.terms.signer, channel.terms.payer)

    def topped_up(self, channel: Channel) -> None:
        """Wait for the chain to show a top-up that the gateway said it sent, and record the new deposit.

        Raises:
            PaymentError: the chain does not show it.
            NetworkError: the chain could not be asked.
        """
        for _ in range(_TOP_UP_POLLS):
            self.resolve(channel)
            now = self.store.channel(channel.channel_id)
            if now is None or now.pending is None:
                return
            self.sleep(_TOP_UP_POLL_SECONDS)
        raise PaymentError(
            "the gateway took the top-up, but the chain does not show it",
            hint="the next request looks again before anything is signed",
            code=Code.DEPOSIT_IN_FLIGHT,
        )

    def _delegate_keeper(self) -> Delegates:
        if self._delegates is None:
            raise WalletError(
                "there is no place to keep a key for one channel alone",
                hint="open the channel without --delegate",
                code=Code.DELEGATE_UNKEPT,
            )
        return self._delegates

    def _make_delegate(self) -> str:
        """Make a key for one channel and keep it; returns its address."""
        key = self._delegate_keeper().make()
        self._delegated[key.address] = key
        return key.address

    def _drop_delegate(self, signer: str, payer: str) -> None:
        """Remove the key that signed for a channel that is over. One that stays behind is worth nothing to anybody."""
        if signer != payer and self._delegates is not None:
            self._delegated.pop(signer, None)
            with suppress(AndoError):
                self._delegates.remove(signer)

    def _commit(self, *, deposited: int = 0, raised: int = 0) -> None:
        with self._committing:
            self.committed = Committed(self.committed.deposited + deposited, self.committed.raised + raised)

    def _means(self, request: SessionRequest) -> tuple[Fees, int, int]:
        """Fees, the wallet's balance, and what of it a transaction may cost."""
        from ando_cli.tempo.fees import max_fee

        chain = self.checked_chain()
        ahead = chain.latest_timestamp() - self.clock()
        if ahead > TRANSACTION_SECONDS / 2:
            raise PaymentError(
                f"this computer's clock is {ahead:.0f} seconds behind the chain's",
                hint="set the clock; a transaction signed now would be refused",
                code=Code.CLOCK_WRONG,
            )
        # An idle chain's last block is old, so that alone says nothing; with the gateway of one mind it does.
        ahead_of_both = min(-ahead, self.clock() - (self.gateway_time or self.clock()))
        if ahead_of_both > TRANSACTION_SECONDS:
            raise PaymentError(
                f"this computer's clock is {ahead_of_both:.0f} seconds ahead of the gateway's and the chain's",
                hint="set the clock; a transaction signed now would be refused",
                code=Code.CLOCK_WRONG,
            )
        fees = chain.fees()
        return fees, chain.balance(request.currency, self.key().address), 0 if request.fee_payer else max_fee(fees)

    def checked_chain(self) -> Chain:
        """The chain, which is the one that the network names.

        Raises:
            NetworkError: it could not be asked.
            PaymentError: it is another one.
        """
        chain = self._chain()
        found = chain.chain_id()
        if found != self.network.chain_id:
            raise UntrustedError(
                f"the RPC serves chain {found}, not {self.network.name} ({self.network.chain_id})",
                hint="give the right one with --rpc-url or in config.toml",
                code=Code.WRONG_CHAIN,
            )
        return chain

    def _check_age(self, channel: Channel) -> None:
        if self.clock() < channel.created_at + TRANSACTION_SECONDS + _SETTLING_SECONDS:
            raise PaymentError(
                "the chain does not show the channel, which is too young to be given up",
                hint="no other channel was opened; try again in a minute",
                code=Code.DEPOSIT_IN_FLIGHT,
            )


def busy() -> StoreError:
    """The error for a channel that others did not let go of in time."""
    return StoreError(
        f"another ando was busy with this channel for {WAIT_SECONDS:.0f} seconds",
        hint="see whether it waits for an answer; then try again",
        code=Code.STORE_BUSY,
    )


def _once(make: Callable[[], _T]) -> Callable[[], _T]:
    """``make``, called at most once however many threads need what it makes; again if it failed."""
    made: list[_T] = []
    lock = threading.Lock()

    def get() -> _T:
        if not made:
            with lock:
                if not made:
                    made.append(make())
        return made[0]

    return get


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout  # only where a deposit is made

    try:
        make_private_folder(path.parent)
        lock = FileLock(path, timeout=WAIT_SECONDS, mode=0o600)
        lock.acquire()
    except Timeout:
        raise busy() from None
    except OSError as error:
        raise StoreError(
            f"the session state cannot be written: {error.strerror}",
            hint=f"nothing was signed; make {path.parent} writable, or set ANDO_HOME to a folder that is",
            code=Code.STORE_UNWRITABLE,
        ) from None
    try:
        yield
    finally:
        lock.release()
