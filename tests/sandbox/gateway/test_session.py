"""A session from the first 402 to the refund, as a client lives it."""

from __future__ import annotations

import base64
import hashlib
import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ando_cli.sandbox.chain.ledger import FEE_COLLECTOR
from ando_cli.sandbox.config import CHAIN_ID, ESCROW, TOKEN
from ando_cli.sandbox.primitives import ZERO_ADDRESS
from tests.support.sandbox_payer import BODY, COST, MILLION, Payer, challenge_of, code_of, receipt_of, unb64url

if TYPE_CHECKING:
    from ando_cli.sandbox.server import Sandbox


def settings(sandbox: Sandbox, **changes: Any) -> None:
    origin = sandbox.base_url.removesuffix("/v1")
    assert httpx.post(f"{origin}/sandbox/settings", json=changes).status_code == 200


def session_of(payer: Payer) -> dict[str, Any]:
    state = httpx.get(payer.sandbox.base_url.removesuffix("/v1") + "/sandbox/state").json()
    return next(session for session in state["sessions"] if session["channel_id"] == payer.channel)


def test_an_unpaid_request_is_answered_with_a_challenge(payer: Payer) -> None:
    response = payer.post()
    challenge = challenge_of(response)
    expires = datetime.fromisoformat(challenge["expires"]).timestamp()

    assert response.status_code == 402
    assert code_of(response) == "payment_required"
    assert (challenge["method"], challenge["intent"]) == ("tempo", "session")
    assert challenge["digest"] == "sha-256=" + base64.b64encode(hashlib.sha256(BODY).digest()).decode()
    assert 290 < expires - time.time() < 301
    assert unb64url(challenge["opaque"])["plan"] == "Starter"
    assert unb64url(challenge["request"]) == {
        "amount": "1000000",
        "currency": TOKEN,
        "recipient": payer.sandbox.payee,
        "suggestedDeposit": "5000000",
        "methodDetails": {"escrowContract": ESCROW, "chainId": CHAIN_ID},
    }


def test_every_challenge_is_another_one(payer: Payer) -> None:
    assert payer.challenge()["id"] != payer.challenge()["id"]


def test_an_open_request_is_answered_by_the_model(payer: Payer) -> None:
    response = payer.pay(payer.open_payload())

    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["object"] == "chat.completion"
    assert "canned answer" in answer["choices"][0]["message"]["content"]
    assert "no real money was spent" in answer["choices"][0]["message"]["content"], "play money was"
    assert "america" not in response.text, "a prompt is never echoed"
    assert answer["usage"] == {"prompt_tokens": 12, "completion_tokens": 22, "total_tokens": 34}
    receipt = receipt_of(response)
    transaction_hash = receipt.pop("txHash")
    assert payer.sandbox.rpc("eth_getTransactionReceipt", transaction_hash)["status"] == "0x1"
    del receipt["timestamp"], receipt["challengeId"]
    assert receipt == {
        "method": "tempo",
        "intent": "session",
        "status": "success",
        "reference": payer.channel,
        "channelId": payer.channel,
        "acceptedCumulative": "1000000",
        "spent": str(COST),
        "units": 1,
    }
    assert payer.on_chain()[6] == 5 * MILLION


def test_one_voucher_pays_for_several_turns(payer: Payer) -> None:
    payer.opened()
    for turn in (2, 3, 4):
        receipt = receipt_of(payer.pay(payer.voucher_payload(MILLION)))
        assert (receipt["acceptedCumulative"], receipt["spent"]) == ("1000000", str(turn * COST))
        assert "txHash" not in receipt


def test_the_answer_is_cut_at_max_tokens(payer: Payer) -> None:
    payer.opened()
    body = b'{"messages":[{"role":"user","content":"hi"}],"max_tokens":3}'
    answer = payer.pay(payer.voucher_payload(), body=body).json()
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 3


def test_plans_have_prices(payer: Payer) -> None:
    payer.opened()
    spent = COST
    for plan, price in (("Plus", 30), ("Premium", 100)):
        body = BODY.replace(b"Starter", plan.encode())
        spent += COST * price // 10
        assert receipt_of(payer.pay(payer.voucher_payload(), body=body))["spent"] == str(spent)


