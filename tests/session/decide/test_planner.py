"""The planner: every step, every code, every state; and that no order of events makes it sign too much."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ando_cli.errors import OutcomeUnknownError
from ando_cli.mpp.problem import CANONICAL, Problem, ProblemCode
from ando_cli.session.channel import Channel, Pending, State
from ando_cli.session.decide.planner import (
    BACKOFF,
    MAX_PAID_ATTEMPTS,
    Open,
    Progress,
    Refresh,
    Refuse,
    Resend,
    Resolve,
    Step,
    TopUp,
    Voucher,
    Wait,
    after,
    outcome_unknown,
    plan,
    sending,
)
from ando_cli.session.decide.policy import Caps, Committed
from ando_cli.session.record.claims import Hold, Traffic
from tests.support.session_doubles import MILLION, channel, opening, problem, session_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from ando_cli.mpp.session import SessionRequest

CAPS = Caps(max_deposit=5 * MILLION)
SENT = Progress(paid_attempts=1, sent=MILLION)
"""One voucher of what ``channel()`` authorises was sent."""

RAISED = Voucher(2 * MILLION, raised_by=MILLION, hold=Hold.EVERYTHING)
"""A raise of what ``channel()`` authorises, at a gateway that is not known to charge in full."""

TOP_UP = Pending("0x76bb", 5 * MILLION, 0)
CHANNELS: dict[str, Channel | None] = {
    "none": None,
    "opening": opening(),
    "room": channel(),
    "full": channel(deposit=MILLION),
    "topping up": channel(deposit=MILLION, pending=TOP_UP),
}


def step(
    known: Channel | None,
    code: str | ProblemCode | None = "",
    progress: Progress = SENT,
    *,
    request: SessionRequest | None = None,
    caps: Caps = CAPS,
    committed: Committed = Committed(),
    **claims: Any,
) -> Step:
    """The next step; without a ``code`` the first one, else the one after that rejection."""
    rejection = None if code == "" else problem(None if code is None else str(code), **claims)
    progress = Progress() if rejection is None and progress is SENT else progress
    return plan(request or session_request(), known, rejection, progress, caps, committed)


def refusal(found: Step) -> str:
    assert isinstance(found, Refuse)
    return found.error.code


def test_without_a_channel_one_is_opened_with_one_challenge_amount() -> None:
    assert step(None) == Open(MILLION)


def test_an_open_channel_pays_with_the_voucher_that_was_signed_before() -> None:
    assert step(channel(cumulative_amount=3 * MILLION)) == Voucher(3 * MILLION, raised_by=0)


def test_what_is_used_up_is_raised_without_being_told() -> None:
    assert step(channel(spent=MILLION)) == Voucher(2 * MILLION, raised_by=MILLION)


def test_what_is_nearly_used_up_is_not_raised() -> None:
    assert step(channel(spent=MILLION - 1)) == Voucher(MILLION)


def test_a_raise_to_exactly_the_deposit_needs_no_top_up() -> None:
    assert step(channel(deposit=2 * MILLION, spent=MILLION)) == Voucher(2 * MILLION, raised_by=MILLION)


def test_a_raise_past_the_deposit_tops_up_what_is_missing_first() -> None:
    assert step(channel(deposit=2 * MILLION - 1, spent=MILLION)) == TopUp(1)


@pytest.mark.parametrize("known", [opening(), channel(pending=TOP_UP)], ids=["opening", "topping up"])
def test_a_transaction_of_unknown_fate_is_asked_about_then_sent_again_once_then_left_alone(known: Channel) -> None:
    assert step(known) == Resolve()
    assert step(known, progress=Progress(resolved=True)) == Resend()
    assert refusal(step(known, progress=Progress(resolved=True, resent=True))) == "deposit_in_flight"


# What each code asks for, in each state of the channel, after the first voucher or open was turned down.
# "voucher+" raises, "voucher=" repeats, "stop" refuses with the code itself, "refused" with the gateway's words.
STOP = dict.fromkeys(CHANNELS, "stop")
ANEW = {"none": "open", "opening": "resolve"}
REACTIONS: dict[ProblemCode | None, dict[str, str]] = {
    ProblemCode.PAYMENT_REQUIRED: ANEW | dict.fromkeys(("room", "full", "topping up"), "refresh"),
    ProblemCode.MPP_SESSION_DEPOSIT_BELOW_REQUEST_COST: ANEW | dict.fromkeys(("room", "full", "topping up"), "resolve"),
    ProblemCode.MPP_MALFORMED_CREDENTIAL: STOP,
    ProblemCode.MPP_METHOD_UNSUPPORTED: STOP,
    ProblemCode.MPP_INVALID_CHALLENGE: ANEW | dict.fromkeys(("room", "full", "topping up"), "refresh"),
    ProblemCode.MPP_BODY_DIGEST_MISMATCH: STOP,
    ProblemCode.MPP_REQUEST_QUOTE_INVALID: STOP,
    ProblemCode.MPP_REQUEST_EXCEEDS_VOUCHER_BUCKET: STOP,
    ProblemCode.MPP_PAYMENT_VERIFICATION_FAILED: STOP,
    ProblemCode.MPP_PAYER_NOT_ALLOWED: STOP,
    ProblemCode.MPP_VOUCHER_BUCKET_REFRESH_REQUIRED: ANEW
    | {"room": "voucher+", "full": "top up", "topping up": "resolve"},
    ProblemCode.MPP_RESERVATION_FAILED: ANEW | dict.fromkeys(("room", "full", "topping up"), "wait"),
    ProblemCode.MPP_COMMIT_FAILED: STOP,
    ProblemCode.MPP_SESSION_CLOSE_UNAVAILABLE: STOP,
    ProblemCode.MPP_SESSION_CLOSE_FAILED: STOP,
    ProblemCode.MPP_STREAMING_UNAVAILABLE: STOP,
    ProblemCode.SESSION_CHANNEL_NOT_FOUND: ANEW | dict.fromkeys(("room", "full", "topping up"), "resolve"),
    ProblemCode.SESSION_CHANNEL_FINALIZED: ANEW | dict.fromkeys(("room", "full", "topping up"), "resolve"),
    None: ANEW | dict.fromkeys(("room", "full", "topping up"), "refresh"),
}
TABLE = [(code, state) for code in REACTIONS for state in CHANNELS]


def expected(name: str) -> Step:
    steps: dict[str, Step] = {
        "open": Open(MILLION),
        "resolve": Resolve(),
        "refresh": Refresh(),
        "wait": Refresh(BACKOFF[0]),
        "voucher+": RAISED,
        "top up": TopUp(MILLION),
    }
    return steps[name]


def test_the_table_knows_every_code() -> None:
    assert {code for code in REACTIONS if code is not None} == set(ProblemCode)


@pytest.mark.parametrize(("code", "state"), TABLE, ids=[f"{code}-{state}" for code, state in TABLE])
def test_every_code_has_its_reaction_in_every_state(code: ProblemCode | None, state: str) -> None:
    found, wanted = step(CHANNELS[state], code), REACTIONS[code][state]
    if wanted == "stop":
        assert refusal(found) == code
    else:
        assert found == expected(wanted)


@pytest.mark.parametrize("name", CANONICAL)
def test_a_code_of_the_specification_has_the_reaction_of_the_code_it_stands_for(name: str) -> None:
    for known in CHANNELS.values():
        found, wanted = step(known, name), step(known, CANONICAL[name])
        if isinstance(wanted, Refuse):
            assert refusal(found) == wanted.error.code
        else:
            assert found == wanted


def test_a_payment_that_may_have_landed_is_reported_as_unknown_in_either_vocabulary() -> None:
    assert refusal(step(channel(), "internal-payment-error")) == "mpp_commit_failed"


@pytest.mark.parametrize("code", ProblemCode)
def test_only_a_failed_commit_leaves_the_outcome_unknown_and_only_a_close_is_tried_again(
    code: ProblemCode,
) -> None:
    found = step(channel(), code, replace(SENT, refreshed=True, resolved=True))
    if isinstance(found, Refuse):
        assert isinstance(found.error, OutcomeUnknownError) is (code is ProblemCode.MPP_COMMIT_FAILED)
        closes = (ProblemCode.MPP_SESSION_CLOSE_UNAVAILABLE, ProblemCode.MPP_SESSION_CLOSE_FAILED)
        assert found.error.retryable is (code in closes)


def test_a_gateway_that_stays_busy_can_be_asked_again_and_one_that_refuses_cannot() -> None:
    busy = step(channel(), ProblemCode.MPP_RESERVATION_FAILED, replace(SENT, reservations_failed=len(BACKOFF)))
    odd = step(channel(), "store_busy", replace(SENT, refreshed=True))
    assert isinstance(busy, Refuse)
    assert isinstance(odd, Refuse)
    assert (busy.error.code, busy.error.retryable) == ("mpp_reservation_failed", True)
    assert (odd.error.code, odd.error.retryable) == ("store_busy", False)


def test_a_code_that_nobody_knows_is_tried_with_a_fresh_challenge_once() -> None:
    assert step(channel(), "weather") == Refresh()
    assert refusal(step(channel(), "weather", replace(SENT, refreshed=True))) == "weather"


@pytest.mark.parametrize("code", [ProblemCode.MPP_INVALID_CHALLENGE, ProblemCode.PAYMENT_REQUIRED, None])
def test_an_invalid_challenge_is_replaced_once(code: ProblemCode | None) -> None:
    rejection = problem(code)
    assert step(channel(), code) == Refresh()
    assert after(SENT, rejection).refreshed
    assert refusal(step(channel(), code, after(SENT, rejection))) == (code or "payment_rejected")


def test_a_failed_reservation_is_tried_again_three_times_with_more_and_more_patience() -> None:
    rejection, progress, delays = problem(ProblemCode.MPP_RESERVATION_FAILED), SENT, []
    while isinstance(found := step(channel(), rejection.code, progress), Refresh):
        delays.append(found.delay)
        progress = after(progress, rejection)
    assert delays == [0.5, 1.0, 2.0]
    assert refusal(found) == "mpp_reservation_failed"


def test_a_second_raise_for_one_request_is_refused() -> None:
    raised = replace(SENT, raised=True)
    assert refusal(step(channel(), ProblemCode.MPP_VOUCHER_BUCKET_REFRESH_REQUIRED, raised)) == "second_raise_refused"


def test_a_channel_that_is_gone_after_it_was_raised_for_this_request_is_not_followed_by_another() -> None:
    raised = replace(SENT, raised=True, resolved=True)
    for code in (ProblemCode.SESSION_CHANNEL_FINALIZED, ProblemCode.SESSION_CHANNEL_NOT_FOUND, None):
        assert refusal(step(None, code, raised)) == "second_raise_refused"


def test_a_channel_that_is_gone_before_anything_was_raised_is_followed_by_another() -> None:
    assert step(None, ProblemCode.SESSION_CHANNEL_FINALIZED, replace(SENT, resolved=True)) == Open(MILLION)


def test_the_gateway_is_not_believed_that_a_channel_is_gone_which_the_chain_shows() -> None:
    for code in (ProblemCode.SESSION_CHANNEL_FINALIZED, ProblemCode.SESSION_CHANNEL_NOT_FOUND):
        assert refusal(step(channel(), code, replace(SENT, resolved=True))) == "channel_disputed"


def test_a_voucher_that_another_process_outran_is_followed_by_the_higher_one() -> None:
    outrun = channel(cumulative_amount=2 * MILLION)
    for code in (ProblemCode.MPP_VOUCHER_BUCKET_REFRESH_REQUIRED, ProblemCode.MPP_PAYMENT_VERIFICATION_FAILED):
        assert step(outrun, code) == Voucher(2 * MILLION, hold=Hold.RAISES)


def test_a_channel_that_is_still_being_opened_is_never_paid_with_a_bare_voucher() -> None:
    young = opening(cumulative_amount=2 * MILLION)
    assert step(young, ProblemCode.MPP_VOUCHER_BUCKET_REFRESH_REQUIRED) == Resolve()


def test_a_deposit_said_to_be_too_low_is_looked_up_before_it_is_believed() -> None:
    code, looked = ProblemCode.MPP_SESSION_DEPOSIT_BELOW_REQUEST_COST, replace(SENT, resolved=True)
    assert step(channel(), code) == Resolve()
    assert step(channel(), code, looked) == Voucher(MILLION, hold=Hold.RAISES)
    assert step(channel(deposit=MILLION // 4), code, looked) == TopUp(3 * MILLION // 4)


def test_a_deposit_is_topped_up_once() -> None:
    done = replace(SENT, resolved=True, topped_up=True)
    for code in (ProblemCode.MPP_SESSION_DEPOSIT_BELOW_REQUEST_COST, ProblemCode.MPP_VOUCHER_BUCKET_REFRESH_REQUIRED):
        disputed = channel(deposit=MILLION - 1)
        assert refusal(step(disputed, code, done)) == "mpp_session_deposit_below_request_cost"


def test_no_second_top_up_is_signed_while_one_is_under_way() -> None:
    code, busy = ProblemCode.MPP_VOUCHER_BUCKET_REFRESH_REQUIRED, channel(deposit=MILLION, pending=TOP_UP)
    assert step(busy, code) == Resolve()
    assert step(busy, code, replace(SENT, resolved=True)) == Resend()
    assert refusal(step(busy, code, replace(SENT, resolved=True, resent=True))) == "deposit_in_flight"


def test_a_gateway_that_takes_no_raise_of_the_amount_it_asks_for_is_refused() -> None:
    senseless = session_request(min_voucher_delta=MILLION + 1)
    code = ProblemCode.MPP_VOUCHER_BUCKET_REFRESH_REQUIRED
    assert refusal(step(channel(), code, request=senseless)) == "min_voucher_delta"


def test_a_raise_stops_at_max_spend() -> None:
    caps, code = Caps(5 * MILLION, max_spend=3 * MILLION), ProblemCode.MPP_VOUCHER_BUCKET_REFRESH_REQUIRED
    assert step(channel(), code, caps=caps, committed=Committed(raised=2 * MILLION)) == RAISED
    assert refusal(step(channel(), code, caps=caps, committed=Committed(raised=2 * MILLION + 1))) == (
        "max_spend_exceeded"
    )


@pytest.mark.parametrize("state", CHANNELS)
@pytest.mark.parametrize("code", REACTIONS)
def test_after_a_lost_answer_every_rejection_ends_it(code: ProblemCode | None, state: str) -> None:
    lost = replace(SENT, answer_lost=True)
    assert refusal(step(CHANNELS[state], code, lost)) == outcome_unknown().code == "outcome_unknown"


@pytest.mark.parametrize("state", CHANNELS)
def test_four_credentials_are_all_that_one_request_gets(state: str) -> None:
    spent = replace(SENT, paid_attempts=MAX_PAID_ATTEMPTS)
    assert MAX_PAID_ATTEMPTS == 4
    for code in ("", None, ProblemCode.MPP_RESERVATION_FAILED, ProblemCode.MPP_VOUCHER_BUCKET_REFRESH_REQUIRED):
        assert refusal(step(CHANNELS[state], code, spent)) == "too_many_attempts"


def test_the_fourth_answer_keeps_its_meaning_where_that_is_final() -> None:
    spent = replace(SENT, paid_attempts=MAX_PAID_ATTEMPTS)
    assert refusal(step(channel(), ProblemCode.MPP_COMMIT_FAILED, spent)) == "mpp_commit_failed"


CODES = [None, "weather", *ProblemCode, *CANONICAL]
AMOUNTS = st.integers(0, 2**128 - 1)


def same(one: Step, other: Step) -> bool:
    if isinstance(one, Refuse) and isinstance(other, Refuse):
        return (one.error.code, one.error.message) == (other.error.code, other.error.message)
    return one == other


@given(
    code=st.sampled_from(CODES),
    state=st.sampled_from(list(CHANNELS)),
    claim=AMOUNTS,
    accepted=AMOUNTS,
    progress=st.builds(
        Progress,
        paid_attempts=st.integers(0, 3), sent=st.sampled_from([0, MILLION]), raised=st.booleans(),
        topped_up=st.booleans(), resolved=st.booleans(), resent=st.booleans(), refreshed=st.booleans(),
        reservations_failed=st.integers(0, 3),
    ),
)  # fmt: skip
def test_no_claim_of_the_gateway_changes_the_step(
    code: str | None, state: str, claim: int, accepted: int, progress: Progress
) -> None:
    known = CHANNELS[state]
    honest = step(known, code, progress)
    forged_snapshot = session_request(
        channel_id="0x" + "99" * 32,
        session_snapshot={"acceptedCumulative": str(claim), "spent": str(claim), "requiredCumulative": str(claim)},
    )
    forged = known and replace(known, accepted=accepted)
    claims: dict[str, Any] = {"required_top_up": claim, "channel_id": "0x" + "99" * 32, "challenge_id": "x"}
    assert same(honest, step(forged, code, progress, request=forged_snapshot, **claims))


@given(spent=AMOUNTS, accepted=AMOUNTS, signed=st.integers(MILLION, 5 * MILLION))
def test_a_claim_of_what_was_spent_moves_the_voucher_by_one_challenge_amount_at_most(
    spent: int, accepted: int, signed: int
) -> None:
    found = step(channel(cumulative_amount=signed, spent=spent, accepted=accepted, deposit=10 * MILLION))
    assert isinstance(found, Voucher)
    assert found.cumulative_amount - signed in (0, MILLION)


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
                self.request, self.channel, self.rejection, self.progress, self.caps, self.committed, self.traffic()
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
                return found.error.code
            case Refresh():
                assert self.rejection is not None
                self.progress, self.rejection = after(self.progress, self.rejection), None
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
            return "the lifecycle refuses"
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
            return "the lifecycle refuses"
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
        self.progress = sending(self.progress, found, Traffic(in_flight=self.choose("crowd", [0, 1])))
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
            return "outcome_unknown"
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
        """What the lifecycle can make of the channel when it asks the chain."""
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
        assert end == "outcome_unknown"
