"""A session from the first 402 to the refund, as a client lives it."""

from __future__ import annotations

from sandbox_payer import COST, MILLION, Payer, challenge_of, code_of, receipt_of, unb64url

from ando_cli.sandbox.config import CHAIN_ID, ESCROW, TOKEN


def test_an_unpaid_request_is_answered_with_a_challenge(payer: Payer) -> None:
    response = payer.post()
    challenge = challenge_of(response)

    assert response.status_code == 402
    assert code_of(response) == "payment_required"
    assert (challenge["method"], challenge["intent"]) == ("tempo", "session")
    assert unb64url(challenge["request"]) == {
        "amount": "1000000",
        "currency": TOKEN,
        "recipient": payer.sandbox.payee,
        "suggestedDeposit": "5000000",
        "methodDetails": {"escrowContract": ESCROW, "chainId": CHAIN_ID},
    }


def test_an_open_request_is_answered_by_the_model(payer: Payer) -> None:
    response = payer.pay(payer.open_payload())

    assert response.status_code == 200, response.text
    answer = response.json()
    assert "canned" in answer["choices"][0]["message"]["content"]
    assert "america" not in response.text
    receipt = receipt_of(response)
    assert receipt["status"] == "success"
    assert receipt["channelId"] == payer.channel
    assert (receipt["acceptedCumulative"], receipt["spent"], receipt["units"]) == ("1000000", str(COST), 1)
    assert payer.on_chain()[6] == 5 * MILLION


def test_one_voucher_pays_for_several_turns(payer: Payer) -> None:
    payer.opened()
    for turn in (2, 3, 4):
        receipt = receipt_of(payer.pay(payer.voucher_payload(MILLION)))
        assert (receipt["acceptedCumulative"], receipt["spent"]) == ("1000000", str(turn * COST))
