"""Keep account of what each session has authorized and used up, in the shared file.

``accepted`` is the highest voucher, ``spent`` what was charged, ``reserved`` what requests in flight may still cost:
``spent + reserved <= accepted`` holds at all times, for all processes together. A reservation lapses by itself, so a
process that is killed in the middle of a request blocks nothing for long.

A request is charged in one transaction, or in two if the model is slow: one that reserves, one that commits.
"""

from __future__ import annotations

import dataclasses
import json
import sqlite3
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ando_cli.sandbox.gateway.session_rows import (
    Accepted,
    Answer,
    Session,
    fresh,
    open_session,
    read_session,
    save_answer,
    save_session,
)
from ando_cli.sandbox.problems import Problem

if TYPE_CHECKING:
    from ando_cli.sandbox.database import Database

KEEP_ANSWERS_SECONDS = 24 * 3600.0
CLOSING_SECONDS = 60.0


@dataclass(frozen=True)
class Request:
    """Describe a request that is to be charged.

    Attributes:
        challenge_id: the challenge that the request answers, which can be used once.
        settled: the amount of its channel that was settled on chain.
        max_cost: the most that the request can cost; the session must have that much left.
        stale: whether a voucher lower than one accepted before counts as that one, instead of being refused.
        min_rise: by how much the voucher must rise if it rises, in base units.
    """

    challenge_id: str
    voucher: Accepted
    settled: int
    max_cost: int
    stale: bool
    min_rise: int = 0


class InFlight(Exception):  # noqa: N818 - a state, not an error
    """Signal that another request with the same challenge is being answered, or just was: its answer counts."""


