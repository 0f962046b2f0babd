"""npm's ``mppx``, a client and a server of the same protocol by other hands, on the chain of the tests."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

from tests.support import real_parts
from tests.support.real_chain import GAS_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from eth_account.signers.local import LocalAccount

    from tests.support.real_chain import Chain, Escrow


def _with_enough_gas(method: str, result: Any) -> Any:
    if method == "eth_estimateGas":
        return hex(max(int(result, 16), GAS_LIMIT))
    if method == "eth_fillTransaction":
        result["tx"]["gas"] = hex(max(int(result["tx"]["gas"], 16), GAS_LIMIT))
    return result


@contextmanager
def rpc_with_enough_gas(chain: Chain) -> Iterator[str]:
    """The URL of a proxy in front of the node that raises its estimates.

    Anvil estimates a batch far too low, and a client that trusts the estimate, as viem does, runs out of gas.
    """

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = self.ask(question)
            if "result" in answer:
                answer["result"] = _with_enough_gas(question["method"], answer["result"])
            content = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def ask(self, question: dict[str, Any]) -> dict[str, Any]:
            headers = {"Content-Type": "application/json"}
            request = urllib.request.Request(chain.rpc_url, json.dumps(question).encode(), headers)  # noqa: S310
            with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
                answer: dict[str, Any] = json.load(response)
            return answer

        def log_message(self, *arguments: Any) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        # Connections that a client keeps alive would hold the end of the block up.
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def _node_environment(home: Path, rpc_url: str, account: LocalAccount) -> dict[str, str]:
    """A home of its own, so that nothing of the machine's accounts and channels is read or written."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "MPPX_PRIVATE_KEY": "0x" + bytes(account.key).hex(),
        "MPPX_RPC_URL": rpc_url,
    }


def mppx_folder() -> Path:
    """Where ``mppx`` is installed."""
    real_parts.program("node", "install Node.js 20 or newer")
    if not (real_parts.MPPX / "node_modules" / "mppx").is_dir():
        real_parts.missing("mppx", "run `npm install` in tests/integration/mppx")
    return real_parts.MPPX


@dataclass(frozen=True)
class MppxClient:
    """The ``mppx`` command line with a wallet key. It keeps what it signed under ``home``."""

    home: Path
    rpc_url: str
    account: LocalAccount

    def pay(self, url: str, body: dict[str, Any], *options: str) -> subprocess.CompletedProcess[str]:
        """Posts a body, pays for it, and closes the channel, as this command always does.

        ``-M deposit=5`` opens a channel with that many tokens; ``-M channel=ID`` beside it signs for an open one.
        """
        command = [str(mppx_folder() / "node_modules" / ".bin" / "mppx"), url, "-J", json.dumps(body), *options]
        environment = _node_environment(self.home, self.rpc_url, self.account)
        return subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
        )


@dataclass(frozen=True)
class MppxServer:
    """A running stock server, whose every price is 1 token and whose suggested deposit is 5."""

    url: str
    _log: Path

    def credentials(self) -> list[dict[str, Any]]:
        """What it was handed so far: status, action, channelId, cumulativeAmount and, if it refused, its words."""
        return [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]


@contextmanager
def mppx_server(home: Path, rpc_url: str, escrow: Escrow, payee: LocalAccount) -> Iterator[MppxServer]:
    """Runs the stock server on a free loopback port for as long as the block lasts."""
    command = ["node", str(mppx_folder() / "server.mjs"), rpc_url, escrow.address, escrow.chain.token]
    environment = _node_environment(home, rpc_url, payee)
    log = home / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            real_parts.bound_to_us(command),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield MppxServer(real_parts.listening_on(process, log), log)
    finally:
        process.kill()
        process.wait()


class LossyProxy:
    """A way to a server on which requests with a credential, or the answers to them, can get lost."""

    def __init__(self, target: str) -> None:
        self.lose_credentials = False
        self.lose_answers = False
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                paid = "Authorization" in self.headers
                if paid and proxy.lose_credentials:
                    self.hang_up()
                    return
                status, headers, content = self.forward(body)
                if paid and proxy.lose_answers:
                    self.hang_up()
                    return
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in ("transfer-encoding", "content-length", "connection", "date", "server"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
                headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
                request = urllib.request.Request(target + self.path, body, headers)  # noqa: S310
                try:
                    answer = urllib.request.urlopen(request, timeout=60)  # noqa: S310
                except urllib.error.HTTPError as refusal:
                    answer = refusal
                with answer:
                    return answer.status, answer.headers.items(), answer.read()

            def hang_up(self) -> None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)

            def log_message(self, *arguments: Any) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> LossyProxy:
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
