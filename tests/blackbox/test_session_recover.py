"""``ando session show``, ``sync``, ``recover`` and ``forget``: the records, and channels that only the chain knows."""

from __future__ import annotations

import re
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from ando_cli.money import amount
from tests.support.badluck import accepted
from tests.support.cli_box import KEY, MILLION, Box

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cli_box import Gateway

OTHER_KEY = "7e" * 32


@pytest.fixture
def opened(gateway: Gateway) -> Gateway:
    """A gateway at which a channel of 5.00 is open, with 1.00 of it authorised."""
    return gateway.warm_up()


def session(box: Box) -> dict[str, Any]:
    shown = box.run("session", "show", "--full", "-j").worked().json
    assert isinstance(shown, dict)
    return shown


def lose(box: Box) -> str:
    """Lose the machine with all that it knew, but not the key; returns the channel's id."""
    lost = str(session(box)["id"])
    for file in (box.home / "state").glob("sessions.db*"):
        file.unlink()
    return lost


def strand(gateway: Gateway) -> str:
    """Open a channel beside the one that is open, whose record is lost then; returns the id of the lost one."""
    lost = str(session(gateway.box)["id"])
    edit(gateway.box, "state = 'closed'")  # where something is on record, no channel is looked for
    gateway.warm_up()
    with sqlite3.connect(gateway.box.home / "state" / "sessions.db") as store:
        store.execute("DELETE FROM channels WHERE channel_id = ?", (lost,))
    store.close()
    return lost


def edit(box: Box, assignment: str) -> None:
    """Change the record behind ando's back."""
    with sqlite3.connect(box.home / "state" / "sessions.db") as store:
        store.execute(f"UPDATE channels SET {assignment}")  # noqa: S608
    store.close()


# show


def test_show_tells_all_that_is_on_record(opened: Gateway) -> None:
    shown = session(opened.box)
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    assert re.fullmatch("0x[0-9a-f]{64}", shown["id"])
    assert re.fullmatch(time, shown["created_at"])
    assert re.fullmatch(time, shown["updated_at"])
    assert shown == {
        "id": shown["id"],
        "gateway": opened.base_url.removesuffix("/v1"),
        "network": "local",
        "protocol": "v1",
        "state": "open",
        "signer": "wallet",
        "deposit": "5.00",
        "authorised": "1.00",
        "accepted": "1.00",
        "spent": shown["spent"],
        "left": shown["left"],
        "captured": None,
        "captured_at_most": "1.00",
        "pending_deposit": None,
        "closes_at": None,
        "created_at": shown["created_at"],
        "updated_at": shown["updated_at"],
        "chain": None,
    }
    prefix = shown["id"][:8]
    assert opened.box.run("session", "show", prefix, "-j").worked().json["id"].startswith(f"{prefix}")
    assert opened.log == []


def test_show_aligns_its_columns(opened: Gateway) -> None:
    lines = opened.box.run("session", "show", "--chain").worked().stdout.splitlines()
    assert {"on record", "on the chain"} <= set(re.split(r"\s{2,}", lines[0]))
    deposit = next(line for line in lines if line.startswith("deposit"))
    assert re.split(r"\s{2,}", deposit) == ["deposit", "5.00", "5.00"]
    assert deposit.index("5.00") == lines[0].index("on record")
    assert deposit.rindex("5.00") == lines[0].index("on the chain")
    assert "differs" not in "".join(lines)


def test_show_marks_what_the_chain_says_otherwise(opened: Gateway) -> None:
    agreed = opened.box.run("session", "show", "--chain", "-j").worked().json["chain"]
    assert agreed == {
        "found": True, "deposit": "5.00", "settled": "0.00", "close_requested_at": None, "finalized": False,
        "differences": [],
    }  # fmt: skip
    edit(opened.box, "deposit = '2000000', state = 'closing'")
    shown = opened.box.run("session", "show", session_id(opened.box), "--chain", "-j").worked().json
    assert shown["chain"]["differences"] == ["state", "deposit"]
    text = opened.box.run("session", "show", session_id(opened.box), "--chain").worked().stdout
    assert re.search(r"deposit +2\.00 +5\.00 +! differs", text)


