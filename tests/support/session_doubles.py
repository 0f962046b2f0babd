"""What stands in for the world round a session: a network, a wallet, a clock, a chain, and challenges to pay."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NoReturn

from ando_cli.errors import WalletError
from ando_cli.keys.delegates import FileDelegates
from ando_cli.mpp.problem import Problem
from ando_cli.mpp.session import SessionRequest
from ando_cli.session.act.chain import ChainView
from ando_cli.session.act.keys import Keys
from ando_cli.session.act.locks import once
from ando_cli.session.act.session import Clock as SessionClock
from ando_cli.session.act.session import Limits, Session, User
from ando_cli.session.channel import Channel, Pending, State
from ando_cli.session.decide.policy import Caps
from ando_cli.session.record.store import Store
from ando_cli.tempo.channel import ChannelTerms
from ando_cli.tempo.fees import Fees, Operation
from ando_cli.tempo.keys import PrivateKey, keccak256
from ando_cli.tempo.network import PRECOMPILE, Network

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ando_cli.session.act.keys import Delegates
    from ando_cli.session.act.session import Deposit
    from ando_cli.session.decide.budget import Budgets
    from ando_cli.tempo.channel import ChannelState
    from ando_cli.tempo.receipts import Block, Receipt

MILLION = 1_000_000
NOW = 1_800_000_000
CHAIN_ID = 31_337_001
GATEWAY = "https://gateway.example"
KEY = PrivateKey(b"\x11" * 32)
PAYEE = "0x" + "ee" * 20
OTHER_PAYEE = "0x" + "dd" * 20
TOKEN = "0x20c0" + "0" * 35 + "1"
ESCROW = "0x" + "e5" * 20
NETWORK = Network(
    name="local", chain_id=CHAIN_ID, rpc_url="http://rpc.invalid", token=TOKEN, token_symbol="TST", escrows=(ESCROW,)
)
FEES = Fees(gas_limit=2_000_000, max_fee_per_gas=10**10, max_priority_fee_per_gas=1)
FEE = 20_000
"""What a transaction with ``FEES`` can cost, in base units."""


def session_request(**changes: Any) -> SessionRequest:
    """What the gateway's challenge asks for."""
    usual = SessionRequest(
        amount=MILLION, currency=TOKEN, recipient=PAYEE, suggested_deposit=5 * MILLION, unit_type=None,
        escrow_contract=ESCROW, chain_id=CHAIN_ID, channel_id=None, min_voucher_delta=0, fee_payer=False,
        operator=None, session_protocol="v1", session_snapshot=None,
    )  # fmt: skip
    return replace(usual, **changes)


def channel_terms(salt: int = 1, payee: str = PAYEE) -> ChannelTerms:
    return ChannelTerms(
        payer=KEY.address, payee=payee, token=TOKEN, salt=f"0x{salt:064x}", authorized_signer=KEY.address,
        escrow=ESCROW, chain_id=CHAIN_ID,
    )  # fmt: skip


def channel(salt: int = 1, payee: str = PAYEE, **changes: Any) -> Channel:
    """An open channel with a deposit of 5, of which 1 is authorised and nothing spent."""
    terms = channel_terms(salt, payee)
    usual = Channel(
        channel_id=terms.channel_id, gateway=GATEWAY, network=NETWORK.name, terms=terms, state=State.OPEN,
        deposit=5 * MILLION, cumulative_amount=MILLION,
    )  # fmt: skip
    return replace(usual, **changes)


def opening(**changes: Any) -> Channel:
    """A channel whose open transaction was signed and may be anywhere."""
    usual: dict[str, Any] = {"state": State.OPENING, "pending": Pending("0x76aa", 5 * MILLION, NOW + 25)}
    return channel(**(usual | changes))


def problem(code: str | None, **changes: Any) -> Problem:
    return replace(Problem(code=code, message="no", status=402), **changes)


