"""Which process wrote a record, known by more than its number, and whether it still runs.

A number is given out again when its process has ended, two containers give out the same numbers, and a killed process
keeps its own until its parent has asked for it. So a process is known by its number, by when it started, and by where
its number counts.
"""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

from ando_cli.frozen import frozen

_PROC = Path("/proc")
_DEAD = frozenset("ZXx")
"""The states of a process on Linux that has ended, and whose parent has not asked for it yet."""


@frozen
class Process:
    """A process as a record names it.

    Attributes:
        pid: its number.
        host: where that number counts: the boot of the machine and the namespace on Linux, else the machine's name.
        started: when it started, as the system counts; empty where the system does not tell.
    """

    pid: int
    host: str
    started: str


def this_process() -> Process:
    """Return the process that runs this."""
    return _process(os.getpid())


@cache
def _process(pid: int) -> Process:
    # By number, so that a fork does not take itself for the process that it was forked from.
    return Process(pid, _host(), _started(pid) or "")


def runs(process: Process) -> bool:
    """Tell whether ``process`` may still run: true where it cannot be known, as for a process of another host."""
    if process.host != this_process().host:
        return True
    if process.pid != os.getpid() and not _exists(process.pid):
        return False
    started = _started(process.pid)
    return started is None or (started != "" and process.started in ("", started))


def _exists(pid: int) -> bool:
    if sys.platform == "win32":
        return True  # there is no way to ask that does no harm
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _started(pid: int) -> str | None:
    """When a process started; empty where it has ended, ``None`` where the system does not tell."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name of the program stands in parentheses, and can hold spaces and parentheses itself.
    fields = stat.rpartition(")")[2].split()
    if len(fields) < 20:
        return None
    return "" if fields[0] in _DEAD else fields[19]


def _host() -> str:
    with suppress(OSError):
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        return f"{boot} {(_PROC / 'self/ns/pid').readlink()}"
    return socket.gethostname()