def session_id(box: Box) -> str:
    [row] = box.run("session", "list", "--full", "-j").worked().json
    return str(row["id"])


def test_show_without_a_live_channel_says_which_there_are(opened: Gateway) -> None:
    edit(opened.box, "state = 'closed'")
    assert "(closed)" in opened.box.run("session", "show").refused()
    opened.box.run("session", "forget", session_id(opened.box)).worked()
    assert "no channel is on record" in opened.box.run("session", "show").refused(4)


def test_show_works_on_a_machine_where_nothing_is_set_up(box: Box) -> None:
    assert "no channel is on record" in box.run("session", "show").refused(4)
    assert not (box.home / "state").exists(), "looking makes nothing"


# sync


def test_sync_takes_over_what_the_chain_says_and_leaves_what_was_authorised(opened: Gateway) -> None:
    unchanged = opened.box.run("session", "sync", "-j").worked().json
    assert unchanged["channels"][0]["changes"] == []
    edit(opened.box, "deposit = '9000000'")
    records = opened.box.records()
    dry = opened.box.run("session", "sync", "--dry-run", "-j", "--full").worked().json
    change = {"field": "deposit", "before": "9.00", "after": "5.00"}
    assert dry == {
        "dry_run": True,
        "channels": [{"id": session_id(opened.box), "state": "open", "changes": [change], "note": None}],
    }
    assert opened.box.records() == records
    assert "deposit 9.00 → 5.00" in opened.box.run("session", "sync").worked().stdout
    shown = session(opened.box)
    assert (shown["deposit"], shown["authorised"]) == ("5.00", "1.00")
    assert opened.log == []


def test_sync_without_a_channel_says_so(gateway: Gateway) -> None:
    assert gateway.box.run("session", "sync", "-j").worked().json == {"dry_run": False, "channels": []}
    assert "no channel on record" in gateway.box.run("session", "sync").worked().stderr


# recover


def test_a_channel_is_found_by_the_wallets_key_alone_and_pays_again(opened: Gateway) -> None:
    lost = lose(opened.box)
    found = opened.box.run("session", "recover", "-j", "--full").worked().json
    assert found == {
        "dry_run": False,
        "complete": True,
        "channels": [
            {
                "id": lost, "gateway": opened.base_url.removesuffix("/v1"), "network": "local", "protocol": "v1",
                "outcome": "recovered", "state": "open", "deposit": "5.00", "settled": "0.00", "authorised": "0.00",
            }
        ],
    }  # fmt: skip
    opened.box.run("chat", "hi").worked()
    assert opened.actions == ["unpaid", "voucher"]
    assert (session(opened.box)["id"], session(opened.box)["authorised"]) == (lost, "1.00")
    again = opened.box.run("session", "recover", "-j").worked().json
    assert [each["outcome"] for each in again["channels"]] == ["known"]


def test_recover_on_a_dry_run_records_nothing(opened: Gateway) -> None:
    lose(opened.box)
    dry = opened.box.run("session", "recover", "--dry-run").worked()
    assert "recovered: deposit 5.00" in dry.stdout
    assert "nothing was recorded" in dry.stderr
    assert opened.box.run("session", "list").worked().json == []


def test_an_id_is_enough(opened: Gateway) -> None:
    lost = lose(opened.box)
    assert "recovered: deposit 5.00" in opened.box.run("session", "recover", lost).worked().stdout
    opened.box.run("chat", "hi").worked()
    opened.box.run("session", "topup", "1", "--yes").worked()
    assert "closed" in opened.box.run("session", "close").worked().stdout
    gone = opened.box.run("session", "recover", lost, "-j")
    assert gone.error["code"] == "channel_closed"


