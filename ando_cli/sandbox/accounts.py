"""What each session has authorized and used up, kept in the shared file.

``accepted`` is the highest voucher, ``spent`` what was charged, ``reserved`` what requests in flight may still cost:
``spent + reserved <= accepted`` holds at all times, for all processes together. A reservation lapses by itself, so that
a process killed in the middle of a request blocks nothing for long.
"""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ando_cli.sandbox.problems import Problem
from ando_cli.sandbox.voucher import V1

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ando_cli.sandbox.database import Database

KEEP_ANSWERS_SECONDS = 24 * 3600.0
CLOSING_SECONDS = 60.0


@dataclass(frozen=True)
class Session:
    """The accounting of one channel, amounts in base units.

    Attributes:
        accepted: the highest voucher, whose ``signature`` is kept.
        descriptor: what the payloads of session protocol v2 say of the channel, as JSON; empty in v1.
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

    def amounts(self) -> dict[str, Any]:
        """The members of a receipt that say where the session stands."""
        return {"acceptedCumulative": str(self.accepted), "spent": str(self.spent), "units": self.units}


@dataclass(frozen=True)
class Accepted:
    """A voucher that was verified, and what is worth knowing about its channel."""

    channel_id: str
    cumulative: int
    signature: str
    protocol: str
    payer: str
    descriptor: str


@dataclass(frozen=True)
class Answer:
    """A success, kept for the client that asks for it again because it got lost."""

    fingerprint: str
    status: int
    receipt: Mapping[str, Any]
    body: bytes


class InFlight(Exception):  # noqa: N818 - a state of affairs
    """Another request with the same challenge is being answered, or just was: its answer is the one to give."""


class Accounts:
    """The sessions, the challenges that were used, and the answers that they were used for."""

    def __init__(self, database: Database) -> None:
        self._database = database
        with database.transaction() as connection:
            connection.execute("DELETE FROM answers WHERE created < ?", (time.time() - KEEP_ANSWERS_SECONDS,))

    def answer(self, challenge_id: str) -> Answer | None:
        """What a challenge was used for, if it was."""
        with self._database.snapshot() as connection:
            return _answer(connection, challenge_id)

    def in_flight(self, challenge_id: str) -> bool:
        """Whether a request with this challenge is being answered now."""
        query = "SELECT 1 FROM reservations WHERE challenge_id = ? AND until > ?"
        with self._database.snapshot() as connection:
            return connection.execute(query, (challenge_id, time.time())).fetchone() is not None

    def session(self, channel_id: str, settled: int) -> Session:
        """The state of a session; one that is not known here has spent what was ``settled`` on chain."""
        with self._database.snapshot() as connection:
            return _session(connection, channel_id) or Session(channel_id, settled, settled, 0, 0, False, False)

    def known(self, channel_id: str) -> Session | None:
        """The state of a session, if it is known here."""
        with self._database.snapshot() as connection:
            return _session(connection, channel_id)

    def newest(self, protocol: str, payer: str) -> Session | None:
        """The session of a payer that is open and was used last."""
        query = "SELECT channel_id FROM sessions WHERE protocol = ? AND payer = ? AND NOT closed ORDER BY used DESC"
        with self._database.snapshot() as connection:
            row = connection.execute(query, (protocol, payer)).fetchone()
            return _session(connection, row[0]) if row else None

    def sessions(self) -> list[Session]:
        """All sessions."""
        with self._database.snapshot() as connection:
            rows = connection.execute("SELECT channel_id FROM sessions ORDER BY channel_id").fetchall()
            found = [_session(connection, row[0]) for row in rows]
        return [session for session in found if session is not None]

    def accept(self, voucher: Accepted, settled: int) -> Session:
        """Take note of a verified voucher: the same as before, or a higher one.

        Raises:
            Problem: it is lower than one that was accepted, or the session is over.
        """
        channel_id = voucher.channel_id
        with self._database.transaction() as connection:
            _begin(connection, channel_id, settled)
            session = _require(connection, channel_id)
            if voucher.cumulative < session.accepted:
                raise Problem("mpp_payment_verification_failed", "The voucher is lower than one accepted before.")
            connection.execute(
                "UPDATE sessions SET accepted = ?, protocol = ?, payer = ?, descriptor = ?, signature = ?, used = ? "
                "WHERE channel_id = ?",
                (
                    str(voucher.cumulative),
                    voucher.protocol,
                    voucher.payer,
                    voucher.descriptor,
                    voucher.signature,
                    time.time(),
                    channel_id,
                ),
            )
            return _require(connection, channel_id)

    def reserve(self, channel_id: str, challenge_id: str, amount: int, seconds: float) -> bool:
        """Set the highest possible cost of a request aside for some seconds; false if the bucket has not enough left.

        Raises:
            InFlight: the challenge is used by another request.
            Problem: the session is over.
        """
        now = time.time()
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM reservations WHERE until <= ?", (now,))
            if _answer(connection, challenge_id):
                raise InFlight
            session = _require(connection, channel_id)
            if session.accepted - session.spent - session.reserved < amount:
                return False
            try:
                connection.execute(
                    "INSERT INTO reservations VALUES (?, ?, ?, ?)",
                    (challenge_id, channel_id, str(amount), now + seconds),
                )
            except sqlite3.IntegrityError:
                raise InFlight from None
            return True

    def commit(
        self, channel_id: str, challenge_id: str, cost: int, fingerprint: str, receipt: Mapping[str, Any], body: bytes
    ) -> Answer | None:
        """Charge what a request cost, free the rest of its reservation and keep its answer, all at once.

        The amounts are added to ``receipt``. Nothing happens, and nothing is returned, if the reservation has lapsed.
        """
        with self._database.transaction() as connection:
            if not connection.execute("DELETE FROM reservations WHERE challenge_id = ?", (challenge_id,)).rowcount:
                return None
            session = _require(connection, channel_id)
            connection.execute(
                "UPDATE sessions SET spent = ?, units = units + 1 WHERE channel_id = ?",
                (str(session.spent + cost), channel_id),
            )
            charged = _require(connection, channel_id)
            answer = Answer(fingerprint, 200, {**receipt, **charged.amounts()}, body)
            _keep(connection, challenge_id, answer)
            return answer

    def keep(self, challenge_id: str, answer: Answer) -> None:
        """Mark a challenge as used, and keep the answer that was given for it."""
        with self._database.transaction() as connection:
            _keep(connection, challenge_id, answer)

    def begin_close(self, channel_id: str, settled: int) -> Session:
        """Let no more requests in, for as long as the channel is being closed on chain.

        Raises:
            Problem: the session is over, or a request is in flight.
        """
        with self._database.transaction() as connection:
            _begin(connection, channel_id, settled)
            connection.execute("DELETE FROM reservations WHERE until <= ?", (time.time(),))
            session = _require(connection, channel_id)
            if session.reserved:
                raise Problem("mpp_session_close_failed", "A request of this session is still being answered.")
            until = time.time() + CLOSING_SECONDS
            connection.execute("UPDATE sessions SET closing_until = ? WHERE channel_id = ?", (until, channel_id))
            return session

    def end_close(self, channel_id: str, challenge_id: str, answer: Answer) -> None:
        """The channel was closed on chain: the session is over."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE sessions SET closed = 1, closing_until = 0 WHERE channel_id = ?", (channel_id,))
            _keep(connection, challenge_id, answer)

    def cancel_close(self, channel_id: str) -> None:
        """The channel could not be closed on chain: let requests in again."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE sessions SET closing_until = 0 WHERE channel_id = ?", (channel_id,))


def _answer(connection: sqlite3.Connection, challenge_id: str) -> Answer | None:
    query = "SELECT fingerprint, status, receipt, body FROM answers WHERE challenge_id = ?"
    row = connection.execute(query, (challenge_id,)).fetchone()
    return Answer(row[0], row[1], json.loads(row[2]), row[3]) if row else None


def _keep(connection: sqlite3.Connection, challenge_id: str, answer: Answer) -> None:
    receipt = json.dumps(dict(answer.receipt))
    connection.execute(
        "INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?)",
        (challenge_id, answer.fingerprint, answer.status, receipt, answer.body, time.time()),
    )


def _session(connection: sqlite3.Connection, channel_id: str) -> Session | None:
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


def _begin(connection: sqlite3.Connection, channel_id: str, settled: int) -> None:
    """Make a session of a channel that has none yet."""
    connection.execute(
        "INSERT OR IGNORE INTO sessions (channel_id, accepted, spent, units, closed, closing_until) "
        "VALUES (?, ?, ?, 0, 0, 0)",
        (channel_id, str(settled), str(settled)),
    )


def _require(connection: sqlite3.Connection, channel_id: str) -> Session:
    session = _session(connection, channel_id)
    if session is None or session.closed or session.closing:
        raise Problem("session/channel-finalized")
    return session
