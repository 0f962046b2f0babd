"""Streamed answers, and everything that can go wrong on the account-owned routes."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ando_cli.sandbox.faults import Fault
from ando_cli.sandbox.faults.streams import ERROR_EVENT, MALFORMED_EVENT, spoil
from tests.support.sandbox_key_holder import BODIES, HELLO, MODEL, KeyHolder, error_of

if TYPE_CHECKING:
    from ando_cli.sandbox.server import Sandbox
    from tests.support.sandbox_payer import Payer

EVENTS = (b"a", b"b", b"c", b"d")


@pytest.fixture
def holder(sandbox: Sandbox) -> KeyHolder:
    return KeyHolder(sandbox)


def test_a_chat_streams_word_by_word(holder: KeyHolder) -> None:
    chunks = holder.chunks()
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert {chunk["id"] for chunk in chunks} == {chunks[0]["id"]}
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert deltas[1:4] == [{"content": "This"}, {"content": " is"}, {"content": " a"}]
    assert deltas[-1] == {}
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks]
    assert (set(reasons[:-1]), reasons[-1]) == ({None}, "stop")
    assert not any("usage" in chunk for chunk in chunks)
    buffered = holder.ask().json()["choices"][0]["message"]["content"]
    assert "".join(delta.get("content", "") for delta in deltas) == buffered


def test_a_stream_tells_its_usage_where_that_is_asked_for(holder: KeyHolder) -> None:
    chunks = holder.chunks(stream_options={"include_usage": True}, max_tokens=2)
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-2]["choices"][0]["finish_reason"] == "length"
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == holder.ask(max_tokens=2).json()["usage"]


def test_thoughts_stream_before_the_answer(holder: KeyHolder) -> None:
    deltas = [chunk["choices"][0]["delta"] for chunk in holder.chunks("think")]
    message = holder.ask("think").json()["choices"][0]["message"]
    for member in ("reasoning_content", "content"):
        assert "".join(delta.get(member, "") for delta in deltas) == message[member]
    kinds = ["reasoning_content" in delta for delta in deltas[1:-1]]
    assert kinds == sorted(kinds, reverse=True)


def test_a_completion_streams_too(holder: KeyHolder) -> None:
    chunks = holder.chunks("completions", stream_options={"include_usage": True})
    assert {chunk["object"] for chunk in chunks} == {"text_completion"}
    text = "".join(chunk["choices"][0]["text"] for chunk in chunks[:-1])
    assert text == holder.ask("completions").json()["choices"][0]["text"]
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["usage"]["completion_tokens"] > 0


def test_the_events_arrive_one_by_one(holder: KeyHolder) -> None:
    holder.sandbox.faults.push(Fault(on="chat", stream={"event_delay": 60, "delay_after": 3}))
    body = {"model": MODEL, "messages": HELLO, "stream": True}
    with holder.http.stream("POST", "/chat/completions", json=body) as response:
        lines = response.iter_lines()
        seen = [next(lines) for _ in range(6)]
        assert json.loads(seen[4].removeprefix("data: "))["choices"][0]["delta"] == {"content": " is"}


@pytest.mark.parametrize("streamed", [False, True])
def test_the_model_takes_its_time(holder: KeyHolder, streamed: bool) -> None:
    holder.change_settings(model_seconds=0.1)
    start = time.monotonic()
    assert holder.ask(stream=streamed).status_code == 200
    assert time.monotonic() - start >= 0.1


def test_a_client_that_hangs_up_in_mid_stream_is_noticed(holder: KeyHolder) -> None:
    holder.sandbox.faults.push(Fault(on="chat", stream={"event_delay": 0.05}))
    body = {"model": MODEL, "messages": HELLO, "stream": True}
    with holder.http.stream("POST", "/chat/completions", json=body) as response:
        next(response.iter_lines())
    entry = holder.sandbox.gateway.log[-1]
    deadline = time.monotonic() + 10
    while entry.dropped is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (entry.status, entry.dropped) == (200, "client")
    assert holder.spent > 0


@pytest.mark.parametrize(
    ("fault", "events", "broken"),
    [
        ({}, EVENTS, False),
        ({"insert": [1, ": hello\n\n"]}, (b"a", b": hello\n\n", b"b", b"c", b"d"), False),
        ({"malformed_after": 2}, (b"a", b"b", MALFORMED_EVENT, b"c", b"d"), False),
        ({"error_after": 2}, (b"a", b"b", ERROR_EVENT), False),
        ({"end_after": 3}, (b"a", b"b", b"c"), False),
        ({"break_after": 0}, (), True),
        ({"break_after": 99}, EVENTS, True),
        ({"malformed_after": 0, "break_after": 2}, (MALFORMED_EVENT, b"a"), True),
    ],
)
def test_a_stream_is_spoilt(fault: dict[str, Any], events: tuple[bytes, ...], broken: bool) -> None:
    spoilt = spoil(EVENTS, 0, fault)
    assert (spoilt.events, spoilt.broken) == (events, broken)
    assert spoilt.pauses == (0,) * len(events)


def test_a_stream_is_held_up() -> None:
    assert spoil(EVENTS, 0.25, {}).pauses == (0.25,) * 4
    assert spoil(EVENTS, 0, {"event_delay": 2}).pauses == (0, 2, 2, 2)
    assert spoil(EVENTS, 0.5, {"event_delay": 2, "delay_after": 3}).pauses == (0.5, 0.5, 0.5, 2.5)


def test_a_stream_can_break_off(holder: KeyHolder) -> None:
    holder.sandbox.faults.push(Fault(on="chat", stream={"break_after": 3}))
    body = {"model": MODEL, "messages": HELLO, "stream": True}
    seen: list[str] = []
    with (
        holder.http.stream("POST", "/chat/completions", json=body) as response,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        seen.extend(line for line in response.iter_lines() if line)
    assert len(seen) == 3
    assert holder.chunks()[0]["choices"], "it happened once"


def test_a_stream_can_end_too_early(holder: KeyHolder) -> None:
    holder.sandbox.faults.push(
        Fault(on="chat", stream={"end_after": 2}),
        Fault(on="completions", stream={"error_after": 1}),
        Fault(on="bearer", stream={"malformed_after": 1}),
    )
    assert len(holder.stream()) == 2
    assert json.loads(holder.stream("completions")[-1])["error"]["code"] == "server_error"
    malformed = holder.stream()
    assert malformed[1] == '{"choices": ['
    assert malformed[-1] == "[DONE]"


def test_a_stream_fault_does_nothing_to_a_buffered_answer(holder: KeyHolder) -> None:
    holder.sandbox.faults.push(Fault(on="bearer", stream={"break_after": 0}, times=None))
    assert holder.ask().status_code == 200


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("when", ["before", "after", "headers"])
def test_a_connection_can_be_lost(holder: KeyHolder, when: str, streamed: bool) -> None:
    holder.sandbox.faults.push(Fault(on="chat", drop=when))
    with pytest.raises(httpx.RemoteProtocolError):
        holder.ask(stream=streamed)
    assert holder.sandbox.gateway.log[-1].dropped == when
    assert (holder.spent == 0) is (when == "before")


def test_a_fault_is_for_all_account_owned_routes_or_for_one(holder: KeyHolder) -> None:
    holder.sandbox.faults.push(*[Fault(on=route, status=503, message=route) for route in BODIES])
    holder.sandbox.faults.push(Fault(on="bearer", status=502, times=2), Fault(on="paid", status=504))
    for route in BODIES:
        assert holder.ask(route).json()["error"]["message"] == route
    assert [holder.models().status_code for _ in range(3)] == [502, 502, 200]
    assert holder.ask("think").status_code == 200


def test_a_key_can_be_told_to_slow_down(holder: KeyHolder) -> None:
    holder.sandbox.faults.push(Fault(on="bearer", code="rate_limit_exceeded", headers={"Retry-After": "3"}))
    refused = holder.ask()
    assert error_of(refused) == (429, "rate_limit_exceeded")
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert refused.headers["Retry-After"] == "3"
    assert holder.spent == 0


def test_an_error_of_these_routes_has_the_shape_of_openai_whatever_the_paid_route_does(holder: KeyHolder) -> None:
    holder.change_settings(error_shape="rfc9457")
    assert error_of(holder.ask(model="x/y")) == (404, "model_not_found")
    holder.sandbox.faults.push(Fault(on="bearer", code="server_error", shape="bare"))
    assert holder.models().json()["code"] == "server_error"


def test_a_hostile_gateway_can_ask_for_a_payment_here(holder: KeyHolder, payer: Payer) -> None:
    challenge = payer.post().headers["www-authenticate"]
    fault = Fault(on="bearer", code="payment_required", headers={"WWW-Authenticate": challenge})
    holder.sandbox.faults.push(fault)
    refused = holder.ask()
    assert error_of(refused) == (402, "payment_required")
    assert refused.headers["www-authenticate"] == challenge


def test_headers_of_a_fault_replace_those_of_the_sandbox(holder: KeyHolder) -> None:
    holder.sandbox.faults.push(Fault(on="bearer", headers={"X-Request-ID": "mine", "X-More": "1"}))
    answer = holder.ask(stream=True)
    assert answer.headers.get_list("x-request-id") == ["mine"]
    assert answer.headers["x-more"] == "1"


@pytest.mark.parametrize(
    "stream",
    [
        {"nonsense": 1},
        {"break_after": -1},
        {"end_after": "2"},
        {"error_after": True},
        {"insert": "x"},
        {"insert": [-1, "x"]},
        {"event_delay": -1},
        {"event_delay": "long"},
        {"event_delay": 99_999},
    ],
)
def test_a_stream_fault_that_makes_no_sense_is_refused(holder: KeyHolder, stream: dict[str, Any]) -> None:
    origin = holder.sandbox.base_url.removesuffix("/v1")
    assert holder.http.post(f"{origin}/sandbox/faults", json={"stream": stream}).status_code == 400