def test_an_empty_bucket_asks_for_a_higher_voucher(payer: Payer) -> None:
    settings(payer.sandbox, prices={"Starter": 20_000})  # a turn costs 680,000, and 880,000 at most
    payer.opened()
    refused = payer.pay(payer.voucher_payload(MILLION))
    assert (refused.status_code, code_of(refused)) == (402, "mpp_voucher_bucket_refresh_required")
    assert "Payment-Receipt" not in refused.headers

    # The refusal brought a fresh challenge for the same body.
    paid = payer.pay(payer.voucher_payload(2 * MILLION), challenge=challenge_of(refused))
    receipt = receipt_of(paid)
    assert (receipt["acceptedCumulative"], receipt["spent"]) == ("2000000", "1360000")


def test_a_top_up_lets_the_voucher_rise(payer: Payer) -> None:
    settings(payer.sandbox, prices={"Starter": 20_000})
    payer.opened(deposit=MILLION)
    refused = payer.pay(payer.voucher_payload(2 * MILLION))
    assert (refused.status_code, code_of(refused)) == (402, "mpp_session_deposit_below_request_cost")

    topped_up = payer.pay(payer.top_up_payload(3 * MILLION))
    assert topped_up.status_code == 204
    assert topped_up.content == b""
    receipt = receipt_of(topped_up)
    assert (receipt["acceptedCumulative"], receipt["spent"]) == ("1000000", "680000")
    assert payer.on_chain()[6] == 4 * MILLION
    assert payer.pay(payer.voucher_payload(2 * MILLION)).status_code == 200


def test_a_close_captures_what_was_spent_and_refunds_the_rest(payer: Payer) -> None:
    payer.opened()
    before = payer.balance()
    closed = payer.pay(payer.voucher_payload(COST, action="close"))

    assert closed.status_code == 204
    assert receipt_of(closed)["acceptedCumulative"] == receipt_of(closed)["spent"] == str(COST)
    assert payer.balance() == before + 5 * MILLION - COST
    assert payer.on_chain() == [True, 0, *[ZERO_ADDRESS] * 4, 0, 0], "the contract wipes a channel that is over"
    again = payer.pay(payer.voucher_payload(MILLION))
    assert (again.status_code, code_of(again)) == (410, "session/channel-finalized")


def test_a_close_below_what_was_spent_is_refused(payer: Payer) -> None:
    payer.opened()
    refused = payer.pay(payer.voucher_payload(COST - 1, action="close"))
    assert code_of(refused) == "mpp_payment_verification_failed"
    assert payer.pay(payer.voucher_payload(MILLION)).status_code == 200, "the session goes on"


def test_a_close_waits_for_no_request_that_is_being_answered(payer: Payer) -> None:
    payer.opened()
    settings(payer.sandbox, model_seconds=2)
    challenge = payer.challenge()
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(payer.pay, payer.voucher_payload())
        while session_of(payer)["reserved"] == "0":
            assert not slow.done()
        credential = payer.credential(payer.voucher_payload(COST, action="close"), challenge)
        refused = httpx.post(payer.url, content=BODY, headers={"authorization": credential})
        assert code_of(refused) == "mpp_session_close_failed"
        assert slow.result().status_code == 200


def test_the_gateway_pays_the_fees_when_it_says_so(payer: Payer) -> None:
    settings(payer.sandbox, fee_payer=True)
    assert unb64url(payer.challenge()["request"])["methodDetails"]["feePayer"] is True
    deposit = 5 * MILLION
    transaction = payer.transaction(payer.approval(deposit), payer.open_call(deposit), fee_payer=True)
    assert payer.pay(payer.open_payload(transaction=transaction)).status_code == 200
    assert payer.balance() == 95 * MILLION
    transaction = payer.transaction(payer.approval(7), payer.top_up_call(7), fee_payer=True)
    assert payer.pay(payer.top_up_payload(7, transaction=transaction)).status_code == 204
    assert payer.balance() == 95 * MILLION - 7
    fees = payer.balance(FEE_COLLECTOR)
    assert fees > 0
    assert payer.balance(payer.sandbox.payee) == 1_000 * MILLION - fees


def test_a_transaction_that_waits_for_nobody_is_refused(payer: Payer) -> None:
    transaction = payer.transaction(payer.approval(5 * MILLION), payer.open_call(5 * MILLION), fee_payer=True)
    refused = payer.pay(payer.open_payload(transaction=transaction))
    assert code_of(refused) == "mpp_payment_verification_failed"
    assert payer.balance() == 100 * MILLION


def test_another_key_may_sign_the_vouchers(payer: Payer) -> None:
    delegating = Payer(payer.sandbox, key=payer.key, signer_key="0x" + "77" * 32)
    delegating.opened()
    assert delegating.pay(delegating.voucher_payload()).status_code == 200
    own = payer.voucher(MILLION, channel=delegating.channel)
    assert code_of(delegating.pay(delegating.voucher_payload(signature=own))) == "mpp_payment_verification_failed"


