"""Connections that break, processes that are killed, many at once: nothing is paid twice and nothing is lost."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from ando_cli.sandbox.faults import Fault
from tests.support.badluck import (
    ASK,
    LOST,
    Answer,
    Purse,
    Seen,
    accepted,
    ask,
    ended,
    outcome,
    outcomes,
    paid,
    purse,
    relaying,
    rows,
    until,
)

if TYPE_CHECKING:
    from ando_cli.sandbox.gateway.gateway import Entry
    from tests.support.cli_box import Gateway

MILLION = 1_000_000
REFRESH = "mpp_voucher_bucket_refresh_required"
ONE_CHANNEL = Purse(channels=1, authorised=MILLION, deposit=5 * MILLION, moved=5 * MILLION)


def one_and_the_same(entries: list[Entry]) -> bool:
    """Whether requests carried the same credential, the same Idempotency-Key and the same body."""
    prints = {(entry.authorization_sha256, entry.idempotency_key_sha256, entry.body_sha256) for entry in entries}
    return len(prints) == 1


def spent(gateway: Gateway) -> int:
    """What the gateway has charged so far, in all its sessions."""
    return sum(int(session["spent"]) for session in accepted(gateway))


def small_deposit(gateway: Gateway) -> None:
    """A channel whose deposit is one bucket, which the gateway is about to call used up."""
    gateway.change(suggested_deposit=MILLION)
    gateway.warm_up()
    gateway.fail(Fault(on="voucher", code=REFRESH))


# An unpaid request


@pytest.mark.parametrize("moment", LOST)
def test_an_unpaid_request_that_is_lost_costs_nothing(gateway: Gateway, moment: str) -> None:
    gateway.fail(Fault(on="unpaid", drop=moment))
    assert "nothing was paid" in ask(gateway).refused(3)
    assert paid(gateway) == []
    assert purse(gateway) == Purse(0, 0, 0, 0)


def test_a_gateway_that_is_not_there_is_said_to_be_unreachable(gateway: Gateway) -> None:
    refusal = ask(gateway, "--base-url", "http://127.0.0.1:9/v1").refused(3)
    assert "cannot connect to 127.0.0.1" in refusal
    assert "nothing was sent" in refusal


def test_a_gateway_that_goes_away_after_its_challenge_leaves_a_voucher_that_stays_valid(warm: Gateway) -> None:
    with relaying(warm) as relay:
        ask(warm).worked()  # the relay is a gateway of its own: this opens its channel
        before = purse(warm)

        def close(seen: Seen, answer: Answer) -> Answer:
            relay.close()
            answer.headers.append(("Connection", "close"))
            return answer

        relay.tamper = close
        error = ask(warm, "-j").error
    assert (error["exit_code"], error["code"]) == (3, "connect_failed")
    assert purse(warm) == before


# An open


@pytest.mark.parametrize("moment", LOST)
def test_an_open_whose_answer_is_lost_once_is_sent_again_as_it_was(gateway: Gateway, moment: str) -> None:
    gateway.fail(Fault(on="open", drop=moment))
    ask(gateway).worked()
    assert gateway.actions == ["unpaid", "open", "open"]
    assert one_and_the_same(paid(gateway))
    assert purse(gateway) == ONE_CHANNEL


@pytest.mark.parametrize("moment", LOST)
def test_an_open_whose_answer_never_comes_is_found_by_the_next_run(gateway: Gateway, moment: str) -> None:
    gateway.fail(Fault(on="open", drop=moment, times=2))
    lost = ask(gateway)
    assert lost.code == 3
    assert ("the answer is cut" if moment == "headers" else "whether it was charged is unknown") in lost.stderr
    assert lost.stdout.startswith("{") is (moment == "headers"), "what came of the answer is not lost"
    assert one_and_the_same(paid(gateway))
    assert outcome(gateway.box) == "unknown"
    signed = rows(gateway.box, "channels")[0]
    ask(gateway).worked()
    # What never arrived is sent once more, the same deposit into the same channel; what did is paid from.
    assert paid(gateway)[-1].action == ("open" if moment == "before" else "voucher")
    assert purse(gateway) == ONE_CHANNEL
    assert [channel["channel_id"] for channel in rows(gateway.box, "channels")] == [signed["channel_id"]]
    assert len(accepted(gateway)) == 1


# A voucher


@pytest.mark.parametrize("moment", LOST)
def test_a_voucher_whose_answer_is_lost_once_is_sent_again_as_it_was(warm: Gateway, moment: str) -> None:
    before, spent_before = purse(warm), spent(warm)
    warm.fail(Fault(on="voucher", drop=moment))
    ask(warm).worked()
    assert warm.actions == ["unpaid", "voucher", "voucher"]
    assert one_and_the_same(paid(warm))
    assert purse(warm) == before
    assert spent(warm) == spent_before + 130  # one request's price, not two


@pytest.mark.parametrize("moment", LOST)
def test_a_voucher_whose_answer_never_comes_is_not_replaced_by_a_higher_one(warm: Gateway, moment: str) -> None:
    before = purse(warm)
    warm.fail(Fault(on="voucher", drop=moment, times=2))
    error = ask(warm, "-j").error
    cut = moment == "headers"  # a part of the answer came, and is kept
    assert (error["exit_code"], error["code"]) == (3, "answer_cut" if cut else "outcome_unknown")
    assert ("body" in error) is cut
    assert one_and_the_same(paid(warm))
    assert outcome(warm.box) == "unknown"
    ask(warm).worked()
    assert purse(warm) == before


@pytest.mark.parametrize("code", [REFRESH, "mpp_invalid_challenge", "server_error"])
def test_after_a_lost_answer_no_rejection_leads_to_another_payment(warm: Gateway, code: str) -> None:
    before = purse(warm)
    warm.fail(Fault(on="voucher", drop="after"), Fault(on="voucher", code=code))
    assert ask(warm, "-j").error["code"] == "outcome_unknown"
    assert len(paid(warm)) == 2
    assert outcome(warm.box) == "unknown"
    assert purse(warm) == before


def test_a_raised_voucher_whose_answer_never_comes_stays_raised_by_one(gateway: Gateway) -> None:
    gateway.warm_up()
    gateway.fail(Fault(on="voucher", code=REFRESH), Fault(on="voucher", drop="after", times=2))
    assert ask(gateway, "-j").error["code"] == "outcome_unknown"
    assert purse(gateway).authorised == 2 * MILLION
    ask(gateway).worked()
    assert purse(gateway).authorised == 2 * MILLION


# A top-up. Its answer is a 204: there is no moment between its headers and its body.


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_top_up_whose_answer_is_lost_once_is_sent_again_as_it_was(gateway: Gateway, moment: str) -> None:
    small_deposit(gateway)
    gateway.fail(Fault(on="topUp", drop=moment))
    ask(gateway).worked()
    top_ups = [entry for entry in gateway.log if entry.action == "topUp"]
    assert len(top_ups) == 2
    assert one_and_the_same(top_ups)
    assert purse(gateway) == Purse(channels=1, authorised=2 * MILLION, deposit=2 * MILLION, moved=2 * MILLION)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_top_up_whose_answer_never_comes_is_made_once(gateway: Gateway, moment: str) -> None:
    small_deposit(gateway)
    gateway.fail(Fault(on="topUp", drop=moment, times=2))
    assert ask(gateway, "-j").error["code"] == "outcome_unknown"
    assert outcome(gateway.box) == "unknown"
    gateway.fail(Fault(on="voucher", code=REFRESH))
    ask(gateway).worked()
    assert purse(gateway) == Purse(channels=1, authorised=2 * MILLION, deposit=2 * MILLION, moved=2 * MILLION)


# A process that is killed


@pytest.mark.parametrize("when", ["before it took effect", "after it took effect"])
def test_a_kill_between_an_open_and_its_answer_costs_no_second_deposit(gateway: Gateway, when: str) -> None:
    if when == "after it took effect":
        gateway.change(model_seconds=3.0)
    else:
        gateway.fail(Fault(on="open", delay=3.0))
    process = gateway.box.start(*ASK, "--yes")
    until(lambda: "open" in gateway.actions)
    if when == "after it took effect":
        until(lambda: purse(gateway).moved)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    gateway.change(model_seconds=0.0)
    assert outcome(gateway.box) == "unknown"
    ask(gateway).worked()
    ask(gateway).worked()
    until(lambda: all(entry.status or entry.dropped for entry in gateway.log))  # what was delayed has happened too
    assert purse(gateway) == ONE_CHANNEL
    assert len(accepted(gateway)) == 1


def test_a_kill_during_a_top_up_costs_no_second_one(gateway: Gateway) -> None:
    small_deposit(gateway)
    gateway.fail(Fault(on="topUp", delay=1.0))
    process = gateway.box.start(*ASK, "--yes")
    until(lambda: "topUp" in gateway.actions)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    gateway.fail(Fault(on="voucher", code=REFRESH))
    ask(gateway).worked()
    until(lambda: all(entry.status or entry.dropped for entry in gateway.log))
    assert purse(gateway) == Purse(channels=1, authorised=2 * MILLION, deposit=2 * MILLION, moved=2 * MILLION)


def test_a_kill_during_a_raise_leaves_the_raise_on_record_and_the_next_run_does_not_repeat_it(gateway: Gateway) -> None:
    gateway.warm_up()
    gateway.fail(Fault(on="voucher", code=REFRESH), Fault(on="voucher", delay=1.0))
    process = gateway.box.start(*ASK, "--yes")
    until(lambda: gateway.actions.count("voucher") == 2)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert purse(gateway).authorised == 2 * MILLION
    ask(gateway).worked()
    assert purse(gateway).authorised == 2 * MILLION
    assert accepted(gateway)[0]["accepted"] == str(2 * MILLION)


@pytest.mark.parametrize("action", ["open", "voucher"])
def test_ctrl_c_while_waiting_ends_at_once_and_keeps_the_record(gateway: Gateway, action: str) -> None:
    if action == "voucher":
        gateway.warm_up()
    gateway.fail(Fault(on=action, delay=3.0))
    process = gateway.box.start(*ASK, "--yes")
    until(lambda: action in gateway.actions)
    process.send_signal(signal.SIGINT)
    done = ended(process)
    assert (done.code, done.stdout) == (130, "")
    assert "error" not in done.stderr
    assert "may be charged" in done.stderr
    assert outcome(gateway.box) == "unknown"
    assert rows(gateway.box, "channels")[0]["cumulative_amount"] == str(MILLION)
    ask(gateway).worked()
    assert purse(gateway).channels == 1


# Many at once


@pytest.mark.parametrize("count", [2, 8])
def test_many_at_once_on_a_cold_store_open_one_channel_and_are_all_answered(gateway: Gateway, count: int) -> None:
    processes = [gateway.box.start(*ASK, "--yes") for _ in range(count)]
    answers = [ended(process).worked().stdout for process in processes]
    assert len(set(answers)) == 1
    assert gateway.actions.count("open") == 1
    assert purse(gateway) == ONE_CHANNEL
    assert accepted(gateway)[0]["spent"] == str(count * 130)
    assert outcomes(gateway.box) == ["answered"] * count


def test_many_at_once_that_all_need_a_raise_raise_once_each(gateway: Gateway) -> None:
    gateway.change(charge="full")
    gateway.warm_up()
    for process in [gateway.box.start(*ASK, "--yes") for _ in range(3)]:
        ended(process).worked()
    assert purse(gateway) == Purse(channels=1, authorised=4 * MILLION, deposit=5 * MILLION, moved=5 * MILLION)


def test_many_at_once_that_all_need_a_top_up_make_no_more_than_they_need(gateway: Gateway) -> None:
    gateway.change(suggested_deposit=MILLION, charge="full")
    gateway.warm_up()
    for process in [gateway.box.start(*ASK, "--yes") for _ in range(3)]:
        ended(process).worked()
    assert purse(gateway) == Purse(channels=1, authorised=4 * MILLION, deposit=4 * MILLION, moved=4 * MILLION)
