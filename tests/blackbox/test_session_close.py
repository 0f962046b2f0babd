"""``ando session topup`` and ``ando session close``: more money in, and the rest of it out again."""

from __future__ import annotations

import re
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from ando_cli.money import amount
from ando_cli.sandbox.faults import Fault
from tests.support.badluck import accepted, rows, until
from tests.support.cli_box import MILLION

if TYPE_CHECKING:
    from tests.support.cli_box import Box, Gateway

GRACE = 15 * 60


@pytest.fixture
def opened(gateway: Gateway) -> Gateway:
    """A gateway at which a channel of 5.00 is open, and a little of it spent."""
    return gateway.warm_up()


def session(box: Box) -> dict[str, Any]:
    [only] = box.run("session", "list", "--full", "-j").worked().json
    assert isinstance(only, dict)
    return only


def test_a_top_up_adds_to_the_deposit_and_shows_what_it_is_then(opened: Gateway) -> None:
    before = opened.balance
    done = opened.box.run("session", "topup", "2.5", "--yes").worked()
    assert "deposit 7.50" in done.stdout
    assert session(opened.box)["deposit"] == "7.50"
    assert opened.actions == ["unpaid", "topUp"]
    assert before - opened.balance >= 2_500_000


def test_a_top_up_to_a_level_adds_what_is_missing_and_nothing_when_it_is_there(opened: Gateway) -> None:
    shown = opened.box.run("session", "topup", "--to", "6", "--yes", "-j").worked().json
    assert shown == {"id": shown["id"], "dry_run": False, "added": "1.00", "deposit": "6.00", "left": shown["left"]}
    opened.forget_log()
    done = opened.box.run("session", "topup", "--to", "6", "--yes").worked()
    assert "nothing was sent" in done.stderr
    assert opened.actions == []


def test_a_dry_top_up_signs_and_sends_nothing(opened: Gateway) -> None:
    records = opened.box.records()
    done = opened.box.run("session", "topup", "1", "--dry-run").worked()
    assert "deposit 6.00" in done.stdout
    assert (opened.actions, opened.box.records()) == ([], records)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["topup"], "give either an amount"),
        (["topup", "1", "--to", "2"], "give either an amount"),
        (["topup", "nothing"], "not an amount"),
        (["topup", "1", "--channel", "xyz"], "not the id of a channel"),
        (["close", "abcdef"], "no channel on record"),
        (["close", "abcdef", "--all"], "cannot be used together"),
        (["close", "--force", "--finish"], "--force first"),
        (["close", "--wait"], "--wait goes with"),
    ],
)
def test_a_senseless_command_sends_nothing(opened: Gateway, arguments: list[str], says: str) -> None:
    assert says in opened.box.run("session", *arguments).refused()
    assert opened.actions == []


def test_a_top_up_needs_consent_and_keeps_to_the_limits(opened: Gateway) -> None:
    assert "--max-spend 2.00" in opened.box.run("session", "topup", "2").refused(4)
    assert "--max-spend leaves 1.00" in opened.box.run("session", "topup", "2", "--max-spend", "1").refused(4)
    assert "max_deposit" in opened.box.run("session", "topup", "6", "--yes").refused(4)
    assert session(opened.box)["deposit"] == "5.00"


def test_a_top_up_whose_answer_was_lost_is_not_paid_twice(opened: Gateway) -> None:
    opened.fail(Fault(on="topUp", drop="after", times=2))
    opened.box.run("session", "topup", "2", "--yes", "-j")
    opened.box.run("chat", "hi").worked()
    assert session(opened.box)["deposit"] == "7.00"


def test_a_top_up_that_may_be_on_its_way_is_not_to_be_tried_again(opened: Gateway) -> None:
    opened.fail(Fault(on="topUp", status=200, body_text=""))
    for _ in range(2):
        error = opened.box.run("session", "topup", "2", "--yes", "-j").error
        assert (error["code"], error["retryable"]) == ("deposit_in_flight", False)
    assert opened.actions.count("topUp") == 1