def test_an_authorized_signer_of_zero_is_the_payer(payer: Payer) -> None:
    payer.signer = "0x" + "00" * 20
    assert payer.pay(payer.open_payload()).status_code == 200
    assert payer.pay(payer.voucher_payload()).status_code == 200


def test_charging_in_full_is_what_a_stock_server_does(payer: Payer) -> None:
    settings(payer.sandbox, charge="full")
    response = payer.pay(payer.open_payload())
    receipt = receipt_of(response)
    assert receipt["spent"] == receipt["acceptedCumulative"] == "1000000"
    refused = payer.pay(payer.voucher_payload(MILLION))
    assert refused.headers["Content-Type"] == "application/problem+json"
    problem = refused.json()
    assert problem["type"] == "https://paymentauth.org/problems/session/insufficient-balance"
    assert (problem["status"], problem["requiredTopUp"]) == (402, "1000000")
    assert receipt_of(payer.pay(payer.voucher_payload(2 * MILLION)))["spent"] == "2000000"


def test_a_retry_is_answered_again_and_not_charged_again(payer: Payer) -> None:
    payer.opened()
    credential = payer.credential(payer.voucher_payload(), payer.challenge())
    headers = {"authorization": credential, "idempotency-key": str(uuid.uuid4())}
    first, second = payer.post(**headers), payer.post(**headers)
    assert first.status_code == second.status_code == 200
    assert first.content == second.content
    assert first.headers["Payment-Receipt"] == second.headers["Payment-Receipt"]
    assert session_of(payer)["spent"] == str(2 * COST)


@pytest.mark.parametrize("key", ["another", ""])
def test_a_challenge_is_used_once(payer: Payer, key: str) -> None:
    payer.opened()
    credential = payer.credential(payer.voucher_payload(), payer.challenge())
    assert payer.post(authorization=credential, **({"idempotency-key": "one"} if key else {})).status_code == 200
    again = payer.post(authorization=credential, **({"idempotency-key": key} if key else {}))
    assert (again.status_code, code_of(again)) == (402, "mpp_invalid_challenge")
    assert challenge_of(again)["id"], "a fresh challenge comes with it"
    assert session_of(payer)["spent"] == str(2 * COST)


def test_a_retry_waits_for_the_first_attempt(payer: Payer) -> None:
    payer.opened()
    settings(payer.sandbox, model_seconds=0.5)
    credential = payer.credential(payer.voucher_payload(), payer.challenge())
    headers = {"authorization": credential, "idempotency-key": "one"}
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: httpx.post(payer.url, content=BODY, headers=headers), range(4)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert session_of(payer)["spent"] == str(2 * COST)


@pytest.mark.parametrize("what", ["open", "topUp", "close"])
def test_every_action_can_be_retried(payer: Payer, what: str) -> None:
    if what != "open":
        payer.opened()
    payload = {
        "open": payer.open_payload,
        "topUp": lambda: payer.top_up_payload(9),
        "close": lambda: payer.voucher_payload(COST, action="close"),
    }[what]()
    challenge = payer.challenge()
    first = payer.pay(payload, challenge=challenge, key="one")
    balance = payer.balance()
    second = payer.pay(payload, challenge=challenge, key="one")
    assert first.status_code == second.status_code == (200 if what == "open" else 204)
    assert first.headers["Payment-Receipt"] == second.headers["Payment-Receipt"]
    assert payer.balance() == balance


def test_a_channel_that_is_already_open_is_opened_again_for_nothing(payer: Payer) -> None:
    """The answer to the open was lost, and the client comes back with a fresh challenge."""
    payload = payer.open_payload()
    assert payer.pay(payload).status_code == 200
    balance = payer.balance()
    again = payer.pay(payload)
    assert again.status_code == 200
    assert "txHash" not in receipt_of(again)
    assert payer.balance() == balance
    assert payer.pay(payer.top_up_payload(1)).status_code == 204


def test_a_top_up_that_was_mined_is_not_made_twice(payer: Payer) -> None:
    payer.opened()
    payload = payer.top_up_payload(9)
    assert payer.pay(payload).status_code == 204
    assert payer.pay(payload).status_code == 204
    assert payer.on_chain()[6] == 5 * MILLION + 9


