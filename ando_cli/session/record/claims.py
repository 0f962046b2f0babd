"""What else is under way on a channel: the claims of other requests, in this process and in others.

A claim is a row that a request has in the store from when its payment is recorded until its answer is booked or it is
given up. It says what of the authorised amount the request counts on, whether a credential is on its way, and whether
others have to hold back. A claim is only as alive as its process: what a killed one leaves behind binds nobody. Where
the process cannot be asked for, as in another container, the claim binds until the deadline that it was written with.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ando_cli.errors import InvariantError
from ando_cli.session.record.processes import Process, runs, this_process
from ando_cli.session.traffic import Claim, Hold, Traffic

if TYPE_CHECKING:
    import sqlite3

SCHEMA = """
    CREATE TABLE claims (
        id INTEGER PRIMARY KEY, channel_id TEXT NOT NULL, amount TEXT NOT NULL, sent INTEGER NOT NULL,
        hold INTEGER NOT NULL, at INTEGER NOT NULL, pid INTEGER NOT NULL, process TEXT NOT NULL
    ) STRICT
"""

DEADLINES = """
    ALTER TABLE claims ADD COLUMN lapses INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE claims ADD COLUMN host TEXT NOT NULL DEFAULT '';
    ALTER TABLE claims ADD COLUMN started TEXT NOT NULL DEFAULT '';
    DELETE FROM claims
"""
"""The migration that adds a claim's deadline, and what its process is known by. Older claims cannot be judged by it."""


def read(db: sqlite3.Connection, channel_id: str, mine: int | None, now: int) -> Traffic:
    """The claims on the channel but ``mine``; those of dead processes and those past their deadline are dropped."""
    rows = db.execute(
        "SELECT id, amount, sent, hold, at, lapses, process, pid, host, started FROM claims WHERE channel_id = ?",
        (channel_id,),
    ).fetchall()
    claimed, in_flight, loose, hold = 0, 0, 0, Hold.NOTHING
    for number, amount, sent, held, at, lapses, process, *writer in rows:
        if number == mine:
            continue
        # A clock that was set back does not keep a claim alive for longer.
        if abs(now - at) > lapses - at or not _alive(process, Process(*writer)):
            db.execute("DELETE FROM claims WHERE id = ?", (number,))
            continue
        claimed += int(amount)
        in_flight += sent
        loose += sent and amount == "0"
        hold = max(hold, Hold(held))
    return Traffic(claimed, in_flight, loose, hold)


def write(db: sqlite3.Connection, number: int | None, claim: Claim, now: int) -> int:
    """Record a claim, or what an earlier one has become; returns its number."""
    lapses = now + claim.seconds
    if number is not None:
        changed = db.execute(
            "UPDATE claims SET channel_id = ?, amount = ?, sent = ?, hold = ?, at = ?, lapses = ? WHERE id = ?",
            (claim.channel_id, str(claim.amount), claim.sent, claim.hold, now, lapses, number),
        ).rowcount
        if changed:
            return number
    me = this_process()
    cursor = db.execute(
        "INSERT INTO claims (channel_id, amount, sent, hold, at, lapses, process, pid, host, started) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            claim.channel_id,
            str(claim.amount),
            claim.sent,
            claim.hold,
            now,
            lapses,
            _name(),
            me.pid,
            me.host,
            me.started,
        ),
    )
    if cursor.lastrowid is None:
        raise InvariantError("a record was written without a number to find it by")
    return cursor.lastrowid


def drop(db: sqlite3.Connection, number: int) -> None:
    """The request is over."""
    db.execute("DELETE FROM claims WHERE id = ?", (number,))


_names: dict[int, str] = {}


def _name() -> str:
    """A name that no other process has, not even one that gets the same number later, nor a fork of this one."""
    return _names.setdefault(os.getpid(), os.urandom(8).hex())


def _alive(name: str, writer: Process) -> bool:
    me = this_process()
    if (writer.pid, writer.host) == (me.pid, me.host):
        return name == _name()
    return runs(writer)
