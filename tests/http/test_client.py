"""The request core: what is repeated and what is not, how much is read, and that the two rails never touch."""

from __future__ import annotations

import gzip
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ando_cli.errors import AndoError, NetworkError, OutcomeUnknownError, PaymentError, ServerError, UsageError
from ando_cli.http import client as client_module
from ando_cli.http import tls
from ando_cli.http.client import (
    CHAT_PATH,
    CONNECT_RETRIES,
    ERROR_BODY_LIMIT,
    PAID_BODY_LIMIT,
    AndoClient,
    check_rail,
    failure,
    is_bearer_route,
    is_paid_route,
    resolve_url,
)
from ando_cli.rails.payment import CREDENTIAL, RESENT

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

BASE = "https://gateway.example/v1"
BODY = b'{"messages": [ ]}'
MIB = 1024 * 1024


class Wire(httpx.BaseTransport):
    """Answers request after request with what it was given; an exception is raised instead."""

    def __init__(self, *answers: httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]) -> None:
        self.answers = list(answers)
        self.seen: list[tuple[str, bytes, httpx.Headers]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.seen.append((str(request.url), request.read(), httpx.Headers(request.headers)))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer


class Pays(httpx.Auth):
    """The payment rail at its shortest: a 402 is answered with a credential."""

    def __init__(self) -> None:
        self.resent: list[bool] = []

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        response = yield request
        if response.status_code == 402:
            request.headers["Authorization"] = "Payment x"
            request.extensions[CREDENTIAL] = True
            response = yield request
            self.resent.append(bool(response.extensions.get(RESENT)))


def ando(wire: httpx.BaseTransport, auth: httpx.Auth | None = None) -> AndoClient:
    return AndoClient(BASE, auth, connect_timeout=1, timeout=1, transport=wire)


def asks() -> httpx.Response:
    return httpx.Response(402, json={"code": "payment_required"})


def ok(text: str = "hi") -> httpx.Response:
    return httpx.Response(200, text=text)


class Pieces(httpx.SyncByteStream):
    """A body that counts what was taken of it, and may break off."""

    def __init__(self, pieces: Iterable[bytes], error: Exception | None = None) -> None:
        self.pieces, self.error = pieces, error
        self.taken = 0
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        for piece in self.pieces:
            self.taken += len(piece)
            yield piece
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.closed = True


# What is sent again


LOSSES = [
    httpx.ReadError("x"),
    httpx.WriteError("x"),
    httpx.CloseError("x"),
    httpx.ReadTimeout("x"),
    httpx.WriteTimeout("x"),
    httpx.RemoteProtocolError("x"),
]
NOTHING_SENT = [httpx.ConnectError("x"), httpx.ConnectTimeout("x"), httpx.ProxyError("x"), httpx.PoolTimeout("x")]


def names(errors: list[Any]) -> list[str]:
    return [type(error).__name__ for error in errors]


@pytest.mark.parametrize("loss", LOSSES, ids=names(LOSSES))
def test_a_paid_request_whose_answer_is_lost_is_sent_once_more_byte_for_byte(loss: Exception) -> None:
    wire, auth = Wire(asks(), loss, ok()), Pays()
    assert ando(wire, auth).post(CHAT_PATH, BODY).text == "hi"
    assert wire.seen[1] == wire.seen[2]
    assert wire.seen[2][1] == BODY
    assert wire.seen[2][2]["Authorization"] == "Payment x"
    assert auth.resent == [True]


def test_an_answer_that_came_at_once_is_not_marked_as_resent() -> None:
    auth = Pays()
    ando(Wire(asks(), ok()), auth).post(CHAT_PATH, BODY)
    assert auth.resent == [False]


@pytest.mark.parametrize("loss", LOSSES, ids=names(LOSSES))
def test_an_unpaid_request_is_never_sent_again(loss: Exception) -> None:
    wire = Wire(loss, ok())
    with pytest.raises(NetworkError) as caught:
        ando(wire, Pays()).post(CHAT_PATH, BODY)
    assert caught.value.code == "no_answer"
    assert "nothing was paid" in (caught.value.hint or "")
    assert len(wire.seen) == 1


SECOND = [*LOSSES, *NOTHING_SENT, httpx.DecodingError("x")]


@pytest.mark.parametrize("second", SECOND, ids=names(SECOND))
def test_a_second_failure_of_any_kind_leaves_the_outcome_unknown(second: Exception) -> None:
    wire = Wire(asks(), httpx.ReadError("x"), second, ok())
    with pytest.raises(NetworkError) as caught:
        ando(wire, Pays()).post(CHAT_PATH, BODY)
    assert caught.value.code == "outcome_unknown"
    assert len(wire.seen) == 3


@pytest.mark.parametrize("error", NOTHING_SENT, ids=names(NOTHING_SENT))
def test_a_credential_that_never_left_is_not_sent_again_and_nothing_is_in_doubt(error: Exception) -> None:
    wire = Wire(asks(), error, ok())
    with pytest.raises(NetworkError) as caught:
        ando(wire, Pays()).post(CHAT_PATH, BODY)
    assert caught.value.code == "connect_failed"
    assert len(wire.seen) == 2


def test_connecting_is_tried_again_by_the_transport_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, Any]] = []

    class Recorded(httpx.HTTPTransport):
        def __init__(self, **options: Any) -> None:
            made.append(options)
            super().__init__(**options)

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("refused")

    monkeypatch.setattr(httpx, "HTTPTransport", Recorded)
    with pytest.raises(NetworkError) as caught:
        AndoClient("http://127.0.0.1:9/v1", None, connect_timeout=1, timeout=1).post(CHAT_PATH, BODY)
    assert caught.value.code == "connect_failed"
    assert [options["retries"] for options in made] == [CONNECT_RETRIES]


