"""One command's session with one gateway's channels: the parts that carry out its steps.

A ``Session`` is frozen. What changes while a command runs is in its ``Tally``; what lasts longer is in its store.
"""

from __future__ import annotations

import threading
import time
from dataclasses import field, replace
from functools import partial
from typing import TYPE_CHECKING

from ando_cli.frozen import frozen
from ando_cli.http.deadline import Deadline
from ando_cli.session.act.locks import exclusive
from ando_cli.session.channel import ChannelKey
from ando_cli.session.decide import clock
from ando_cli.session.decide.clock import MOST
from ando_cli.session.decide.policy import Committed

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from ando_cli.mpp.session import SessionRequest
    from ando_cli.session.act.chain import ChainView
    from ando_cli.session.act.keys import Keys
    from ando_cli.session.decide.budget import Budgets, Standing
    from ando_cli.session.decide.policy import Caps
    from ando_cli.session.record.store import Store
    from ando_cli.tempo.network import Network


def _never() -> bool:
    return False


def _allow(_: Deposit | Rise) -> None:
    """Allow everything within the limits."""


def _ignore(_: str) -> None:
    """Ignore the message."""


@frozen
class Deposit:
    """A deposit that is about to be signed for, as the user is asked about it. Amounts in base units.

    ``step`` is by how much vouchers will rise at most for one request; 0 where that is agreed on already. ``price`` is
    what one request is authorised for, where the gateway suggests no deposit and this one was chosen here.
    """

    opening: bool
    amount: int
    gateway: str
    symbol: str
    step: int = 0
    price: int | None = None


@frozen
class Rise:
    """A raise above the agreed step, as the user is asked about it. ``amount`` and ``step`` are in base units."""

    amount: int
    step: int
    gateway: str
    symbol: str


@frozen
class Limits:
    """What the user allows.

    Attributes:
        caps: the limits of one deposit and of one command.
        budgets: what may be authorised in a day, in a month and in all; ``None`` where that is not limited.
        by_budget: returns whether only the budgets allow a deposit, which what is left of them then bounds.
        deposit: what to deposit in a new channel, in base units, if the user named an amount.
    """

    caps: Caps
    budgets: Budgets | None = None
    by_budget: Callable[[], bool] = _never
    deposit: int | None = None


@frozen
class User:
    """How to ask and warn the user.

    Attributes:
        consent: asked before each deposit, and before each raise above the agreed step; raises
            ``PaymentError`` where the answer is no.
        warn: told what the user must know although the command goes on.
    """

    consent: Callable[[Deposit | Rise], None] = _allow
    warn: Callable[[str], None] = _ignore


@frozen
class Clock:
    """The time, and waiting. ``now`` is in unix seconds."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


class Tally:
    """What changes while a command runs. Safe for many threads.

    Attributes:
        committed: what the command has committed so far.
        gateway_offset: by how many seconds the gateway's clock was ahead of this computer's when its last challenge
            came; ``None`` where it did not say.
        opened: the ids of the channels that the command opened.
    """

    def __init__(self) -> None:
        self.committed = Committed()
        self.gateway_offset: float | None = None
        self.opened: list[str] = []
        self._off: int | None = None
        self._lock = threading.Lock()

    def add(self, *, deposited: int = 0, raised: int = 0) -> None:
        """Count what was just committed, in base units."""
        with self._lock:
            self.committed = Committed(self.committed.deposited + deposited, self.committed.raised + raised)

    def tells(self, offset: int) -> bool:
        """Say whether the user is still to be told that the clock is off by as much."""
        with self._lock:
            told, self._off = self._off, offset
        return told is None or abs(told - offset) > clock.NOTED


@frozen
class Session:
    """The parts.

    Attributes:
        open_store: opens the place where everything is recorded; ``ando_cli.session.act.locks.once`` makes it one.
        locks: the folder of the lock files.
        keys: who pays, and who signs.
        chain: the chain of the network that is trusted.
        limits: what the user allows.
        user: how to ask and warn the user.
        clock: the time, and waiting.
        deadline: when the command has to be done.
        tally: what changes while the command runs.
    """

    open_store: Callable[[], Store]
    locks: Path
    keys: Keys
    chain: ChainView
    limits: Limits
    user: User = User()
    clock: Clock = Clock()
    deadline: Deadline = field(default_factory=Deadline)
    tally: Tally = field(default_factory=Tally)

    @property
    def store(self) -> Store:
        """The store.

        Raises:
            StoreError: it cannot be opened.
        """
        return self.open_store()

    @property
    def network(self) -> Network:
        """What is trusted."""
        return self.chain.network

    def channel_key(self, gateway: str, request: SessionRequest) -> ChannelKey:
        """Return what a channel that pays ``request`` is for.

        Raises:
            WalletError: there is no usable wallet.
        """
        return ChannelKey(
            gateway=gateway,
            network=self.network.name,
            chain_id=request.chain_id,
            escrow=request.escrow_contract,
            token=request.currency,
            payee=request.recipient,
            payer=self.keys.payer,
        )

    def exclusive(self, key: ChannelKey) -> AbstractContextManager[None]:
        """Hold the lock for deposits into ``key``'s channel, across processes.

        Raises:
            StoreError: another process held it for too long, or the lock file cannot be made.
        """
        return exclusive(self.locks, key, self.deadline.left())

    def challenge_time(self) -> float:
        """Return the time by which a challenge may be over: the gateway's, where this computer's clock is ahead of it.

        A clock that is behind makes no challenge stale: the gateway says so itself.
        """
        return self.clock.now() + min(0.0, self.tally.gateway_offset or 0.0)

    def chain_now(self, chain_time: int, most: float = MOST) -> int:
        """Return the time by which to sign a transaction, where the chain's latest block is of ``chain_time``.

        Raises:
            PaymentError: this computer's clock is off by more than ``most`` seconds.
        """
        now = self.clock.now()
        offset = clock.correction(now, chain_time, self.tally.gateway_offset, most)
        if abs(offset) >= clock.NOTED and self.tally.tells(offset):
            self.user.warn(f"this computer's clock is {clock.describe(offset)}; it is allowed for")
        return int(now) + offset

    def budget_left(self) -> int | None:
        """Return what may still be authorised within the budgets; ``None`` where there are none."""
        budgets = self.limits.budgets
        return None if budgets is None else min(standing.left for standing in self._standings(budgets))

    def check_budgets(self, by: int, network: str | None = None) -> str | None:
        """Refuse to authorise ``by`` more than before, on ``network`` if it is another one, where it passes a budget.

        Whoever records the raise asks in the same transaction of the store.

        Returns:
            What to warn the user of once it is recorded, if anything.

        Raises:
            PaymentError: nothing was signed.
        """
        if self.limits.budgets is None:
            return None
        from ando_cli.session.decide import budget  # only where one is configured

        standings = self._standings(self.limits.budgets, network)
        budget.check(by, standings)
        return budget.warning(by, standings)

    def deposit_caps(self) -> Caps:
        """Return the limits of one deposit."""
        limits = self.limits
        if limits.budgets is None or not limits.by_budget():
            return limits.caps
        return replace(limits.caps, budget_left=self.budget_left())

    def _standings(self, budgets: Budgets, network: str | None = None) -> list[Standing]:
        from ando_cli.session.decide import budget

        return budget.standings(budgets, self.clock.now(), partial(self.store.authorised, network or self.network.name))
