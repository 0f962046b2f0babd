"""Time, certificates and proxies, over real connections to servers that mean harm."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from ando_cli.errors import AndoError, LostAnswerError, NetworkError
from ando_cli.http import tls
from ando_cli.http.client import AndoClient
from ando_cli.http.deadline import Deadline, Pace, Words
from tests.support.hostile import DRIPPING, OK, drips, says, self_signed, server
from tests.support.http_wire import ASKED, Pays, get

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import httpx


@pytest.fixture(autouse=True)
def _authorities_are_read_anew() -> Iterator[None]:
    tls._authorities.cache_clear()
    yield
    tls._authorities.cache_clear()


def client(port: int, auth: httpx.Auth | None = None, **options: object) -> AndoClient:
    scheme = options.pop("scheme", "http")
    settings = {"connect_timeout": 5, "timeout": 0.5} | options
    return AndoClient(f"{scheme}://127.0.0.1:{port}/v1", auth, **settings)  # type: ignore[arg-type]


def seconds(action: Callable[[], object], expected: type[AndoError] = NetworkError) -> tuple[float, AndoError]:
    started = time.monotonic()
    with pytest.raises(expected) as caught:
        action()
    return time.monotonic() - started, caught.value


# Time


@pytest.mark.parametrize("way", DRIPPING)
def test_a_server_that_drips_is_waited_for_no_longer_than_the_timeout(way: str) -> None:
    with server(DRIPPING[way]) as (port, _):
        took, error = seconds(lambda: client(port).post(ASKED))
    assert error.code == "no_answer"
    assert "in time" in error.message
    assert 0.4 < took < 4


@pytest.mark.parametrize("way", DRIPPING)
def test_everything_together_takes_no_longer_than_the_deadline(way: str) -> None:
    with server(DRIPPING[way]) as (port, _):
        took, _error = seconds(lambda: client(port, timeout=30, deadline=Deadline(0.5)).post(ASKED))
    assert 0.4 < took < 4


def test_an_answer_that_drips_in_time_is_an_answer() -> None:
    body = drips(OK + b"Content-Length: 3\r\n\r\n", [b"a", b"b", b"c"])
    with server(body) as (port, _):
        assert client(port, timeout=5).post(ASKED).content == b"abc"


def test_each_of_the_two_tries_of_a_paid_request_has_its_timeout() -> None:
    def answer(connection: socket.socket, request: bytes) -> None:
        if b"Payment x" in request:
            DRIPPING["body"](connection, request)
        else:
            connection.sendall(b"HTTP/1.1 402 Pay\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")

    with server(answer) as (port, seen):
        took, error = seconds(lambda: client(port, Pays()).post(ASKED), LostAnswerError)
        assert (len(seen), error.code) == (3, "answer_cut")
        assert 0.9 < took < 6
        seen.clear()
        took, error = seconds(
            lambda: client(port, Pays(), timeout=30, deadline=Deadline(0.5)).post(ASKED), LostAnswerError
        )
        assert len(seen) == 2, "it is not sent again when the time is over"
        assert "sent twice" not in error.message
        assert took < 4


def test_nothing_is_sent_when_the_time_is_over() -> None:
    with server(says(OK, b"Content-Length: 0\r\n\r\n")) as (port, seen):
        deadline = Deadline(0.05)
        time.sleep(0.1)
        _, error = seconds(lambda: client(port, deadline=deadline).post(ASKED))
        assert error.code == "max_time"
        deadline.restart()
        client(port, deadline=deadline).post(ASKED)
        assert len(seen) == 1


def test_a_deadline_without_seconds_never_comes_and_one_within_another_ends_with_it() -> None:
    assert Deadline().left() == float("inf")
    assert not Deadline().over
    assert Deadline(100, within=Deadline(1)).left() <= 1
    assert Deadline(1, within=Deadline(100)).left() <= 1
    assert Pace(None, Deadline()).left(None) is None
    assert Pace(None, Deadline()).left(7) == 7
    assert Pace(3, Deadline()).left_to_connect(7) == 7


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([b"data: {}\n"], [True]),
        ([b"data: {}"], [False]),
        ([b"data: {}", b"\r"], [False, True]),
        ([b"da", b"ta:x\n"], [False, True]),
        ([b": comment\n", b"\n\n", b"event: x\n", b"id: 7\n", b"retry: 1\n"], [False] * 5),
        ([b"data:\n", b"data:   \n"], [False, False]),
        ([b"data: " + b"x" * 1000, b"y" * 1000, b"\n"], [False, False, True]),
    ],
)
def test_a_word_is_a_line_of_data_and_nothing_else(chunks: list[bytes], expected: list[bool]) -> None:
    words = Words()
    assert [words.arrived(chunk) for chunk in chunks] == expected


# Certificates and proxies


@pytest.mark.parametrize(("name", "valid"), [("127.0.0.1", True), ("127.0.0.1", False), ("other.example", True)])
def test_a_certificate_that_nobody_vouches_for_is_called_that_at_once(tmp_path: Path, name: str, valid: bool) -> None:
    context, _ = self_signed(tmp_path, name=name, valid=valid)
    with server(says(OK), context) as (port, seen):
        took, error = seconds(lambda: client(port, scheme="https").post(ASKED))
    assert error.code == "certificate_untrusted"
    assert "certificate of 127.0.0.1" in error.message
    assert "SSL_CERT_FILE" in (error.hint or "")
    assert seen == []
    assert took < 1.4, "connecting is not tried again, which takes 1.5 seconds"


@pytest.mark.parametrize(
    ("name", "valid", "why"), [("127.0.0.1", False, "expired"), ("other.example", True, "mismatch")]
)
def test_a_certificate_that_ran_out_or_is_anothers_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, valid: bool, why: str
) -> None:
    context, file = self_signed(tmp_path, name=name, valid=valid)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with server(says(OK), context) as (port, _):
        _, error = seconds(lambda: client(port, scheme="https").post(ASKED))
    assert why in error.message


def test_an_authority_of_ones_own_is_named_in_ssl_cert_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, file = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with server(says(OK, b"Content-Length: 2\r\n\r\nhi"), context) as (port, _):
        assert client(port, scheme="https").get("/x") == b"hi"


@pytest.mark.parametrize("status", [b"407 Proxy Authentication Required", b"403 Forbidden"])
def test_a_proxy_that_refuses_is_named(monkeypatch: pytest.MonkeyPatch, status: bytes) -> None:
    with server(says(b"HTTP/1.1 ", status, b"\r\nContent-Length: 0\r\n\r\n")) as (port, seen):
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:secret@127.0.0.1:{port}")
        away = AndoClient("https://gateway.example/v1", None, connect_timeout=5, timeout=5)
        _, error = seconds(lambda: away.post(ASKED))
    assert error.code == "proxy_failed"
    assert f"the proxy 127.0.0.1:{port} answered {status.decode()}" in error.message
    assert "secret" not in error.message
    assert seen[0].startswith(b"CONNECT gateway.example:443")


def test_a_proxy_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    _, error = seconds(lambda: AndoClient("https://gateway.example/v1", None, connect_timeout=5, timeout=5).post(ASKED))
    assert (error.code, "proxy 127.0.0.1:1" in error.message) == ("proxy_failed", True)


def test_a_proxy_that_drips_is_waited_for_no_longer_than_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(drips(b"HTTP/1.1 200 OK\r\n", b"X-Drip: 1\r\n")) as (port, _):
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        away = AndoClient("https://gateway.example/v1", None, connect_timeout=5, timeout=0.5)
        took, _error = seconds(lambda: away.post(ASKED))
    assert 0.4 < took < 4


@pytest.mark.parametrize("url", ["http://gateway.example/v1/x", "http://10.0.0.1/x", "http://127.0.0.1.example/x"])
def test_nothing_goes_over_plain_http_to_another_machine(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    with server(says(OK)) as (port, seen):
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
        _, error = seconds(lambda: client(port).send(get(url)), AndoError)
    assert error.code == "insecure_transport"
    assert seen == []
