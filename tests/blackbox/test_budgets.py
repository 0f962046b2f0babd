"""Budgets, with the installed command: consent without a terminal, the refusal, the warning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.badluck import ASK, purse
from tests.support.cli_box import MILLION

if TYPE_CHECKING:
    from tests.support.cli_box import Gateway

DEAR = dict.fromkeys(("Starter", "Plus", "Premium"), 10_000)
"""Prices at which a bucket of 1.00 is used up by a few words."""


def test_a_budget_is_consent_without_a_terminal_and_bounds_the_deposit(gateway: Gateway) -> None:
    assert gateway.box.run(*ASK, "-j").error["code"] == "consent_required"
    gateway.box.run(*ASK, ANDO_BUDGET_DAY="2.5").worked()
    assert (purse(gateway).deposit, purse(gateway).authorised) == (2_500_000, MILLION)


def test_a_budget_that_is_used_up_refuses_the_next_raise_and_says_when_it_renews(gateway: Gateway) -> None:
    box = gateway.box
    gateway.configure()
    with (box.home / "config.toml").open("a") as config:
        config.write('[budget]\nday = "2"\nmonth = "2.2"\n')
    gateway.change(prices=DEAR)
    warned = box.run("chat", "hi", "--max-tokens", "40").worked()
    assert "warning" not in warned.stderr
    while True:
        done = box.run("chat", "hi", "--max-tokens", "40", "-j")
        if done.code:
            break
        warned = done if b"warning" in done.err else warned
    assert warned.stderr.splitlines() == [
        "warning: budget.month: 2.00 of 2.20 is used; budget.day: 2.00 of 2.00 is used"
    ]
    error = done.error
    assert (done.code, error["code"]) == (4, "budget_exceeded")
    assert error["message"] == "budget.month is 2.20, of which 2.00 is used: this needs 1.00 more"
    assert "it renews at 20" in error["hint"]
    assert purse(gateway).authorised == 2 * MILLION
    shown = box.run("spend", "-j").worked().json["budgets"]
    assert [(each["name"], each["used"], each["left"]) for each in shown] == [
        ("budget.month", "2.00", "0.20"),
        ("budget.day", "2.00", "0.00"),
    ]
    box.run("chat", "hi", "--max-tokens", "40", ANDO_BUDGET_DAY="4", ANDO_BUDGET_MONTH="4").worked()


def test_a_voucher_by_hand_is_bounded_too(gateway: Gateway) -> None:
    box = gateway.warm_up().box
    [session] = box.run("session", "list", "--full", "-j").worked().json
    sign = ("voucher", "sign", "--channel", session["id"], "-j", "--amount")
    refused = box.run(*sign, "3", "--yes", ANDO_BUDGET_TOTAL="2")
    assert refused.error["code"] == "budget_exceeded"
    assert purse(gateway).authorised == MILLION
    signed = box.run(*sign, "2", ANDO_BUDGET_TOTAL="2").worked()
    assert "warning: budget.total: 2.00 of 2.00 is used" in signed.stderr
    elsewhere = ("--channel", "0x" + "c4" * 32, "--escrow", "0x" + "e5" * 20, "--chain-id", "1", "--protocol", "v1")
    unknown = box.run("voucher", "sign", *elsewhere, "--amount", "1", "--yes", "-j", ANDO_BUDGET_TOTAL="2")
    assert unknown.error["code"] == "budget_exceeded"
