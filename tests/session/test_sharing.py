"""Many requests on one channel: what they leave each other, and that every order of events ends with all answered."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ando_cli.session.decide.planner import MAX_PAID_ATTEMPTS, plan
from ando_cli.session.decide.policy import Caps
from ando_cli.session.decide.situation import Progress, Situation
from ando_cli.session.decide.steps import Reason, Refuse, Step, TopUp, Voucher, Wait
from ando_cli.session.record import claims as traffic
from ando_cli.session.record.store import Store
from ando_cli.session.traffic import Claim, Hold, Traffic
from tests.support.session_doubles import MILLION, channel, problem, session_request

if TYPE_CHECKING:
    from pathlib import Path

    from ando_cli.mpp.problem import Problem
    from ando_cli.session.channel import Channel

CAPS = Caps(max_deposit=5 * MILLION)
REFRESH = "mpp_voucher_bucket_refresh_required"
LOWER = "mpp_payment_verification_failed"
FULL = channel(cumulative_amount=3 * MILLION, spent=3 * MILLION)
"""A channel at a gateway whose receipts said that each request is charged the full amount."""
METERED = channel(cumulative_amount=3 * MILLION, spent=2_900_000, metered=True)


def step(known: Channel, others: Traffic = Traffic(), code: str = "", **progress: int | bool) -> Step:
    rejection = problem(code) if code else None
    done = Progress(**progress)  # type: ignore[arg-type]
    return plan(Situation(session_request(), CAPS, known, rejection, done, traffic=others))


# Where each request is charged in full


def test_where_each_request_is_charged_in_full_each_raises_unprompted() -> None:
    assert step(FULL) == Voucher(4 * MILLION, raised_by=MILLION)


def test_what_another_request_has_raised_for_itself_is_left_to_it() -> None:
    raised_twice = replace(FULL, cumulative_amount=5 * MILLION)
    assert step(raised_twice, Traffic(claimed=2 * MILLION, in_flight=2)) == TopUp(MILLION)
    assert step(replace(raised_twice, deposit=9 * MILLION), Traffic(claimed=2 * MILLION, in_flight=2)) == Voucher(
        6 * MILLION, raised_by=MILLION
    )


def test_what_a_request_left_that_was_never_charged_is_used_before_anything_is_raised() -> None:
    left = replace(FULL, cumulative_amount=4 * MILLION)
    assert step(left) == Voucher(4 * MILLION, uses=MILLION)


def test_a_request_told_that_there_is_nothing_left_of_what_it_counted_on_raises_it_itself() -> None:
    left = replace(FULL, cumulative_amount=4 * MILLION)
    assert step(left, code=REFRESH, paid_attempts=1, sent=4 * MILLION, reserved=True) == Voucher(
        5 * MILLION, raised_by=MILLION
    )


def test_it_does_not_take_the_raise_of_another_instead() -> None:
    raised = replace(FULL, cumulative_amount=4 * MILLION)
    others = Traffic(claimed=MILLION, in_flight=1)
    assert step(raised, others, REFRESH, paid_attempts=1, sent=3 * MILLION) == Voucher(5 * MILLION, raised_by=MILLION)
    assert step(raised, Traffic(), REFRESH, paid_attempts=1, sent=3 * MILLION) == Voucher(
        5 * MILLION, raised_by=MILLION
    )


def test_those_sent_before_it_was_known_that_each_is_charged_in_full_are_waited_for() -> None:
    assert step(FULL, Traffic(in_flight=2, loose=1)) == Wait()


def test_one_receipt_for_less_than_the_full_amount_shows_a_gateway_that_meters() -> None:
    assert FULL.charges_in_full(MILLION)
    assert not replace(FULL, spent=FULL.spent - 1).charges_in_full(MILLION)
    assert not replace(FULL, metered=True).charges_in_full(MILLION)
    assert not replace(FULL, spent=0).charges_in_full(MILLION), "nobody knows yet"


# Where requests are metered


def test_a_metered_request_takes_no_notice_of_others_in_flight() -> None:
    assert step(METERED, Traffic(claimed=MILLION, in_flight=7)) == Voucher(3 * MILLION)


def test_whoever_raises_at_a_gateway_that_meters_has_the_others_hold_back() -> None:
    told = step(METERED, Traffic(in_flight=7), REFRESH, paid_attempts=1, sent=3 * MILLION)
    assert told == Voucher(4 * MILLION, raised_by=MILLION, hold=Hold.EVERYTHING)


def test_the_others_wait_and_then_use_the_rest_of_it_once() -> None:
    raised = replace(METERED, cumulative_amount=4 * MILLION)
    holding = Traffic(claimed=MILLION, in_flight=1, hold=Hold.EVERYTHING)
    assert step(raised, holding, REFRESH, paid_attempts=1, sent=3 * MILLION) == Wait()
    second = step(raised, Traffic(), REFRESH, paid_attempts=1, sent=3 * MILLION)
    assert second == Voucher(4 * MILLION, hold=Hold.RAISES)
    assert step(raised, Traffic(), REFRESH, paid_attempts=2, sent=4 * MILLION) == Voucher(
        5 * MILLION, raised_by=MILLION, hold=Hold.EVERYTHING
    )


def test_at_a_gateway_that_meters_what_is_used_up_is_raised_without_being_told() -> None:
    used_up = replace(METERED, spent=3 * MILLION)
    assert step(used_up) == Voucher(4 * MILLION, raised_by=MILLION, hold=Hold.EVERYTHING)
    assert step(replace(used_up, spent=3 * MILLION - 1)) == Voucher(3 * MILLION)


UNKNOWN = channel(cumulative_amount=3 * MILLION)
"""A channel at a gateway of which nobody knows how it charges."""


def test_as_long_as_nobody_knows_how_the_gateway_charges_whoever_raises_waits_for_those_in_flight() -> None:
    told = {"paid_attempts": 1, "sent": 3 * MILLION}
    assert step(UNKNOWN, Traffic(in_flight=1), REFRESH, **told) == Wait(Hold.EVERYTHING)
    raise_it = Voucher(4 * MILLION, raised_by=MILLION, hold=Hold.EVERYTHING)
    assert step(UNKNOWN, Traffic(), REFRESH, **told) == raise_it
    assert step(METERED, Traffic(in_flight=1), REFRESH, **told) == raise_it
    assert step(METERED, Traffic(in_flight=1, loose=1), REFRESH, **told) == raise_it


def test_where_each_is_charged_in_full_whoever_counts_on_an_amount_waits_for_those_that_count_on_none() -> None:
    left = replace(FULL, cumulative_amount=4 * MILLION)
    assert step(left, Traffic(in_flight=1, loose=1)) == Wait()
    assert step(left, Traffic(in_flight=1, loose=0)) == Voucher(4 * MILLION, uses=MILLION)
    assert step(FULL, Traffic(in_flight=1, loose=0)) == Voucher(4 * MILLION, raised_by=MILLION)
    assert step(left, Traffic(in_flight=1, loose=1), raised=True) == Voucher(4 * MILLION), "it counts on its own"


def test_what_is_left_is_used_where_it_is_exactly_enough_and_not_where_a_base_unit_is_missing() -> None:
    left = replace(FULL, cumulative_amount=5 * MILLION, deposit=9 * MILLION)
    assert step(left, Traffic(claimed=MILLION, in_flight=1)) == Voucher(5 * MILLION, uses=MILLION)
    assert step(left, Traffic(claimed=MILLION + 1, in_flight=1)) == Voucher(6 * MILLION, raised_by=MILLION)


@pytest.mark.parametrize("done", [{"raised": True}, {"reserved": True}])
def test_what_a_request_has_raised_or_counts_on_it_neither_raises_nor_counts_on_again(done: dict[str, bool]) -> None:
    higher = replace(FULL, cumulative_amount=5 * MILLION)
    outrun = step(higher, code=LOWER, paid_attempts=1, sent=4 * MILLION, **done)
    assert outrun == Voucher(5 * MILLION)
    assert step(replace(METERED, spent=3 * MILLION), **done) == Voucher(3 * MILLION)


@pytest.mark.parametrize(
    ("voucher", "done", "counts"),
    [
        (Voucher(MILLION), {}, 0),
        (Voucher(MILLION, raised_by=MILLION), {}, MILLION),
        (Voucher(MILLION, uses=MILLION), {}, MILLION),
        (Voucher(MILLION), {"raised": True}, MILLION),
        (Voucher(MILLION), {"reserved": True}, MILLION),
    ],
)
def test_others_are_told_what_a_request_counts_on(voucher: Voucher, done: dict[str, bool], counts: int) -> None:
    progress = Progress(**done)  # type: ignore[arg-type]
    claim = voucher.claim(session_request(), FULL, progress)
    assert claim == Claim(FULL.channel_id, counts, sent=True, hold=Hold.NOTHING)
    if not voucher.raised_by and not voucher.uses:
        waiting = Wait(Hold.EVERYTHING).claim(session_request(), FULL, progress)
        assert waiting == Claim(FULL.channel_id, counts, sent=False, hold=Hold.EVERYTHING)
        topping_up = TopUp(1).claim(session_request(), FULL, progress)
        assert topping_up == Claim(FULL.channel_id, counts, sent=False, hold=Hold.RAISES)


def test_progress_notes_what_was_raised_what_is_counted_on_and_whether_others_were_there() -> None:
    assert Voucher(MILLION).recorded(Progress(), Traffic()) == Progress()
    assert Voucher(MILLION, raised_by=1).recorded(Progress(), Traffic()) == Progress(raised=True)
    assert Voucher(MILLION, uses=1).recorded(Progress(), Traffic()) == Progress(reserved=True)
    assert Voucher(MILLION).recorded(Progress(), Traffic(in_flight=1)) == Progress(crowded=True)
    kept = Progress(raised=True, reserved=True)
    assert Voucher(MILLION).recorded(replace(kept, crowded=True), Traffic()) == kept


# Outrun, and robbed


@pytest.mark.parametrize(("known", "hold"), [(FULL, Hold.NOTHING), (METERED, Hold.RAISES)])
def test_a_voucher_that_was_outrun_is_sent_again_at_the_new_height_and_not_raised_again(
    known: Channel, hold: Hold
) -> None:
    higher = replace(known, cumulative_amount=5 * MILLION)
    assert step(higher, code=LOWER, paid_attempts=1, sent=4 * MILLION, raised=True) == Voucher(5 * MILLION, hold=hold)


def test_a_voucher_that_was_outrun_still_leaves_others_what_they_raised() -> None:
    higher = replace(FULL, cumulative_amount=4 * MILLION)
    others = Traffic(claimed=MILLION, in_flight=1)
    assert step(higher, others, LOWER, paid_attempts=1, sent=3 * MILLION) == Voucher(5 * MILLION, raised_by=MILLION)
    metering = replace(METERED, cumulative_amount=4 * MILLION)
    second = step(metering, others, LOWER, paid_attempts=1, sent=3 * MILLION)
    assert second == Voucher(4 * MILLION, hold=Hold.RAISES), "but what is metered is there for all"


def test_a_voucher_that_nobody_outran_is_rejected_for_good() -> None:
    found = step(FULL, code=LOWER, paid_attempts=1, sent=3 * MILLION)
    assert found == Refuse(Reason.FINAL, outrun=True)


def test_from_the_third_voucher_on_nobody_else_raises() -> None:
    higher = replace(FULL, cumulative_amount=5 * MILLION)
    others = Traffic(claimed=2 * MILLION, in_flight=2)
    third = step(higher, others, LOWER, paid_attempts=2, sent=4 * MILLION, raised=True)
    assert third == Voucher(5 * MILLION, hold=Hold.RAISES)
    assert step(FULL, Traffic(hold=Hold.RAISES)) == Wait()
    assert step(METERED, Traffic(hold=Hold.RAISES)) == Voucher(3 * MILLION), "who does not raise may go on"


def test_a_request_whose_raise_was_used_by_others_sends_it_again_when_they_are_done() -> None:
    robbed = {"paid_attempts": 1, "sent": 3 * MILLION, "raised": True, "crowded": True}
    assert step(METERED, Traffic(in_flight=1), REFRESH, **robbed) == Wait(Hold.EVERYTHING)
    assert step(METERED, Traffic(), REFRESH, **robbed) == Voucher(3 * MILLION, hold=Hold.EVERYTHING)


@pytest.mark.parametrize("known", [FULL, METERED])
def test_with_nobody_else_there_a_second_raise_is_refused_whatever_the_gateway_says(known: Channel) -> None:
    found = step(known, code=REFRESH, paid_attempts=1, sent=known.cumulative_amount, raised=True)
    assert found == Refuse(Reason.SECOND_RAISE, outrun=True)


def test_nobody_sends_while_somebody_holds_everything() -> None:
    holding = Traffic(hold=Hold.EVERYTHING)
    assert step(METERED, holding) == step(FULL, holding) == step(replace(FULL, deposit=0), holding) == Wait()


def test_nobody_asks_for_everything_while_somebody_tops_up() -> None:
    robbed = {"paid_attempts": 1, "sent": 3 * MILLION, "raised": True, "crowded": True}
    assert step(METERED, Traffic(hold=Hold.RAISES), REFRESH, **robbed) == Wait()


def test_a_raise_that_others_outran_is_sent_again_at_the_new_height_when_they_are_done() -> None:
    higher, robbed = replace(METERED, cumulative_amount=4 * MILLION), {"paid_attempts": 1, "raised": True}
    assert step(higher, Traffic(), REFRESH, sent=3 * MILLION, **robbed) == Voucher(4 * MILLION, hold=Hold.EVERYTHING)
    refused = step(higher, Traffic(), REFRESH, sent=4 * MILLION, **robbed)
    assert isinstance(refused, Refuse)


def test_a_credential_without_a_voucher_cannot_have_been_outrun() -> None:
    for code in (LOWER, REFRESH):
        topped_up = step(METERED, code=code, paid_attempts=1, sent=0, topped_up=True, raised=True)
        assert isinstance(topped_up, Refuse)


def test_where_each_is_charged_in_full_the_third_voucher_for_nothing_being_left_has_all_others_wait() -> None:
    told = {"paid_attempts": 2, "sent": 3 * MILLION, "reserved": True}
    assert step(FULL, Traffic(in_flight=1), REFRESH, **told) == Wait(Hold.EVERYTHING)
    assert step(FULL, Traffic(), REFRESH, **told) == Voucher(4 * MILLION, raised_by=MILLION, hold=Hold.EVERYTHING)
    second = step(FULL, Traffic(in_flight=1), REFRESH, **(told | {"paid_attempts": 1}))
    assert second == Voucher(4 * MILLION, raised_by=MILLION), "before that each raises at once"


def test_where_requests_are_metered_the_third_voucher_waits_for_those_in_flight_if_it_raises() -> None:
    told, busy = {"sent": 3 * MILLION}, Traffic(in_flight=1)
    assert step(METERED, busy, REFRESH, paid_attempts=2, **told) == Wait(Hold.EVERYTHING)
    second = step(METERED, busy, REFRESH, paid_attempts=1, **told)
    assert second == Voucher(4 * MILLION, raised_by=MILLION, hold=Hold.EVERYTHING)


def test_a_top_up_counts_as_a_credential_and_not_as_a_voucher() -> None:
    higher = replace(FULL, cumulative_amount=5 * MILLION)
    outrun = {"paid_attempts": 2, "sent": 4 * MILLION, "raised": True}
    assert step(higher, code=LOWER, topped_up=True, **outrun) == Voucher(5 * MILLION)
    assert step(higher, code=LOWER, **outrun) == Voucher(5 * MILLION, hold=Hold.RAISES)
    assert step(METERED, paid_attempts=1, topped_up=True) == Voucher(3 * MILLION)
    assert step(METERED, paid_attempts=1) == Voucher(3 * MILLION, hold=Hold.RAISES)


@pytest.mark.parametrize(
    ("done", "kept"),
    [
        ({"topped_up": True}, Hold.RAISES),
        ({"topped_up": True, "raised": True}, Hold.NOTHING),
        ({"raised": True}, Hold.NOTHING),
        ({}, Hold.NOTHING),
    ],
)
def test_what_a_request_has_topped_up_is_kept_for_its_raise_while_it_waits(done: dict[str, bool], kept: Hold) -> None:
    assert step(METERED, Traffic(hold=Hold.EVERYTHING), **done) == Wait(kept)
    assert step(FULL, Traffic(in_flight=1, loose=1), **done) == (
        Voucher(3 * MILLION) if done.get("raised") else Wait(kept)
    )


def test_a_raise_by_one_base_unit_is_a_raise_too() -> None:
    situation = Situation(session_request(amount=1), CAPS, channel(cumulative_amount=3, spent=3))
    assert plan(situation) == Voucher(4, raised_by=1)
    assert plan(replace(situation, traffic=Traffic(hold=Hold.RAISES))) == Wait()


def test_nobody_tops_up_or_raises_while_somebody_tops_up() -> None:
    for known in (FULL, replace(FULL, deposit=3 * MILLION)):
        assert step(known, Traffic(hold=Hold.RAISES)) == Wait()
    assert step(replace(FULL, deposit=3 * MILLION), Traffic()) == TopUp(MILLION)


# Claims in the store


def test_a_claim_is_seen_by_others_and_not_by_its_own_request(tmp_path: Path) -> None:
    store = Store(tmp_path / "sessions.db")
    mine = store.claim(None, Claim("0x01", MILLION, sent=True))
    store.claim(None, Claim("0x02", 7))
    assert store.traffic("0x01", mine) == Traffic()
    assert store.traffic("0x01", None) == Traffic(MILLION, 1, 0, Hold.NOTHING)
    assert store.claim(mine, Claim("0x01", MILLION, hold=Hold.RAISES)) == mine
    assert store.traffic("0x01", None) == Traffic(MILLION, 0, 0, Hold.RAISES)
    store.release(mine)
    assert store.traffic("0x01", None) == Traffic()


def test_the_claim_of_a_dead_process_binds_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "sessions.db")
    store.claim(None, Claim("0x01", MILLION, sent=True, hold=Hold.EVERYTHING))
    with monkeypatch.context() as another:
        another.setattr("os.getpid", lambda: 2**22 + 1)  # above the highest number that Linux gives a process
        store.claim(None, Claim("0x01", MILLION, sent=True, hold=Hold.EVERYTHING))
    assert store.traffic("0x01", None) == Traffic(MILLION, 1, 0, Hold.EVERYTHING), "only the one of this process"
    monkeypatch.setattr(traffic, "_names", {})  # another process with the same number
    assert store.traffic("0x01", None) == Traffic()


@pytest.mark.parametrize(("later", "binds"), [(3600, True), (3601, False), (-3600, True), (-3601, False)])
def test_a_claim_that_is_very_old_binds_nobody_nor_does_one_of_a_clock_that_was_far_ahead(
    tmp_path: Path, later: int, binds: bool
) -> None:
    now = [1_000_000.0]
    store = Store(tmp_path / "sessions.db", clock=lambda: now[0])
    store.claim(None, Claim("0x01", MILLION))
    now[0] += later
    assert store.traffic("0x01", None) == Traffic(claimed=MILLION if binds else 0)


def test_claims_add_up_and_the_strictest_of_what_they_ask_counts(tmp_path: Path) -> None:
    store = Store(tmp_path / "sessions.db")
    store.claim(None, Claim("0x01", MILLION, sent=True, hold=Hold.RAISES))
    store.claim(None, Claim("0x01", 2 * MILLION, hold=Hold.EVERYTHING))
    store.claim(None, Claim("0x01", sent=True))
    store.claim(None, Claim("0x01"))
    assert store.traffic("0x01", None) == Traffic(3 * MILLION, in_flight=2, loose=1, hold=Hold.EVERYTHING)


def test_a_claim_that_was_dropped_meanwhile_is_made_anew(tmp_path: Path) -> None:
    store = Store(tmp_path / "sessions.db")
    gone = store.claim(None, Claim("0x01", MILLION))
    store.release(gone)
    again = store.claim(gone, Claim("0x01", 2 * MILLION))
    assert store.traffic("0x01", None) == Traffic(2 * MILLION)
    store.release(again)
    assert store.traffic("0x01", None) == Traffic()


# Every order of events


@dataclass
class Gateway:
    """The accounting of three kinds of gateway; each looks at a voucher when it arrives, and charges it later."""

    kind: str
    price: int
    accepted: int = MILLION
    spent: int = 0
    reserved: int = 0

    def arrive(self, amount: int) -> str | None:
        """The code of the refusal, ``None`` where the request runs."""
        if amount < self.accepted and self.kind != "lenient":
            return LOWER
        self.accepted = max(self.accepted, amount)
        if self.accepted - self.spent - self.reserved < self.price:
            return REFRESH
        self.reserved += self.price
        return None

    def commit(self, cost: int) -> int:
        """Charge a request; what its receipt says is spent."""
        self.reserved -= self.price
        self.spent += cost
        return self.spent


@dataclass
class Request:
    """One request that is being paid: where it stands, and what is on its way to or from it."""

    number: int
    events: deque[str] = field(default_factory=lambda: deque(["plan"]))
    progress: Progress = field(default_factory=Progress)
    rejection: Problem | None = None
    receipt: int = 0
    refused: Reason | None = None


class Crowd:
    """Requests that share a channel, moved one event at a time in an order that ``random`` picks."""

    def __init__(self, kind: str, count: int, random: Random, *, known: bool) -> None:
        self.random = random
        self.gateway = Gateway(kind, price=MILLION if kind != "metered" else random.choice([1, 208_000, 600_000]))
        self.cost = MILLION if kind != "metered" else random.randint(1, self.gateway.price)
        self.channel = channel(deposit=5 * MILLION)
        self.claims: dict[int, Claim] = {}
        self.requests = [Request(number) for number in range(count)]
        if known:
            assert self.gateway.arrive(MILLION) is None
            self.settle(self.gateway.commit(self.cost))

    def run(self) -> None:
        for _ in range(200_000):
            moving = [request for request in self.requests if request.events]
            if not moving:
                return
            request = self.random.choice(moving)
            getattr(self, request.events.popleft())(request)
        raise AssertionError("they wait for each other")

    def traffic(self, number: int) -> Traffic:
        others = [claim for owner, claim in self.claims.items() if owner != number]
        return Traffic(
            sum(claim.amount for claim in others),
            sum(claim.sent for claim in others),
            sum(claim.sent and not claim.amount for claim in others),
            max((claim.hold for claim in others), default=Hold.NOTHING),
        )

    def plan(self, request: Request) -> None:
        others = self.traffic(request.number)
        caps = Caps(max_deposit=10**12)
        step = plan(
            Situation(session_request(), caps, self.channel, request.rejection, request.progress, traffic=others)
        )
        match step:
            case Voucher():
                assert step.cumulative_amount <= self.channel.deposit
                assert not (step.raised_by and request.progress.raised), "one raise for one request"
                claim = step.claim(session_request(), self.channel, request.progress)
                self.channel = replace(self.channel, cumulative_amount=step.cumulative_amount)
                progress = step.recorded(request.progress, others)
                request.progress = replace(
                    progress, paid_attempts=progress.paid_attempts + 1, sent=step.cumulative_amount
                )
                request.events.append("arrive")
            case TopUp(needed):
                claim = step.claim(session_request(), self.channel, request.progress)
                request.progress = replace(
                    request.progress, topped_up=True, paid_attempts=request.progress.paid_attempts + 1
                )
                self.channel = replace(self.channel, deposit=self.channel.deposit + max(needed, 2 * MILLION))
                request.events.append("plan")
            case Wait():
                claim = step.claim(session_request(), self.channel, request.progress)
                request.events.append("plan")
            case Refuse():
                request.refused = step.reason
                self.claims.pop(request.number, None)
                return
            case _:
                raise AssertionError(step)
        self.claims[request.number] = claim

    def arrive(self, request: Request) -> None:
        code = self.gateway.arrive(request.progress.sent)
        request.rejection = problem(code) if code else None
        request.events.append("plan" if code else "commit")

    def commit(self, request: Request) -> None:
        request.receipt = self.gateway.commit(self.cost)
        request.events.append("deliver")

    def deliver(self, request: Request) -> None:
        self.settle(request.receipt)
        del self.claims[request.number]

    def settle(self, spent: int) -> None:
        metered = self.channel.metered or spent % MILLION != 0
        self.channel = replace(self.channel, spent=max(spent, self.channel.spent), metered=metered)


@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from(["strict", "lenient", "metered"]), count=st.integers(1, 24), seed=st.integers(0, 2**32),
    known=st.booleans(),
)  # fmt: skip
def test_in_every_order_of_events_all_are_answered_and_nothing_is_authorised_twice(
    kind: str, count: int, seed: int, known: bool
) -> None:
    crowd = Crowd(kind, count, Random(seed), known=known)  # noqa: S311 - an order, not a secret
    crowd.run()
    assert [request.refused for request in crowd.requests] == [None] * count
    assert max(request.progress.paid_attempts for request in crowd.requests) <= MAX_PAID_ATTEMPTS
    assert not crowd.claims
    assert crowd.gateway.accepted == crowd.channel.cumulative_amount, "both know the last amount"
    assert crowd.gateway.spent == (count + known) * crowd.cost
    if kind != "metered":
        assert crowd.channel.cumulative_amount == crowd.gateway.spent, "and not a cent beyond what was asked"
