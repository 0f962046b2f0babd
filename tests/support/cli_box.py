"""One user's machine for the tests of the installed ``ando`` command, and a gateway that this machine can pay."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pty
import select
import sqlite3
import struct
import subprocess
import tempfile
import termios
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ando_cli.sandbox.config import CHAIN_ID, ESCROW, TOKEN
from ando_cli.tempo.keys import PrivateKey
from tests.support import forked
from tests.support.forked import ANDO

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ando_cli.sandbox.faults import Fault, Faults
    from ando_cli.sandbox.gateway.gateway import Entry
    from ando_cli.sandbox.server import Sandbox

KEY = PrivateKey.parse("6d" * 32)
MILLION = 1_000_000
PATIENCE = 60.0
"""Seconds after which a command that does not end is a failure."""


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Done:
    """What a command left behind: its exit code and what it wrote."""

    code: int
    out: bytes
    err: bytes

    @property
    def stdout(self) -> str:
        return self.out.decode()

    @property
    def stderr(self) -> str:
        return self.err.decode()

    @property
    def json(self) -> Any:
        """stdout, which is one JSON document."""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        """The error that ``-j`` put on stdout, with nothing beside it."""
        shown = self.json
        assert set(shown) == {"error"}
        assert shown["error"]["exit_code"] == self.code
        return dict(shown["error"])

    def worked(self) -> Done:
        assert self.code == 0, (self.code, self.stdout, self.stderr)
        return self

    def refused(self, code: int = 2) -> str:
        """The two lines on stderr of a command that ended with ``code`` and wrote nothing to stdout."""
        assert (self.code, self.stdout) == (code, ""), (self.code, self.stdout, self.stderr)
        lines = self.stderr.splitlines()
        assert len(lines) == 2, lines
        assert lines[0].startswith("error: "), lines
        assert lines[1].startswith("try: "), lines
        return self.stderr


def keyring_in(file: Path, kind: str = "Keyring") -> dict[str, str]:
    """The environment of a command whose OS keyring is ``file``: a JSON object of ``service/account``."""
    return {
        "PYTHONPATH": str(Path(__file__).parent / "backends"),
        "PYTHON_KEYRING_BACKEND": f"file_keyring.{kind}",
        "FILE_KEYRING": str(file),
    }


class Box:
    """A home folder and an environment of its own, in which ``ando`` runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "ando"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "ANDO_HOME": str(self.home),
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
            "LANG": "C.UTF-8",
            "COLUMNS": "80",
            "TERM": "xterm",
        }

    def configure(self, text: str) -> None:
        """Write ``config.toml``."""
        self.home.mkdir(mode=0o700, exist_ok=True)
        (self.home / "config.toml").write_text(text)

    def file(self, name: str, content: str | bytes) -> Path:
        """A file of the user's."""
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def run(self, *arguments: str, stdin: str | bytes = b"", **variables: str | None) -> Done:
        """Run ``ando`` without a terminal. A variable that is ``None`` is not set."""
        content = stdin.encode() if isinstance(stdin, str) else stdin
        return _checked(Done(*forked.run(arguments, self.environ(variables), self.folder, content, PATIENCE)))

    def installed(self, *arguments: str, stdin: str | bytes = b"", **variables: str | None) -> Done:
        """As ``run``, but the installed script in an interpreter that starts for it."""
        done = subprocess.run(
            [ANDO, *arguments],
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            env=self.environ(variables),
            cwd=self.folder,
            start_new_session=True,  # without a controlling terminal, wherever these tests run
            timeout=PATIENCE,
        )
        return _checked(Done(done.returncode, done.stdout, done.stderr))

    def start(
        self, *arguments: str, stdin: int = subprocess.DEVNULL, **variables: str | None
    ) -> subprocess.Popen[bytes]:
        """Start ``ando`` without a terminal and let it run."""
        return subprocess.Popen(
            [ANDO, *arguments],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environ(variables),
            cwd=self.folder,
            start_new_session=True,
        )

    def shell(self, script: str, **variables: str | None) -> Done:
        """Run a line of shell in which ``ando`` is the installed command."""
        environment = self.environ(variables)
        environment["PATH"] = f"{ANDO.parent}{os.pathsep}{environment['PATH']}"
        done = subprocess.run(
            ["bash", "-c", script],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment,
            cwd=self.folder,
            start_new_session=True,
            timeout=PATIENCE,
        )
        return _checked(Done(done.returncode, done.stdout, done.stderr))

    def terminal(
        self, *arguments: str, piped: bytes | None = None, pipe_out: bool = False, **variables: str | None
    ) -> OnTerminal:
        """Start ``ando`` on a terminal; with stdin piped where ``piped`` is given, with stdout piped if asked for."""
        return OnTerminal(arguments, self.environ(variables), self.folder, piped=piped, pipe_out=pipe_out)

    def records(self) -> dict[str, list[tuple[Any, ...]]]:
        """All that the store holds, to see whether a command changed it."""
        path = self.home / "state" / "sessions.db"
        if not path.exists():
            return {}
        with sqlite3.connect(path) as store:
            tables = [row[0] for row in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {table: store.execute(f"SELECT * FROM {table}").fetchall() for table in tables}  # noqa: S608

    def environ(self, variables: Mapping[str, str | None]) -> dict[str, str]:
        """The environment with these variables; one that is ``None`` is not set."""
        merged = self.environment | variables
        return {name: value for name, value in merged.items() if value is not None}


class OnTerminal:
    """A command that runs on a terminal of 80 columns and 24 rows, or another ``size``, with a person who types."""

    def __init__(
        self,
        arguments: Sequence[str],
        environment: dict[str, str],
        folder: Path,
        *,
        piped: bytes | None = None,
        pipe_out: bool = False,
        size: tuple[int, int] = (80, 24),
    ) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self._shown = b""
        self._out = tempfile.TemporaryFile()  # noqa: SIM115 - closed in end()
        with tempfile.TemporaryFile() as source:
            source.write(piped or b"")
            source.seek(0)
            streams = (
                slave if piped is None else source.fileno(),
                self._out.fileno() if pipe_out else slave,
                slave,
            )
            self.process = forked.forks().start([ANDO, *arguments], environment, folder, streams, terminal=True)
        os.close(slave)

    def until(self, text: str, patience: float = PATIENCE) -> str:
        """Wait until ``text`` is on the screen; returns all that is."""
        deadline = time.monotonic() + patience
        while text.encode() not in self._shown:
            if not self._read(deadline):
                raise AssertionError(f"{text!r} did not appear: {self.screen!r}")
        return self.screen

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.type("\x03")

    def end(self, patience: float = PATIENCE) -> Done:
        """Wait for the end. ``err`` is the screen; ``out`` is stdout where that is piped."""
        deadline = time.monotonic() + patience
        try:
            while self._read(deadline):
                pass
            code = self.process.wait(max(0.1, deadline - time.monotonic()))
        finally:
            self.process.kill()
            os.close(self._master)
        with self._out as file:
            file.seek(0)
            out = file.read()
        return _checked(Done(code, out, self._shown.replace(b"\r\n", b"\n")))

    @property
    def screen(self) -> str:
        """All that was shown so far."""
        return self._shown.decode(errors="replace").replace("\r\n", "\n")

    def _seen(self, data: bytes) -> None:
        """What was written to the terminal arrives there."""

    def _read(self, deadline: float) -> bool:
        while time.monotonic() < deadline:
            if not select.select([self._master], [], [], 0.2)[0]:
                continue
            try:
                data = os.read(self._master, 65_536)
            except OSError:  # EIO: the last one who had the terminal open is gone
                return False
            self._shown += data
            self._seen(data)
            return bool(data)
        self.process.kill()
        raise AssertionError(f"the command did not end: {self.screen!r}")


class Gateway:
    """A running sandbox, and a box whose configuration and funded key use it as if it were the real gateway."""

    def __init__(self, sandbox: Sandbox, box: Box) -> None:
        self.sandbox = sandbox
        self.box = box
        sandbox.fund(KEY.address, 100 * MILLION)
        box.environment["ANDO_PRIVATE_KEY"] = KEY.to_hex()
        self.configure()

    def configure(self, *lines: str) -> None:
        """Write the configuration anew, with more lines at its top."""
        self.box.configure(
            "\n".join([*lines, f'base_url = "{self.base_url}"', 'network = "local"', "", self.table, ""])
        )

    @property
    def table(self) -> str:
        """The network of this gateway, as ``config.toml`` has it."""
        return "\n".join(
            [
                "[networks.local]",
                f"chain_id = {CHAIN_ID}",
                f'rpc_url = "{self.sandbox.rpc_url}"',
                f'token = "{TOKEN}"',
                f'escrows = ["{ESCROW}"]',
            ]
        )

    @property
    def base_url(self) -> str:
        return self.sandbox.base_url

    @property
    def faults(self) -> Faults:
        return self.sandbox.faults

    @property
    def log(self) -> list[Entry]:
        """The requests that the gateway was sent, oldest first."""
        return list(self._running.log)

    @property
    def actions(self) -> list[str]:
        """What each request was: ``unpaid``, ``open``, ``voucher``, ``topUp``, ``free``, ``other``."""
        return [entry.action for entry in self.log]

    def forget_log(self) -> None:
        self._running.log.clear()

    def fail(self, *faults: Fault) -> None:
        """Let these go wrong."""
        self.faults.push(*faults)

    def change(self, **settings: Any) -> None:
        """Change what ``ando_cli.sandbox.settings.Settings`` describes."""
        self._running.settings = replace(self._running.settings, **settings)

    @property
    def balance(self) -> int:
        """What the wallet holds, in base units."""
        data = {"to": TOKEN, "data": "0x70a08231" + KEY.address[2:].rjust(64, "0")}
        return int(self.sandbox.rpc("eth_call", data, "latest"), 16)

    def warm_up(self) -> Gateway:
        """Open a channel, and forget that it was opened."""
        self.box.run("chat", "hi", "--yes").worked()
        self.forget_log()
        return self

    @property
    def _running(self) -> Any:
        return self.sandbox._running.gateway


def _checked(done: Done) -> Done:
    """What holds for every command: no traceback and no secret, on any stream."""
    shown = (done.out + done.err).lower()
    assert b"traceback" not in shown, done
    assert KEY.to_hex()[2:].encode() not in shown, done
    return done
