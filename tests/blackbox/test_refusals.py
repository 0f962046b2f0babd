"""Every error code that a gateway can answer a payment with: how it ends, and that it costs no more than the rule."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING

import pytest

from ando_cli.sandbox.faults import Fault
from ando_cli.sandbox.problems import SPECIFICATION_CODES, STABLE_CODES, STOCK_CODES
from ando_cli.sandbox.settings import ERROR_SHAPES
from tests.support.badluck import BODY, Purse, accepted, ask, outcome, paid, purse
from tests.support.forked import constants

if TYPE_CHECKING:
    from tests.support.cli_box import Gateway

BUCKET = 10_000
"""A bucket so small that the deposit of the channel lasts for all raises here."""


@dataclass(frozen=True)
class Course:
    """How a request goes when a payment from an open channel is answered with a code.

    Attributes:
        once: the paid attempts where it is answered with the code once; one means that ando stops there.
        always: the paid attempts where it is answered so again and again.
        raised: how many buckets are authorised on top.
        says: what the error says in the end.
        code: the code of that error where it is not the gateway's own.
    """

    once: int
    always: int
    raised: int
    says: str
    code: str | None = None


def stops(says: str, code: str | None = None) -> Course:
    return Course(once=1, always=1, raised=0, says=says, code=code)


FRESH_CHALLENGE = Course(once=2, always=2, raised=0, says="turned the payment down")
UNBOOKED = stops("whether it was charged is unknown", "mpp_commit_failed")
SMALL = Course(once=2, always=2, raised=1, says="takes no raise as small as the 0.01")
RAISE = Course(once=2, always=2, raised=1, says="second raise", code="second_raise_refused")
DEPOSIT = Course(once=2, always=4, raised=0, says="turned down 4 payments", code="too_many_attempts")
GONE = Course(once=1, always=1, raised=0, says="the chain shows it open", code="channel_disputed")
UNVERIFIED = stops("could not verify the payment", "mpp_payment_verification_failed")
UNREADABLE = stops("could not read the payment credential", "mpp_malformed_credential")
METHOD = stops("does not accept this method", "mpp_method_unsupported")

STABLE = {
    "payment_required": FRESH_CHALLENGE,
    "mpp_voucher_bucket_refresh_required": RAISE,
    "mpp_session_deposit_below_request_cost": DEPOSIT,
    "mpp_invalid_challenge": FRESH_CHALLENGE,
    "mpp_reservation_failed": Course(2, 4, 0, "turned down 4 payments", "too_many_attempts"),
    "mpp_commit_failed": stops("whether it was charged is unknown"),
    "mpp_request_exceeds_voucher_bucket": stops("could cost more than one voucher"),
    "mpp_request_quote_invalid": stops("could not price this request"),
    "mpp_body_digest_mismatch": stops("saw another body"),
    "mpp_malformed_credential": UNREADABLE,
    "mpp_method_unsupported": METHOD,
    "mpp_payment_verification_failed": UNVERIFIED,
    "mpp_payer_not_allowed": stops("does not accept payments from this wallet"),
    "mpp_session_close_unavailable": stops("cannot close sessions now"),
    "mpp_session_close_failed": stops("failed to close the session"),
    "mpp_streaming_unavailable": stops("does not stream paid answers"),
}

SPECIFIED = {
    "session/insufficient-balance": RAISE,
    "session/amount-exceeds-deposit": DEPOSIT,
    "session/delta-too-small": SMALL,
    "session/channel-not-found": GONE,
    "session/channel-finalized": GONE,
    "session/challenge-not-found": FRESH_CHALLENGE,
    "session/invalid-signature": UNVERIFIED,
    "session/signer-mismatch": UNVERIFIED,
    "payment-required": FRESH_CHALLENGE,
    "payment-expired": FRESH_CHALLENGE,
    "payment-insufficient": RAISE,
    "invalid-challenge": FRESH_CHALLENGE,
    "malformed-credential": UNREADABLE,
    "verification-failed": UNVERIFIED,
    "method-unsupported": METHOD,
    "internal-payment-error": UNBOOKED,
}

COURSES = STABLE | SPECIFIED


@pytest.fixture
def small(warm: Gateway) -> Gateway:
    """An open channel, and small buckets."""
    warm.change(amount=BUCKET)
    return warm


def test_the_list_is_the_gateways_own_and_nothing_is_left_out() -> None:
    assert set(STABLE) == set(STABLE_CODES)
    assert set(SPECIFIED) == set(SPECIFICATION_CODES) | set(STOCK_CODES)
    assert len(STABLE) == 16


@pytest.mark.parametrize(
    ("code", "shape"),
    # All shapes of all codes are read in tests/mpp/test_problem.py; here each shape comes with some of the codes.
    [*zip(STABLE, cycle(ERROR_SHAPES), strict=False)] + [(code, "rfc9457") for code in SPECIFIED],
)
def test_a_code_that_comes_once_is_mended_where_it_can_be_and_else_explained(
    small: Gateway, code: str, shape: str
) -> None:
    course, before = COURSES[code], purse(small)
    small.fail(Fault(code=code, shape=shape))
    done = ask(small, "-j")
    if course.once > 1:
        assert "choices" in done.worked().json
        assert outcome(small.box) == "answered"
    else:
        error = done.error
        assert (done.code, error["code"]) == (4, course.code or code)
        assert course.says in error["message"]
        assert error["hint"]
        assert outcome(small.box) == ("unknown" if course.says == UNBOOKED.says else "failed")
    credentials = paid(small)
    assert len(credentials) == course.once
    assert len({entry.body_sha256 for entry in small.log}) == 1
    assert len({entry.idempotency_key_sha256 for entry in small.log}) == 1
    assert len({entry.authorization_sha256 for entry in credentials}) == course.once
    assert purse(small).authorised == before.authorised + course.raised * BUCKET
    assert purse(small).moved == before.moved


@pytest.mark.parametrize("code", [code for code, course in COURSES.items() if course.once > 1])
def test_a_code_that_comes_again_and_again_ends_with_its_bound(small: Gateway, code: str) -> None:
    course, before = COURSES[code], purse(small)
    small.fail(Fault(code=code, times=None))
    error = ask(small, "-j", **constants({"session.decide.planner.BACKOFF": [0.01, 0.02, 0.04]})).error
    assert error["exit_code"] == 4
    assert error["code"] == (course.code or code)
    assert course.says in error["message"]
    assert len(paid(small)) == course.always
    assert len(small.log) - course.always <= 4
    assert purse(small).authorised == before.authorised + course.raised * BUCKET
    assert purse(small).moved == before.moved


def test_a_code_that_is_no_ones_is_shown_as_the_gateway_wrote_it(small: Gateway) -> None:
    before = purse(small)
    small.fail(Fault(status=418, body_text='{"error":{"code":"teapot","message":"short and stout"}}'))
    small.fail(Fault(status=402, body_text="not even JSON", times=None))
    teapot, nothing = ask(small, "-j").error, ask(small, "-j").error
    assert (teapot["exit_code"], teapot["code"]) == (4, "outcome_unknown")
    assert "418 teapot" in teapot["message"]
    assert "short and stout" in teapot["message"]
    assert (nothing["exit_code"], nothing["code"]) == (4, "outcome_unknown")
    assert purse(small) == before


@pytest.mark.parametrize("status", [302, 403, 418, 429, 500, 502, 503, 504])
def test_an_answer_of_somebody_else_to_a_payment_is_unknown_and_spend_says_what_it_can_cost(
    warm: Gateway, status: int
) -> None:
    before = purse(warm)
    warm.fail(Fault(status=status, body_text="<html>"))
    error = ask(warm, "-j").error
    assert (error["exit_code"], error["code"], error["retryable"]) == (4, "outcome_unknown", False)
    held = re.search(r"a voucher for ([0-9.]+) is with the server", error["message"])
    assert held is not None
    assert "ando spend" in error["hint"]
    assert len(paid(warm)) == 1
    assert purse(warm) == before
    totals = warm.box.run("spend", "-j").worked().json
    assert f"'at_most': '{held[1]}'" in str(totals)
    assert outcome(warm.box) == "unknown"


@pytest.mark.parametrize(("code", "action"), [("rate_limit_exceeded", "unpaid"), ("server_error", "voucher")])
def test_an_error_that_is_not_about_payment_ends_the_request_and_authorises_nothing(
    small: Gateway, code: str, action: str
) -> None:
    before = purse(small)
    small.fail(Fault(on=action, code=code, headers={"x-request-id": "abc-123"}))
    done = ask(small)
    assert ("abc-123" in done.refused(1)) if action == "unpaid" else ("unknown" in done.refused(4))
    assert len(paid(small)) == (action == "voucher")
    assert purse(small) == before


@pytest.mark.parametrize("code", ["mpp_payer_not_allowed", "mpp_commit_failed", "mpp_payment_verification_failed"])
def test_request_prints_the_answer_of_a_gateway_that_turns_it_down(small: Gateway, code: str) -> None:
    small.fail(Fault(code=code))
    done = small.box.run("request", "--json", BODY, "/mpp/chat/completions")
    assert done.code == 4
    assert done.json["error"]["code"] == code
    assert COURSES[code].says in done.stderr
    small.fail(Fault(code=code))
    assert small.box.run("request", "-j", "--json", BODY, "/mpp/chat/completions").error["code"] == code
    assert len(paid(small)) == 2


# The first payment of a channel.


@pytest.mark.parametrize(
    "code",
    [
        "mpp_voucher_bucket_refresh_required",
        "mpp_session_deposit_below_request_cost",
        "mpp_invalid_challenge",
        "mpp_reservation_failed",
        "session/channel-not-found",
    ],
)
def test_an_open_that_was_turned_down_once_is_sent_again_as_the_same_channel(gateway: Gateway, code: str) -> None:
    gateway.fail(Fault(on="open", code=code))
    ask(gateway).worked()
    assert [entry.action for entry in paid(gateway)] == ["open", "open"]
    assert (purse(gateway).channels, purse(gateway).authorised) == (1, 1_000_000)
    assert purse(gateway).moved == purse(gateway).deposit == 5_000_000
    assert len(accepted(gateway)) == 1


@pytest.mark.parametrize(
    "code", ["mpp_payer_not_allowed", "mpp_payment_verification_failed", "mpp_request_quote_invalid"]
)
def test_an_open_that_was_refused_stays_one_and_is_used_when_the_gateway_comes_round(
    gateway: Gateway, code: str
) -> None:
    gateway.fail(Fault(on="open", code=code))
    assert ask(gateway, "-j").error["code"] == code
    assert len(paid(gateway)) == 1
    assert purse(gateway).moved == 0
    ask(gateway).worked()
    assert purse(gateway) == Purse(channels=1, authorised=1_000_000, deposit=5_000_000, moved=5_000_000)


@pytest.mark.parametrize("code", ["mpp_voucher_bucket_refresh_required", "mpp_invalid_challenge", "payment_required"])
def test_an_open_that_is_turned_down_for_ever_signs_one_deposit_and_stops(gateway: Gateway, code: str) -> None:
    gateway.fail(Fault(on="open", code=code, times=None))
    assert ask(gateway).code == 4
    assert 1 <= len(paid(gateway)) <= 4
    assert (purse(gateway).channels, purse(gateway).authorised, purse(gateway).moved) == (1, 1_000_000, 0)


def test_an_open_that_took_effect_and_was_turned_down_is_found_on_the_chain(gateway: Gateway) -> None:
    """The gateway broadcast the open, then failed to reserve: the channel is there, so a voucher of the same amount."""
    gateway.change(model_seconds=0.0)
    gateway.fail(Fault(on="open", drop="after", times=2))
    assert ask(gateway, "-j").error["code"] == "outcome_unknown"
    gateway.forget_log()
    gateway.fail(Fault(on="voucher", code="mpp_reservation_failed"))
    ask(gateway).worked()
    assert [entry.action for entry in paid(gateway)] == ["voucher", "voucher"]
    assert purse(gateway) == Purse(channels=1, authorised=1_000_000, deposit=5_000_000, moved=5_000_000)
