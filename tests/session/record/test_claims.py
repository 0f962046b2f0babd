"""How long a claim binds other requests: while its process runs, and never beyond its deadline."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ando_cli.session.record import database
from ando_cli.session.record import processes as known
from ando_cli.session.record.store import Store
from ando_cli.session.traffic import Claim, Hold, Traffic
from tests.support.session_doubles import MILLION

if TYPE_CHECKING:
    from collections.abc import Iterator

BOUND = Traffic(MILLION, 1, 0, Hold.EVERYTHING)
CLAIM = Claim("0x01", MILLION, sent=True, hold=Hold.EVERYTHING, seconds=60)
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells cheaply when a process started")
CLAIMANT = """
import sys
from pathlib import Path
from ando_cli.session.record.store import Store
from ando_cli.session.traffic import Claim, Hold
Store(Path(sys.argv[1])).claim(None, Claim("0x01", 1_000_000, sent=True, hold=Hold.EVERYTHING))
print("claimed", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@contextmanager
def claimant(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process with a claim. It is not waited for until the test is over: killed, it becomes a zombie."""
    process = subprocess.Popen(
        [sys.executable, "-c", CLAIMANT, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"claimed\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def changed(path: Path, column: str, value: object) -> None:
    with sqlite3.connect(path) as db:
        db.execute(f"UPDATE claims SET {column} = ?", (value,))  # noqa: S608


def row(path: Path) -> dict[str, Any]:
    with sqlite3.connect(path) as db:
        db.row_factory = sqlite3.Row
        return dict(db.execute("SELECT * FROM claims").fetchone())


def become_zombie(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while ") Z " not in Path(f"/proc/{process.pid}/stat").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@ON_LINUX
def test_a_zombie_binds_nobody(path: Path) -> None:
    store = Store(path)
    with claimant(path) as process:
        assert store.traffic("0x01", None) == BOUND
        become_zombie(process)
        os.kill(process.pid, 0)  # its number is still taken
        assert store.traffic("0x01", None) == Traffic()
        assert store.traffic("0x01", None) == Traffic(), "the claim is dropped"


@ON_LINUX
def test_another_process_with_the_same_number_does_not_keep_a_claim_alive(path: Path) -> None:
    store = Store(path)
    with claimant(path) as process:
        started = row(path)["started"]
        assert started == Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19]
        changed(path, "started", str(int(started) - 1))
        assert store.traffic("0x01", None) == Traffic()


def test_where_the_system_does_not_tell_when_a_process_started_its_number_counts(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(path)
    monkeypatch.setattr(known, "_PROC", tmp_path / "absent")
    known._process.cache_clear()
    try:
        with claimant(path) as process:
            changed(path, "started", "")
            changed(path, "host", known.this_process().host)
            assert known.this_process().started == ""
            assert store.traffic("0x01", None) == BOUND
            process.kill()
            process.wait()
            assert store.traffic("0x01", None) == Traffic()
    finally:
        known._process.cache_clear()


@pytest.mark.parametrize("pid", [os.getpid(), 2**22 + 1], ids=["our number", "nobody's number"])
def test_a_claim_of_another_host_binds_until_its_deadline(path: Path, pid: int) -> None:
    now = [1_000_000.0]
    store = Store(path, clock=lambda: now[0])
    store.claim(None, CLAIM)
    changed(path, "host", "another boot, or another container")
    changed(path, "process", "0123456789abcdef")
    changed(path, "pid", pid)
    now[0] += 60
    assert store.traffic("0x01", None) == BOUND
    now[0] += 1
    assert store.traffic("0x01", None) == Traffic()


@pytest.mark.parametrize("direction", [1, -1], ids=["later", "after the clock was set back"])
def test_a_claim_of_a_process_that_runs_binds_until_its_deadline(path: Path, direction: int) -> None:
    now = [1_000_000.0]
    store = Store(path, clock=lambda: now[0])
    number = store.claim(None, CLAIM)
    now[0] += direction * 60
    assert store.traffic("0x01", None) == BOUND
    store.claim(number, CLAIM)  # what its request does next has a deadline of its own
    now[0] += direction * 60
    assert store.traffic("0x01", None) == BOUND
    now[0] += direction
    assert store.traffic("0x01", None) == Traffic()


def test_the_claims_of_an_older_version_are_gone_with_the_migration(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr(database, "MIGRATIONS", database.MIGRATIONS[:2])
        Store(path).close()
    with sqlite3.connect(path) as db:
        db.execute(
            "INSERT INTO claims (channel_id, amount, sent, hold, at, pid, process) "
            "VALUES ('0x01', '1', 1, 2, ?, ?, '')",
            (int(time.time()), os.getppid()),
        )
    assert Store(path).traffic("0x01", None) == Traffic()
