"""No order of events makes the planner sign too much: a gateway, a chain and others that do anything at all."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ando_cli.session.channel import Channel, Pending, State
from ando_cli.session.decide.planner import BACKOFF, MAX_PAID_ATTEMPTS, plan
from ando_cli.session.decide.policy import Caps, Committed
from ando_cli.session.decide.situation import Progress, Situation
from ando_cli.session.decide.steps import (
    Open,
    Reason,
    Refresh,
    Refuse,
    Resend,
    Resolve,
    Step,
    TopUp,
    Voucher,
    Wait,
)
from ando_cli.session.traffic import Hold, Traffic
from tests.support.plans import CHANNELS, CODES, TOP_UP
from tests.support.session_doubles import MILLION, opening, problem, session_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from ando_cli.mpp.problem import Problem
    from ando_cli.mpp.session import SessionRequest


class World:
    """A gateway, a chain and other processes that do whatever ``choose`` says, round a request that is being paid.

    It carries the steps out as the payment rail does, and holds every one of them to the rules of the money.
    """

    def __init__(self, choose: Callable[[str, list[Any]], Any]) -> None:
        self.choose = choose
        self.caps = Caps(5 * MILLION, choose("max spend", [None, MILLION, 7 * MILLION]))
        self.channel: Channel | None = choose("channel", [None, opening(), *(c for c in CHANNELS.values() if c)])
        self.committed = Committed()
        self.progress = Progress()
        self.rejection: Problem | None = None
        self.unpaid = 1
        self.waits = 0
        self.raised_by = 0
        self.highest_price = 0
        self.request = self.price()
        self.salts = itertools.count(100)
        self.signed: dict[str, int] = {}

    def price(self) -> SessionRequest:
        amount = self.choose("amount", [MILLION, 1, 2 * MILLION, 2**128 - 1])
        self.highest_price = max(self.highest_price, amount)
        return session_request(amount=amount, min_voucher_delta=self.choose("delta", [0, 2 * MILLION]))

    def run(self) -> str:
        """Until it is paid or refused; says which."""
        for _ in range(60):
            self.others_act()
            found = plan(
                Situation(
                    self.request, self.caps, self.channel, self.rejection, self.progress, self.committed, self.traffic()
                )
            )
            end = self.carry_out(found)
            if end is not None:
                return end
        raise AssertionError("it does not end")

    def traffic(self) -> Traffic:
        """What other requests of ours claim to be doing."""
        held = self.choose("hold", [Hold.NOTHING] * 8 + [Hold.RAISES, Hold.EVERYTHING])
        in_flight = self.choose("in flight", [0, 0, 1, 3])
        return Traffic(in_flight * self.choose("claims", [0, MILLION]), in_flight, loose=0, hold=held)

    def carry_out(self, found: Step) -> str | None:
        match found:
            case Wait():
                self.waits += 1
                return "too busy" if self.waits > 20 else None
            case Refuse():
                return found.reason.value
            case Refresh():
                assert self.rejection is not None
                self.progress, self.rejection = self.progress.after_refresh(self.rejection), None
                self.unpaid += 1
                self.request = self.price()
                return None
            case Resolve():
                assert not self.progress.resolved, "the chain is asked once"
                self.progress = replace(self.progress, resolved=True)
                self.look_at_chain()
                return None
            case Open(amount):
                return self.open(amount)
            case TopUp(needed):
                return self.top_up(needed)
            case Resend():
                assert self.channel is not None
                assert self.channel.pending is not None
                assert not self.progress.resent, "a transaction is sent again once"
                self.progress = replace(self.progress, resent=True)
                return self.send(tops_up=self.channel.tops_up)
            case Voucher():
                return self.voucher(found)

    def open(self, amount: int) -> str | None:
        assert self.channel is None, "one live channel"
        assert amount == self.request.amount
        limits = [5 * MILLION, self.caps.max_deposit]
        if self.caps.max_spend is not None:
            limits += [self.caps.max_spend - self.committed.deposited, self.caps.max_spend - self.committed.raised]
        if amount > min(limits):
            return "the session refuses"
        self.channel = opening(salt=next(self.salts), cumulative_amount=amount, deposit=min(limits[:3]))
        self.commit(raised=amount, deposited=self.channel.deposit)
        return self.send()

    def top_up(self, needed: int) -> str | None:
        known = self.channel
        assert known is not None
        assert known.state is State.OPEN
        assert known.pending is None, "one transaction at a time"
        assert not self.progress.topped_up, "one top-up for a request"
        assert needed > 0
        left = self.caps.max_deposit if self.caps.max_spend is None else self.caps.max_spend - self.committed.deposited
        if needed > min(left, self.caps.max_deposit):
            return "the session refuses"
        self.channel = replace(known, pending=Pending("0x76cc", needed, 0))
        self.commit(deposited=needed)
        self.progress = replace(self.progress, topped_up=True)
        return self.send(tops_up=True)

    def voucher(self, found: Voucher) -> str | None:
        known = self.channel
        assert known is not None
        assert known.state is State.OPEN
        assert found.cumulative_amount == known.cumulative_amount + found.raised_by, "our own record is the authority"
        if found.raised_by:
            assert found.raised_by == self.request.amount
            assert found.cumulative_amount <= known.deposit, "never past the deposit"
            self.channel = replace(known, cumulative_amount=found.cumulative_amount)
            self.commit(raised=found.raised_by)
        self.progress = found.recorded(self.progress, Traffic(in_flight=self.choose("crowd", [0, 1])))
        return self.send()

    def commit(self, raised: int = 0, deposited: int = 0) -> None:
        self.raised_by += raised
        self.progress = replace(self.progress, raised=self.progress.raised or raised > 0)
        self.committed = Committed(self.committed.deposited + deposited, self.committed.raised + raised)
        assert self.raised_by <= self.highest_price, "at most one challenge amount for one request"
        if self.caps.max_spend is not None:
            assert self.committed.raised <= self.caps.max_spend
            assert self.committed.deposited <= self.caps.max_spend

    def send(self, tops_up: bool = False) -> str | None:
        """Send a credential; the answer is whatever the world comes up with."""
        assert self.channel is not None
        assert not self.progress.answer_lost, "nothing more is sent after a lost answer"
        self.progress = replace(self.progress, paid_attempts=self.progress.paid_attempts + 1)
        if not tops_up:
            known, amount = self.channel.channel_id, self.channel.cumulative_amount
            assert amount >= self.signed.get(known, 0), "it only rises"
            self.signed[known] = amount
            self.progress = replace(self.progress, sent=amount)
        assert self.progress.paid_attempts <= MAX_PAID_ATTEMPTS
        lost = self.choose("lost", [False, False, False, True])
        if lost and self.choose("both lost", [False, True]):
            return Reason.ANSWER_LOST.value
        answer = self.choose("answer", ["success", *CODES])
        self.request = self.price()
        if answer == "success":
            if tops_up:
                self.unpaid += 1
                self.look_at_chain(shown=True)
                return None
            return "paid"
        self.progress = replace(self.progress, answer_lost=lost)
        self.rejection = problem(answer, required_top_up=self.choose("claim", [None, 2**100]))
        return None

    def look_at_chain(self, shown: bool = False) -> None:
        """What the session can make of the channel when it asks the chain."""
        known = self.channel
        if known is None:
            return
        seen = "present" if shown else self.choose("chain", ["present", "absent", "gone", "finalized"])
        if seen in ("gone", "finalized"):
            self.channel = None
        elif seen == "present":
            added = known.pending.amount if known.tops_up and known.pending else 0
            self.channel = replace(known, state=State.OPEN, pending=None, deposit=known.deposit + added)

    def others_act(self) -> None:
        """What other processes of ours may have recorded meanwhile."""
        known = self.channel
        act = self.choose("others", ["nothing"] * 4 + ["raise", "top up", "die topping up", "see it closed"])
        if known is None or known.state is not State.OPEN:
            return
        if act == "raise" and known.cumulative_amount + MILLION <= known.deposit:
            self.channel = replace(known, cumulative_amount=known.cumulative_amount + MILLION)
        elif act == "top up" and known.pending is None:
            self.channel = replace(known, deposit=known.deposit + MILLION)
        elif act == "die topping up" and known.pending is None:
            self.channel = replace(known, pending=TOP_UP)
        elif act == "see it closed":
            self.channel = None


@settings(max_examples=700, deadline=None)
@given(data=st.data())
def test_no_order_of_events_breaks_the_rules_of_the_money(data: st.DataObject) -> None:
    def choose(what: str, options: list[Any]) -> Any:
        return options[data.draw(st.integers(0, len(options) - 1), label=what)]

    world = World(choose)
    end = world.run()
    assert end
    assert world.unpaid <= 1 + 1 + len(BACKOFF) + 1, "unpaid requests are bounded"
    if world.progress.answer_lost:
        assert end == Reason.ANSWER_LOST.value
