"""Closing without the gateway: what it needs, and what it waits for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from ando_cli.errors import PaymentError
from ando_cli.session.act import closing
from ando_cli.session.act.closing import Ended, Grace
from ando_cli.session.channel import State
from ando_cli.session.record.store import Store
from ando_cli.tempo.broadcast import Mined
from tests.support.session_doubles import FEE, MILLION, NOW, Clock, FakeChain, channel, make_session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ando_cli.session.act.session import Session

GRACE = 900


@dataclass
class Chain(FakeChain):
    """A chain on which the payer closes: the first transaction requests it, the second withdraws."""

    sent: list[str] = field(default_factory=list)

    def close_grace_period(self, *_: object) -> int:
        return GRACE

    def broadcast(self, transaction: str) -> Mined:  # type: ignore[override]
        self.sent.append(transaction)
        (known,) = self.channels
        state = self.channels[known]
        first = len(self.sent) == 1
        self.channels[known] = replace(state, close_requested_at=NOW) if first else replace(state, finalized=True)
        return Mined("0x" + "ab" * 32, True)


class Bench:
    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.chain = Chain(self.clock)
        self.store = Store(folder / "sessions.db", clock=self.clock)
        self.session: Session = make_session(folder, self.chain, self.clock, store=self.store)
        self.known = channel(spent=MILLION)
        self.store.add(self.known)
        self.chain.show(self.known)
        state = self.chain.channels[self.known.channel_id]
        self.chain.channels[self.known.channel_id] = replace(state, settled=MILLION)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.store.close()


def test_a_wallet_that_holds_exactly_the_fee_can_close(bench: Bench) -> None:
    bench.chain.funds = FEE
    assert closing.request(bench.session, bench.known) == Grace(NOW + GRACE, NOW)
    assert len(bench.chain.sent) == 1


def test_a_wallet_that_lacks_a_base_unit_of_the_fee_signs_nothing(bench: Bench) -> None:
    bench.chain.funds = FEE - 1
    with pytest.raises(PaymentError) as caught:
        closing.request(bench.session, bench.known)
    assert caught.value.code == "insufficient_balance"
    assert bench.chain.sent == []


def test_what_is_left_can_be_withdrawn_from_the_very_second_that_the_grace_period_is_over(bench: Bench) -> None:
    closing.request(bench.session, bench.known)
    bench.clock.now = NOW + GRACE - 1
    with pytest.raises(PaymentError) as caught:
        closing.withdraw(bench.session, bench.known)
    assert caught.value.code == "grace_period"
    assert len(bench.chain.sent) == 1
    bench.clock.now += 1
    ended = closing.withdraw(bench.session, bench.known)
    assert ended == Ended(None, MILLION, 5 * MILLION, "0x" + "ab" * 32), "nothing here proves what the payee took"
    found = bench.store.channel(bench.known.channel_id)
    assert found is not None
    assert (found.state, found.captured) == (State.CLOSED, None)


def test_a_close_that_was_requested_is_not_requested_again(bench: Bench) -> None:
    first = closing.request(bench.session, bench.known)
    assert closing.request(bench.session, bench.known) == first
    assert len(bench.chain.sent) == 1


@pytest.mark.parametrize("off", [3600, 3601, 345_600])
def test_money_comes_back_however_wrong_this_computers_clock_is(bench: Bench, off: int) -> None:
    closing.request(bench.session, bench.known)
    bench.chain.ahead = off
    bench.clock.now += GRACE
    closing.withdraw(bench.session, bench.known)
    assert len(bench.chain.sent) == 2
