"""What the tests of bad luck need beside a box and a gateway: what was signed so far, and a relay that tampers."""

from __future__ import annotations

import http.server
import os
import sqlite3
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx

from ando_cli.sandbox.config import ESCROW, TOKEN
from tests.support.cli_box import ANDO, PATIENCE, Done

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ando_cli.sandbox.gateway.gateway import Entry
    from tests.support.cli_box import Box, Gateway

ASK = ("chat", "hi", "--max-tokens", "8")
CHAT = "/v1/mpp/chat/completions"
BODY = '{"messages":[{"role":"user","content":"hi"}],"max_tokens":8}'
LOST = ("before", "headers", "after")
"""The moments at which a connection can be lost: see ``ando_cli.sandbox.faults.Fault.drop``."""


def ask(gateway: Gateway, *options: str, **variables: str | None) -> Done:
    """A small question, with every deposit allowed."""
    return gateway.box.run(*ASK, "--yes", *options, stdin=b"", **variables)


# what was signed and moved


@dataclass(frozen=True)
class Purse:
    """What was committed so far, in base units: by our own record, and on the chain."""

    channels: int
    authorised: int
    deposit: int
    moved: int


def purse(gateway: Gateway) -> Purse:
    """The store's live channels, and what the escrow contract holds."""
    live = [channel for channel in rows(gateway.box, "channels") if channel["state"] in ("opening", "open")]
    return Purse(
        channels=len(live),
        authorised=sum(int(channel["cumulative_amount"]) for channel in live),
        deposit=sum(int(channel["deposit"]) for channel in live),
        moved=holdings(gateway, ESCROW),
    )


def holdings(gateway: Gateway, account: str) -> int:
    """What an account holds on the sandbox's chain."""
    data = "0x70a08231" + account[2:].rjust(64, "0")
    return int(gateway.sandbox.rpc("eth_call", {"to": TOKEN, "data": data}, "latest"), 16)


def rows(box: Box, table: str) -> list[dict[str, Any]]:
    """A table of the store, oldest row first."""
    path = box.home / "state" / "sessions.db"
    if not path.exists():
        return []
    with sqlite3.connect(path) as store:
        store.row_factory = sqlite3.Row
        if not store.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone():
            return []
        return [dict(row) for row in store.execute(f"SELECT * FROM {table} ORDER BY rowid")]  # noqa: S608


def outcome(box: Box) -> str:
    """What the ledger says of the youngest paid request."""
    return outcomes(box)[-1]


def outcomes(box: Box) -> list[str]:
    """What the ledger says of each paid request, the oldest first. Fees of transactions are not among them."""
    return [str(row["outcome"]) for row in rows(box, "ledger") if row["outcome"] != "fee"]


def accepted(gateway: Gateway) -> list[dict[str, Any]]:
    """The sessions as the gateway books them; its amounts are decimal strings."""
    state = httpx.get(f"{gateway.base_url.removesuffix('/v1')}/sandbox/state").json()
    return list(state["sessions"])


def paid(gateway: Gateway) -> list[Entry]:
    """The requests that carried a credential."""
    return [entry for entry in gateway.log if entry.authorization]


# processes


def until(condition: Callable[[], object]) -> None:
    """Wait for something that another process is about to do."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def ended(process: subprocess.Popen[bytes]) -> Done:
    """The end of a process that was started with ``Box.start``."""
    out, err = process.communicate(timeout=PATIENCE)
    assert b"Traceback" not in err, err
    return Done(process.returncode, out, err)


def peak_memory(box: Box, *arguments: str, environment: dict[str, str] | None = None) -> tuple[Done, int]:
    """Run ``ando``; also the most memory that it ever used, in bytes."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            [ANDO, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=box.environment | (environment or {}),
            start_new_session=True,
        )
        timer = threading.Timer(PATIENCE, process.kill)
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        return Done(process.returncode, out.read(), err.read()), usage.ru_maxrss * 1024


# a relay


@dataclass
class Answer:
    """An answer on its way back to the client."""

    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def header(self, name: str) -> list[str]:
        return [value for known, value in self.headers if known.lower() == name.lower()]

    def without(self, *names: str) -> list[tuple[str, str]]:
        return [(name, value) for name, value in self.headers if name.lower() not in names]


@dataclass(frozen=True)
class Seen:
    """A request as it came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def credential(self) -> str | None:
        return self.headers.get("authorization")


class Relay:
    """Hands requests on to a gateway and its answers back, and can change either; also takes those of a proxy's client.

    Attributes:
        seen: every request, with what it carried.
        tamper: called with each request and the gateway's answer to it; returns the answer to send.
        instead: called first; what it returns is sent, and the gateway is not asked.
    """

    def __init__(self, upstream: str) -> None:
        self.seen: list[Seen] = []
        self.tamper: Callable[[Seen, Answer], Answer] = lambda _, answer: answer
        self.instead: Callable[[Seen], Answer | None] = lambda _: None
        self._upstream = upstream.removesuffix("/v1")
        self._http = httpx.Client(timeout=PATIENCE)
        relay = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                relay._serve(self)

            do_GET = do_POST  # noqa: N815 - as http.server names it

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    @property
    def base_url(self) -> str:
        return f"{self.origin}/v1"

    @property
    def credentials(self) -> list[str]:
        return [seen.credential for seen in self.seen if seen.credential is not None]

    def close(self) -> None:
        """Stop listening: who connects now is refused."""
        self.server.shutdown()
        self.server.server_close()

    def _serve(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        headers = {name.lower(): value for name, value in handler.headers.items()}
        path = httpx.URL(handler.path).raw_path.decode()  # a proxy's client sends the whole URL
        seen = Seen(handler.command, path, headers, handler.rfile.read(int(headers.get("content-length", 0))))
        self.seen.append(seen)
        answer = self.instead(seen)
        if answer is None:
            kept = {name: value for name, value in headers.items() if name not in ("host", "connection")}
            try:
                got = self._http.request(seen.method, self._upstream + path, headers=kept, content=seen.body)
            except httpx.TransportError:  # what the gateway does to the relay, the relay does to the client
                handler.close_connection = True
                return
            answer = self.tamper(seen, Answer(got.status_code, list(got.headers.multi_items()), got.content))
        try:
            handler.send_response(answer.status)
            for name, value in answer.without("content-length", "transfer-encoding", "date", "server"):
                handler.send_header(name, value.encode().decode("latin-1"))
            handler.send_header("Content-Length", str(len(answer.body)))
            handler.end_headers()
            handler.wfile.write(answer.body)
        except ConnectionError:  # it has read enough
            handler.close_connection = True


@contextmanager
def relaying(gateway: Gateway) -> Iterator[Relay]:
    """A relay before ``gateway``, which the box's ``ando`` takes for the gateway."""
    relay = Relay(gateway.base_url)
    thread = threading.Thread(target=relay.server.serve_forever, daemon=True)
    thread.start()
    gateway.box.environment["ANDO_BASE_URL"] = relay.base_url
    try:
        yield relay
    finally:
        gateway.box.environment.pop("ANDO_BASE_URL", None)
        relay.close()
        thread.join()
