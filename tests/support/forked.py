"""Commands as forks of an interpreter that has loaded ``ando``'s libraries already.

A fresh interpreter loads for half a second, and for two where a chain is asked, and the tests run ``ando`` a thousand
times. A fork runs the same script, in a process, a session, a folder and an environment of its own. What only a fresh
start can show (what it loads, how the interpreter reads its settings) is for tests that start one.
"""

from __future__ import annotations

import atexit
import fcntl
import functools
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence

ANDO = Path(sys.executable).with_name("ando")

_LIBRARIES = (
    "aiohttp.web", "filelock", "h11", "httpcore", "importlib_metadata", "jaraco.classes.properties", "jaraco.context",
    "jaraco.functools", "rich.console", "rich.progress", "rich.table", "tomlkit", "toon_format",
)  # fmt: skip
"""What the package, and keyring, import where it is used, and many tests need."""

_STATUS = struct.Struct("i")

_CONSTANTS = "TESTS_CONSTANTS"


def constants(changed: dict[str, object]) -> dict[str, str]:
    """Part of an environment: with it a fork has other values for constants of ``ando``'s, so that no test waits long.

    Args:
        changed: a value for each name, as ``session.record.database.BUSY_SECONDS``.
    """
    return {_CONSTANTS: json.dumps({f"ando_cli.{name}": value for name, value in changed.items()})}


class Fork:
    """A command that runs."""

    def __init__(self, status: socket.socket) -> None:
        self._status = status
        self.pid = self._read()
        self.returncode: int | None = None

    def wait(self, timeout: float) -> int:
        """Wait for the end; returns the exit code, or the number of the signal that ended it, below zero.

        Raises:
            TimeoutExpired: it did not end in time; it was killed.
        """
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                self.kill()
                raise subprocess.TimeoutExpired("ando", timeout)
            self.returncode = self._read()
            self._status.close()
        return self.returncode

    def kill(self) -> None:
        """End it, unless it has ended, and all that it started in its session."""
        if self.returncode is None:
            os.killpg(self.pid, signal.SIGKILL)

    def _read(self) -> int:
        number: int = _STATUS.unpack(self._status.recv(_STATUS.size))[0]
        return number


class Forks:
    """The interpreter that is forked. It ends with the one that made it."""

    def __init__(self) -> None:
        self._control, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(its.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[its.fileno()],
                env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
                start_new_session=True,
            )

    def start(
        self,
        command: Sequence[str | Path],
        environment: dict[str, str],
        folder: Path,
        streams: tuple[int, int, int],
        *,
        terminal: bool = False,
    ) -> Fork:
        """Run a script of Python's with stdin, stdout and stderr at these descriptors.

        Args:
            command: the script and its arguments.
            environment, folder: where it runs.
            terminal: the last descriptor is a terminal, and the command's own.
        """
        mine, its = socket.socketpair()
        order = {
            "command": [str(part) for part in command],
            "environment": environment,
            "folder": str(folder),
            "terminal": terminal,
        }
        with its:
            socket.send_fds(self._control, [json.dumps(order).encode()], [*streams, its.fileno()])
        return Fork(mine)


@functools.cache
def forks() -> Forks:
    """The one of this process."""
    return Forks()


def run(
    arguments: Sequence[str], environment: dict[str, str], folder: Path, stdin: bytes = b"", timeout: float = 60.0
) -> tuple[int, bytes, bytes]:
    """Run ``ando`` without a terminal; returns its exit code, and what it wrote to stdout and stderr.

    Raises:
        TimeoutExpired: it did not end in time; it was killed.
    """
    with TemporaryFile() as source, TemporaryFile() as out, TemporaryFile() as err:
        source.write(stdin)
        source.seek(0)
        streams = source.fileno(), out.fileno(), err.fileno()
        code = forks().start([ANDO, *arguments], environment, folder, streams).wait(timeout)
        out.seek(0)
        err.seek(0)
        return code, out.read(), err.read()


@dataclass(frozen=True)
class _Order:
    command: list[str]
    environment: dict[str, str]
    folder: str
    terminal: bool

    def carry_out(self) -> None:
        """Become the command."""
        if self.terminal:
            fcntl.ioctl(2, termios.TIOCSCTTY, 0)
        os.chdir(self.folder)
        os.environ.clear()
        os.environ.update(self.environment)
        time.tzset()
        for name, value in json.loads(os.environ.pop(_CONSTANTS, "{}")).items():
            module, _, constant = name.rpartition(".")
            assert hasattr(sys.modules[module], constant), name
            setattr(sys.modules[module], constant, value)
        sys.argv = self.command
        script = self.command[0]
        sys.path[:1] = [
            str(Path(script).parent),
            *filter(None, self.environment.get("PYTHONPATH", "").split(os.pathsep)),
        ]
        # As the interpreter makes them.
        sys.stdin = sys.__stdin__ = _stream(0, sys.stdin, "r")  # type: ignore[misc]
        sys.stdout = sys.__stdout__ = _stream(1, sys.stdout, "w")  # type: ignore[misc]
        sys.stderr = sys.__stderr__ = _stream(2, sys.stderr, "w", buffering=1)  # type: ignore[misc]
        runpy.run_path(script, run_name="__main__")


def _stream(number: int, like: Any, mode: str, buffering: int = -1) -> Any:
    if mode == "w" and os.isatty(number):
        buffering = 1
    return open(number, mode, buffering, encoding=like.encoding, errors=like.errors, closefd=False)


def _serve(control: socket.socket) -> _Order | None:
    """Fork for each order that comes. In a fork, returns its order; else ``None``, when no more can come."""
    running: dict[int, socket.socket] = {}
    ended, signalled = socket.socketpair()
    ended.setblocking(False)
    signalled.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(signalled.fileno())
    while True:
        ready = select.select([control, ended], [], [])[0]
        if ended in ready:
            ended.recv(4096)
            _report(running)
        if control not in ready:
            continue
        order, streams, _, _ = socket.recv_fds(control, 1 << 20, 4)
        if not order:
            return None
        status = socket.socket(fileno=streams.pop())
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.setsid()
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
            for mine in (control, ended, signalled, status, *running.values()):
                mine.close()
            for stream in streams:
                os.close(stream)
            return _Order(**json.loads(order))
        for stream in streams:
            os.close(stream)
        status.sendall(_STATUS.pack(pid))
        running[pid] = status


def _report(running: dict[int, socket.socket]) -> None:
    """Tell of the commands that have ended."""
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with running.pop(pid) as told:
            told.sendall(_STATUS.pack(os.waitstatus_to_exitcode(status)))


def _load() -> None:
    import ando_cli

    for module in pkgutil.walk_packages(ando_cli.__path__, "ando_cli."):
        importlib.import_module(module.name)
    for library in _LIBRARIES:
        importlib.import_module(library)
    assert "keyring" not in sys.modules, "it chooses its backend when it is loaded"
    gc.collect()
    gc.freeze()


def _leave(order: _Order) -> NoReturn:
    """Carry out ``order`` and end, as an interpreter does, but without taking the libraries apart one by one before.

    That would take longer than most commands.
    """
    code: object = 0
    try:
        order.carry_out()
    except SystemExit as leaving:
        code = leaving.code or 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            code = 120
    os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    _load()
    todo = _serve(socket.socket(fileno=int(sys.argv[1])))
    if todo is not None:
        _leave(todo)
