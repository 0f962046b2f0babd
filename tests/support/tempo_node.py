"""A JSON-RPC server on loopback that says whatever a test wants a chain, or a liar, to say."""

from __future__ import annotations

import json
import threading
import traceback
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from ando_cli.errors import ExitCode, NetworkError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BLOCK = {"number": "0x1", "timestamp": "0x6b01eeb9", "extraData": "0x" + "00" * 99, "timestampMillisPart": "0x7b"}

SECRET_PATH = "/v1/key-5f3a?auth=token-77"


class Refusal(Exception):  # noqa: N818 - what a node answers, and no error of ours
    """Raised by what answers for a node: it refuses with this JSON-RPC error."""

    def __init__(self, message: str, code: int = -32000) -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message}


def unknown_method(*_: object) -> None:
    """Answers as a node does that does not know the method."""
    raise Refusal("the method does not exist", -32601)


def word(value: int) -> str:
    return f"0x{value:064x}"


class Node:
    """A JSON-RPC server on loopback: the tests set what it answers, and look at what it was asked.

    A result is JSON, or a function of the request's parameters that returns it or raises :class:`Refusal`. ``reply``
    takes the place of all of them, to break the HTTP or the JSON.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.results: dict[str, Any] = {
            "eth_chainId": "0x1079",
            "eth_gasPrice": hex(20_000_000_000),
            "eth_getBlockByNumber": BLOCK,
            "eth_call": word(0),
        }
        self.reply: Callable[[BaseHTTPRequestHandler], None] | None = None
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []

    def with_credentials(self) -> str:
        return self.url.replace("http://", "http://alice:hunter2@") + SECRET_PATH

    def answer_with(self, body: bytes, status: int = 200, **headers: str) -> None:
        def reply(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            for name, value in {"content-length": str(len(body)), **headers}.items():
                handler.send_header(name.replace("_", "-"), value)
            handler.end_headers()
            handler.wfile.write(body)

        self.reply = reply

    def members(self, question: dict[str, Any]) -> dict[str, Any]:
        result = self.results.get(question["method"], unknown_method)
        try:
            return {"result": result(*question["params"]) if callable(result) else result}
        except Refusal as refusal:
            return {"error": refusal.error}

    def methods(self) -> list[str]:
        return [question["method"] for question in self.asked]

    def answer_json(self, **members: Any) -> None:
        """Answer each question with ``members``, under its own id unless they name another one."""

        def reply(handler: BaseHTTPRequestHandler) -> None:
            self.answer_with(json.dumps({"jsonrpc": "2.0", "id": self.asked[-1]["id"], **members}).encode())
            answer, self.reply = self.reply, reply
            assert answer is not None
            answer(handler)

        self.reply = reply


@contextmanager
def serving() -> Iterator[Node]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            question = json.loads(self.rfile.read(int(self.headers["content-length"])))
            served.asked.append(question)
            served.headers.append({name.lower(): value for name, value in self.headers.items()})
            if served.reply is None:
                served.answer_json(id=question["id"], **served.members(question))
                assert served.reply is not None
                served.reply(self)
                served.reply = None
            else:
                served.reply(self)

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *args: object) -> None:
            """A client that hangs up is what several tests are about."""

    with Server(("127.0.0.1", 0), Handler) as server:
        served = Node(f"http://127.0.0.1:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield served
        server.shutdown()


@contextmanager
def refused(code: str, match: str | None = None) -> Iterator[None]:
    with pytest.raises(NetworkError, match=match) as caught:
        yield
    error = caught.value
    assert error.code == code
    assert error.exit_code is ExitCode.NETWORK
    assert error.hint
    for text in (error.message, "".join(traceback.format_exception(error))):
        assert not any(secret in text for secret in ("hunter2", "alice", "key-5f3a", "token-77"))
    assert error.message.isprintable()
    assert len(error.message) < 300
