"""Answers that are lost: what is sent again, and what the ledger says of it."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import httpx
import pytest

from ando_cli.errors import InvariantError, NetworkError, PaymentError
from ando_cli.inference.request import Request
from ando_cli.rails import settlement
from ando_cli.session.channel import Doubt, State
from ando_cli.session.decide.situation import Progress
from tests.support.rails_bench import Bench, lost, over_http
from tests.support.rails_gateway import BODY, URL, Seen, refuse
from tests.support.session_doubles import (
    MILLION,
    channel,
)


def test_a_lost_answer_that_comes_the_second_time_is_an_answer(bench: Bench) -> None:
    bench.have(channel())
    bench.gateway.script = [lambda seen: lost(bench.gateway.paid(seen))]
    assert bench.send().status_code == 200
    assert bench.outcomes() == ["answered"]


@pytest.mark.parametrize("status", [402, 409, 500, 302])
@pytest.mark.parametrize("code", ["mpp_voucher_bucket_refresh_required", "mpp_reservation_failed", "weather", None])
def test_a_lost_answer_that_is_then_rejected_is_unknown_and_gets_no_new_voucher(
    bench: Bench, code: str | None, status: int
) -> None:
    known = bench.have(channel())
    bench.gateway.script = [lambda _: lost(refuse(code, status))]
    assert bench.fails() == "outcome_unknown"
    assert bench.gateway.actions == [None, "voucher"]
    assert bench.store.channel(known.channel_id) == replace(
        known, created_at=int(bench.clock.now), updated_at=int(bench.clock.now), doubt=Doubt.REQUEST
    )
    assert bench.outcomes() == ["unknown"]


def test_a_lost_answer_followed_by_a_challenge_that_cannot_be_answered_is_unknown(bench: Bench) -> None:
    bench.have(channel())

    def bent(seen: Seen) -> httpx.Response:
        bench.gateway.details = {"chainId": 1}
        return lost(bench.gateway.challenge(seen, "payment_required"))

    bench.gateway.script = [bent]
    assert bench.fails() == "outcome_unknown"
    assert bench.outcomes() == ["unknown"]


def test_a_connection_that_breaks_for_good_leaves_the_outcome_unknown(bench: Bench) -> None:
    def broken(_: Seen) -> httpx.Response:
        raise httpx.ReadError("gone")

    bench.gateway.script = [broken]
    with pytest.raises(httpx.ReadError):
        bench.send()
    assert bench.outcomes() == ["unknown"]
    assert bench.live.state is State.OPENING


@pytest.mark.parametrize("error", [httpx.ConnectError("x"), httpx.ConnectTimeout("x"), httpx.ProxyError("x")])
def test_a_credential_that_never_left_is_booked_as_failed(bench: Bench, error: Exception) -> None:
    bench.have(channel())
    bench.gateway.script = [lambda _: refuse("mpp_invalid_challenge")]
    for credentials in (0, 1):
        with pytest.raises(NetworkError, match="cannot connect"):
            over_http(bench, error, credentials).send(Request(URL, BODY))
    assert bench.outcomes() == ["failed", "failed"]


@pytest.mark.parametrize("error", [httpx.ReadError("x"), KeyboardInterrupt()])
def test_a_credential_that_may_have_arrived_stays_unknown(bench: Bench, error: BaseException) -> None:
    bench.have(channel())
    with pytest.raises((NetworkError, KeyboardInterrupt)):
        over_http(bench, error).send(Request(URL, BODY))
    assert bench.outcomes() == ["unknown"]


def test_a_rejected_request_that_is_broken_off_before_the_next_credential_is_booked_as_failed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.have(channel())

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bench.clock, "sleep", interrupted)
    bench.gateway.script = [lambda _: refuse("mpp_reservation_failed")]
    with pytest.raises(KeyboardInterrupt):
        bench.send()
    assert bench.outcomes() == ["failed"]


def test_an_answer_that_came_is_not_booked_as_failed_because_booking_it_was_broken_off(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.have(channel())

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bench.store, "receipted", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bench.send()
    assert bench.outcomes() == ["unknown"]


def test_an_open_whose_answer_was_lost_is_found_on_the_chain_and_not_paid_twice(bench: Bench) -> None:
    def broken(seen: Seen) -> httpx.Response:
        bench.gateway.paid(seen)
        raise httpx.ReadError("gone")

    bench.gateway.script = [broken]
    with pytest.raises(httpx.ReadError):
        bench.send()
    bench.start()
    assert bench.send().status_code == 200
    assert bench.gateway.actions == [None, "open", None, "voucher"]
    assert bench.chain.deposits == 5 * MILLION


def test_an_open_that_never_arrived_is_sent_again_as_it_was(bench: Bench) -> None:
    def broken(_: Seen) -> httpx.Response:
        raise httpx.ReadError("gone")

    bench.gateway.script = [broken]
    with pytest.raises(httpx.ReadError):
        bench.send()
    bench.start()
    assert bench.send().status_code == 200
    first, second = (seen.credential["payload"] for seen in bench.gateway.paid_for if seen.credential)
    assert first == second
    assert len(bench.store.channels()) == 1


def test_an_open_that_is_turned_down_and_not_on_the_chain_is_sent_again_once(bench: Bench) -> None:
    bench.gateway.script = [lambda seen: bench.gateway.challenge(seen, "mpp_invalid_challenge")] * 9
    with pytest.raises(PaymentError) as caught:
        bench.send()
    assert (caught.value.code, caught.value.retryable) == ("mpp_invalid_challenge", True)
    assert "because of mpp_invalid_challenge" in caught.value.message
    assert bench.gateway.actions == [None, "open", "open"]
    assert bench.live.state is State.OPENING


def _broken(*_: object) -> None:
    raise InvariantError("a fault")


def test_a_fault_of_ours_after_the_credential_was_sent_leaves_the_outcome_unknown(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settlement, "parse_receipt", _broken)
    assert bench.fails() == "invariant"
    assert bench.outcomes() == ["unknown"]


def test_a_fault_of_ours_before_the_next_credential_is_sent_leaves_the_request_failed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.have(channel())
    bench.gateway.script = [lambda seen: bench.gateway.challenge(seen, "mpp_invalid_challenge")]
    monkeypatch.setattr(Progress, "after_refresh", _broken)
    assert bench.fails() == "invariant"
    assert bench.outcomes() == ["failed"]


def test_a_claim_lapses_when_its_request_must_have_its_answer_or_be_given_up(bench: Bench) -> None:
    bench.have(channel())
    claims: list[tuple[int, int]] = []

    def look(_: Seen) -> None:
        with sqlite3.connect(bench.folder / "sessions.db") as db:
            claims.extend(db.execute("SELECT at, lapses FROM claims"))

    bench.gateway.script = [look]
    over_http(bench, RuntimeError(), credentials=2).send(Request(URL, BODY))
    ((at, lapses),) = claims
    # Twice sent at most, with a second to connect and one to read.
    assert lapses - at == 2 * (1 + 1) + 30