def test_a_close_captures_what_was_spent_and_refunds_the_rest(opened: Gateway) -> None:
    spent = session(opened.box)["spent"]
    before = opened.balance
    shown = opened.box.run("session", "close", "--full", "-j").worked().json
    amounts = {"captured", "captured_at_most", "refunded", "refunded_at_least"}
    assert set(shown) == {"id", "action", "transaction", *amounts}
    assert (shown["action"], shown["captured"], shown["captured_at_most"]) == ("closed", spent, spent)
    assert shown["refunded"] == shown["refunded_at_least"]
    refunded = round(float(shown["refunded"]) * MILLION)
    assert opened.balance - before == refunded
    assert len(shown["transaction"]) == 66
    after = session(opened.box)
    assert (after["state"], after["spent"], after["left"]) == ("closed", spent, "0.00")


def test_a_chat_after_a_close_opens_another_channel(opened: Gateway) -> None:
    first = session(opened.box)["id"]
    opened.box.run("session", "close").worked()
    opened.box.run("chat", "hi", "--yes").worked()
    ids = {each["id"]: each["state"] for each in opened.box.run("session", "list", "--full", "-j").worked().json}
    assert ids.pop(first) == "closed"
    assert list(ids.values()) == ["open"]


def lose_a_receipt(opened: Gateway) -> None:
    """The gateway counts what our receipts do not show."""
    opened.fail(Fault(on="voucher", receipt_lies={"raw": "not a receipt"}))
    opened.box.run("chat", "a request whose receipt is lost").worked()
    opened.forget_log()


MUTE = Fault(on="close", code="mpp_payment_verification_failed", message="too little")
"""A refusal of a close that names no amount."""


def test_a_gateway_that_counts_more_and_says_how_much_is_offered_that(opened: Gateway) -> None:
    lose_a_receipt(opened)
    done = opened.box.run("session", "close").worked()
    [session] = accepted(opened)
    assert "the gateway counts" in done.stderr
    assert int(session["spent"]) < MILLION / 100
    assert opened.actions == ["unpaid", "close", "unpaid", "close"]


def test_a_gateway_that_does_not_say_what_it_counts_is_asked_only_where_that_is_allowed(opened: Gateway) -> None:
    lose_a_receipt(opened)
    opened.fail(MUTE)
    error = opened.box.run("session", "close", "-j").error
    assert (error["code"], error["exit_code"]) == ("spent_unknown", 4)
    assert "--buy-receipt" in error["hint"]
    assert opened.actions == ["unpaid", "close"]
    opened.forget_log()
    opened.fail(MUTE)
    assert opened.box.run("session", "close", "--buy-receipt", "-j").worked().json["action"] == "closed"
    assert opened.actions == ["unpaid", "close", "unpaid", "voucher", "unpaid", "close"]


@pytest.mark.parametrize("answer", ["y", "n"])
def test_on_a_terminal_it_is_asked_before_a_receipt_is_bought(opened: Gateway, answer: str) -> None:
    lose_a_receipt(opened)
    opened.fail(MUTE)
    person = opened.box.terminal("session", "close")
    person.until("Pay for the smallest answer")
    person.type(f"{answer}\n")
    assert (person.end().code == 0) == (answer == "y")
    assert ("voucher" in opened.actions) == (answer == "y")


@pytest.mark.parametrize(
    "says", ["below 1000001", "it is 1000, 2000 or 3000", "0.5", "1,000", "0x64", "402x", "spent 1_000"]
)
def test_a_number_that_is_no_amount_between_what_is_proven_and_signed_is_not_offered(
    opened: Gateway, says: str
) -> None:
    opened.fail(Fault(on="close", code="mpp_payment_verification_failed", message=says))
    assert opened.box.run("session", "close", "-j").error["code"] in ("spent_unknown", "authorised_unknown")
    assert opened.actions == ["unpaid", "close"]


def test_a_dry_close_tells_what_would_be_offered(opened: Gateway) -> None:
    shown = opened.box.run("session", "close", "--dry-run", "-j").worked().json
    assert (shown["offered"], shown["at_most"], shown["buys_receipt"]) == (session(opened.box)["spent"], "1.00", False)
    assert "or else asks you first" in opened.box.run("session", "close", "--dry-run").worked().stderr
    buys = opened.box.run("session", "close", "--dry-run", "--buy-receipt").worked().stderr
    assert "pays for the smallest answer" in buys