class Exhausted(Exception):  # noqa: N818 - a state, not an error
    """Signal that the voucher was accepted, but leaves too little for the request."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session


class Accounts:
    """Keep the sessions, the challenges that were used, and the answers that were given for them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        with database.transaction() as connection:
            connection.execute("DELETE FROM answers WHERE created < ?", (time.time() - KEEP_ANSWERS_SECONDS,))

    def answer(self, challenge_id: str) -> Answer | None:
        """Return the answer that was given for a challenge, or ``None`` if the challenge was not used.

        Raises:
            InFlight: A request with this challenge is being answered now.
        """
        query = (
            "SELECT fingerprint, status, receipt, body FROM answers WHERE challenge_id = ?1 "
            "UNION ALL SELECT NULL, 0, '', '' FROM reservations WHERE challenge_id = ?1 AND until > ?2"
        )
        row = self._database.row(query, (challenge_id, time.time()))
        if row is None:
            return None
        if row[0] is None:
            raise InFlight
        return Answer(row[0], row[1], json.loads(row[2]), row[3])

    def session(self, channel_id: str, settled: int) -> Session:
        """Return the state of a session; an unknown one has spent what was ``settled`` on chain."""
        return self.known(channel_id) or fresh(channel_id, settled)

    def known(self, channel_id: str) -> Session | None:
        """Return the state of a session, or ``None`` if it is not known here."""
        with self._database.snapshot() as connection:
            return read_session(connection, channel_id)

    def newest(self, protocol: str, payer: str) -> Session | None:
        """Return the open session of a payer that was used last, or ``None``."""
        query = "SELECT channel_id FROM sessions WHERE protocol = ? AND payer = ? AND NOT closed ORDER BY used DESC"
        with self._database.snapshot() as connection:
            row = connection.execute(query, (protocol, payer)).fetchone()
            return read_session(connection, row[0]) if row else None

    def sessions(self) -> list[Session]:
        """Return all sessions."""
        with self._database.snapshot() as connection:
            rows = connection.execute("SELECT channel_id FROM sessions ORDER BY channel_id").fetchall()
            found = [read_session(connection, row[0]) for row in rows]
        return [session for session in found if session is not None]

    def charge(self, request: Request, cost: int, answer: Answer) -> Answer:
        """Accept a verified voucher, charge the cost of the request and store its answer, in one transaction.

        The amounts are added to the receipt of ``answer``.

        Raises:
            InFlight: Another request uses the challenge.
            Exhausted: The session has too little left.
            Problem: The voucher is too low, or the session has ended.
        """
        with self._database.transaction() as connection:
            session = _accept(connection, request)
            query = "SELECT 1 FROM reservations WHERE challenge_id = ?"
            if session.reserved and connection.execute(query, (request.challenge_id,)).fetchone():
                raise InFlight
            if session.left >= request.max_cost:
                charged = session.charged(cost)
                answer = answer.receipted(charged)
                if not save_answer(connection, request.challenge_id, answer):
                    raise InFlight
                save_session(connection, charged)
                return answer
            save_session(connection, session)
        raise Exhausted(session)

    def accept(self, request: Request, answer: Answer) -> Answer:
        """Accept a verified voucher without charging anything, and store the answer, in one transaction.

        Raises:
            InFlight: Another request uses the challenge.
            Problem: The voucher is too low or rises by too little, or the session has ended.
        """
        with self._database.transaction() as connection:
            session = _accept(connection, request)
            answer = answer.receipted(session)
            if not save_answer(connection, request.challenge_id, answer):
                raise InFlight
            save_session(connection, session)
        return answer

    def reserve(self, request: Request, seconds: float) -> None:
        """Accept a verified voucher, and reserve the highest possible cost of the request for some seconds.

        Raises:
            InFlight: Another request uses the challenge.
            Exhausted: The session has too little left.
            Problem: The voucher is too low, or the session has ended.
        """
        now = time.time()
        reservation = request.challenge_id, request.voucher.channel_id, str(request.max_cost), now + seconds
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM reservations WHERE until <= ?", (now,))
            query = "SELECT 1 FROM answers WHERE challenge_id = ?"
            if connection.execute(query, (request.challenge_id,)).fetchone():
                raise InFlight
            session = _accept(connection, request)
            save_session(connection, session)
            if session.left >= request.max_cost:
                try:
                    connection.execute("INSERT INTO reservations VALUES (?, ?, ?, ?)", reservation)
                except sqlite3.IntegrityError:
                    raise InFlight from None
                return
        raise Exhausted(session)

    def commit(self, request: Request, cost: int, answer: Answer) -> Answer | None:
        """Charge what a request cost, free the rest of its reservation and store its answer, in one transaction.

        The amounts are added to the receipt of ``answer``. If the reservation has lapsed, nothing is charged, and
        ``None`` is returned.
        """
        challenge_id = request.challenge_id
        with self._database.transaction() as connection:
            if not connection.execute("DELETE FROM reservations WHERE challenge_id = ?", (challenge_id,)).rowcount:
                return None
            charged = open_session(connection, request.voucher.channel_id, request.settled).charged(cost)
            save_session(connection, charged)
            answer = answer.receipted(charged)
            save_answer(connection, challenge_id, answer)
            return answer

    def keep(self, challenge_id: str, answer: Answer) -> None:
        """Mark a challenge as used, and store the answer that was given for it."""
        with self._database.transaction() as connection:
            save_answer(connection, challenge_id, answer)

    def begin_close(self, channel_id: str, settled: int) -> Session:
        """Refuse further requests while the channel is being closed on chain.

        Raises:
            Problem: The session has ended, or a request is in flight.
        """
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM reservations WHERE until <= ?", (time.time(),))
            session = open_session(connection, channel_id, settled)
            if session.reserved:
                raise Problem("mpp_session_close_failed", "A request of this session is still being answered.")
            save_session(connection, session, closing_until=time.time() + CLOSING_SECONDS)
            return session

    def end_close(self, channel_id: str, challenge_id: str, answer: Answer) -> None:
        """End the session: the channel was closed on chain."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE sessions SET closed = 1, closing_until = 0 WHERE channel_id = ?", (channel_id,))
            save_answer(connection, challenge_id, answer)

    def cancel_close(self, channel_id: str) -> None:
        """Let requests in again: the channel could not be closed on chain."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE sessions SET closing_until = 0 WHERE channel_id = ?", (channel_id,))


def _accept(connection: sqlite3.Connection, request: Request) -> Session:
    """Apply the voucher of a request to its session, which keeps or raises ``accepted``; the caller saves it."""
    voucher = request.voucher
    session = open_session(connection, voucher.channel_id, request.settled)
    if voucher.cumulative < session.accepted:
        if request.stale:
            return session
        raise Problem("mpp_payment_verification_failed", "The voucher is lower than one accepted before.")
    if 0 < voucher.cumulative - session.accepted < request.min_rise:
        raise Problem("session/delta-too-small", f"The voucher must rise by at least {request.min_rise}.")
    known: dict[str, Any] = {
        "accepted": voucher.cumulative,
        "signature": voucher.signature,
        "protocol": voucher.protocol,
        "payer": voucher.payer,
        "descriptor": voucher.descriptor,
    }
    return dataclasses.replace(session, **known)
