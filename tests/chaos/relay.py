"""The way from ``ando`` to the gateway and to the chain's node, on which things go wrong, and who watches it.

One relay stands for both: the sandbox serves them on one port.
"""

from __future__ import annotations

import base64
import http.client
import http.server
import json
import socket
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.chaos.kinds import Kind, Level, draw

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

    from ando_cli.sandbox.faults import Faults

PATIENCE = 30.0
STALL_SECONDS = 2.5
"""Longer than the commands wait for an answer."""

_HOP = ("host", "connection", "content-length", "transfer-encoding", "date", "server")


@dataclass(frozen=True)
class Asked:
    """A request as it came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def where(self) -> str:
        return "rpc" if self.path.startswith("/rpc") else "gateway"

    @property
    def credential(self) -> dict[str, Any] | None:
        """The credential's JSON, where there is one that can be read."""
        scheme, _, text = self.headers.get("authorization", "").partition(" ")
        if scheme != "Payment":
            return None
        with suppress(ValueError):
            found = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            return found if isinstance(found, dict) else None
        return None


@dataclass(frozen=True)
class Answer:
    """An answer on its way back."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Relay:
    """Hands requests on, or not as they should be.

    Args:
        upstream: the sandbox.
        faults: the sandbox's queue of faults.
        level: who tells the truth.
        rates: how likely it is that something goes wrong with a request, for each of the two ways.
        random: decides.
        witness: shown each request before it is handed on.

    ``injected`` counts what went wrong, by way and kind. With ``quiet`` nothing goes wrong any more.
    """

    def __init__(
        self,
        upstream: str,
        faults: Faults,
        level: Level,
        rates: Mapping[str, float],
        random: Random,
        witness: Callable[[Asked], None],
    ) -> None:
        self.injected: Counter[tuple[str, str]] = Counter()
        self.journal: list[str] = []
        self.quiet = False
        self._upstream = urlsplit(upstream).netloc
        self._faults, self._level, self._rates, self._random, self._witness = faults, level, rates, random, witness
        self._lock = threading.Lock()
        self._done = threading.Condition()
        self._answers = 0
        self._earlier: dict[str, list[tuple[Asked, Answer]]] = {"gateway": [], "rpc": []}
        relay = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                with suppress(ConnectionError):  # whoever asked was killed, or is tired of waiting
                    relay._serve(self)

            do_GET = do_POST  # noqa: N815 - as http.server names it

            def log_message(self, *arguments: object) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """A client that is killed is no news."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Relay:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _serve(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        headers = {name.lower(): value for name, value in handler.headers.items()}
        body = handler.rfile.read(int(headers.get("content-length", 0)))
        asked = Asked(handler.command, handler.path, headers, body)
        self._witness(asked)
        answer = self._carry(asked)
        if answer is None:
            self._hang_up(handler)
            return
        cut = len(answer.body) // 2 if answer.status == _CUT else None
        status = 200 if answer.status == _CUT else answer.status
        handler.send_response_only(status)
        for name, value in answer.headers:
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(answer.body)))
        handler.end_headers()
        handler.wfile.write(answer.body[:cut])
        if cut is not None:
            self._hang_up(handler)

    def _hang_up(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        with suppress(OSError):
            handler.connection.shutdown(socket.SHUT_RDWR)

    def _draw(self, asked: Asked) -> tuple[Kind | None, float]:
        with self._lock:
            share = self._random.random()
            if self.quiet or self._random.random() >= self._rates[asked.where]:
                return None, share
            kind = draw(self._level, asked.where, self._random)
            self.injected[asked.where, kind.name] += 1
            self.journal.append(f"          {asked.where}: {kind}")
            if kind.fault is not None:
                self._faults.push(kind.fault)
            return kind, share

    def _carry(self, asked: Asked) -> Answer | None:
        """The answer to send; ``None`` where the connection is closed instead."""
        kind, share = self._draw(asked)
        earlier = self._earlier[asked.where]
        match kind.name if kind is not None else "":
            case "drop before":
                return None
            case "drop after":
                self._forward(asked)
                return None
            case "truncate":
                answer = self._forward(asked)
                return answer and Answer(_CUT, answer.headers, answer.body)
            case "duplicate":
                first = self._forward(asked)
                second = self._forward(asked)
                return first if share < 0.5 else second
            case "replay" if earlier:
                self._forward(earlier[int(share * len(earlier))][0])
            case "stale answer" if earlier:
                self._forward(asked)
                return earlier[int(share * len(earlier))][1]
            case "swap":
                self._let_another_go_first()
            case "corrupt":
                answer = self._forward(asked)
                return answer and Answer(answer.status, answer.headers, _noise(answer.body, share, asked.where))
            case "corrupt header":
                answer = self._forward(asked)
                return answer and _bent(answer, share)
            case "garble":
                asked = Asked(asked.method, asked.path, asked.headers, _noise(asked.body, share, "rpc"))
            case "delay":
                time.sleep(share / 2)
            case "stall":
                time.sleep(STALL_SECONDS)
            case "error after the charge":
                answer = self._forward(asked)
                headers = answer.headers if answer is not None and share < 0.5 else ()
                return Answer((502, 504, 403)[int(share * 3)], headers, b"<html>bad gateway</html>")
        answer = self._forward(asked)
        if answer is not None and kind is None:
            with self._lock:
                earlier.append((asked, answer))
                del earlier[:-40]
        return answer

    def _let_another_go_first(self) -> None:
        with self._done:
            before = self._answers
            self._done.wait_for(lambda: self._answers > before, timeout=0.4)

    def _forward(self, asked: Asked) -> Answer | None:
        connection = http.client.HTTPConnection(self._upstream, timeout=PATIENCE)
        try:
            headers = {name: value for name, value in asked.headers.items() if name not in _HOP}
            connection.request(asked.method, asked.path, asked.body, headers)
            got = connection.getresponse()
            body = got.read()
            kept = tuple((name, value) for name, value in got.getheaders() if name.lower() not in _HOP)
            return Answer(got.status, kept, body)
        except (OSError, http.client.HTTPException):  # what the sandbox does to the relay, the relay does to the client
            return None
        finally:
            connection.close()
            with self._done:
                self._answers += 1
                self._done.notify_all()


_CUT = -1
"""In place of a status: the answer ends in the middle."""


def _noise(body: bytes, share: float, where: str) -> bytes:
    """A body with a byte that was turned into another one. What a node says cannot be read then: a digit is a lie."""
    if not body:
        return b"\x00"
    at = int(share * len(body))
    changed = bytes([body[at] ^ (1 << (at % 7))])
    return body[:at] + (b"\xff\x00" if where == "rpc" else changed) + body[at + 1 :]


def _bent(answer: Answer, share: float) -> Answer:
    """An answer, one of whose headers has another letter in it."""
    at = int(share * len(answer.headers))
    name, value = answer.headers[at]
    where = int(share * 7919) % max(1, len(value))
    bent = value[:where] + ("A" if value[where : where + 1] != "A" else "B") + value[where + 1 :]
    return Answer(answer.status, (*answer.headers[:at], (name, bent), *answer.headers[at + 1 :]), answer.body)
