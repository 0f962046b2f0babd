"""``ando spend --check``, the installed command: the ledger against the gateway's books and the chain."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from ando_cli.money import amount, parse_amount
from ando_cli.sandbox.faults import Fault
from tests.support.badluck import accepted, ask
from tests.support.cli_box import MILLION

if TYPE_CHECKING:
    from tests.support.cli_box import Box, Gateway

LOST = Fault(on="voucher", drop="after", times=2)
NOWHERE = "http://127.0.0.1:9"


def check(box: Box, *flags: str, code: int = 0) -> dict[str, Any]:
    done = box.run("spend", "--check", "-j", *flags)
    assert done.code == code, done
    shown = done.json
    assert isinstance(shown, dict)
    assert shown["agrees"] is (code == 0)
    return shown


def findings(shown: dict[str, Any]) -> list[tuple[str, bool]]:
    return [(each["code"], each["explained"]) for session in shown["sessions"] for each in session["findings"]]


def lose_an_answer(gateway: Gateway) -> None:
    gateway.fail(LOST)
    assert ask(gateway).code == 3


@pytest.mark.parametrize("protocol", ["v1", "v2"])
def test_after_a_close_the_ledger_the_gateway_and_the_chain_say_the_same(gateway: Gateway, protocol: str) -> None:
    gateway.change(protocol=protocol)
    box, before = gateway.box, gateway.balance
    ask(gateway).worked()
    lose_an_answer(gateway)
    lost = check(box)["sessions"][0]
    assert (lost["uncertain"], lost["at_most"]) == (1, amount(MILLION - parse_amount(lost["record"])))
    ask(gateway).worked()
    box.run("session", "topup", "1", "--yes").worked()
    fees = before - gateway.balance - 6 * MILLION
    box.run("session", "close").worked()

    shown, total = check(box), box.run("spend", "-j").worked().json["total"]
    [books], [session] = accepted(gateway), shown["sessions"]
    assert findings(shown) == [], "the next receipt has told what the lost answer cost"
    assert (total["spent"], total["unknown"], total["at_most"]) == (amount(int(books["spent"])), 1, "0.00")
    assert shown["spent"] == session["ledger"] == session["record"] == session["on_chain"] == total["spent"]
    assert before - gateway.balance - fees == int(books["spent"]), "every base unit"


@pytest.mark.parametrize("protocol", ["v1", "v2"])
def test_what_a_close_takes_for_a_lost_answer_is_booked_and_explained(gateway: Gateway, protocol: str) -> None:
    gateway.change(protocol=protocol)
    ask(gateway).worked()
    lose_an_answer(gateway)
    before = gateway.balance
    gateway.fail(Fault(on="voucher", code="mpp_payment_verification_failed"))  # it does not tell what it counts
    gateway.box.run("session", "close").worked()
    shown = check(gateway.box)
    assert findings(shown) == [("close", True)]
    assert parse_amount(shown["spent"]) == 5 * MILLION - (gateway.balance - before)
    assert shown["spent"] == shown["sessions"][0]["on_chain"]


def test_a_gateway_that_takes_more_than_its_receipts_say_is_found_out(gateway: Gateway) -> None:
    gateway.fail(Fault(on="open", receipt_lies={"spent": "1"}))
    ask(gateway).worked()
    assert findings(check(gateway.box)) == []
    gateway.fail(Fault(on="voucher", code="mpp_payment_verification_failed"))
    gateway.box.run("session", "close").worked()
    shown = check(gateway.box, code=4)
    assert findings(shown) == [("close", False)]
    done = gateway.box.run("spend", "--check", ANDO_NO_AUTO_JSON="1")
    assert (done.code, "differs" in done.stdout) == (4, True)
    assert "taken at the close beyond what receipts reported, and no request lacks one" in done.stdout
    assert "1 of 1 sessions do not add up" in done.stderr


def test_on_a_machine_that_recovered_a_session_what_was_spent_before_is_told_apart(gateway: Gateway) -> None:
    box = gateway.box
    for _ in range(2):
        ask(gateway).worked()
    before = parse_amount(box.run("spend", "-j").worked().json["total"]["spent"])
    for file in (box.home / "state").glob("sessions.db*"):
        file.unlink()
    box.run("session", "recover").worked()
    ask(gateway).worked()
    [session] = check(box)["sessions"]
    assert parse_amount(session["record"]) == int(accepted(gateway)[0]["spent"])
    box.run("session", "close").worked()
    assert findings(check(box)) == []
    assert parse_amount(box.run("spend", "-j").worked().json["total"]["spent"]) >= before


def test_a_ledger_that_lost_a_row_is_found_out_without_the_chain_too(gateway: Gateway) -> None:
    ask(gateway).worked()
    with sqlite3.connect(gateway.box.home / "state" / "sessions.db") as store:
        store.execute("DELETE FROM ledger")
    store.close()
    assert gateway.box.run("spend", "--check", ANDO_RPC_URL=NOWHERE).code == 3
    done = gateway.box.run("spend", "--check", "--offline", "-j", ANDO_RPC_URL=NOWHERE)
    assert (done.code, findings(done.json)) == (4, [("ledger", False), ("authorised", False)])


def test_a_terminal_is_told_that_every_base_unit_is_accounted_for(gateway: Gateway) -> None:
    ask(gateway).worked()
    shown = gateway.box.terminal("spend", "--check", NO_COLOR="1").end()
    assert shown.code == 0
    assert "agrees" in shown.stderr
    assert "every base unit is accounted for" in shown.stderr


def test_where_there_is_no_session_there_is_nothing_to_check(box: Box) -> None:
    assert check(box)["sessions"] == []
    assert "no session on record" in box.run("spend", "--check", ANDO_NO_AUTO_JSON="1").worked().stderr
    assert not (box.home / "state").exists()


@pytest.mark.parametrize("flags", [["--check", "--csv"], ["--check", "--since", "today"], ["--offline"]])
def test_what_does_not_go_with_a_check_is_refused(box: Box, flags: list[str]) -> None:
    assert "--check" in box.run("spend", *flags).refused()