def test_a_channel_opened_without_the_gateway_is_good(payer: Payer) -> None:
    payer.sandbox.rpc("eth_sendRawTransaction", payer.transaction(payer.approval(MILLION), payer.open_call(MILLION)))
    assert receipt_of(payer.pay(payer.voucher_payload()))["spent"] == str(COST)


def test_free_routes_ask_for_nothing(payer: Payer) -> None:
    free = payer.http.get(f"{payer.sandbox.base_url}/free")
    assert (free.status_code, free.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert payer.http.get(f"{payer.sandbox.base_url}/health").json() == {"status": "ok"}


def test_unknown_routes_and_methods(payer: Payer) -> None:
    unknown = payer.http.get(f"{payer.sandbox.base_url}/nothing")
    assert (unknown.status_code, code_of(unknown)) == (404, "not_found")
    assert unknown.json()["error"]["type"] == "invalid_request_error"
    for method in ("HEAD", "GET", "PUT"):
        response = payer.http.request(method, payer.url)
        assert (response.status_code, response.headers["Allow"]) == (405, "POST")
        assert "WWW-Authenticate" not in response.headers


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("openai", {"error": {"code": "payment_required", "message": "Payment is required.", "type": "payment_error"}}),
        ("bare", {"code": "payment_required", "message": "Payment is required."}),
        (
            "rfc9457",
            {
                "type": "https://paymentauth.org/problems/payment_required",
                "title": "Payment required",
                "status": 402,
                "detail": "Payment is required.",
            },
        ),
    ],
)
def test_errors_come_in_three_shapes(payer: Payer, shape: str, expected: dict[str, Any]) -> None:
    settings(payer.sandbox, error_shape=shape)
    body = payer.post().json()
    assert body.get("error", body).pop("challengeId")
    assert body == expected


def test_settings_change_the_challenge(payer: Payer) -> None:
    changes = {"realm": "other", "amount": 2 * MILLION, "suggested_deposit": None, "expiry_seconds": 9}
    settings(payer.sandbox, digest_form="rfc9530", **changes)
    challenge = payer.challenge()
    assert unb64url(challenge["request"])["amount"] == "2000000"
    assert challenge["realm"] == "other"
    assert challenge["digest"].startswith("sha-256=:")
    assert challenge["digest"].endswith(":")
    assert "suggestedDeposit" not in unb64url(challenge["request"])
    assert datetime.fromisoformat(challenge["expires"]).timestamp() - time.time() < 9
    settings(payer.sandbox, digest_form="none")
    assert "digest" not in payer.challenge()
    assert payer.pay(payer.open_payload()).status_code == 200


def test_credentials_can_be_asked_for_in_another_header(payer: Payer) -> None:
    settings(payer.sandbox, credential_header="X-Payment")
    challenge = payer.challenge()
    assert challenge["header"] == "X-Payment"
    credential = payer.credential(payer.open_payload(), challenge)
    assert payer.post(authorization=credential).status_code == 402
    assert payer.post(**{"x-payment": credential}).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"nonsense": 1},
        {"charge": "half"},
        {"prices": {"Gold": 1}},
        {"prices": {"Plus": -1}},
        {"prices": 3},
        ["amount"],
        7,
    ],
)
def test_settings_that_make_no_sense_are_refused(sandbox: Sandbox, changes: Any) -> None:
    origin = sandbox.base_url.removesuffix("/v1")
    assert httpx.post(f"{origin}/sandbox/settings", content=json.dumps(changes)).status_code == 400


def test_the_log_holds_hashes_and_no_secrets(payer: Payer) -> None:
    payer.pay(payer.open_payload(), key="a key")
    log = httpx.get(payer.sandbox.base_url.removesuffix("/v1") + "/sandbox/log").json()
    assert [(entry["action"], entry["status"], entry["authorization"]) for entry in log] == [
        ("unpaid", 402, False),
        ("open", 200, True),
    ]
    assert {entry["body_sha256"] for entry in log} == {hashlib.sha256(BODY).hexdigest()}
    assert log[1]["idempotency_key_sha256"] == hashlib.sha256(b"a key").hexdigest()
    assert "a key" not in json.dumps(log)


def test_the_state_shows_the_accounting(payer: Payer) -> None:
    payer.opened()
    session = session_of(payer)
    assert (session["accepted"], session["spent"], session["reserved"]) == ("1000000", str(COST), "0")
    assert (session["deposit"], session["settled"], session["closed"]) == ("5000000", "0", False)
    state = httpx.get(payer.sandbox.base_url.removesuffix("/v1") + "/sandbox/state").json()
    assert state["balances"]["escrow"] == "5000000"