def test_a_paid_answer_that_breaks_off_in_the_middle_is_asked_for_again() -> None:
    half = httpx.Response(200, stream=Pieces([b'{"cho'], httpx.RemoteProtocolError("cut")))
    wire, auth = Wire(asks(), half, ok("whole")), Pays()
    assert ando(wire, auth).post(CHAT_PATH, BODY).text == "whole"
    assert auth.resent == [True]


def test_a_paid_answer_that_cannot_be_unpacked_is_asked_for_again_and_then_unknown() -> None:
    def broken() -> httpx.Response:
        return httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=Pieces([b"not gzip"]))

    assert ando(Wire(asks(), broken(), ok()), Pays()).post(CHAT_PATH, BODY).text == "hi"
    with pytest.raises(NetworkError) as caught:
        ando(Wire(asks(), broken(), broken()), Pays()).post(CHAT_PATH, BODY)
    assert caught.value.code == "outcome_unknown"


def test_an_unpaid_answer_that_cannot_be_unpacked_is_an_error_of_the_server() -> None:
    broken = httpx.Response(500, headers={"Content-Encoding": "gzip"}, stream=Pieces([b"not gzip"]))
    with pytest.raises(ServerError, match="compressed"):
        ando(Wire(broken)).post(CHAT_PATH, BODY)


