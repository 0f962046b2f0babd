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
    assert (parse_amount(total["fees"]), total["fees_at_most"]) == (fees, "0.00")
    assert parse_amount(shown["wallet"]["net"]) == before - gateway.balance
    assert parse_amount(shown["wallet"]["balance"]) == gateway.balance


def silent(gateway: Gateway, *methods: str) -> None:
    """The node does not answer these methods."""
    refusal = {"methods": list(methods), "error": {"code": -32000, "message": "not served here"}}
    gateway.fail(Fault(on="rpc", times=None, rpc=refusal))


@pytest.mark.parametrize("protocol", ["v1", "v2"])
def test_the_receipt_of_the_close_tells_what_it_took_where_no_events_are_served(
    gateway: Gateway, protocol: str
) -> None:
    gateway.change(protocol=protocol)
    ask(gateway).worked()
    silent(gateway, "eth_getLogs")
    shown = gateway.box.run("session", "close", "-j").worked().json
    assert parse_amount(shown["captured"]) == int(accepted(gateway)[0]["spent"])


def test_a_close_of_which_nothing_tells_what_it_took_is_unknown_until_sync_finds_it_out(gateway: Gateway) -> None:
    box = gateway.box
    ask(gateway).worked()
    silent(gateway, "eth_getLogs", "eth_getTransactionReceipt")
    shown = box.run("session", "close", "-j").worked().json
    assert (shown["captured"], shown["refunded"]) == (None, None)
    assert (shown["captured_at_most"], shown["refunded_at_least"]) == ("1.00", "4.00")
    total = box.run("spend", "-j").worked().json["total"]
    assert (total["unproven"], parse_amount(total["at_most"]) + parse_amount(total["spent"])) == (1, MILLION)
    assert parse_amount(total["fees_at_most"]) > 0
    assert "a close whose amount is unknown" in box.run("spend", ANDO_NO_AUTO_JSON="1").worked().stdout
    assert findings(check(box, code=4)) == [("close_unproven", False)]
    [listed] = box.run("session", "list", "-j").worked().json
    assert (listed["state"], listed["captured"], listed["captured_at_most"]) == ("closed", None, "1.00")
    assert "not known" in box.run("session", "sync").worked().stderr

    gateway.faults.clear()
    spent = int(accepted(gateway)[0]["spent"])
    [synced] = box.run("session", "sync", "-j").worked().json["channels"]
    assert {"field": "captured", "before": None, "after": amount(spent)} in synced["changes"]
    total = box.run("spend", "-j").worked().json["total"]
    assert (total["spent"], total["unproven"], total["at_most"], total["fees_at_most"]) == (
        amount(spent), 0, "0.00", "0.00",
    )  # fmt: skip
    assert findings(check(box)) == []


def test_a_store_of_an_earlier_version_is_corrected_by_what_the_chain_proves(gateway: Gateway) -> None:
    """Version 2 took the zeros of a wiped record for what was captured."""
    box = gateway.box
    ask(gateway).worked()
    box.run("session", "close").worked()
    spent = int(accepted(gateway)[0]["spent"])
    with sqlite3.connect(box.home / "state" / "sessions.db") as store:
        store.execute("UPDATE channels SET spent = '0'")
        store.execute("DELETE FROM ledger WHERE outcome = 'fee'")
        store.execute(
            "INSERT INTO ledger (at, rail, gateway, network, session, path, outcome, spent) "
            "SELECT updated_at, 'mpp', gateway, network, number, '', 'closed', ? FROM channels",
            (str(-spent),),
        )
        later = {
            "channels": ("captured", "step", "doubt", "route"),
            "ledger": ("fee", "fee_at_most", "tx_hash", "freed"),
            "claims": ("lapses", "host", "started"),
        }
        store.execute("DROP INDEX ledger_transactions")
        store.execute("DROP INDEX ledger_raises")
        store.execute("CREATE INDEX ledger_raises ON ledger (network, at, authorised, outcome)")
        for column in (f"{table}.{name}" for table, names in later.items() for name in names):
            table, name = column.split(".")
            store.execute(f"ALTER TABLE {table} DROP COLUMN {name}")
        store.execute("PRAGMA user_version = 2")
    store.close()
    total = box.run("spend", "-j").worked().json["total"]
    assert (total["spent"], total["unproven"]) == (amount(spent), 1)
    assert findings(check(box, code=4)) == [("settled", False)]
    box.run("session", "sync").worked()
    assert findings(check(box)) == []
    assert box.run("spend", "-j").worked().json["total"]["spent"] == amount(spent)


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


@pytest.mark.parametrize("protocol", ["v1", "v2"])
@pytest.mark.parametrize("node", [{"lag": 1_000_000}, {"methods": ["eth_call"], "channel": "absent"}])
def test_a_node_that_does_not_show_the_channel_ends_nothing(
    gateway: Gateway, protocol: str, node: dict[str, Any]
) -> None:
    gateway.change(protocol=protocol)
    box = gateway.box
    ask(gateway).worked()
    gateway.fail(Fault(on="rpc", times=None, rpc=node))
    gateway.fail(Fault(on="voucher", code="session/channel-not-found"))
    refused = box.run("chat", "hi", "-j", "--yes")
    assert (refused.code, refused.json["error"]["code"]) == (4, "deposit_in_flight")
    box.run("session", "sync").worked()
    [listed] = box.run("session", "list", "-j", "--chain").worked().json
    assert (listed["state"], listed["chain"]["differences"]) == ("open", ["state"])
    assert findings(check(box, code=4)) == [("state", False)]
    gateway.faults.clear()
    ask(gateway).worked()
    assert len(box.run("session", "list", "-j").worked().json) == 1
