"""``ando spend``, the installed command: what was spent, in every form that it is told in."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Any

import pytest

from ando_cli.money import amount, parse_amount
from ando_cli.sandbox.faults import Fault

if TYPE_CHECKING:
    from tests.support.cli_box import Box, Gateway


@pytest.fixture(scope="module")
def used(_shared_gateway: Gateway) -> Gateway:
    """A gateway that answered two requests, and one whose answer was lost; and a top-up by hand."""
    box = _shared_gateway.box
    box.run("chat", "--plan", "Plus", "hello there").worked()
    _shared_gateway.fail(Fault(on="voucher", drop="after", times=2))
    assert box.run("chat", "lost").code in (3, 4)
    _shared_gateway.faults.clear()
    box.run("session", "topup", "1", "--yes").worked()
    return _shared_gateway


def spent(box: Box) -> int:
    [session] = box.run("session", "list", "-j").worked().json
    return parse_amount(session["spent"])


def test_a_pipe_gets_json_in_which_every_request_is_counted(used: Gateway) -> None:
    shown = used.box.run("spend", "--by", "plan").worked().json
    whole = shown["total"]
    assert (whole["requests"], whole["answered"], whole["unknown"], whole["uncertain"]) == (3, 2, 1, 1)
    assert whole["spent"] == amount(spent(used.box))
    assert whole["at_most"] == amount(1_000_000 - spent(used.box))
    assert (whole["authorised"], whole["deposited"]) == ("1.00", "6.00")
    groups = {each["plan"]: each for each in shown["by_plan"]}
    assert {plan: each["requests"] for plan, each in groups.items()} == {"Starter": 2, "Plus": 1, None: 0}
    assert groups[None]["deposited"] == "1.00"
    assert shown["network"] == "local"


def test_csv_has_a_line_for_each_request_and_for_money_that_moved_without_one(used: Gateway) -> None:
    text = used.box.run("spend", "--requests", "--csv").worked().stdout
    rows: list[dict[str, Any]] = list(csv.DictReader(io.StringIO(text)))
    assert [row["outcome"] for row in rows] == ["fee", "answered", "answered", "unknown", "fee", "by_hand"]
    assert sum(parse_amount(row["spent"]) for row in rows if row["spent"]) == spent(used.box)
    assert (rows[3]["spent"], rows[3]["at_most"]) == ("", amount(1_000_000 - spent(used.box)))
    groups = used.box.run("spend", "--by", "session", "--csv").worked().stdout.splitlines()
    assert groups[0].startswith("session,requests,")
    assert len(groups) == 2


def test_a_terminal_gets_a_table_with_bars_and_the_sum_below(used: Gateway) -> None:
    screen = used.box.terminal("spend", "--by", "plan", NO_COLOR="1").end().stderr
    assert re.search(r"Starter +2 +1 +\d+ +\d+ 0\.\d+ █+", screen)
    assert f"{amount(spent(used.box))} " in screen
    assert f"+ up to {amount(1_000_000 - spent(used.box))} for 1 without a receipt" in screen
    assert "3 requests: 2 answered, 1 unknown" in screen
    assert "\x1b[3" not in screen, "no colour"


def test_another_time_or_network_is_left_out(used: Gateway) -> None:
    assert used.box.run("spend", "--until", "2001-01-01").worked().json["total"]["requests"] == 0
    today = used.box.run("spend", "--since", "today", "-j", "--requests", "--full").worked().json
    assert len(today["requests"]) == 6
    assert re.fullmatch("0x[0-9a-f]{64}", today["requests"][0]["session"])
    elsewhere = used.box.run("spend", "--network", "tempo").worked()
    assert elsewhere.json["total"]["requests"] == 0
    assert "6 entries on other networks are left out: add --network (local)" in elsewhere.stderr


def test_where_nothing_is_set_up_nothing_was_spent_and_nothing_is_made(box: Box) -> None:
    assert box.run("spend").worked().json["total"]["spent"] == "0.00"
    assert "nothing was paid for yet" in box.run("spend", ANDO_NO_AUTO_JSON="1").worked().stderr
    assert not (box.home / "state").exists()


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["--since", "never"], "is not a day"),
        (["--since", "today", "--until", "yesterday"], "--until is before --since"),
        (["--requests", "--by", "day"], "cannot be used together"),
        (["--by", "colour"], "one of day, model, plan, rail, gateway, session"),
    ],
)
def test_what_makes_no_sense_is_refused(box: Box, flags: list[str], why: str) -> None:
    assert why in box.run("spend", *flags).refused()
