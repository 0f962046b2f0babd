"""The payment rail, driven as a generator against a gateway without a socket: the loop, and what rejections lead to."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import pytest

from ando_cli.errors import ConsentRequiredError, OutcomeUnknownError, PaymentError
from ando_cli.http.extensions import FAILURE, PAID
from ando_cli.mpp.problem import ProblemCode
from ando_cli.rails.exchange import MAX_UNPAID_REQUESTS
from ando_cli.rails.planning import Quoted
from ando_cli.rails.settlement import Paid
from ando_cli.session.act.session import Deposit, Rise
from ando_cli.session.channel import State
from ando_cli.session.decide.planner import MAX_PAID_ATTEMPTS
from ando_cli.session.decide.steps import Open, Voucher
from tests.support.rails_bench import Bench, paid
from tests.support.rails_gateway import BODY, URL, Seen, b64url, drive, outgoing, refuse
from tests.support.session_doubles import (
    GATEWAY,
    KEY,
    MILLION,
    PAYEE,
    channel,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# The happy paths


def test_what_is_answered_without_asking_for_money_is_left_alone(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    response = drive(bench.auth, lambda _: httpx.Response(200, text="free"))
    assert response.text == "free"
    assert PAID not in response.extensions
    assert bench.store.channels() == []


def test_a_cold_request_opens_a_channel_and_is_answered_by_it(bench: Bench) -> None:
    response = bench.send()
    assert response.status_code == 200
    assert bench.gateway.actions == [None, "open"]
    assert bench.live.state is State.OPEN
    assert (bench.live.deposit, bench.live.cumulative_amount, bench.live.spent) == (5 * MILLION, MILLION, MILLION // 4)
    assert bench.live.pending is None
    assert bench.chain.deposits == 5 * MILLION
    assert replace(paid(response), channel=None) == Paid(None, MILLION, 5 * MILLION, MILLION // 4)  # type: ignore[arg-type]


def test_a_warm_request_pays_with_the_same_voucher_and_asks_neither_chain_nor_user(bench: Bench) -> None:
    bench.have(channel())
    response = bench.send()
    assert bench.gateway.actions == [None, "voucher"]
    assert bench.gateway.seen[1].cumulative == MILLION
    assert (bench.chain.asked, bench.consent.asked) == (0, [])
    assert (paid(response).raised, paid(response).deposited) == (0, 0)


def test_every_try_sends_the_same_bytes_under_the_same_key(bench: Bench) -> None:
    bench.have(channel(spent=0, cumulative_amount=MILLION))
    bench.gateway.script = [
        lambda seen: bench.gateway.challenge(seen, "mpp_reservation_failed"),
        lambda seen: bench.gateway.challenge(seen, "mpp_voucher_bucket_refresh_required"),
    ]
    bench.send()
    assert len(bench.gateway.seen) == 5
    assert {(seen.method, seen.url, seen.body) for seen in bench.gateway.seen} == {("POST", URL, BODY)}
    keys = {seen.headers["Idempotency-Key"] for seen in bench.gateway.seen}
    assert len(keys) == 1
    assert uuid.UUID(keys.pop())
    assert {seen.headers["Accept-Payment"] for seen in bench.gateway.seen} == {"tempo/session"}


def test_an_idempotency_key_that_the_caller_chose_is_kept(bench: Bench) -> None:
    request = outgoing()
    request.headers["Idempotency-Key"] = "mine"
    bench.send(request)
    assert {seen.headers["Idempotency-Key"] for seen in bench.gateway.seen} == {"mine"}


def test_two_requests_have_two_keys(bench: Bench) -> None:
    bench.send()
    bench.send()
    assert len({seen.headers["Idempotency-Key"] for seen in bench.gateway.seen}) == 2


def test_the_challenge_is_echoed_as_it_came(bench: Bench) -> None:
    bench.gateway.params = {"opaque": b64url({"z": 1, "a": [2]}), "description": "a, b"}
    bench.send()
    credential = bench.gateway.seen[1].credential
    assert credential is not None
    assert credential["challenge"]["opaque"] == bench.gateway.params["opaque"]
    assert credential["challenge"]["description"] == "a, b"


def test_a_challenge_that_comes_with_a_rejection_is_used_for_the_next_try(bench: Bench) -> None:
    bench.have(channel(spent=MILLION - 1))
    bench.send()
    assert bench.gateway.actions == [None, "voucher", "voucher"]
    assert [seen.cumulative for seen in bench.gateway.paid_for] == [MILLION, 2 * MILLION]


def test_a_rejection_without_a_challenge_is_followed_by_asking_for_one(bench: Bench) -> None:
    bench.have(channel())
    bench.gateway.script = [lambda _: refuse("mpp_voucher_bucket_refresh_required")]
    bench.send()
    assert bench.gateway.actions == [None, "voucher", None, "voucher"]


def test_a_challenge_that_ran_out_is_replaced_before_anything_is_sent(bench: Bench) -> None:
    bench.have(channel())
    real = bench.gateway.unpaid

    def late(seen: Seen) -> httpx.Response:
        response = real(seen)
        if len(bench.gateway.seen) == 1:
            bench.clock.now += 61
        return response

    bench.gateway.unpaid = late  # type: ignore[method-assign]
    assert bench.send().status_code == 200
    assert bench.gateway.actions == [None, None, "voucher"]


def test_challenges_that_are_always_over_end_it_unpaid(bench: Bench) -> None:
    bench.gateway.lifetime = -1
    assert bench.fails() == "no_fresh_challenge"
    assert bench.gateway.actions == [None] * MAX_UNPAID_REQUESTS
    assert bench.store.channels() == []


def test_an_open_that_the_user_thought_about_for_long_goes_out_with_a_fresh_challenge(bench: Bench) -> None:
    bench.consent.meanwhile = lambda: bench.clock.sleep(3600)
    assert bench.send().status_code == 200
    assert bench.gateway.actions == [None, None, "open"]
    assert bench.chain.deposits == 5 * MILLION
    assert len(bench.store.channels()) == 1


def test_a_top_up_that_the_user_thought_about_for_long_goes_out_with_a_fresh_challenge(bench: Bench) -> None:
    bench.have(channel(deposit=MILLION, spent=MILLION - 1))

    bench.consent.meanwhile = lambda: bench.clock.sleep(3600)
    assert bench.send().status_code == 200
    assert bench.gateway.actions == [None, "voucher", None, "topUp", None, "voucher"]
    assert bench.chain.deposits == 6 * MILLION


def test_a_top_up_is_another_request_with_a_key_of_its_own(bench: Bench) -> None:
    bench.have(channel(deposit=MILLION, spent=MILLION - 1))
    response = bench.send()
    assert bench.gateway.actions == [None, "voucher", "topUp", None, "voucher"]
    keys = [seen.headers["Idempotency-Key"] for seen in bench.gateway.seen]
    assert keys[2] not in (keys[0], keys[1])
    assert len(set(keys)) == 2
    assert (paid(response).raised, paid(response).deposited) == (MILLION, 5 * MILLION)
    assert bench.live.deposit == bench.chain.deposits == 6 * MILLION


def test_a_receipt_that_says_all_is_spent_raises_the_next_voucher_without_being_told(bench: Bench) -> None:
    bench.gateway.price = MILLION
    bench.send()
    bench.send()
    assert bench.gateway.actions == [None, "open", None, "voucher"]
    assert bench.gateway.seen[3].cumulative == 2 * MILLION


def test_an_exhausted_channel_with_no_deposit_left_is_topped_up_before_it_is_raised(bench: Bench) -> None:
    bench.have(channel(deposit=MILLION, spent=MILLION))
    bench.send()
    assert bench.gateway.actions == [None, "topUp", None, "voucher"]
    assert bench.gateway.seen[3].cumulative == 2 * MILLION


def test_the_answer_is_booked_with_its_tokens_and_nothing_secret(bench: Bench) -> None:
    bench.send(outgoing(URL + "?token=secret-query"))
    (row,) = (each for each in bench.ledger() if each["outcome"] != "fee")
    assert (row["outcome"], row["authorised"], row["deposited"], row["spent"]) == (
        "answered", "1000000", "5000000", "250000",
    )  # fmt: skip
    assert (row["plan"], row["model"], row["prompt_tokens"], row["completion_tokens"]) == ("Starter", None, 3, 2)
    written = json.dumps(row)
    receipt_id = bench.live.channel_id
    for secret in (
        "secret",
        KEY.address[2:],
        PAYEE[2:],
        receipt_id[2:],
        bench.gateway.seen[0].headers["Idempotency-Key"],
    ):
        assert secret not in written


# Dry run


def test_a_dry_run_signs_and_records_nothing(bench: Bench) -> None:
    with pytest.raises(Quoted) as cold:
        bench.send(outgoing(dry_run=True))
    assert (cold.value.quote.step, cold.value.quote.channel) == (Open(MILLION), None)
    known = bench.have(channel())
    with pytest.raises(Quoted) as warm:
        bench.send(outgoing(dry_run=True))
    assert warm.value.quote.step == Voucher(MILLION)
    assert warm.value.quote.channel == bench.store.channel(known.channel_id)
    assert bench.gateway.actions == [None, None]
    assert (bench.ledger(), bench.chain.asked, bench.consent.asked) == ([], 0, [])


# Rejections


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("code", [*ProblemCode, "weather", None])
def test_a_gateway_that_only_ever_says_one_thing_is_paid_a_bounded_number_of_times(
    bench: Bench, code: str | None, warm: bool
) -> None:
    before = bench.have(channel()).cumulative_amount if warm else 0
    bench.gateway.script = [lambda seen: bench.gateway.challenge(seen, code or "")] * 50
    assert bench.fails()
    assert len(bench.gateway.paid_for) <= MAX_PAID_ATTEMPTS
    assert len(bench.gateway.seen) - len(bench.gateway.paid_for) <= MAX_UNPAID_REQUESTS
    assert max(seen.cumulative for seen in bench.gateway.paid_for) <= before + MILLION
    assert len(bench.store.channels()) == 1


def test_a_failed_reservation_is_tried_again_after_a_while_with_the_same_voucher(bench: Bench) -> None:
    bench.have(channel())
    bench.gateway.script = [lambda seen: bench.gateway.challenge(seen, "mpp_reservation_failed")] * 3
    assert bench.send().status_code == 200
    assert bench.clock.slept == [0.5, 1.0, 2.0]
    assert [seen.cumulative for seen in bench.gateway.paid_for] == [MILLION] * 4


@pytest.mark.parametrize("code", ["mpp_commit_failed", "internal-payment-error"])
def test_a_failed_commit_is_not_tried_again_and_stays_unknown(bench: Bench, code: str) -> None:
    bench.have(channel())
    bench.gateway.script = [lambda _: refuse(code, 500)]
    assert bench.fails() == "mpp_commit_failed"
    assert bench.gateway.actions == [None, "voucher"]
    assert bench.outcomes() == ["unknown"]


def test_what_a_rejection_means_goes_before_what_is_wrong_with_its_challenge(bench: Bench) -> None:
    bench.have(channel())

    def bent(seen: Seen) -> httpx.Response:
        bench.gateway.details = {"chainId": 1}
        return bench.gateway.challenge(seen, "mpp_commit_failed")

    bench.gateway.script = [bent]
    assert bench.fails() == "mpp_commit_failed"
    assert bench.outcomes() == ["unknown"]


UNPROVEN: dict[str, Callable[[], httpx.Response]] = {
    "a redirect": lambda: httpx.Response(302, headers={"Location": "/elsewhere"}),
    "the upstream's 403": lambda: refuse("model_not_allowed", 403),
    "a 429 for longer than is waited": lambda: httpx.Response(429, headers={"Retry-After": "61"}),
    "a 429": lambda: httpx.Response(429),
    "a broken gateway": lambda: httpx.Response(500, text="{"),
    "a proxy's 502": lambda: httpx.Response(502, text="<html>"),
    "a busy proxy": lambda: httpx.Response(503, text="<html>"),
    "a proxy's 504": lambda: httpx.Response(504),
    "a 402 without challenge or known code": lambda: refuse("weather"),
    "a 402 with another scheme": lambda: httpx.Response(402, headers={"WWW-Authenticate": 'Bearer realm="x"'}),
}


@pytest.mark.parametrize("case", UNPROVEN)
def test_an_answer_that_does_not_prove_that_nothing_was_charged_leaves_it_unknown(bench: Bench, case: str) -> None:
    known = bench.have(channel(spent=MILLION // 4, accepted=MILLION))
    bench.gateway.script = [lambda _: UNPROVEN[case]()]
    response = bench.send()
    error = response.extensions[FAILURE]
    assert isinstance(error, OutcomeUnknownError)
    assert (error.code, error.exit_code, error.retryable) == ("outcome_unknown", 4, False)
    assert "a voucher for 0.75 is with the server" in error.message
    assert "`ando spend`" in (error.hint or "")
    assert error.retry_after == (61 if case == "a 429 for longer than is waited" else None)
    assert bench.gateway.actions == [None, "voucher"]
    (row,) = bench.store.ledger()
    assert (row.outcome, row.spent, row.uncertain, row.unspent) == ("unknown", None, True, 3 * MILLION // 4)
    assert bench.live.left == known.deposit - MILLION, "the voucher counts as spent until a receipt tells"
    bench.send()
    assert (bench.live.spent, bench.live.left) == (MILLION // 2, known.deposit - MILLION // 2)


def test_an_open_without_a_proof_names_the_deposit_too(bench: Bench) -> None:
    bench.gateway.script = [lambda _: httpx.Response(502)]
    assert "a deposit of 5.00 and a voucher for 1.00 are with" in bench.send().extensions[FAILURE].message
    assert bench.outcomes() == ["unknown"]


@pytest.mark.parametrize("status", [302, 402, 403, 500, 504])
def test_a_receipt_is_read_whatever_the_status(bench: Bench, status: int) -> None:
    bench.have(channel())

    def failed(seen: Seen) -> httpx.Response:
        return httpx.Response(status, headers={"Payment-Receipt": bench.gateway.paid(seen).headers["Payment-Receipt"]})

    bench.gateway.script = [failed]
    error = bench.send().extensions[FAILURE]
    assert (error.code, type(error)) == ("charged_unanswered", PaymentError)
    assert "0.25 was charged" in error.message
    assert [(row["outcome"], row["spent"]) for row in bench.ledger()] == [("failed", str(MILLION // 4))]
    assert bench.live.spent == MILLION // 4


def test_a_receipt_that_counts_nothing_new_proves_nothing_beside_an_error(bench: Bench) -> None:
    bench.have(channel(spent=MILLION // 4, accepted=MILLION))
    bench.gateway.script = [
        lambda seen: httpx.Response(
            500, headers={"Payment-Receipt": bench.gateway.answer(seen).headers["Payment-Receipt"]}
        )
    ]
    assert bench.send().extensions[FAILURE].code == "outcome_unknown"
    assert bench.outcomes() == ["unknown"]


def test_a_top_up_without_a_proof_is_told_as_one_and_costs_no_request(bench: Bench) -> None:
    bench.have(channel(deposit=MILLION, spent=MILLION, accepted=MILLION))
    bench.gateway.script = [lambda _: httpx.Response(502)]
    error = bench.send().extensions[FAILURE]
    assert isinstance(error, OutcomeUnknownError)
    assert "to a signed top-up of 5.00" in error.message
    assert bench.outcomes() == ["failed"]


def test_a_refusal_carries_the_body_of_the_answer_that_caused_it(bench: Bench) -> None:
    bench.have(channel())
    bench.gateway.script = [lambda _: refuse("mpp_payer_not_allowed", 403)]
    with pytest.raises(PaymentError) as caught:
        bench.send()
    assert json.loads(caught.value.body or b"")["error"]["code"] == "mpp_payer_not_allowed"
    assert bench.outcomes() == ["failed"]


def test_a_gateway_that_claims_the_channel_is_gone_gets_no_second_one(bench: Bench) -> None:
    bench.have(channel())
    bench.gateway.script = [lambda seen: bench.gateway.challenge(seen, "session/channel-not-found")] * 9
    assert bench.fails() == "channel_disputed"
    assert len(bench.store.channels()) == 1
    assert bench.consent.asked == []


def test_a_channel_that_the_chain_shows_closed_is_followed_by_another(bench: Bench) -> None:
    old = bench.have(channel())
    bench.chain.show(old, finalized=True)
    bench.gateway.script = [lambda seen: bench.gateway.challenge(seen, "session/channel-finalized")]
    assert bench.send().status_code == 200
    assert [known.state for known in bench.store.channels()] == [State.OPEN, State.CLOSED]
    assert [
        (row.channel_id, row.outcome, row.authorised, row.spent) for row in bench.store.ledger() if row.is_request
    ] == [
        (old.channel_id, "failed", 0, None),
        (bench.live.channel_id, "answered", MILLION, MILLION // 4),
    ]


def test_a_gateway_that_closes_the_channel_it_had_raised_gets_no_second_amount(bench: Bench) -> None:
    old = bench.have(channel(spent=MILLION - 1))

    def close(seen: Seen) -> httpx.Response:
        bench.chain.show(old, finalized=True)
        return bench.gateway.challenge(seen, "session/channel-finalized")

    bench.gateway.script = [lambda seen: bench.gateway.challenge(seen, "mpp_voucher_bucket_refresh_required"), close]
    assert bench.fails() == "second_raise_refused"
    assert len(bench.store.channels()) == 1
    assert sum(bench.gateway.highest.values()) == 2 * MILLION


@pytest.mark.parametrize("claim", [0, 1, 3 * MILLION, 2**128 - 1])
def test_a_forged_claim_in_a_rejection_raises_by_the_challenge_amount_and_no_more(bench: Bench, claim: int) -> None:
    bench.have(channel())

    def forge(seen: Seen) -> httpx.Response:
        response = bench.gateway.challenge(seen, "x")
        body = {"code": "session/insufficient-balance"} | dict.fromkeys(
            ("requiredTopUp", "requiredCumulative", "acceptedCumulative", "spent"), str(claim)
        )
        return httpx.Response(402, json=body, headers=response.headers)

    bench.gateway.script = [forge]
    bench.send()
    assert [seen.cumulative for seen in bench.gateway.paid_for] == [MILLION, 2 * MILLION]
    assert bench.live.deposit == 5 * MILLION


# How large a raise may be


def test_a_channel_is_opened_with_the_step_that_the_user_was_asked_about(bench: Bench) -> None:
    bench.send()
    assert bench.live.step == MILLION
    (asked,) = bench.consent.asked
    assert isinstance(asked, Deposit)
    assert asked.step == MILLION


@pytest.mark.parametrize("told", [False, True], ids=["used up", "told so"])
def test_a_larger_raise_is_asked_for_and_refused_without_consent(bench: Bench, told: bool) -> None:
    spent = 0 if told else MILLION
    bench.have(channel(step=MILLION, spent=spent, accepted=MILLION))
    bench.gateway.request = {"amount": str(4 * MILLION)}
    bench.gateway.price = 2 * MILLION
    bench.consent.refusal = ConsentRequiredError("no", code="step_exceeded")
    assert bench.fails() == "step_exceeded"
    assert bench.live.cumulative_amount == MILLION
    assert bench.consent.asked == [Rise(4 * MILLION, MILLION, GATEWAY, "TST")]
    bench.consent.refusal = None
    assert paid(bench.send()).raised == 4 * MILLION
    assert bench.live.step == MILLION, "one consent is for one request"


def test_the_first_raise_of_a_channel_without_a_step_becomes_it(bench: Bench) -> None:
    bench.have(channel(spent=MILLION, accepted=MILLION))
    assert paid(bench.send()).raised == MILLION
    assert bench.live.step == MILLION
    assert bench.consent.asked == []
    bench.gateway.request = {"amount": str(2 * MILLION)}
    bench.gateway.script = [lambda seen: bench.gateway.challenge(seen, "mpp_voucher_bucket_refresh_required")]
    bench.consent.refusal = PaymentError("no")
    bench.fails()
    assert bench.live.cumulative_amount == 2 * MILLION