def test_where_the_answer_that_tells_what_was_spent_is_lost_it_may_have_been_charged(opened: Gateway) -> None:
    lose_a_receipt(opened)
    opened.fail(MUTE, Fault(on="voucher", drop="after", times=2))
    done = opened.box.run("session", "close", "--buy-receipt")
    assert (done.code, session(opened.box)["state"]) == (3, "open")
    assert rows(opened.box, "ledger")[-1]["outcome"] == "unknown"
    shown = opened.box.run("session", "close", "-j").worked().json
    assert shown["captured"] == amount(int(accepted(opened)[0]["spent"]))


def test_where_asking_does_not_help_all_that_was_authorised_is_offered(opened: Gateway) -> None:
    lose_a_receipt(opened)
    opened.fail(MUTE, Fault(on="voucher", code="mpp_payment_verification_failed"))
    opened.box.run("session", "close", "--buy-receipt", "-j").worked()
    assert opened.actions[-2:] == ["unpaid", "close"]


@pytest.mark.parametrize("code", ["mpp_session_close_unavailable", "mpp_session_close_failed"])
def test_a_gateway_that_will_not_close_leaves_the_channel_open_and_the_way_without_it_is_named(
    opened: Gateway, code: str
) -> None:
    opened.fail(Fault(on="close", code=code))
    done = opened.box.run("session", "close", "-j")
    assert done.code == 4
    assert done.error["code"] == code
    assert "--force" in done.error["hint"]
    assert session(opened.box)["state"] == "open"


def test_an_unreachable_gateway_leads_to_the_close_without_it(opened: Gateway) -> None:
    put_back(opened.box, "route = 'POST http://127.0.0.1:9/v1/mpp/chat/completions', gateway = 'http://127.0.0.1:9'")
    done = opened.box.run("session", "close", "-j")
    assert done.code == 3
    assert "--force" in done.error["hint"]


def test_a_close_on_the_chain_takes_the_money_back_after_the_grace_period(opened: Gateway) -> None:
    box, short = opened.box, session(opened.box)["id"][:8]
    opened.forget_log()
    requested = box.run("session", "close", "--force", short, "-j").worked().json
    assert set(requested) == {"id", "action", "closes_at", "seconds_left"}
    assert requested["action"] == "close_requested"
    assert GRACE - 30 < requested["seconds_left"] <= GRACE
    assert session(box)["state"] == "closing"
    assert re.search(r"1[45] min \d+ s left", box.run("session", "close", "--finish").refused(4))
    early = box.run("session", "close", "--finish", "-j").error
    assert (early["code"], early["retryable"]) == ("grace_period", True)
    assert GRACE - 60 < early["retry_after"] <= GRACE
    assert "--finish" in box.run("session", "close").refused(4)

    opened.sandbox.rpc("evm_increaseTime", GRACE)
    before = opened.balance
    done = box.run("session", "close", "--finish").worked()
    assert "closed: 0.00 captured, 5.00 refunded" in done.stdout
    fee = before + 5 * MILLION - opened.balance
    assert 0 < fee < MILLION
    assert session(box)["state"] == "closed"
    assert opened.actions == []


def test_a_channel_that_is_closing_is_not_paid_from(opened: Gateway) -> None:
    closing = session(opened.box)["id"]
    opened.box.run("session", "close", "--force").worked()
    opened.box.run("chat", "hi", "--yes").worked()
    states = {each["id"]: each["state"] for each in opened.box.run("session", "list", "--full", "-j").worked().json}
    assert states.pop(closing) == "closing"
    assert list(states.values()) == ["open"]


def test_asking_twice_to_close_on_the_chain_sends_one_request(opened: Gateway) -> None:
    first = opened.box.run("session", "close", "--force", "-j").worked().json
    before = opened.balance
    second = opened.box.run("session", "close", "--force", "-j").worked().json
    assert (second["closes_at"], opened.balance) == (first["closes_at"], before)


def test_all_closes_every_channel_and_says_what_it_could_not(opened: Gateway) -> None:
    box = opened.box
    box.run("session", "close", "--force").worked()
    box.run("chat", "hi", "--yes").worked()
    done = box.run("session", "close", "--all", "-j")
    assert done.code == 4
    assert [each["action"] for each in done.json] == ["closed", "failed"]
    assert "1 of 1 channels are not closed" in box.run("session", "close", "--all").stderr
    states = sorted(each["state"] for each in box.run("session", "list", "-j").worked().json)
    assert states == ["closed", "closing"]


