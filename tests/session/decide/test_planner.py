"""The planner: every step, every code, every state."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ando_cli
from ando_cli.mpp.advice import FINAL
from ando_cli.mpp.problem import CANONICAL, ProblemCode
from ando_cli.session.decide.planner import BACKOFF, MAX_PAID_ATTEMPTS, REACTIONS, Reaction, plan, reactions_table
from ando_cli.session.decide.policy import Caps, Committed
from ando_cli.session.decide.situation import Phase, Progress, Situation
from ando_cli.session.decide.steps import (
    Agree,
    Open,
    Reason,
    Refresh,
    Refuse,
    Resend,
    Resolve,
    Step,
    TopUp,
    Voucher,
)
from ando_cli.session.traffic import Hold, Traffic
from tests.support.plans import CAPS, CHANNELS, CODES, TOP_UP
from tests.support.session_doubles import MILLION, channel, opening, problem, session_request

if TYPE_CHECKING:
    from ando_cli.mpp.session import SessionRequest
    from ando_cli.session.channel import Channel

SENT = Progress(paid_attempts=1, sent=MILLION)
"""One voucher of what ``channel()`` authorises was sent."""

RAISED = Voucher(2 * MILLION, raised_by=MILLION, hold=Hold.EVERYTHING)
"""A raise of what ``channel()`` authorises, at a gateway that is not known to charge in full."""


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
    return plan(Situation(request or session_request(), caps, known, rejection, progress, committed))


def refusal(found: Step) -> Reason:
    assert isinstance(found, Refuse)
    return found.reason


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


@pytest.mark.parametrize("code", ["", ProblemCode.MPP_VOUCHER_BUCKET_REFRESH_REQUIRED])
def test_a_raise_above_the_agreed_step_is_asked_for_first(code: str) -> None:
    agreed = channel(spent=MILLION, step=MILLION)
    within = step(agreed, code)
    assert isinstance(within, Voucher)
    assert within.raised_by == MILLION
    larger = session_request(amount=MILLION + 1)
    assert step(agreed, code, request=larger) == Agree(MILLION + 1)
    for allowed in (MILLION + 1, 2 * MILLION):
        found = step(agreed, code, Progress(agreed=allowed), request=larger)
        assert isinstance(found, Voucher)
        assert found.raised_by == MILLION + 1
    assert step(agreed, code, Progress(agreed=MILLION), request=larger) == Agree(MILLION + 1)


def test_no_top_up_is_made_for_a_raise_that_was_not_agreed_to() -> None:
    larger = session_request(amount=9 * MILLION)
    assert step(channel(spent=MILLION, step=MILLION), request=larger) == Agree(9 * MILLION)


def test_where_no_step_is_on_record_the_next_offer_within_one_deposit_is_it() -> None:
    unknown = channel(spent=MILLION)
    found = step(unknown, request=session_request(amount=4 * MILLION))
    assert isinstance(found, Voucher)
    assert step(unknown, request=session_request(amount=5 * MILLION + 1)) == Agree(5 * MILLION + 1)


def test_what_is_above_max_spend_is_refused_and_not_asked_for() -> None:
    larger, caps = session_request(amount=2 * MILLION), Caps(5 * MILLION, max_spend=2 * MILLION - 1)
    assert refusal(step(channel(spent=MILLION, step=MILLION), caps=caps, request=larger)) is Reason.MAX_SPEND


def test_a_raise_past_the_deposit_tops_up_what_is_missing_first() -> None:
    assert step(channel(deposit=2 * MILLION - 1, spent=MILLION)) == TopUp(1)


@pytest.mark.parametrize("known", [opening(), channel(pending=TOP_UP)], ids=["opening", "topping up"])
def test_a_transaction_of_unknown_fate_is_asked_about_then_sent_again_once_then_left_alone(known: Channel) -> None:
    assert step(known) == Resolve()
    assert step(known, progress=Progress(resolved=True)) == Resend()
    assert refusal(step(known, progress=Progress(resolved=True, resent=True))) is Reason.DEPOSIT_IN_FLIGHT


# Reactions: what each code leads to in each state of the channel

CODES_AND_STATES = [(code, state) for code in REACTIONS for state in CHANNELS]
ONCE_FRESH = (ProblemCode.PAYMENT_REQUIRED, ProblemCode.MPP_INVALID_CHALLENGE, None)
"""The codes that a fresh challenge may mend."""


def stubborn(code: ProblemCode | None, state: str, progress: Progress = SENT) -> list[Step]:
    """The steps of a request whose every credential is rejected with ``code``, while nothing else ever changes."""
    known, rejection, taken = CHANNELS[state], problem(code), list[Step]()
    answered = True
    while not taken or not isinstance(taken[-1], Refuse):
        found = plan(Situation(session_request(), CAPS, known, rejection if answered else None, progress))
        taken.append(found)
        assert len(taken) < 20, "it does not end"
        sends = True
        match found:
            case Refresh():
                progress, answered, sends = progress.after_refresh(rejection), False, False
            case Resolve():
                progress, sends = replace(progress, resolved=True), False
            case Open(amount):
                known, progress = opening(cumulative_amount=amount), replace(progress, raised=True)
            case Resend():
                progress = replace(progress, resent=True)
            case TopUp():
                progress = replace(progress, topped_up=True)
            case Voucher():
                assert known is not None
                known = replace(known, cumulative_amount=found.cumulative_amount)
                progress = replace(found.recorded(progress, Traffic()), sent=found.cumulative_amount)
            case Refuse():
                sends = False
        if sends:
            progress, answered = replace(progress, paid_attempts=progress.paid_attempts + 1), True
    return taken


def test_the_table_names_every_code_in_every_state() -> None:
    assert {code for code in REACTIONS if code is not None} == set(ProblemCode)
    assert all(set(row) == set(Phase) for row in REACTIONS.values())


def test_what_is_final_by_the_table_is_what_there_is_advice_for() -> None:
    assert {code for code, row in REACTIONS.items() if set(row.values()) == {Reaction.STOP}} == set(FINAL)
    assert all(Reaction.STOP not in row.values() for code, row in REACTIONS.items() if code not in FINAL)


def test_the_architecture_shows_the_table() -> None:
    shown = (Path(ando_cli.__file__).parents[1] / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert f"\n\n<!-- reactions -->\n{reactions_table()}<!-- /reactions -->\n" in shown


@pytest.mark.parametrize(("code", "state"), CODES_AND_STATES)
def test_a_gateway_that_always_rejects_is_given_up_within_bounds(code: ProblemCode | None, state: str) -> None:
    taken = stubborn(code, state)
    kinds = Counter(type(found) for found in taken)
    sent = kinds[Open] + kinds[Resend] + kinds[TopUp] + kinds[Voucher]
    assert sent + SENT.paid_attempts <= MAX_PAID_ATTEMPTS
    raised = [found for found in taken if isinstance(found, Open) or (isinstance(found, Voucher) and found.raised_by)]
    assert len(raised) <= 1, "at most one raise, opening included"
    assert all(kinds[once] <= 1 for once in (Open, Resolve, Resend, TopUp))
    assert kinds[Refresh] <= (len(BACKOFF) if code is ProblemCode.MPP_RESERVATION_FAILED else 1)


@pytest.mark.parametrize("state", CHANNELS)
@pytest.mark.parametrize("code", FINAL)
def test_a_final_code_stops_at_once_whatever_the_channel_and_whatever_was_done(code: ProblemCode, state: str) -> None:
    for done in (SENT, replace(SENT, resolved=True, refreshed=True), replace(SENT, raised=True, paid_attempts=4)):
        assert refusal(step(CHANNELS[state], code, done)) is Reason.FINAL


@pytest.mark.parametrize("code", [code for code in REACTIONS if code not in FINAL])
def test_whatever_is_said_without_a_channel_one_is_opened_and_one_that_is_being_opened_is_asked_about(
    code: ProblemCode | None,
) -> None:
    assert step(None, code) == Open(MILLION)
    assert step(opening(), code) == Resolve()
    looked = replace(SENT, resolved=True)
    assert step(opening(), code, looked) == Resend()
    assert refusal(step(opening(), code, replace(looked, resent=True))) is Reason.DEPOSIT_IN_FLIGHT
    fresh = replace(looked, refreshed=True)
    for known, wanted in ((None, Open(MILLION)), (opening(), Resend())):
        expected = Refuse(Reason.REJECTED) if code in ONCE_FRESH else wanted
        assert step(known, code, fresh) == expected, "a fresh challenge is answered once"
    assert step(opening(), code, replace(fresh, resolved=False)) == Resolve()


@pytest.mark.parametrize(("code", "state"), [(code, state) for code, state in CODES_AND_STATES if code not in FINAL])
def test_only_being_told_that_nothing_is_left_raises_and_only_a_claim_about_the_deposit_tops_up(
    code: ProblemCode | None, state: str
) -> None:
    told = code is ProblemCode.MPP_VOUCHER_BUCKET_REFRESH_REQUIRED
    low = told or code is ProblemCode.MPP_SESSION_DEPOSIT_BELOW_REQUEST_COST
    for done in (SENT, replace(SENT, resolved=True), replace(SENT, resolved=True, refreshed=True)):
        found = step(CHANNELS[state], code, done)
        if isinstance(found, Voucher):
            assert found.raised_by == (MILLION if told else 0)
        assert low or not isinstance(found, TopUp)


def test_a_gateway_that_says_that_nothing_is_left_gets_a_raise_within_the_deposit() -> None:
    code = ProblemCode.MPP_VOUCHER_BUCKET_REFRESH_REQUIRED
    assert step(CHANNELS["room"], code) == RAISED
    assert step(CHANNELS["full"], code) == TopUp(MILLION)
    assert step(CHANNELS["topping up"], code) == Resolve()


@pytest.mark.parametrize("state", ["room", "full", "topping up"])
def test_a_code_about_an_open_channel_has_the_same_reaction_whatever_its_deposit(state: str) -> None:
    known = CHANNELS[state]
    assert [step(known, code) for code in ONCE_FRESH] == [Refresh()] * len(ONCE_FRESH)
    assert step(known, ProblemCode.MPP_RESERVATION_FAILED) == Refresh(BACKOFF[0])
    for code in (
        ProblemCode.MPP_SESSION_DEPOSIT_BELOW_REQUEST_COST,
        ProblemCode.SESSION_CHANNEL_NOT_FOUND,
        ProblemCode.SESSION_CHANNEL_FINALIZED,
    ):
        assert step(known, code) == Resolve(), "the chain is asked before the gateway is believed"


@pytest.mark.parametrize("name", CANONICAL)
def test_a_code_of_the_specification_has_the_reaction_of_the_code_it_stands_for(name: str) -> None:
    for known in CHANNELS.values():
        assert step(known, name) == step(known, CANONICAL[name])


def test_a_code_that_nobody_knows_is_tried_with_a_fresh_challenge_once() -> None:
    assert step(channel(), "weather") == Refresh()
    assert refusal(step(channel(), "weather", replace(SENT, refreshed=True))) is Reason.REJECTED


@pytest.mark.parametrize("code", [ProblemCode.MPP_INVALID_CHALLENGE, ProblemCode.PAYMENT_REQUIRED, None])
def test_without_a_channel_too_an_invalid_challenge_is_replaced_once(code: ProblemCode | None) -> None:
    refreshed = replace(SENT, resolved=True, refreshed=True)
    assert step(None, code, replace(refreshed, refreshed=False)) == Open(MILLION)
    assert refusal(step(None, code, refreshed)) is Reason.REJECTED
    assert refusal(step(opening(), code, refreshed)) is Reason.REJECTED


@pytest.mark.parametrize(
    "code",
    [
        ProblemCode.SESSION_CHANNEL_FINALIZED,
        ProblemCode.MPP_VOUCHER_BUCKET_REFRESH_REQUIRED,
        ProblemCode.MPP_RESERVATION_FAILED,
    ],
)
def test_a_replaced_challenge_that_is_followed_by_another_code_does_not_end_it(code: str) -> None:
    refreshed = replace(SENT, resolved=True, refreshed=True)
    assert step(None, code, refreshed) == Open(MILLION)
    assert step(opening(), code, refreshed) == Resend()


@pytest.mark.parametrize("code", [ProblemCode.MPP_INVALID_CHALLENGE, ProblemCode.PAYMENT_REQUIRED, None])
def test_an_invalid_challenge_is_replaced_once(code: ProblemCode | None) -> None:
    rejection = problem(code)
    assert step(channel(), code) == Refresh()
    assert SENT.after_refresh(rejection).refreshed
    assert refusal(step(channel(), code, SENT.after_refresh(rejection))) is Reason.REJECTED


def test_a_failed_reservation_is_tried_again_three_times_with_more_and_more_patience() -> None:
    rejection, progress, delays = problem(ProblemCode.MPP_RESERVATION_FAILED), SENT, []
    while isinstance(found := step(channel(), rejection.code, progress), Refresh):
        delays.append(found.delay)
        progress = progress.after_refresh(rejection)
    assert delays == [0.5, 1.0, 2.0]
    assert refusal(found) is Reason.REJECTED


def test_a_second_raise_for_one_request_is_refused() -> None:
    raised = replace(SENT, raised=True)
    assert refusal(step(channel(), ProblemCode.MPP_VOUCHER_BUCKET_REFRESH_REQUIRED, raised)) is Reason.SECOND_RAISE


def test_a_channel_that_is_gone_after_it_was_raised_for_this_request_is_not_followed_by_another() -> None:
    raised = replace(SENT, raised=True, resolved=True)
    for code in (ProblemCode.SESSION_CHANNEL_FINALIZED, ProblemCode.SESSION_CHANNEL_NOT_FOUND, None):
        assert refusal(step(None, code, raised)) is Reason.SECOND_RAISE


def test_a_channel_that_is_gone_before_anything_was_raised_is_followed_by_another() -> None:
    assert step(None, ProblemCode.SESSION_CHANNEL_FINALIZED, replace(SENT, resolved=True)) == Open(MILLION)


def test_the_gateway_is_not_believed_that_a_channel_is_gone_which_the_chain_shows() -> None:
    for code in (ProblemCode.SESSION_CHANNEL_FINALIZED, ProblemCode.SESSION_CHANNEL_NOT_FOUND):
        assert refusal(step(channel(), code, replace(SENT, resolved=True))) is Reason.CHANNEL_DISPUTED


def test_a_voucher_that_another_process_outran_is_followed_by_the_higher_one() -> None:
    outrun = channel(cumulative_amount=2 * MILLION)
    for code in (ProblemCode.MPP_VOUCHER_BUCKET_REFRESH_REQUIRED, ProblemCode.MPP_PAYMENT_VERIFICATION_FAILED):
        assert step(outrun, code) == Voucher(2 * MILLION, hold=Hold.RAISES)


def test_a_channel_that_is_still_being_opened_is_never_paid_with_a_bare_voucher() -> None:
    young = opening(cumulative_amount=2 * MILLION)
    assert step(young, ProblemCode.MPP_VOUCHER_BUCKET_REFRESH_REQUIRED) == Resolve()


LOWER = ProblemCode.MPP_PAYMENT_VERIFICATION_FAILED


@pytest.mark.parametrize(
    ("known", "code", "outrun"),
    [
        (channel(accepted=MILLION - 1), LOWER, True),
        (channel(accepted=MILLION), LOWER, True),  # a store that was restored is below what was accepted since
        (channel(accepted=MILLION - 1), ProblemCode.MPP_PAYER_NOT_ALLOWED, False),
        (opening(), LOWER, False),
        (None, LOWER, False),
    ],
)
def test_a_gateway_may_hold_a_higher_voucher_only_where_it_cannot_verify_one_of_an_open_channel(
    known: Channel | None, code: ProblemCode, outrun: bool
) -> None:
    assert step(known, code) == Refuse(Reason.FINAL, outrun=outrun)


def test_a_deposit_said_to_be_too_low_is_looked_up_before_it_is_believed() -> None:
    code, looked = ProblemCode.MPP_SESSION_DEPOSIT_BELOW_REQUEST_COST, replace(SENT, resolved=True)
    assert step(channel(), code) == Resolve()
    assert step(channel(), code, looked) == Voucher(MILLION, hold=Hold.RAISES)
    assert step(channel(deposit=MILLION), code, looked) == Voucher(MILLION, hold=Hold.RAISES)
    assert step(channel(deposit=MILLION - 1), code, looked) == TopUp(1)
    assert step(channel(deposit=MILLION // 4), code, looked) == TopUp(3 * MILLION // 4)
    assert step(channel(deposit=MILLION), code, looked) == Voucher(MILLION, hold=Hold.RAISES)
    assert step(channel(deposit=MILLION - 1), code, looked) == TopUp(1)


def test_a_deposit_is_topped_up_once() -> None:
    done = replace(SENT, resolved=True, topped_up=True)
    for code in (ProblemCode.MPP_SESSION_DEPOSIT_BELOW_REQUEST_COST, ProblemCode.MPP_VOUCHER_BUCKET_REFRESH_REQUIRED):
        disputed = channel(deposit=MILLION - 1)
        assert refusal(step(disputed, code, done)) is Reason.DEPOSIT_DISPUTED


def test_no_second_top_up_is_signed_while_one_is_under_way() -> None:
    code, busy = ProblemCode.MPP_VOUCHER_BUCKET_REFRESH_REQUIRED, channel(deposit=MILLION, pending=TOP_UP)
    assert step(busy, code) == Resolve()
    assert step(busy, code, replace(SENT, resolved=True)) == Resend()
    assert refusal(step(busy, code, replace(SENT, resolved=True, resent=True))) is Reason.DEPOSIT_IN_FLIGHT


def test_a_gateway_that_takes_no_raise_of_the_amount_it_asks_for_is_refused() -> None:
    senseless = session_request(min_voucher_delta=MILLION + 1)
    code = ProblemCode.MPP_VOUCHER_BUCKET_REFRESH_REQUIRED
    assert refusal(step(channel(), code, request=senseless)) is Reason.DELTA_TOO_SMALL


def test_a_raise_of_exactly_the_least_that_the_gateway_takes_is_made() -> None:
    sensible = session_request(min_voucher_delta=MILLION)
    assert step(channel(), ProblemCode.MPP_VOUCHER_BUCKET_REFRESH_REQUIRED, request=sensible) == RAISED


def test_a_raise_stops_at_max_spend() -> None:
    caps, code = Caps(5 * MILLION, max_spend=3 * MILLION), ProblemCode.MPP_VOUCHER_BUCKET_REFRESH_REQUIRED
    assert step(channel(), code, caps=caps, committed=Committed(raised=2 * MILLION)) == RAISED
    assert refusal(step(channel(), code, caps=caps, committed=Committed(raised=2 * MILLION + 1))) is Reason.MAX_SPEND


@pytest.mark.parametrize("state", CHANNELS)
@pytest.mark.parametrize("code", REACTIONS)
def test_after_a_lost_answer_every_rejection_ends_it(code: ProblemCode | None, state: str) -> None:
    lost = replace(SENT, answer_lost=True)
    assert refusal(step(CHANNELS[state], code, lost)) is Reason.ANSWER_LOST


@pytest.mark.parametrize("state", CHANNELS)
def test_four_credentials_are_all_that_one_request_gets(state: str) -> None:
    spent = replace(SENT, paid_attempts=MAX_PAID_ATTEMPTS)
    assert MAX_PAID_ATTEMPTS == 4
    for code in ("", None, ProblemCode.MPP_RESERVATION_FAILED, ProblemCode.MPP_VOUCHER_BUCKET_REFRESH_REQUIRED):
        assert refusal(step(CHANNELS[state], code, spent)) is Reason.TOO_MANY_ATTEMPTS


def test_the_fourth_answer_keeps_its_meaning_where_that_is_final() -> None:
    spent = replace(SENT, paid_attempts=MAX_PAID_ATTEMPTS)
    assert refusal(step(channel(), ProblemCode.MPP_COMMIT_FAILED, spent)) is Reason.FINAL


AMOUNTS = st.integers(0, 2**128 - 1)


def same(one: Step, other: Step) -> bool:
    if isinstance(one, Refuse) and isinstance(other, Refuse):
        return one.reason is other.reason
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
