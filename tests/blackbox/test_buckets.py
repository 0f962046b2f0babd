"""Buckets that run out, deposits that run out, and receipts that lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ando_cli.mpp.challenge import parse_challenges
from ando_cli.mpp.credential import ClosePayload, authorization
from ando_cli.sandbox.config import CHAIN_ID, ESCROW
from ando_cli.sandbox.faults import Fault
from ando_cli.tempo.voucher import sign_voucher
from tests.support.badluck import ASK, BODY, Answer, Purse, Seen, accepted, ask, outcome, paid, purse, relaying, rows
from tests.support.cli_box import KEY
from tests.support.forked import constants

if TYPE_CHECKING:
    from tests.support.cli_box import Gateway

MILLION = 1_000_000
REFRESH = "mpp_voucher_bucket_refresh_required"


def test_a_bucket_that_is_used_up_is_raised_by_one_and_the_same_request_is_answered(gateway: Gateway) -> None:
    gateway.warm_up()
    # The request may now cost more than what is left of the first bucket, as the gateway reckons it.
    done = gateway.box.run("chat", "hi", "--max-tokens", "99990", "-u")
    done.worked()
    assert gateway.actions == ["unpaid", "voucher", "voucher"]
    first, second = paid(gateway)
    assert first.body_sha256 == second.body_sha256
    assert first.idempotency_key_sha256 == second.idempotency_key_sha256
    assert first.authorization_sha256 != second.authorization_sha256
    assert purse(gateway) == Purse(channels=1, authorised=2 * MILLION, deposit=5 * MILLION, moved=5 * MILLION)
    assert accepted(gateway)[0]["accepted"] == str(2 * MILLION)
    assert "left: 4.9" in done.stderr


def test_a_bucket_that_passes_the_deposit_is_topped_up_for_first(gateway: Gateway) -> None:
    gateway.change(suggested_deposit=MILLION)
    gateway.warm_up()
    gateway.change(suggested_deposit=2 * MILLION)
    ask(gateway, "--max-tokens", "99990").worked()
    assert gateway.actions == ["unpaid", "voucher", "topUp", "unpaid", "voucher"]
    top_up = paid(gateway)[1]
    assert top_up.idempotency_key_sha256 != gateway.log[0].idempotency_key_sha256
    others = {entry.idempotency_key_sha256 for entry in gateway.log if entry is not top_up}
    assert len(others) == 1
    assert purse(gateway) == Purse(channels=1, authorised=2 * MILLION, deposit=3 * MILLION, moved=3 * MILLION)


def test_a_refresh_that_is_asked_for_for_ever_stops_after_one_raise_and_one_top_up(gateway: Gateway) -> None:
    gateway.change(suggested_deposit=MILLION)
    gateway.warm_up()
    gateway.fail(Fault(on="voucher", code=REFRESH, times=None))
    assert ask(gateway, "-j").error["code"] == "second_raise_refused"
    assert [entry.action for entry in paid(gateway)] == ["voucher", "topUp", "voucher"]
    assert purse(gateway) == Purse(channels=1, authorised=2 * MILLION, deposit=2 * MILLION, moved=2 * MILLION)


def test_a_raise_that_was_not_answered_is_not_raised_again_by_the_next_request(gateway: Gateway) -> None:
    gateway.warm_up()
    gateway.fail(Fault(on="voucher", code=REFRESH), Fault(on="voucher", code="mpp_commit_failed"))
    assert ask(gateway, "-j").error["code"] == "mpp_commit_failed"
    ask(gateway).worked()
    assert purse(gateway).authorised == 2 * MILLION


def test_a_deposit_that_is_fine_is_not_topped_up_on_the_gateways_word(warm: Gateway) -> None:
    before = purse(warm)
    forged = {"requiredTopUp": "4000000", "requiredCumulative": "9000000", "acceptedCumulative": "9000000"}
    warm.fail(Fault(code="mpp_session_deposit_below_request_cost", extensions=forged))
    ask(warm).worked()
    warm.fail(Fault(code="session/amount-exceeds-deposit", extensions=forged, times=None))
    assert ask(warm).code == 4
    assert "topUp" not in warm.actions
    assert purse(warm) == before


def test_forged_amounts_in_a_refresh_raise_by_no_more_than_the_challenge(gateway: Gateway) -> None:
    gateway.warm_up()
    forged = {"requiredTopUp": "90000000", "requiredCumulative": "9000000", "acceptedCumulative": "8000000"}
    gateway.fail(Fault(on="voucher", code="session/insufficient-balance", extensions=forged))
    ask(gateway).worked()
    assert purse(gateway) == Purse(channels=1, authorised=2 * MILLION, deposit=5 * MILLION, moved=5 * MILLION)


def test_a_stock_server_that_charges_a_bucket_a_request_is_paid_unprompted(gateway: Gateway) -> None:
    """Its receipts say spent == acceptedCumulative: nothing is left, and the next voucher is raised at once."""
    gateway.change(charge="full", suggested_deposit=3 * MILLION)
    for turn in (1, 2, 3):
        gateway.forget_log()
        ask(gateway).worked()
        assert gateway.actions == ["unpaid", "open" if turn == 1 else "voucher"]
        assert purse(gateway).authorised == turn * MILLION
    gateway.forget_log()
    ask(gateway).worked()
    assert gateway.actions == ["unpaid", "topUp", "unpaid", "voucher"]
    assert purse(gateway) == Purse(channels=1, authorised=4 * MILLION, deposit=6 * MILLION, moved=6 * MILLION)


def test_a_402_to_every_credential_is_answered_a_bounded_number_of_times(warm: Gateway) -> None:
    codes = (REFRESH, "mpp_invalid_challenge", "mpp_session_deposit_below_request_cost", "mpp_reservation_failed")
    before = purse(warm)
    warm.fail(*(Fault(code=code) for code in codes * 3))
    error = ask(warm, "-j").error
    assert (error["exit_code"], error["code"]) == (4, "too_many_attempts")
    assert len(paid(warm)) == 4
    assert len(warm.log) <= 8
    assert purse(warm).authorised <= before.authorised + MILLION
    assert purse(warm).moved == before.moved


# A channel that the gateway says is gone


def test_a_channel_that_is_said_to_be_gone_is_looked_up_and_no_other_is_opened(warm: Gateway) -> None:
    before = purse(warm)
    warm.fail(Fault(code="session/channel-not-found", times=2))
    assert ask(warm, "-j").error["code"] == "channel_disputed"
    dead = warm.box.run("--rpc-url", "http://127.0.0.1:9", *ASK, "--yes", "-j")
    assert dead.error["exit_code"] == 3
    assert {entry.action for entry in paid(warm)} == {"voucher"}
    assert purse(warm) == before
    ask(warm).worked()


def test_a_channel_that_the_chain_shows_closed_is_replaced_by_another(gateway: Gateway) -> None:
    gateway.warm_up()
    close(gateway)
    gateway.forget_log()
    ask(gateway).worked()
    assert [entry.action for entry in paid(gateway)] == ["voucher", "open"]
    assert [channel["state"] for channel in rows(gateway.box, "channels")] == ["closed", "open"]
    assert purse(gateway) == Purse(channels=1, authorised=MILLION, deposit=5 * MILLION, moved=5 * MILLION)


def test_a_top_up_that_the_gateway_will_not_see_is_not_made_again(gateway: Gateway) -> None:
    gateway.change(suggested_deposit=MILLION)
    gateway.warm_up()
    low = Fault(on="voucher", code="mpp_session_deposit_below_request_cost", times=None)
    gateway.fail(Fault(on="voucher", code=REFRESH), low)
    assert ask(gateway).code == 4
    assert gateway.actions.count("topUp") == 1
    assert len(paid(gateway)) <= 4
    assert purse(gateway) == Purse(channels=1, authorised=2 * MILLION, deposit=2 * MILLION, moved=2 * MILLION)


def test_a_top_up_that_is_said_to_be_made_and_is_not_costs_nothing(gateway: Gateway) -> None:
    """The gateway takes the transaction, says yes, and drops it: the chain decides, and nothing more is signed."""
    gateway.change(suggested_deposit=MILLION)
    gateway.warm_up()
    gateway.fail(Fault(on="voucher", code=REFRESH), Fault(on="topUp", status=200, body_text=""))
    before = purse(gateway)
    soon = constants({"session.act.settling._TOP_UP_POLL_SECONDS": 0.01})
    assert ask(gateway, "-j", **soon).error["code"] == "deposit_in_flight"
    assert purse(gateway) == before
    gateway.fail(Fault(on="voucher", code=REFRESH))
    ask(gateway).worked()
    assert purse(gateway) == Purse(channels=1, authorised=2 * MILLION, deposit=2 * MILLION, moved=2 * MILLION)


def close(gateway: Gateway) -> None:
    """Close the channel cooperatively, as another program with the same wallet may do."""
    url = f"{gateway.base_url}/mpp/chat/completions"
    channel = rows(gateway.box, "channels")[0]
    answer = httpx.post(url, content=BODY)
    challenge = parse_challenges(answer.headers.get_list("www-authenticate"))[0][0]
    amount = int(channel["cumulative_amount"])
    signature = sign_voucher(KEY, channel["channel_id"], amount, escrow=ESCROW, chain_id=CHAIN_ID)
    payload = ClosePayload(channel["channel_id"], amount, signature)
    value = authorization(challenge, payload, chain_id=CHAIN_ID, payer=KEY.address)
    assert httpx.post(url, content=BODY, headers={"Authorization": value}).is_success


# Receipts

LYING_RECEIPTS: dict[str, tuple[dict[str, Any], str]] = {
    "more accepted than signed": ({"acceptedCumulative": "5000000"}, "claims more than"),
    "more spent than signed": ({"spent": "99000000", "acceptedCumulative": "99000000"}, "claims more than"),
    "more spent than accepted": ({"acceptedCumulative": "1"}, "claims more than"),
    "another channel": ({"channelId": "0x" + "ab" * 32}, "is for another channel"),
    "another request": ({"challengeId": "x"}, "is for another request"),
    "no base64url": ({"raw": "%%%"}, "cannot be read"),
    "a negative amount": ({"spent": "-5"}, "cannot be read"),
    "a number without end": ({"acceptedCumulative": "9" * 5_000}, "cannot be read"),
    "a failure": ({"status": "failed"}, "cannot be read"),
    "none": ({"absent": True}, "no receipt"),
}


@pytest.mark.parametrize(("lies", "says"), list(LYING_RECEIPTS.values()), ids=list(LYING_RECEIPTS))
def test_a_receipt_that_cannot_be_believed_is_warned_of_and_changes_nothing(
    warm: Gateway, lies: dict[str, Any], says: str
) -> None:
    ask(warm).worked()
    before, channels = purse(warm), rows(warm.box, "channels")
    warm.fail(Fault(receipt_lies=lies))
    done = ask(warm, "--usage").worked()
    assert "canned answer" in done.stdout
    assert done.stderr.startswith("warning: ")
    assert says in done.stderr
    assert "spent: unknown" in done.stderr
    assert purse(warm) == before
    doubtful = [row | {"doubt": 1} for row in channels]
    assert [row | {"updated_at": 0} for row in rows(warm.box, "channels")] == [
        row | {"updated_at": 0} for row in doubtful
    ]
    wrong = says in ("claims more than", "is for another channel", "is for another request")
    assert (outcome(warm.box), rows(warm.box, "ledger")[-1]["spent"]) == ("unknown" if wrong else "answered", None)
    warm.forget_log()
    ask(warm).worked()
    assert warm.actions == ["unpaid", "voucher"]
    assert purse(warm) == before


def test_a_lying_receipt_of_an_open_costs_nothing_either(gateway: Gateway) -> None:
    lies = {"acceptedCumulative": "5000000", "spent": "5000000"}
    gateway.fail(Fault(on="open", receipt_lies=lies))
    assert "claims more than the 1.00 that was signed" in ask(gateway).worked().stderr
    assert purse(gateway) == Purse(channels=1, authorised=MILLION, deposit=5 * MILLION, moved=5 * MILLION)


def test_two_receipts_in_one_answer_are_not_believed(warm: Gateway) -> None:
    before = purse(warm)

    def twice(seen: Seen, answer: Answer) -> Answer:
        answer.headers += [("Payment-Receipt", value) for value in answer.header("payment-receipt")]
        return answer

    with relaying(warm) as relay:
        relay.tamper = twice
        done = ask(warm).worked()
    assert "warning" in done.stderr
    assert purse(warm).authorised == before.authorised + MILLION  # the relay is another gateway: one more channel


# How large a raise may be


def test_the_step_is_in_the_question_and_a_larger_raise_is_asked_for(gateway: Gateway) -> None:
    gateway.change(model_seconds=0.0)
    opening = gateway.box.terminal("chat", "hello", "--max-tokens", "8")
    assert "(vouchers rise by 1.00)?" in " ".join(opening.until("[y/N]").split())
    opening.type("y\r")
    opening.end().worked()
    gateway.change(amount=4 * MILLION)
    gateway.fail(Fault(code="mpp_voucher_bucket_refresh_required", times=5))
    before = purse(gateway)
    alone = gateway.box.run("chat", "hello", "--max-tokens", "8", "-j")
    assert (alone.code, alone.error["code"]) == (4, "step_exceeded")
    assert "4.00" in alone.error["message"]
    assert "1.00 was agreed on" in alone.error["message"]
    assert purse(gateway) == before
    gateway.forget_log()
    capped = gateway.box.run("chat", "hello", "--max-tokens", "8", "-j", "--max-spend", "3.99")
    assert capped.error["code"] == "max_spend_exceeded"
    assert purse(gateway) == before
