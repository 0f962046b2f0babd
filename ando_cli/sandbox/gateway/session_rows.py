"""Read and write the rows of the accounts: one for each session, reservation and answer.

Amounts are in base units. All functions need a connection that is inside a transaction.
"""

from __future__ import annotations

import dataclasses
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ando_cli.sandbox.chain.voucher import V1
from ando_cli.sandbox.problems import Problem

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping


@dataclass(frozen=True)
class Session:
    """Hold the accounting of one channel, in base units.

    Attributes:
        accepted: the amount of the highest voucher, whose ``signature`` is stored.
        descriptor: the channel's descriptor in session protocol v2, as JSON; empty in v1.
    """

    channel_id: str
    accepted: int
    spent: int
    reserved: int
    units: int
    closed: bool
    closing: bool
    protocol: str = V1
    payer: str = ""
    descriptor: str = ""
    signature: str = ""

    @property
    def left(self) -> int:
        """Return what the highest voucher still holds that is neither spent nor reserved."""
        return self.accepted - self.spent - self.reserved

    def amounts(self) -> dict[str, Any]:
        """Return the members of a receipt that report the state of the session."""
        return {"acceptedCumulative": str(self.accepted), "spent": str(self.spent), "units": self.units}

    def charged(self, cost: int) -> Session:
        """Return the session after one more request."""
        return dataclasses.replace(self, spent=self.spent + cost, units=self.units + 1)


@dataclass(frozen=True)
class Accepted:
    """Hold a verified voucher and what the accounts store about its channel."""

    channel_id: str
    cumulative: int
    signature: str
    protocol: str
    payer: str
    descriptor: str


@dataclass(frozen=True)
class Answer:
    """Store a success for a client that lost it and asks again."""

    fingerprint: str
    status: int
    receipt: Mapping[str, Any]
    body: bytes

    def receipted(self, session: Session) -> Answer:
        """Return the answer with the state of the session in its receipt."""
        return Answer(self.fingerprint, self.status, {**self.receipt, **session.amounts()}, self.body)


def fresh(channel_id: str, settled: int) -> Session:
    """Return an unknown session: what was settled on chain counts as authorized and spent."""
    return Session(channel_id, settled, settled, 0, 0, False, False)


def read_session(connection: sqlite3.Connection, channel_id: str) -> Session | None:
    """Return the state of a session, or ``None`` if it is not known."""
    query = (
        "SELECT accepted, spent, units, closed, closing_until, protocol, payer, descriptor, signature "
        "FROM sessions WHERE channel_id = ?"
    )
    row = connection.execute(query, (channel_id,)).fetchone()
    if row is None:
        return None
    now = time.time()
    query = "SELECT amount FROM reservations WHERE channel_id = ? AND until > ?"
    reserved = sum(int(amount) for (amount,) in connection.execute(query, (channel_id, now)))
    amounts = int(row[0]), int(row[1]), reserved
    return Session(channel_id, *amounts, row[2], bool(row[3]), row[4] > now, *row[5:])


def open_session(connection: sqlite3.Connection, channel_id: str, settled: int) -> Session:
    """Return the state of a session, or a new one.

    Raises:
        Problem: The session has ended, or is being closed.
    """
    session = read_session(connection, channel_id) or fresh(channel_id, settled)
    if session.closed or session.closing:
        raise Problem("session/channel-finalized")
    return session


def save_session(connection: sqlite3.Connection, session: Session, closing_until: float = 0.0) -> None:
    """Save a session. Its reservations are rows of their own."""
    connection.execute(
        "INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            session.channel_id,
            str(session.accepted),
            str(session.spent),
            session.units,
            session.closed,
            closing_until,
            session.protocol,
            session.payer,
            session.descriptor,
            session.signature,
            time.time(),
        ),
    )


def save_answer(connection: sqlite3.Connection, challenge_id: str, answer: Answer) -> bool:
    """Store the answer to a challenge; return false if one is stored already, which then stays."""
    added = connection.execute(
        "INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?)",
        (
            challenge_id,
            answer.fingerprint,
            answer.status,
            json.dumps(dict(answer.receipt)),
            answer.body,
            time.time(),
        ),
    )
    return added.rowcount == 1
