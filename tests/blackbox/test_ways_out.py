"""The ways out: of a lost receipt, another base URL, a lost store, an old backup, a wrong clock, a fresh machine."""

from __future__ import annotations

import shutil
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from ando_cli.money import amount
from ando_cli.redact import short
from ando_cli.sandbox.faults import Fault
from tests.support.badluck import ASK, accepted, purse, rows
from tests.support.cli_box import MILLION, Box

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cli_box import Gateway

DEAR = dict.fromkeys(("Starter", "Plus", "Premium"), 10_000)
GRACE = 15 * 60


def session(box: Box) -> dict[str, Any]:
    [only] = box.run("session", "list", "--full", "-j").worked().json
    assert isinstance(only, dict)
    return only


def fresh(gateway: Gateway, folder: Path) -> Box:
    """Another machine with the same key and configuration, and nothing on record."""
    folder.mkdir()
    box = Box(folder)
    box.environment["ANDO_PRIVATE_KEY"] = gateway.box.environment["ANDO_PRIVATE_KEY"]
    box.configure((gateway.box.home / "config.toml").read_text())
    return box


# Where a channel is managed


def test_a_channel_is_managed_at_the_gateway_that_it_was_opened_at(gateway: Gateway) -> None:
    box = gateway.warm_up().box
    elsewhere = "http://127.0.0.1:9/v2"
    assert rows(box, "channels")[0]["route"] == f"POST {gateway.base_url}/mpp/chat/completions"
    box.run("session", "topup", "1", "--yes", ANDO_BASE_URL=elsewhere).worked()
    assert session(box)["deposit"] == "6.00"
    assert box.run("session", "close", "-j", ANDO_BASE_URL=elsewhere).worked().json["action"] == "closed"


def test_a_channel_of_an_older_version_is_managed_at_its_gateways_usual_route(gateway: Gateway) -> None:
    box = gateway.warm_up().box
    with sqlite3.connect(box.home / "state" / "sessions.db") as store:
        store.execute("UPDATE channels SET route = ''")
    store.close()
    done = box.run("session", "close", "-j", ANDO_BASE_URL="http://127.0.0.1:9/v2").worked()
    assert done.json["action"] == "closed"
    assert {entry.path for entry in gateway.log} == {"/v1/mpp/chat/completions"}


def test_the_query_of_the_request_that_opened_a_channel_is_not_on_record(gateway: Gateway) -> None:
    body = '{"messages":[{"role":"user","content":"hi"}],"max_tokens":8}'
    url = f"{gateway.base_url}/mpp/chat/completions?key=hush"
    gateway.box.run("request", url, "--json", body, "--yes").worked()
    assert rows(gateway.box, "channels")[0]["route"] == f"POST {gateway.base_url}/mpp/chat/completions"


# Deposits


def test_without_a_suggestion_a_deposit_is_for_many_requests_within_the_limits(gateway: Gateway) -> None:
    gateway.change(suggested_deposit=None, amount=10_000)
    person = gateway.box.terminal(*ASK)
    person.until("covers at least 100 requests")
    person.type("y\n")
    assert person.end().code == 0
    assert purse(gateway).deposit == 1_000_000


@pytest.mark.parametrize("protocol", ["v1", "v2"])
def test_a_deposit_leaves_what_a_close_without_the_gateway_costs(gateway: Gateway, protocol: str) -> None:
    box = gateway.box
    gateway.change(protocol=protocol, suggested_deposit=200 * MILLION, fee_payer=True)
    every = ("--yes", "-j")
    held = amount(gateway.balance)
    refused = box.run("session", "open", "--deposit", held, *every, ANDO_MAX_DEPOSIT="1000").error
    assert refused["code"] == "insufficient_balance"
    assert "or less" in refused["hint"]
    box.run(*ASK, "--yes", ANDO_MAX_DEPOSIT="1000").worked()
    assert 0 < gateway.balance < MILLION / 10
    box.run("session", "close", "--force").worked()
    gateway.sandbox.rpc("evm_increaseTime", GRACE)
    gateway.change(date_offset=float(GRACE))
    assert box.run("session", "close", "--finish", "-j").worked().json["action"] == "closed"


@pytest.mark.parametrize("protocol", ["v1", "v2"])
def test_a_stock_sponsor_pays_for_an_open_and_a_top_up_and_takes_the_close(gateway: Gateway, protocol: str) -> None:
    gateway.change(protocol=protocol, fee_payer=True, require_close_signature=True)
    before = gateway.balance
    gateway.box.run(*ASK, "--yes").worked()
    gateway.box.run("session", "topup", "1", "--yes").worked()
    assert before - gateway.balance == 6 * MILLION
    assert gateway.box.run("session", "close", "-j").worked().json["action"] == "closed"


# Clocks


@pytest.mark.parametrize("ahead", [11, 600])
def test_a_clock_that_is_ahead_is_allowed_for(gateway: Gateway, ahead: int) -> None:
    gateway.sandbox.rpc("evm_increaseTime", -ahead)
    gateway.change(date_offset=float(-ahead))
    done = gateway.box.run(*ASK, "--yes").worked()
    assert f"this computer's clock is {ahead}" in done.stderr.replace(f"{ahead + 1} s", f"{ahead} s")
    assert purse(gateway).channels == 1


