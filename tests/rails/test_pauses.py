"""Waiting for as long as the gateway asks, within bounds; and errors that speak of the deposit first."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpx
import pytest

from ando_cli.errors import AndoError, RpcRefusedError
from ando_cli.http.deadline import Deadline
from ando_cli.http.failures import failure
from ando_cli.rails.pauses import LONGEST_PAUSE, Pauses, deposit_first
from ando_cli.rails.turn import Notes
from ando_cli.session.act import settling
from tests.support.session_doubles import MILLION, channel

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.rails_bench import Bench
    from tests.support.rails_gateway import Seen

PAID_URL = "https://gateway.example/v1/mpp/chat/completions"


def busy(status: int = 429, wait: str = "2") -> httpx.Response:
    return httpx.Response(status, headers={"Retry-After": wait}, json={"error": {"message": "later"}})


def told_to_wait(bench: Bench, code: str, wait: str) -> Callable[[Seen], httpx.Response]:
    def answer(seen: Seen) -> httpx.Response:
        response = bench.gateway.challenge(seen, code)
        response.headers["Retry-After"] = wait
        return response

    return answer


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_gateway_is_given_the_same_voucher_for_a_fresh_challenge(bench: Bench, status: int) -> None:
    bench.have(channel())
    bench.gateway.script = [lambda _: busy(status)]
    assert bench.send().status_code == 200
    assert bench.clock.slept == [2]
    assert bench.warnings == [f"the gateway is busy ({status}): trying again in 2 s"]
    assert bench.gateway.actions == [None, "voucher", None, "voucher"]
    assert {seen.cumulative for seen in bench.gateway.paid_for} == {MILLION}


def test_after_an_open_that_a_busy_gateway_turned_away_the_same_transaction_is_sent_again(bench: Bench) -> None:
    bench.gateway.script = [lambda _: busy()]
    assert bench.send().status_code == 200
    assert bench.gateway.actions.count("open") == 2
    assert len(bench.store.channels()) == 1
    assert bench.live.deposit == 5 * MILLION


def test_a_minute_in_all_is_the_most(bench: Bench) -> None:
    bench.have(channel())
    bench.gateway.script = [lambda _: busy(wait="40"), lambda _: busy(wait="20"), lambda _: busy(wait="1")]
    assert bench.send().status_code == 429
    assert sum(bench.clock.slept) == LONGEST_PAUSE


@pytest.mark.parametrize(("wait", "slept"), [("7", [7]), ("0", [0.5]), ("nonsense", [0.5])])
def test_a_402_that_asks_to_wait_is_answered_then(bench: Bench, wait: str, slept: list[float]) -> None:
    bench.have(channel())
    bench.gateway.script = [told_to_wait(bench, "mpp_reservation_failed", wait)]
    assert bench.send().status_code == 200
    assert bench.clock.slept == slept


def test_a_402_that_asks_for_more_than_a_minute_is_an_error_that_says_how_long(bench: Bench) -> None:
    bench.have(channel())
    bench.gateway.script = [told_to_wait(bench, "mpp_reservation_failed", "61")]
    with pytest.raises(AndoError, match="61 seconds") as caught:
        bench.send()
    assert (caught.value.retryable, caught.value.retry_after, bench.clock.slept) == (True, 61, [])


def test_only_the_paid_route_is_waited_for_and_not_past_the_deadline(bench: Bench) -> None:
    notes = Notes()
    assert not Pauses(bench.session, notes, "https://gateway.example/v1/free").after_busy(busy())
    pauses = Pauses(bench.session, notes, PAID_URL)
    assert not pauses.after_busy(httpx.Response(429))
    assert not pauses.after_busy(busy(500))
    assert pauses.after_busy(busy())
    object.__setattr__(bench.session, "deadline", Deadline(1.5))
    assert not Pauses(bench.session, notes, PAID_URL).fits(2)
    assert Pauses(bench.session, notes, PAID_URL).fits(1)


def test_an_error_after_a_top_up_speaks_of_it_first(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RpcRefusedError("rpc.example refused to tell the channel: limit exceeded", retryable=True)

    monkeypatch.setattr(settling, "confirm_top_up", fail)
    bench.have(channel(deposit=MILLION, spent=MILLION))
    with pytest.raises(AndoError) as caught:
        bench.send()
    assert re.match(r"the gateway took the top-up of \d\.\d\d; then rpc\.example refused", caught.value.message)
    assert not caught.value.retryable


def test_an_answer_after_a_deposit_speaks_of_it_first(bench: Bench) -> None:
    bench.gateway.script = [lambda _: httpx.Response(429, json={"error": {"message": "later"}})]
    response = bench.send()
    response.request = httpx.Request("POST", PAID_URL)
    assert failure(response).message.startswith("a deposit of 5.00 was sent; then the gateway answered 429")


def test_without_a_deposit_the_error_is_as_it_was() -> None:
    with pytest.raises(AndoError) as caught, deposit_first("a deposit is under way", 0):
        raise RpcRefusedError("x", retryable=True)
    assert (caught.value.message, caught.value.retryable) == ("x", True)
