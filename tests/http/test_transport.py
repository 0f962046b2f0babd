"""What is repeated and what is not, how much is read, and which way it goes."""

from __future__ import annotations

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import httpcore
import httpx
import pytest

from ando_cli.errors import LostAnswerError, NetworkError, ServerError
from ando_cli.http import transport
from ando_cli.http.client import AndoClient
from ando_cli.http.transport import ERROR_BODY_LIMIT, PAID_BODY_LIMIT
from ando_cli.http.wire import CONNECT_RETRIES
from ando_cli.inference.request import Request
from tests.support.http_wire import ASKED, BODY, MIB, Pays, Pieces, Wire, ando, asks, get, ok

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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
    assert ando(wire, auth).post(ASKED).text == "hi"
    assert wire.seen[1] == wire.seen[2]
    assert wire.seen[2][1] == BODY
    assert wire.seen[2][2]["Authorization"] == "Payment x"
    assert auth.resent == [True]


def test_an_answer_that_came_at_once_is_not_marked_as_resent() -> None:
    auth = Pays()
    ando(Wire(asks(), ok()), auth).post(ASKED)
    assert auth.resent == [False]


@pytest.mark.parametrize("loss", LOSSES, ids=names(LOSSES))
def test_an_unpaid_request_is_never_sent_again(loss: Exception) -> None:
    wire = Wire(loss, ok())
    with pytest.raises(NetworkError) as caught:
        ando(wire, Pays()).post(ASKED)
    assert caught.value.code == "no_answer"
    assert "nothing was paid" in (caught.value.hint or "")
    assert len(wire.seen) == 1


SECOND = [*LOSSES, *NOTHING_SENT, httpx.DecodingError("x")]


@pytest.mark.parametrize("second", SECOND, ids=names(SECOND))
def test_a_second_failure_of_any_kind_leaves_the_outcome_unknown(second: Exception) -> None:
    wire = Wire(asks(), httpx.ReadError("x"), second, ok())
    with pytest.raises(NetworkError) as caught:
        ando(wire, Pays()).post(ASKED)
    assert caught.value.code == "outcome_unknown"
    assert len(wire.seen) == 3


@pytest.mark.parametrize("error", NOTHING_SENT, ids=names(NOTHING_SENT))
def test_a_credential_that_never_left_is_not_sent_again_and_nothing_is_in_doubt(error: Exception) -> None:
    wire = Wire(asks(), error, ok())
    with pytest.raises(NetworkError) as caught:
        ando(wire, Pays()).post(ASKED)
    assert caught.value.code == "connect_failed"
    assert len(wire.seen) == 2


def test_connecting_is_tried_again_by_what_connects_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def refuse(_: object, host: str, port: int, *__: object, **___: object) -> httpcore.NetworkStream:
        tried.append(port)
        raise httpcore.ConnectError("refused")

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", refuse)
    monkeypatch.setattr(httpcore.SyncBackend, "sleep", lambda *_: None)
    with pytest.raises(NetworkError) as caught:
        AndoClient("http://127.0.0.1:9/v1", None, connect_timeout=1, timeout=1).post(ASKED)
    assert caught.value.code == "connect_failed"
    assert len(tried) == 1 + CONNECT_RETRIES


def test_a_paid_answer_that_breaks_off_in_the_middle_is_asked_for_again() -> None:
    half = httpx.Response(200, stream=Pieces([b'{"cho'], httpx.RemoteProtocolError("cut")))
    wire, auth = Wire(asks(), half, ok("whole")), Pays()
    assert ando(wire, auth).post(ASKED).text == "whole"
    assert auth.resent == [True]


WORDS = json.dumps({"answer": "".join(map(str, range(5000)))}).encode()
MEMBERS = gzip.compress(WORDS[:9000]) + gzip.compress(WORDS[9000:])


def packed(body: bytes, **headers: str) -> httpx.Response:
    pieces = Pieces(body[at : at + 1000] for at in range(0, len(body), 1000))
    return httpx.Response(200, headers={"Content-Encoding": "gzip"} | headers, stream=pieces)


CUTS: dict[str, Callable[[], httpx.Response]] = {
    "gzip": lambda: packed(gzip.compress(WORDS)[:-9]),
    "the checksum of gzip": lambda: packed(gzip.compress(WORDS)[:-1]),
    "the second member": lambda: packed(MEMBERS[:-9]),
    "between the stated length and the end": lambda: httpx.Response(
        200, headers={"Content-Length": str(len(WORDS))}, stream=Pieces([WORDS[:9000]])
    ),
    "a connection": lambda: httpx.Response(200, stream=Pieces([WORDS[:9000]], httpx.RemoteProtocolError("cut"))),
}


@pytest.mark.parametrize("whole", [gzip.compress(WORDS), MEMBERS, MEMBERS + b"\0" * 5000], ids=["one", "two", "padded"])
def test_gzip_of_any_number_of_members_is_unpacked(whole: bytes) -> None:
    assert ando(Wire(asks(), packed(whole)), Pays()).post(ASKED).content == WORDS


@pytest.mark.parametrize("cut", CUTS)
def test_a_paid_answer_that_is_cut_is_asked_for_once_more_with_the_same_credential(cut: str) -> None:
    wire, auth = Wire(asks(), CUTS[cut](), ok("whole")), Pays()
    assert ando(wire, auth).post(ASKED).text == "whole"
    assert (auth.resent, len(wire.seen)) == ([True], 3)
    assert wire.seen[1] == wire.seen[2]