def test_a_gateway_that_holds_a_higher_voucher_leads_to_authorised(opened: Gateway) -> None:
    opened.change(prices=dict.fromkeys(("Starter", "Plus", "Premium"), 10_000))
    while session(opened.box)["authorised"] != "2.00":
        opened.box.run("chat", "--max-tokens", "40", "hi").worked()
    lost = lose(opened.box)
    opened.box.run("session", "recover").worked()
    refused = opened.box.run("chat", "--max-tokens", "5", "hi").refused(4)
    assert "--authorised AMOUNT" in refused
    assert lost[:10] in refused
    raised = opened.box.run("session", "recover", lost[:12], "--authorised", "2", "-j").worked().json
    assert raised["channels"][0]["outcome"] == "raised"
    opened.box.run("chat", "--max-tokens", "5", "hi").worked()
    assert session(opened.box)["authorised"] == "2.00"


def test_no_more_can_have_been_authorised_than_is_deposited(opened: Gateway) -> None:
    lost = lose(opened.box)
    done = opened.box.run("session", "recover", lost, "--authorised", "5.000001", "-j")
    assert done.error["code"] == "above_deposit"
    assert opened.box.run("session", "list").worked().json == []


def test_beside_a_live_channel_another_is_kept_as_a_spare_that_can_be_closed(opened: Gateway) -> None:
    lost = strand(opened)
    live = session(opened.box)["id"]
    found = opened.box.run("session", "recover", "--full", "-j").worked().json["channels"]
    assert {each["id"]: (each["outcome"], each["state"]) for each in found} == {
        live: ("known", "open"),
        lost: ("spare", "spare"),
    }
    opened.box.run("chat", "hi").worked()
    assert session(opened.box)["id"] == live
    opened.box.run("session", "close", live).worked()
    promoted = opened.box.run("session", "recover", lost, "-j").worked().json["channels"]
    assert [each["outcome"] for each in promoted] == ["recovered"]


def test_a_spare_channel_is_closed_by_the_gateway_where_it_is_told_what_was_authorised(opened: Gateway) -> None:
    lost = strand(opened)
    opened.box.run("session", "recover").worked()
    refused = opened.box.run("session", "close", lost).refused(4)
    assert "the gateway refused" in refused
    assert "session recover" in refused
    assert "session close --force" in refused
    every = opened.box.run("session", "close", "--all", "-j").worked().json
    assert [each["action"] for each in every] == ["closed", "skipped"]
    assert "--authorised" in every[1]["hint"]
    opened.box.run("session", "recover", lost, "--authorised", "1").worked()
    closed = opened.box.run("session", "close", lost, "-j").worked().json
    spent = next(int(each["spent"]) for each in accepted(opened) if each["channel_id"].startswith(lost))
    captured, refunded = amount(spent), amount(5 * MILLION - spent)
    assert (closed["action"], closed["captured"], closed["refunded"]) == ("closed", captured, refunded)
    assert sorted(each["state"] for each in opened.box.run("session", "list").worked().json) == ["closed", "closed"]


def test_two_lost_channels_come_back_as_one_live_and_one_spare(opened: Gateway) -> None:
    strand(opened)
    lose(opened.box)
    for options in (("--dry-run",), ()):
        found = opened.box.run("session", "recover", "-j", *options).worked().json["channels"]
        assert [each["outcome"] for each in found] == ["recovered", "spare"]


def test_asking_the_gateway_finds_the_channels_that_it_did_not_name_too(opened: Gateway) -> None:
    opened.box.run("session", "close").worked()
    opened.change(protocol="v2")
    opened.warm_up()
    for _ in range(2):
        edit(opened.box, "state = 'closed'")
        opened.warm_up()
    lost = {str(each["id"]) for each in opened.box.run("session", "list", "--full", "-j").worked().json}
    for file in (opened.box.home / "state").glob("sessions.db*"):
        file.unlink()
    for options in (("--dry-run",), ()):
        found = opened.box.run("session", "recover", "--ask-gateway", "-j", "--full", *options).worked().json
        assert found["complete"]
        assert sorted(each["outcome"] for each in found["channels"]) == ["recovered", "spare", "spare"]
        assert found["channels"][0]["authorised"] == "1.00"
        assert {each["id"] for each in found["channels"]} < lost


def test_one_amount_is_not_taken_for_several_channels(opened: Gateway) -> None:
    strand(opened)
    lose(opened.box)
    assert "2 are open" in opened.box.run("session", "recover", "--authorised", "1").refused()