def test_over_a_real_connection_that_is_cut_the_paid_request_goes_out_twice() -> None:
    seen: list[tuple[str | None, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.append((self.headers["Authorization"], body))
            if len(seen) == 2:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
                self.close_connection = True
                return
            self.send_response(402 if len(seen) == 1 else 200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    auth = Pays()
    try:
        base = f"http://127.0.0.1:{server.server_port}/v1"
        with_retry = AndoClient(base, auth, connect_timeout=5, timeout=5)
        assert with_retry.post(CHAT_PATH, BODY).content == b"{}"
        with_retry.close()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert seen == [(None, BODY), ("Payment x", BODY), ("Payment x", BODY)]
    assert auth.resent == [True]


# How much is read


@pytest.mark.parametrize("status", [302, 402, 404, 500])
def test_of_a_huge_error_body_a_mebibyte_is_read_and_the_rest_left_on_the_wire(status: int) -> None:
    stream = Pieces(b"x" * 65536 for _ in range(1600))
    response = ando(Wire(httpx.Response(status, stream=stream))).send("GET", "/x")
    assert len(response.content) == ERROR_BODY_LIMIT == MIB
    assert stream.taken <= MIB + 65536
    assert stream.closed


def test_of_a_huge_paid_answer_the_limit_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert PAID_BODY_LIMIT == 64 * MIB
    monkeypatch.setattr(client_module, "PAID_BODY_LIMIT", 1000)
    stream = Pieces(b"x" * 100 for _ in range(10**9))
    assert len(ando(Wire(asks(), httpx.Response(200, stream=stream)), Pays()).post(CHAT_PATH, BODY).content) == 1000
    assert stream.taken <= 1100


def test_a_gzip_bomb_is_unpacked_no_further_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = gzip.compress(b"x" * (100 * MIB))
    assert len(bomb) < MIB
    pieces: list[int] = []
    real = client_module._decoded

    def measured(response: httpx.Response, limit: int) -> Iterator[bytes]:
        for piece in real(response, limit):
            pieces.append(len(piece))
            yield piece

    monkeypatch.setattr(client_module, "_decoded", measured)
    answer = httpx.Response(500, headers={"Content-Encoding": "gzip"}, stream=Pieces([bomb]))
    response = ando(Wire(answer)).send("GET", "/x")
    assert len(response.content) == ERROR_BODY_LIMIT
    assert max(pieces) <= ERROR_BODY_LIMIT
    assert sum(pieces) <= 2 * ERROR_BODY_LIMIT


def test_a_bomb_in_a_bomb_is_not_unpacked_at_all() -> None:
    bomb = gzip.compress(gzip.compress(b"x" * (100 * MIB)))
    answer = httpx.Response(500, headers={"Content-Encoding": "gzip, gzip"}, stream=Pieces([bomb]))
    assert ando(Wire(answer)).send("GET", "/x").content == bomb


def test_a_compressed_answer_in_many_pieces_is_unpacked() -> None:
    packed = gzip.compress(json.dumps({"answer": "x" * 5000}).encode())
    pieces = Pieces(packed[at : at + 7] for at in range(0, len(packed), 7))
    answer = httpx.Response(200, headers={"Content-Encoding": "GZIP"}, stream=pieces)
    response = ando(Wire(asks(), answer), Pays()).post(CHAT_PATH, BODY)
    assert response.json() == {"answer": "x" * 5000}
    assert "Content-Encoding" not in response.headers


def test_only_gzip_is_offered() -> None:
    wire = Wire(ok())
    ando(wire).send("GET", "/x")
    assert wire.seen[0][2]["Accept-Encoding"] == "gzip"


# What is not followed, and what is said


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("pays", [False, True])
def test_a_redirect_is_not_followed(status: int, pays: bool) -> None:
    redirect = httpx.Response(status, headers={"Location": "https://elsewhere.example/"})
    wire = Wire(asks(), redirect) if pays else Wire(redirect)
    with pytest.raises(ServerError) as caught:
        ando(wire, Pays() if pays else None).post(CHAT_PATH, BODY)
    assert caught.value.code == "redirect"
    assert {url for url, _, _ in wire.seen} == {BASE + CHAT_PATH}


def test_a_402_that_nobody_could_pay_is_a_payment_error() -> None:
    with pytest.raises(PaymentError) as caught:
        ando(Wire(asks())).post(CHAT_PATH, BODY)
    assert caught.value.code == "payment_required"
    assert caught.value.body


def test_an_error_names_the_request_and_shows_no_control_character() -> None:
    answer = httpx.Response(500, json={"error": {"message": "\x1b[31mred\x07"}}, headers={"x-request-id": "abc-123"})
    with pytest.raises(ServerError) as caught:
        ando(Wire(answer)).post(CHAT_PATH, BODY)
    assert "abc-123" in caught.value.message
    assert caught.value.message.isprintable()


def test_a_request_id_that_is_no_identifier_is_not_shown() -> None:
    answer = httpx.Response(500, json={}, headers={"x-request-id": "a\tb; rm"})
    with pytest.raises(ServerError) as caught:
        ando(Wire(answer)).post(CHAT_PATH, BODY)
    assert "rm" not in caught.value.message


def failed(answer: httpx.Response, auth: httpx.Auth | None = None, *first: httpx.Response, **headers: str) -> AndoError:
    given = [("Authorization", headers["authorization"])] if headers else []
    client = ando(Wire(*first, answer), auth)
    return failure(client.send("POST", "/chat/completions" if headers else CHAT_PATH, given, BODY))


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
        ando(Wire(httpx.ConnectError("x"))).post(CHAT_PATH, BODY)
    assert unreachable.value.retryable
    with pytest.raises(NetworkError) as unanswered:
        ando(Wire(httpx.ReadError("x"))).post(CHAT_PATH, BODY)
    assert unanswered.value.retryable
    with pytest.raises(OutcomeUnknownError) as lost:
        ando(Wire(asks(), httpx.ReadError("x"), httpx.ReadError("x")), Pays()).post(CHAT_PATH, BODY)
    assert (lost.value.retryable, lost.value.exit_code) == (False, 3)
    with pytest.raises(OutcomeUnknownError):
        ando(Wire(httpx.ReadError("x"))).send("POST", "/models", [("Authorization", "Bearer k")], BODY)
    with pytest.raises(NetworkError) as own:
        ando(Wire(httpx.ReadError("x"))).send("POST", CHAT_PATH, [("Authorization", "Payment own")], BODY)
    assert not own.value.retryable


def test_a_gateway_that_claims_one_of_our_codes_does_not_decide_what_its_error_is() -> None:
    error = failed(httpx.Response(400, json={"error": {"code": "outcome_unknown", "message": "no"}}))
    assert error.code == "outcome_unknown"
    assert not isinstance(error, OutcomeUnknownError)


def test_something_to_look_at_is_shown_while_each_answer_is_awaited() -> None:
    shown: list[str] = []

    @contextmanager
    def waiting() -> Iterator[None]:
        shown.append("on")
        yield
        shown.append("off")

    AndoClient(
        BASE, Pays(), connect_timeout=1, timeout=1, waiting=waiting, transport=Wire(asks(), httpx.ReadError("x"), ok())
    ).post(CHAT_PATH, BODY)
    assert shown == ["on", "off", "on", "off"]


# The two rails

MPP = [
    "https://gateway.example/v1/mpp/chat/completions",
    "https://gateway.example/v1/MPP/chat/completions",
    "https://gateway.example/v1/%6dpp/chat/completions",
    "https://gateway.example/v1/%4D%50%50/chat",
    "https://gateway.example/v1%2Fmpp%2Fchat",
    "https://gateway.example/v1//mpp//chat",
    "https://gateway.example/v1/./mpp/chat",
    "https://gateway.example/v1/mpp;v=1/chat",
    "https://gateway.example/v1/mpp",
    "https://gateway.example/v1/mpp?x=1",
    "https://gateway.example/v1/chat/%2e%2e/mpp/chat",
    "https://elsewhere.example/mpp/",
    "/mpp/chat/completions",
    "/v1/mpp/chat/completions",
]
BEARER = [
    "https://gateway.example/v1/chat/completions",
    "https://gateway.example/v1/chat/completions/",
    "https://gateway.example/v1/Chat/completions?x=1",
    "https://gateway.example/v1//chat/completions",
    "https://gateway.example/v1/./chat/completions",
    "https://gateway.example/v1/x/../chat/completions",
    "https://gateway.example/v1/x/%2e%2e/chat/completions",
    "https://gateway.example/v1/ch%61t/completions",
    "https://gateway.example/v1/chat%2fcompletions",
    "https://GATEWAY.example:443/v1/chat/completions",
    "/models",
    "/responses",
    "/think",
    "/completions",
]


@pytest.mark.parametrize(
    "value",
    ["Bearer key", "bearer key", "BEARER  key", "  Bearer key", "Bearer\tkey", "Bearer", "Basic eA==, Bearer key"],
)
@pytest.mark.parametrize("url", MPP)
def test_a_virtual_key_never_goes_to_the_paid_route(url: str, value: str) -> None:
    wire = Wire()
    with pytest.raises(UsageError, match="Virtual Key"):
        ando(wire).send("POST", url, [("authorization", value)], BODY)
    assert wire.seen == []


def test_a_virtual_key_hidden_behind_another_authorization_header_is_found() -> None:
    with pytest.raises(UsageError, match="Virtual Key"):
        ando(Wire()).send("POST", MPP[0], [("Authorization", "Basic eA=="), ("AUTHORIZATION", "Bearer key")], BODY)


@pytest.mark.parametrize("value", ["Payment abc", "payment abc", "PAYMENT\tabc", "Basic x, Payment abc"])
@pytest.mark.parametrize("url", [*BEARER, "https://elsewhere.example/any"])
def test_a_payment_credential_never_goes_to_another_route(url: str, value: str) -> None:
    wire = Wire()
    with pytest.raises(UsageError, match="payment credential"):
        ando(wire).send("POST", url, [("Authorization", value)], BODY)
    assert wire.seen == []


@pytest.mark.parametrize("url", BEARER)
def test_a_route_that_a_virtual_key_pays_for_is_never_paid_from_a_channel(url: str) -> None:
    wire = Wire(asks())
    assert ando(wire, Pays()).send("POST", url, (), BODY).status_code == 402
    assert "Authorization" not in wire.seen[0][2]


@pytest.mark.parametrize("url", MPP)
def test_a_paid_route_is_paid_however_it_is_spelt(url: str) -> None:
    wire = Wire(asks(), ok())
    assert ando(wire, Pays()).send("POST", url, (), BODY).status_code == 200


def test_a_request_that_brings_its_own_authorization_is_not_paid() -> None:
    assert ando(Wire(asks()), Pays()).send("POST", "/x", [("Authorization", "Basic x")], BODY).status_code == 402


@pytest.mark.parametrize("method", ["HEAD", "head", "Head"])
def test_head_never_goes_to_the_paid_route(method: str) -> None:
    for url in MPP:
        with pytest.raises(UsageError, match="reserved"):
            ando(Wire()).send(method, url)
    assert ando(Wire(httpx.Response(200))).send(method, "/other").status_code == 200


def test_what_only_looks_like_the_paid_route_is_not_it() -> None:
    for url in ("https://h/v1/mppx/chat", "https://h/v1/chat?mpp", "https://mpp/v1/chat", "https://h/v1/chat#/mpp/"):
        assert not is_paid_route(url)
        check_rail("HEAD", url, "Bearer key")


def test_another_gateways_route_of_the_same_name_is_not_this_ones() -> None:
    assert not is_bearer_route("https://elsewhere.example/v1/chat/completions", BASE)
    assert is_bearer_route(BASE + "/chat/completions", BASE)


def test_a_path_is_taken_under_the_base_url_once() -> None:
    assert resolve_url("/mpp/x", BASE) == resolve_url("/v1/mpp/x", BASE) == BASE + "/mpp/x"
    assert resolve_url("/v10/x", BASE) == BASE + "/v10/x"
    assert resolve_url("https://a.example/b/", BASE) == "https://a.example/b/"


@pytest.mark.parametrize(
    "url", ["ftp://h/x", "h/x", "", "https://", "https://[::1", "javascript:1", "https://h:99999/"]
)
def test_a_url_that_cannot_be_used_is_refused_before_anything_is_sent(url: str) -> None:
    wire = Wire()
    with pytest.raises(UsageError):
        ando(wire).send("GET", url)
    assert wire.seen == []


# Proxies


def proxies_used(monkeypatch: pytest.MonkeyPatch, *urls: str) -> list[str | None]:
    """The proxy that each request to ``urls`` would go through."""
    used: list[str | None] = []

    class Recorded(httpx.BaseTransport):
        def __init__(self, **options: Any) -> None:
            self.proxy = options["proxy"]

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            used.append(self.proxy)
            return httpx.Response(200)

    monkeypatch.setattr(httpx, "HTTPTransport", Recorded)
    plain = AndoClient(BASE, None, connect_timeout=1, timeout=1)
    for url in urls:
        plain.send("GET", url)
    plain.close()
    return used


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_the_way_to_this_machine_never_goes_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    urls = ["http://127.0.0.1:8600/", "http://localhost/", "http://LOCALHOST/", "http://[::1]:1/"]
    assert proxies_used(monkeypatch, *urls) == [None] * 4


def test_other_machines_are_reached_through_the_proxy_for_their_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://secure.example:1")
    monkeypatch.setenv("ALL_PROXY", "http://all.example:1")
    monkeypatch.setenv("NO_PROXY", "direct.example")
    used = proxies_used(monkeypatch, "https://a.example/", "http://a.example/", "https://direct.example/")
    assert used == ["http://secure.example:1", "http://all.example:1", None]


def test_what_goes_over_https_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[object] = []

    class Recorded(httpx.MockTransport):
        def __init__(self, **options: Any) -> None:
            checked.append(options["verify"])
            super().__init__(lambda _: httpx.Response(200))

    monkeypatch.setattr(httpx, "HTTPTransport", Recorded)
    both = AndoClient(BASE, None, connect_timeout=1, timeout=1)
    for url in ("http://a.example/", "https://a.example/", "http://a.example/", "https://b.example/"):
        both.send("GET", url)
    assert checked == [tls.context("http"), tls.context("https")]


def test_a_proxy_may_be_written_without_its_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example:3128")
    assert proxies_used(monkeypatch, "https://a.example/") == ["http://proxy.example:3128"]


@pytest.mark.parametrize("proxy", ["ftp://proxy.example", "socks5://proxy.example:1", "://"])
def test_a_proxy_that_cannot_be_used_is_an_error_and_not_a_trace(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(AndoError, match="proxy"):
        AndoClient(BASE, None, connect_timeout=1, timeout=1).send("GET", "https://a.example/")


def test_a_bearer_without_a_key_does_not_garble_the_message() -> None:
    request = httpx.Request("GET", f"{BASE}/models", headers={"Authorization": "Bearer"})
    refused = failure(httpx.Response(401, json={"message": "no key"}, request=request))
    assert refused.message == "the gateway does not accept the Virtual Key: no key"
