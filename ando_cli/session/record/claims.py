"""What else is under way on a channel: the claims of other requests, in this process and in others.

A claim is a row that a request has in the store from when its payment is recorded until its answer is booked or it is
given up. It says what of the authorised amount the request counts on, whether a credential is on its way, and whether
others have to hold back. A claim is only as alive as its process: what a killed one leaves behind binds nobody.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from ando_cli.errors import InvariantError
from ando_cli.session.traffic import Claim, Hold, Traffic

if TYPE_CHECKING:
    import sqlite3

SCHEMA = """
    CREATE TABLE claims (
        id INTEGER PRIMARY KEY, channel_id TEXT NOT NULL, amount TEXT NOT NULL, sent INTEGER NOT NULL,
        hold INTEGER NOT NULL, at INTEGER NOT NULL, pid INTEGER NOT NULL, process TEXT NOT NULL
    ) STRICT
"""

_LAPSE_SECONDS = 3600
"""After that long a claim binds nobody, whatever process has its number now."""


def read(db: sqlite3.Connection, channel_id: str, mine: int | None, now: int) -> Traffic:
    """The claims on the channel but ``mine``; those of dead processes are dropped."""
    rows = db.execute(
        "SELECT id, amount, sent, hold, at, pid, process FROM claims WHERE channel_id = ?", (channel_id,)
    ).fetchall()
    claimed, in_flight, loose, hold = 0, 0, 0, Hold.NOTHING
    for number, amount, sent, held, at, pid, process in rows:
        if number == mine:
            continue
        if not _alive(pid, process) or abs(now - at) > _LAPSE_SECONDS:
            db.execute("DELETE FROM claims WHERE id = ?", (number,))
            continue
        claimed += int(amount)
        in_flight += sent
        loose += sent and amount == "0"
        hold = max(hold, Hold(held))
    return Traffic(claimed, in_flight, loose, hold)


def write(db: sqlite3.Connection, number: int | None, claim: Claim, now: int) -> int:
    """Record a claim, or what an earlier one has become; returns its number."""
    if number is not None:
        changed = db.execute(
            "UPDATE claims SET channel_id = ?, amount = ?, sent = ?, hold = ?, at = ? WHERE id = ?",
            (claim.channel_id, str(claim.amount), claim.sent, claim.hold, now, number),
        ).rowcount
        if changed:
            return number
    cursor = db.execute(
        "INSERT INTO claims (channel_id, amount, sent, hold, at, pid, process) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (claim.channel_id, str(claim.amount), claim.sent, claim.hold, now, os.getpid(), _this_process()),
    )
    if cursor.lastrowid is None:
        raise InvariantError("a record was written without a number to find it by")
    return cursor.lastrowid


def drop(db: sqlite3.Connection, number: int) -> None:
    """The request is over."""
    db.execute("DELETE FROM claims WHERE id = ?", (number,))


_names: dict[int, str] = {}


def _this_process() -> str:
    """A name that no other process has, not even one that gets the same number later, nor a fork of this one."""
    return _names.setdefault(os.getpid(), os.urandom(8).hex())


def _alive(pid: int, process: str) -> bool:
    if pid == os.getpid():
        return process == _this_process()
    if sys.platform == "win32":
        return True  # there is no way to ask that does no harm; the claim lapses
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