def test_a_dry_close_signs_and_sends_nothing(opened: Gateway) -> None:
    records = opened.box.records()
    for flags in ([], ["--force"], ["--all"]):
        opened.box.run("session", "close", *flags, "--dry-run").worked()
    assert (opened.actions, opened.box.records()) == ([], records)


def test_a_list_with_chain_holds_each_channel_against_the_chain(opened: Gateway) -> None:
    [shown] = opened.box.run("session", "list", "--chain", "-j").worked().json
    assert shown["chain"] == {
        "found": True,
        "deposit": "5.00",
        "settled": "0.00",
        "close_requested_at": None,
        "finalized": False,
        "differences": [],
    }
    opened.box.run("session", "close", "--force").worked()
    records = opened.box.records()
    [shown] = opened.box.run("session", "list", "--chain", "-j").worked().json
    assert shown["chain"]["close_requested_at"] is not None
    assert opened.box.records() == records


def put_back(box: Box, assignment: str) -> None:
    """Leave the record as a process does that is killed before it writes what came of its request."""
    with sqlite3.connect(box.home / "state" / "sessions.db") as store:
        store.execute(f"UPDATE channels SET {assignment}")  # noqa: S608 - the test's own words
    store.close()


def test_a_close_whose_answer_was_lost_is_found_on_the_chain(opened: Gateway) -> None:
    before = opened.balance
    opened.fail(Fault(on="close", drop="after", times=2))
    assert opened.box.run("session", "close", "-j").code == 3
    assert session(opened.box)["state"] == "open"
    again = opened.box.run("session", "close", "-j").worked().json
    after = session(opened.box)
    assert (after["state"], after["left"]) == ("closed", "0.00")
    assert (again["action"], again["captured"]) == ("closed", after["spent"])
    assert opened.balance - before == round(float(again["refunded"]) * MILLION)


@pytest.mark.parametrize("sent", [False, True], ids=["before it was sent", "after it was mined"])
def test_a_close_on_the_chain_that_is_killed_is_paid_for_once(opened: Gateway, sent: bool) -> None:
    before = opened.balance
    opened.fail(Fault(on="rpc", delay=0.1, times=None))
    process = opened.box.start("session", "close", "--force")
    if sent:
        until(lambda: opened.balance < before)
    else:
        until(lambda: "closing" in opened.box.records()["channels"][0])
    process.kill()
    process.communicate()
    opened.faults.clear()
    fee = before - opened.balance
    assert bool(fee) == sent
    assert opened.box.run("session", "close", "--force", "-j").worked().json["action"] == "close_requested"
    paid = before - opened.balance
    assert paid == fee if sent else paid > 0


def test_killed_before_the_request_to_close_reached_the_chain_it_is_asked_again(opened: Gateway) -> None:
    put_back(opened.box, "state = 'closing', closes_at = 0")
    assert "no close was requested" in opened.box.run("session", "close", "--finish").refused(4)
    assert opened.box.run("session", "close", "--force", "-j").worked().json["action"] == "close_requested"


def test_killed_after_the_withdrawal_nothing_is_withdrawn_twice(opened: Gateway) -> None:
    opened.box.run("session", "close", "--force").worked()
    opened.sandbox.rpc("evm_increaseTime", GRACE)
    opened.box.run("session", "close", "--finish").worked()
    put_back(opened.box, "state = 'closing'")
    before = opened.balance
    assert "closed: 0.00 captured, 5.00 refunded" in opened.box.run("session", "close", "--finish").worked().stdout
    assert opened.balance == before
    assert session(opened.box)["state"] == "closed"


def test_a_close_whose_next_challenge_is_no_challenge_but_an_answer_says_so(opened: Gateway) -> None:
    opened.fail(
        Fault(on="close", code="mpp_payment_verification_failed"),
        Fault(on="unpaid"),
        Fault(on="unpaid", status=200, body_text="an answer that nobody paid for"),
    )
    assert "the gateway refused (200)" in opened.box.run("session", "close", "--buy-receipt").refused(4)
    assert session(opened.box)["state"] == "open"
