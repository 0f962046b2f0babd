"""What is not followed, and what is said of an answer that is no success."""

from __future__ import annotations

import httpx
import pytest

from ando_cli.errors import AndoError, NetworkError, OutcomeUnknownError, PaymentError, ServerError
from ando_cli.http.failures import failure
from ando_cli.inference.request import Request
from tests.support.http_wire import ASKED, BASE, BODY, CHAT_PATH, Pays, Wire, ando, asks


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("pays", [False, True])
def test_a_redirect_is_not_followed(status: int, pays: bool) -> None:
    redirect = httpx.Response(status, headers={"Location": "https://elsewhere.example/"})
    wire = Wire(asks(), redirect) if pays else Wire(redirect)
    with pytest.raises(ServerError) as caught:
        ando(wire, Pays() if pays else None).post(ASKED)
    assert caught.value.code == "redirect"
    assert {url for url, _, _ in wire.seen} == {BASE + CHAT_PATH}


def test_a_402_that_nobody_could_pay_is_a_payment_error() -> None:
    with pytest.raises(PaymentError) as caught:
        ando(Wire(asks())).post(ASKED)
    assert caught.value.code == "payment_required"
    assert caught.value.body


def test_an_error_names_the_request_and_shows_no_control_character() -> None:
    answer = httpx.Response(500, json={"error": {"message": "\x1b[31mred\x07"}}, headers={"x-request-id": "abc-123"})
    with pytest.raises(ServerError) as caught:
        ando(Wire(answer)).post(ASKED)
    assert "abc-123" in caught.value.message
    assert caught.value.message.isprintable()


def test_a_request_id_that_is_no_identifier_is_not_shown() -> None:
    answer = httpx.Response(500, json={}, headers={"x-request-id": "a\tb; rm"})
    with pytest.raises(ServerError) as caught:
        ando(Wire(answer)).post(ASKED)
    assert "rm" not in caught.value.message


def failed(answer: httpx.Response, auth: httpx.Auth | None = None, *first: httpx.Response, **headers: str) -> AndoError:
    given = (("Authorization", headers["authorization"]),) if headers else ()
    client = ando(Wire(*first, answer), auth)
    return failure(client.send(Request("/chat/completions" if headers else CHAT_PATH, BODY, headers=given)))


def test_an_error_carries_the_id_of_the_request() -> None:
    assert failed(httpx.Response(500, json={}, headers={"x-request-id": "abc-123"})).request_id == "abc-123"
    assert failed(httpx.Response(402, json={}, headers={"x-request-id": "abc-123"})).request_id == "abc-123"
    assert failed(httpx.Response(500, json={}, headers={"x-request-id": "a\tb; rm"})).request_id is None
    assert failed(httpx.Response(500, json={})).request_id is None
    assert failed(httpx.Response(500, json={}, headers={"x-request-id": "a" * 65})).request_id == "a" * 64


@pytest.mark.parametrize(
    ("status", "free", "keyed"),
    [
        (400, False, False), (404, False, False), (428, False, False), (429, True, True), (500, True, False),
        (501, False, False), (502, True, False), (503, True, True), (504, True, False), (302, False, False),
    ],
)  # fmt: skip
def test_only_what_can_cost_nothing_twice_is_to_be_tried_again(status: int, free: bool, keyed: bool) -> None:
    def busy() -> httpx.Response:
        return httpx.Response(status, json={}, headers={"Retry-After": "7"})

    unpaid = failed(busy())
    assert (unpaid.retryable, unpaid.retry_after) == (free, 7 if free else None)
    with_key = failed(busy(), authorization="Bearer k")
    assert with_key.retryable is keyed
    paid = failed(busy(), Pays(), asks())
    assert (paid.retryable, paid.retry_after) == (False, None)


def test_a_time_to_wait_is_whole_seconds_and_known_only_where_it_was_given() -> None:
    assert failed(httpx.Response(503, json={})).retry_after is None
    assert failed(httpx.Response(429, json={}), authorization="Bearer k").retry_after is None
    given = {"Retry-After": "61"}
    limited = failed(httpx.Response(429, json={}, headers=given), authorization="Bearer k")
    assert (limited.code, limited.retryable, limited.retry_after) == ("rate_limited", True, 61)


def test_a_connection_that_fails_is_to_be_tried_again_and_an_unknown_outcome_is_not() -> None:
    with pytest.raises(NetworkError) as unreachable:
        ando(Wire(httpx.ConnectError("x"))).post(ASKED)
    assert unreachable.value.retryable
    with pytest.raises(NetworkError) as unanswered:
        ando(Wire(httpx.ReadError("x"))).post(ASKED)
    assert unanswered.value.retryable
    with pytest.raises(OutcomeUnknownError) as lost:
        ando(Wire(asks(), httpx.ReadError("x"), httpx.ReadError("x")), Pays()).post(ASKED)
    assert (lost.value.retryable, lost.value.exit_code) == (False, 3)
    with pytest.raises(OutcomeUnknownError):
        ando(Wire(httpx.ReadError("x"))).send(Request("/models", BODY, headers=(("Authorization", "Bearer k"),)))
    with pytest.raises(NetworkError) as own:
        ando(Wire(httpx.ReadError("x"))).send(Request(CHAT_PATH, BODY, headers=(("Authorization", "Payment own"),)))
    assert not own.value.retryable


def test_a_gateway_that_claims_one_of_our_codes_does_not_decide_what_its_error_is() -> None:
    error = failed(httpx.Response(400, json={"error": {"code": "outcome_unknown", "message": "no"}}))
    assert error.code == "outcome_unknown"
    assert not isinstance(error, OutcomeUnknownError)


def test_a_bearer_without_a_key_does_not_garble_the_message() -> None:
    request = httpx.Request("GET", f"{BASE}/models", headers={"Authorization": "Bearer"})
    refused = failure(httpx.Response(401, json={"message": "no key"}, request=request))
    assert refused.message == "the gateway does not accept the Virtual Key: no key"
