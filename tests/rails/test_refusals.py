"""How a refusal of the planner reads: its code, what happened, and what to do about it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ando_cli.errors import BudgetExceededError, InvariantError, OutcomeUnknownError
from ando_cli.mpp.advice import FINAL
from ando_cli.mpp.problem import ProblemCode
from ando_cli.rails.refusals import refusal
from ando_cli.session.decide.policy import Caps, Committed
from ando_cli.session.decide.situation import Situation
from ando_cli.session.decide.steps import Reason, Refuse
from tests.support.session_doubles import MILLION, channel, problem, session_request

CAPS = Caps(5 * MILLION, max_spend=3 * MILLION)

CODES = {
    Reason.ANSWER_LOST: "outcome_unknown",
    Reason.FINAL: "mpp_payer_not_allowed",
    Reason.TOO_MANY_ATTEMPTS: "too_many_attempts",
    Reason.REJECTED: "mpp_payer_not_allowed",
    Reason.SECOND_RAISE: "second_raise_refused",
    Reason.DELTA_TOO_SMALL: "min_voucher_delta",
    Reason.MAX_SPEND: "max_spend_exceeded",
    Reason.DEPOSIT_DISPUTED: "mpp_session_deposit_below_request_cost",
    Reason.CHANNEL_DISPUTED: "channel_disputed",
    Reason.DEPOSIT_IN_FLIGHT: "deposit_in_flight",
}


def situation(code: str | None = "mpp_payer_not_allowed", **changes: Any) -> Situation:
    usual = {"channel": channel(), "rejection": problem(code), "committed": Committed(raised=2 * MILLION)}
    return Situation(session_request(min_voucher_delta=2 * MILLION), CAPS, **(usual | changes))


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_code_and_says_in_one_line_each_what_happened_and_what_to_do(reason: Reason) -> None:
    silent = reason is Reason.DEPOSIT_IN_FLIGHT
    error = refusal(Refuse(reason), situation(rejection=None) if silent else situation())
    assert error.code == CODES[reason]
    assert error.hint
    assert "\n" not in error.message + error.hint


def test_amounts_are_named() -> None:
    assert "1.00 but accepts no raise below 2.00" in refusal(Refuse(Reason.DELTA_TOO_SMALL), situation()).message
    spent = refusal(Refuse(Reason.MAX_SPEND), situation(committed=Committed(raised=3 * MILLION)))
    assert isinstance(spent, BudgetExceededError)
    assert "1.00 more, above the 3.00" in spent.message
    assert "--max-spend 4.00" in (spent.hint or "")


@pytest.mark.parametrize("code", FINAL)
def test_a_final_code_is_named_in_the_gateways_own_vocabulary_with_its_words(code: ProblemCode) -> None:
    error = refusal(Refuse(Reason.FINAL), situation(code))
    assert (error.code, error.message) == (code, f"{FINAL[code].happened} (no)")
    assert isinstance(error, OutcomeUnknownError) is (code is ProblemCode.MPP_COMMIT_FAILED)
    assert error.retryable is ("close" in code), "a close is the same one when it is asked for again"


def test_a_code_of_the_specification_reads_as_the_code_it_stands_for() -> None:
    error = refusal(Refuse(Reason.FINAL), situation("internal-payment-error"))
    assert isinstance(error, OutcomeUnknownError)
    assert error.code == "mpp_commit_failed"


def test_a_remedy_names_the_command_to_type() -> None:
    assert "ando session list" in (refusal(Refuse(Reason.FINAL), situation("verification-failed")).hint or "")
    assert "--max-tokens" in (
        refusal(Refuse(Reason.FINAL), situation(ProblemCode.MPP_REQUEST_EXCEEDS_VOUCHER_BUCKET)).hint or ""
    )
    assert "ando" not in " ".join(advice.remedy.replace("update ando", "") for advice in FINAL.values()), (
        "what is below the commands knows none of them"
    )


def test_a_rejection_keeps_the_gateways_code_and_words_and_a_busy_gateway_can_be_asked_again() -> None:
    error = refusal(Refuse(Reason.REJECTED), situation("weather"))
    assert (error.code, error.retryable) == ("weather", False)
    assert error.message == "the gateway turned the payment down (402): no"
    assert refusal(Refuse(Reason.REJECTED), situation(None)).code == "payment_rejected"
    assert refusal(Refuse(Reason.REJECTED), situation("mpp_reservation_failed")).retryable
    assert not refusal(Refuse(Reason.REJECTED), situation("store_busy")).retryable, "it is not our own code"


def test_a_gateway_that_may_hold_a_higher_voucher_leads_to_authorised() -> None:
    for reason in (Reason.FINAL, Reason.SECOND_RAISE):
        plain, outrun = (refusal(Refuse(reason, outrun=known), situation()) for known in (False, True))
        assert re.search("ando session recover 0x[0-9a-f]{8}.*--authorised AMOUNT", outrun.hint or "")
        assert "--authorised" not in (plain.hint or "")
        assert (outrun.code, outrun.message) == (plain.code, plain.message)


def test_the_fourth_answer_is_quoted_where_there_was_one() -> None:
    assert refusal(Refuse(Reason.TOO_MANY_ATTEMPTS), situation()).message.endswith(
        "for one request; the gateway says: no (mpp_payer_not_allowed)"
    )
    silent = refusal(Refuse(Reason.TOO_MANY_ATTEMPTS), situation(rejection=None))
    assert silent.message.endswith("for one request")


@pytest.mark.parametrize("reason", [Reason.FINAL, Reason.REJECTED])
def test_a_refusal_of_a_rejection_that_did_not_come_is_a_fault_of_ours(reason: Reason) -> None:
    with pytest.raises(InvariantError):
        refusal(Refuse(reason), situation(rejection=None))
    with pytest.raises(InvariantError):
        refusal(Refuse(Reason.FINAL), situation("payment_required"))


@pytest.mark.parametrize(
    "reason",
    [
        Reason.SECOND_RAISE,
        Reason.DEPOSIT_DISPUTED,
        Reason.CHANNEL_DISPUTED,
        Reason.DEPOSIT_IN_FLIGHT,
        Reason.ANSWER_LOST,
    ],
)
def test_what_the_gateway_said_is_not_lost_where_a_rule_of_ours_ends_it(reason: Reason) -> None:
    assert refusal(Refuse(reason), situation("weather")).message.endswith("; the gateway says: no (weather)")
    assert refusal(Refuse(reason), situation(None)).message.endswith("; the gateway says: no")


def test_a_deposit_that_was_turned_down_has_the_gateways_code() -> None:
    error = refusal(Refuse(Reason.DEPOSIT_IN_FLIGHT), situation("mpp_payer_not_allowed"))
    assert (error.code, error.retryable) == ("mpp_payer_not_allowed", True)
    assert refusal(Refuse(Reason.DEPOSIT_IN_FLIGHT), situation(None)).code == "deposit_in_flight"


@pytest.mark.parametrize("code", ["session/delta-too-small", "delta-too-small"])
def test_a_raise_that_is_too_small_for_the_gateway_is_called_that(code: str) -> None:
    error = refusal(Refuse(Reason.SECOND_RAISE), situation(code))
    assert error.code == code
    assert "no raise as small as the 1.00" in error.message


def test_a_lost_answer_names_the_voucher_that_the_gateway_holds() -> None:
    told = refusal(Refuse(Reason.ANSWER_LOST), situation(channel=channel(spent=MILLION // 4)))
    assert "a voucher for 0.75 is with the server" in told.message