@dataclass
class Clock:
    """A clock that moves when somebody sleeps, or when a test says so."""

    now: float = NOW
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@dataclass
class FakeChain:
    """A chain that takes the open and top-up transactions that this wallet signs."""

    clock: Callable[[], float]
    funds: int = 100 * MILLION
    id: int = CHAIN_ID
    ahead: float = 0
    channels: dict[str, ChannelState] = field(default_factory=dict)
    mined: set[str] = field(default_factory=set)
    taken: dict[str, int] = field(default_factory=dict)
    """What the event of a channel's closing says that was taken."""
    receipts: dict[str, Receipt] = field(default_factory=dict)
    asked: int = 0
    opened: list[ChannelTerms] = field(default_factory=list)
    """The channels that the escrow's events show as opened by this wallet."""

    def chain_id(self) -> int:
        self.asked += 1
        return self.id

    def latest_timestamp(self) -> int:
        return int(self.clock() + self.ahead)

    def latest_block(self) -> Block:
        from ando_cli.tempo.receipts import Block  # web3 takes its time

        now = self.latest_timestamp()
        return Block(now, now)

    def receipt(self, tx_hash: str) -> Receipt | None:
        return self.receipts.get(tx_hash)

    def balance(self, token: str, owner: str) -> int:
        assert (token, owner) == (TOKEN, KEY.address)
        return self.funds

    def fees(self, operation: Operation, *, sponsored: bool = False) -> Fees:
        return FEES

    def channel(
        self, escrow: str, channel_id: str, protocol: object = None, block: int | None = None
    ) -> ChannelState | None:
        assert escrow in (ESCROW, PRECOMPILE)
        return self.channels.get(channel_id)

    def opened_channels(
        self, escrow: str, payer: str, *, protocol: object, from_block: int = 0, quickly: bool = False
    ) -> list[ChannelTerms]:
        return list(self.opened)

    def captured(self, escrow: str, channel_id: str, protocol: object) -> int | None:
        return self.taken.get(channel_id)

    def close_grace_period(self, escrow: str, protocol: object = None) -> int:
        return 900

    def show(self, shown: Channel, *, deposit: int | None = None, finalized: bool = False) -> None:
        """Have ``shown`` on the chain."""
        from ando_cli.tempo.channel import ChannelState  # web3 takes its time, and most tests need no chain

        self.channels[shown.channel_id] = ChannelState(
            finalized=finalized, close_requested_at=0, payer=KEY.address, payee=shown.terms.payee, token=TOKEN,
            authorized_signer=KEY.address, deposit=shown.deposit if deposit is None else deposit, settled=0,
        )  # fmt: skip

    def broadcast(self, transaction: str, channel_id: str) -> int:
        """Mine an open or a top-up, once; return what it deposits."""
        deposit = deposited_by(transaction)
        if transaction not in self.mined:
            self.mined.add(transaction)
            self.funds -= deposit
            before = self.channels.get(channel_id)
            self.show(channel(channel_id=channel_id), deposit=deposit + (before.deposit if before else 0))
        return deposit

    @property
    def deposits(self) -> int:
        return sum(state.deposit for state in self.channels.values())


def deposited_by(transaction: str) -> int:
    """What a signed open or top-up transaction deposits, read from its call data."""
    descriptor = "(address,address,address,address,bytes32,address,bytes32)"
    for signature, word in (
        ("open(address,address,uint128,bytes32,address)", 2),
        ("topUp(bytes32,uint256)", 1),
        ("open(address,address,address,uint96,bytes32,address)", 3),
        (f"topUp({descriptor},uint96)", 7),
    ):
        selector = keccak256(signature.encode())[:4].hex()
        _, found, data = transaction.partition(selector)
        if found:
            return int(data[word * 64 : word * 64 + 64], 16)
    raise AssertionError("neither an open nor a top-up")


@dataclass
class Consent:
    """Notes what the user was asked; says no where ``refusal`` is set, after ``meanwhile``."""

    asked: list[Deposit] = field(default_factory=list)
    refusal: Exception | None = None
    meanwhile: Callable[[], object] = lambda: None

    def __call__(self, deposit: Deposit) -> None:
        self.asked.append(deposit)
        self.meanwhile()
        if self.refusal is not None:
            raise self.refusal


class LockedDelegates(FileDelegates):
    """Keys that cannot be had: the keyring stays locked."""

    def find(self, signer: str) -> NoReturn:
        raise WalletError("locked", code="wallet_locked")


def make_session(
    folder: Path,
    chain: FakeChain,
    clock: Clock,
    *,
    caps: Caps | None = None,
    consent: Callable[[Deposit], None] = lambda _: None,
    store: Store | None = None,
    deposit: int | None = None,
    delegates: Delegates | None = None,
    delegate: bool = False,
    address: Callable[[], str] | None = None,
    key: Callable[[], PrivateKey] = lambda: KEY,
    budgets: Budgets | None = None,
    by_budget: Callable[[], bool] = lambda: False,
    warn: Callable[[str], None] = lambda _: None,
) -> Session:
    """A session on a real store in ``folder``."""
    return Session(
        open_store=once(lambda: store or Store(folder / "sessions.db", clock=clock)),
        locks=folder / "locks",
        keys=Keys(key, address=address, delegates=delegates, delegate=delegate),
        chain=ChainView(lambda: chain, NETWORK),
        limits=Limits(caps or Caps(max_deposit=5 * MILLION), budgets, by_budget, deposit),
        user=User(consent, warn),
        clock=SessionClock(clock, lambda seconds: clock.sleep(seconds)),
    )
