"""What is not followed, and what is said of an answer that is no success."""

from __future__ import annotations

import httpx
import pytest

from ando_cli.errors import PaymentError, ServerError
from ando_cli.http.failures import failure
from tests.support.http_wire import ASKED, BASE, CHAT_PATH, Pays, Wire, ando, asks


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


def test_a_bearer_without_a_key_does_not_garble_the_message() -> None:
    request = httpx.Request("GET", f"{BASE}/models", headers={"Authorization": "Bearer"})
    refused = failure(httpx.Response(401, json={"message": "no key"}, request=request))
    assert refused.message == "the gateway does not accept the Virtual Key: no key"