def test_a_channel_of_another_wallet_is_refused(opened: Gateway, tmp_path: Path) -> None:
    lost = lose(opened.box)
    done = opened.box.run("session", "recover", lost, "-j", ANDO_PRIVATE_KEY=OTHER_KEY)
    assert done.error["code"] == "other_payer"
    assert opened.box.run("session", "recover", "-j", ANDO_PRIVATE_KEY=OTHER_KEY).worked().json["channels"] == []


def test_a_channel_of_another_payee_than_the_pinned_one_is_left_alone_until_it_is_accepted(opened: Gateway) -> None:
    lost = session(opened.box)["id"]
    opened.box.run("session", "forget", lost, "--yes-lose-track").worked()
    with sqlite3.connect(opened.box.home / "state" / "sessions.db") as store:
        store.execute("UPDATE pins SET payee = ?", ("0x" + "dd" * 20,))
    store.close()
    [left] = opened.box.run("session", "recover", "-j").worked().json["channels"]
    assert (left["outcome"], left["state"], left["authorised"]) == ("other_payee", None, None)
    refused = opened.box.run("session", "recover", lost, "-j").error
    assert refused["code"] == "payee_changed"
    name = re.search("--accept-payee ([0-9a-f]+)", refused["hint"])
    assert name is not None
    assert opened.box.run("session", "recover", lost, "--accept-payee", name[1]).worked()
    opened.box.run("chat", "hi").worked()


def test_an_id_that_is_nowhere_is_an_error(opened: Gateway) -> None:
    assert opened.box.run("session", "recover", "0x" + "ab" * 32, "-j").error["code"] == "no_channel"
    assert "full id" in opened.box.run("session", "recover", "0xabcdef").refused()
    assert "--from-block" in opened.box.run("session", "recover", "--from-block", "-1").stderr


def test_events_before_the_given_block_are_not_searched(opened: Gateway) -> None:
    lose(opened.box)
    found = opened.box.run("session", "recover", "--from-block", "1000000", "-j").worked()
    assert found.json == {"dry_run": False, "complete": True, "channels": []}


# forget


def test_a_record_is_not_dropped_while_money_may_be_in_it(opened: Gateway) -> None:
    channel_id = session(opened.box)["id"]
    for state in ("opening", "open", "closing", "spare"):
        edit(opened.box, f"state = '{state}'")
        assert opened.box.run("session", "forget", channel_id, "-j").error["code"] == "money_in_channel"
    edit(opened.box, "state = 'open'")
    assert "--yes-lose-track" in opened.box.run("session", "forget", channel_id).refused(4)
    dry = opened.box.run("session", "forget", channel_id, "--yes-lose-track", "--dry-run", "-j", "--full")
    assert dry.worked().json == {"id": channel_id, "state": "open", "forgotten": False, "dry_run": True}
    assert session(opened.box)["id"] == channel_id
    done = opened.box.run("session", "forget", channel_id, "--yes-lose-track").worked()
    assert f"session recover {channel_id}" in done.stderr
    assert opened.box.run("session", "list").worked().json == []


def test_the_record_of_a_closed_channel_can_be_dropped(opened: Gateway) -> None:
    opened.box.run("session", "close").worked()
    channel_id = session_id(opened.box)
    done = opened.box.run("session", "forget", channel_id[:10], "-j", "--full").worked().json
    assert done == {"id": channel_id, "state": "closed", "forgotten": True, "dry_run": False}
    assert "no channel on record" in opened.box.run("session", "forget", channel_id).refused()


def test_nothing_here_takes_money_from_the_wallet(opened: Gateway) -> None:
    before = opened.balance
    lost = lose(opened.box)
    for arguments in (("recover",), ("sync",), ("show", "--chain"), ("forget", lost, "--yes-lose-track")):
        opened.box.run("session", *arguments).worked()
    assert opened.balance == before < 100 * MILLION
    assert KEY.address[2:] not in opened.box.run("session", "recover", "-j", "--full").worked().stdout