def test_a_clock_that_is_off_by_hours_signs_nothing(gateway: Gateway) -> None:
    gateway.sandbox.rpc("evm_increaseTime", 7200)
    assert gateway.box.run(*ASK, "--yes", "-j").error["code"] == "clock_wrong"
    assert rows(gateway.box, "channels") == []


# A gateway that lost its store, and records from a backup


def test_a_gateway_that_lost_its_store_leads_to_the_close_without_it(gateway: Gateway) -> None:
    box = gateway.warm_up().box
    gateway.fail(Fault(on="voucher", code="session/channel-not-found", times=None))
    refused = box.run(*ASK, "--yes").refused(4)
    command = f"ando session close --force {short(session(box)['id'])}"
    assert command in refused
    box.run(*command.split()[1:]).worked()
    box.run(*ASK, "--yes").worked()
    assert sorted(row["state"] for row in rows(box, "channels")) == ["closing", "open"]


def test_records_from_an_older_backup_lead_to_what_was_authorised_since(gateway: Gateway) -> None:
    box = gateway.warm_up().box
    gateway.change(prices=DEAR)
    store = box.home / "state" / "sessions.db"
    with sqlite3.connect(store) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    shutil.copy(store, box.folder / "backup.db")
    while session(box)["authorised"] != "2.00":
        box.run("chat", "--max-tokens", "40", "hi").worked()
    for file in store.parent.glob("sessions.db*"):
        file.unlink()
    shutil.copy(box.folder / "backup.db", store)
    refused = box.run("chat", "--max-tokens", "5", "hi").refused(4)
    named = short(session(box)["id"])
    assert f"ando session recover {named} --authorised AMOUNT" in refused
    assert f"ando session close --force {named}" in refused
    box.run("session", "recover", named, "--authorised", "2").worked()
    box.run("chat", "--max-tokens", "5", "hi").worked()


def test_a_refusal_that_names_the_amount_leads_to_the_command_with_it(gateway: Gateway) -> None:
    box = gateway.warm_up().box
    says = "voucher amount must be >= 2000000 (highest accepted)"
    gateway.fail(Fault(on="voucher", code="mpp_payment_verification_failed", message=says))
    named = short(session(box)["id"])
    assert f"ando session recover {named} --authorised 2.00" in box.run(*ASK).refused(4)


# Recovery and fresh machines


def test_three_runs_with_an_empty_home_use_one_channel(gateway: Gateway, tmp_path: Path) -> None:
    for protocol in ("v1", "v2"):
        gateway.change(protocol=protocol)
        before = gateway.balance
        for number in range(3):
            fresh(gateway, tmp_path / f"{protocol}-{number}").run(*ASK, "--yes").worked()
        assert before - gateway.balance < 6 * MILLION
    assert gateway.actions.count("open") == 2


def test_a_channel_that_cannot_pay_is_not_taken_by_a_fresh_machine(gateway: Gateway, tmp_path: Path) -> None:
    gateway.warm_up().box.run("session", "close", "--force").worked()
    fresh(gateway, tmp_path / "other").run(*ASK, "--yes").worked()
    assert gateway.actions.count("open") == 1


@pytest.mark.parametrize("command", ["chat", "request"])
def test_close_closes_what_the_command_opened(gateway: Gateway, command: str) -> None:
    body = '{"messages":[{"role":"user","content":"hi"}],"max_tokens":8}'
    words = ASK if command == "chat" else ("request", "/mpp/chat/completions", "--json", body)
    done = gateway.box.run(*words, "--close", "--yes").worked()
    assert done.stdout
    assert "closed: " in done.stderr
    assert [row["state"] for row in rows(gateway.box, "channels")] == ["closed"]


def test_close_closes_after_an_error_too_and_leaves_older_channels_alone(gateway: Gateway) -> None:
    gateway.fail(Fault(on="open", drop="after", times=2))
    done = gateway.box.run(*ASK, "--close", "--yes", "-j")
    assert done.code != 0
    assert [row["state"] for row in rows(gateway.box, "channels")] == ["closed"]
    gateway.box.run(*ASK, "--yes").worked()
    gateway.box.run(*ASK, "--close", "--yes").worked()
    assert [row["state"] for row in rows(gateway.box, "channels")] == ["closed", "open"]


def test_a_close_that_fails_is_an_error_after_the_answer(gateway: Gateway) -> None:
    gateway.fail(Fault(on="close", code="mpp_session_close_failed"))
    done = gateway.box.run(*ASK, "--close", "--yes")
    assert (done.code, bool(done.stdout)) == (4, True)
    assert "session close" in done.stderr


# Budgets


def test_what_a_close_frees_is_given_back_to_the_budgets(gateway: Gateway) -> None:
    gateway.change(protocol="v2")
    limits = {"ANDO_BUDGET_DAY": "1.5", "ANDO_BUDGET_TOTAL": "1.5"}
    gateway.box.run(*ASK, **limits).worked()
    gateway.box.run("session", "close").worked()
    gateway.box.run(*ASK, **limits).worked()
    assert len(accepted(gateway)) == 2