@pytest.mark.parametrize("second", ["cut", "refused", "lost"])
@pytest.mark.parametrize("cut", CUTS)
def test_what_came_of_a_paid_answer_is_kept_where_the_rest_cannot_be_had(cut: str, second: str) -> None:
    then = {"cut": CUTS[cut](), "refused": asks(), "lost": httpx.ReadError("x")}[second]
    with pytest.raises(LostAnswerError, match="the answer is cut") as caught:
        ando(Wire(asks(), CUTS[cut](), then), Pays()).post(ASKED)
    assert caught.value.code == "answer_cut"
    assert caught.value.body is not None
    assert len(caught.value.body) > 8000
    assert WORDS.startswith(caught.value.body)


def test_an_answer_to_head_has_a_length_and_no_body() -> None:
    wire = Wire(httpx.Response(200, headers={"Content-Length": "5"}, stream=Pieces([])))
    assert ando(wire).send(Request("/x", method="HEAD")).status_code == 200


def test_a_paid_answer_that_cannot_be_unpacked_is_asked_for_again_and_then_unknown() -> None:
    def broken() -> httpx.Response:
        return httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=Pieces([b"not gzip"]))

    assert ando(Wire(asks(), broken(), ok()), Pays()).post(ASKED).text == "hi"
    with pytest.raises(NetworkError) as caught:
        ando(Wire(asks(), broken(), broken()), Pays()).post(ASKED)
    assert caught.value.code == "outcome_unknown"


def test_an_unpaid_answer_that_cannot_be_unpacked_is_an_error_of_the_server() -> None:
    broken = httpx.Response(500, headers={"Content-Encoding": "gzip"}, stream=Pieces([b"not gzip"]))
    with pytest.raises(ServerError, match="compressed"):
        ando(Wire(broken)).post(ASKED)


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
        assert with_retry.post(ASKED).content == b"{}"
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
    response = ando(Wire(httpx.Response(status, stream=stream))).send(get("/x"))
    assert len(response.content) == ERROR_BODY_LIMIT == MIB
    assert stream.taken <= MIB + 65536
    assert stream.closed


def test_of_a_huge_paid_answer_the_limit_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert PAID_BODY_LIMIT == 64 * MIB
    monkeypatch.setattr(transport, "PAID_BODY_LIMIT", 1000)
    stream = Pieces(b"x" * 100 for _ in range(10**9))
    with pytest.raises(LostAnswerError, match="1000 bytes of it came") as caught:
        ando(Wire(asks(), httpx.Response(200, stream=stream)), Pays()).post(ASKED)
    assert (caught.value.code, caught.value.exit_code, caught.value.body) == ("answer_cut", 3, b"x" * 1000)
    assert stream.taken <= 1100
    exactly = httpx.Response(200, stream=Pieces([b"x" * 1000]))
    assert len(ando(Wire(asks(), exactly), Pays()).post(ASKED).content) == 1000


def test_a_gzip_bomb_is_unpacked_no_further_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = gzip.compress(b"x" * (100 * MIB))
    assert len(bomb) < MIB
    pieces: list[int] = []
    real = transport._decoded

    def measured(response: httpx.Response, limit: int) -> Iterator[bytes]:
        for piece in real(response, limit):
            pieces.append(len(piece))
            yield piece

    monkeypatch.setattr(transport, "_decoded", measured)
    answer = httpx.Response(500, headers={"Content-Encoding": "gzip"}, stream=Pieces([bomb]))
    response = ando(Wire(answer)).send(get("/x"))
    assert len(response.content) == ERROR_BODY_LIMIT
    assert max(pieces) <= ERROR_BODY_LIMIT
    assert sum(pieces) <= 2 * ERROR_BODY_LIMIT


def test_a_bomb_in_a_bomb_is_not_unpacked_at_all() -> None:
    bomb = gzip.compress(gzip.compress(b"x" * (100 * MIB)))
    answer = httpx.Response(500, headers={"Content-Encoding": "gzip, gzip"}, stream=Pieces([bomb]))
    assert ando(Wire(answer)).send(get("/x")).content == bomb


def test_a_compressed_answer_in_many_pieces_is_unpacked() -> None:
    packed = gzip.compress(json.dumps({"answer": "x" * 5000}).encode())
    pieces = Pieces(packed[at : at + 7] for at in range(0, len(packed), 7))
    answer = httpx.Response(200, headers={"Content-Encoding": "GZIP"}, stream=pieces)
    response = ando(Wire(asks(), answer), Pays()).post(ASKED)
    assert response.json() == {"answer": "x" * 5000}
    assert "Content-Encoding" not in response.headers


def test_only_gzip_is_offered() -> None:
    wire = Wire(ok())
    ando(wire).send(get("/x"))
    assert wire.seen[0][2]["Accept-Encoding"] == "gzip"


@pytest.mark.parametrize("packed", [True, False])
def test_a_success_that_costs_nothing_is_bounded_too(monkeypatch: pytest.MonkeyPatch, packed: bool) -> None:
    assert transport.UNPAID_BODY_LIMIT == 64 * MIB
    monkeypatch.setattr(transport, "UNPAID_BODY_LIMIT", 2 * MIB)

    def answer(size: int) -> httpx.Response:
        body = b"x" * size
        headers = {"Content-Encoding": "gzip"} if packed else {}
        return httpx.Response(200, headers=headers, stream=Pieces([gzip.compress(body) if packed else body]))

    assert len(ando(Wire(answer(2 * MIB))).send(get("/x")).content) == 2 * MIB
    with pytest.raises(ServerError, match="longer than 2 MiB") as caught:
        ando(Wire(answer(2 * MIB + 1))).send(get("/x"))
    assert caught.value.code == "answer_too_long"
