"""The ledger: one row for each request that is paid for, on either rail, and for money that moved without one.

It holds amounts, tokens, models, times, outcomes and hashes of transactions; no prompt, key, address or receipt. Of
each channel on record the rows add up to what its record says, in every transaction: their ``authorised`` to what was
signed, their ``spent`` to what was spent. What SQL there is about the table stands here; amounts are decimal text.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ando_cli.errors import InvariantError
from ando_cli.frozen import frozen
from ando_cli.session.channel import FUNDED, State

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from ando_cli.inference.usage import Usage


class Rail(StrEnum):
    """How a request is paid for: from a channel (``mpp``), or by the account that a Virtual Key belongs to."""

    MPP = "mpp"
    KEY = "key"


class Outcome(StrEnum):
    """The outcome of a paid request, or why there is a row without one.

    A request starts as unknown, which is what a crash leaves behind.
    """

    UNKNOWN = "unknown"
    ANSWERED = "answered"
    FAILED = "failed"
    BY_HAND = "by_hand"  # no request: a voucher was signed, or a deposit added, by a command of its own
    CARRIED = "carried"  # no request: what was signed and spent elsewhere, before the channel came on record here
    CLOSED = "closed"  # no request: what the payee took at the close beyond what receipts had said; negative for less
    CLOSE_UNPROVEN = "close_unproven"  # no request: the channel is closed, and nothing proved yet what the payee took
    FEE = "fee"  # no request: the network's fee of a transaction of the wallet's own


_ABANDONED_SECONDS = 24 * 3600
_RAISES = "network = ? AND at >= ? AND authorised <> '0' AND outcome <> 'carried'"
_GIVEN_UP = " AND session IN (SELECT number FROM channels WHERE state = 'abandoned' AND updated_at < ?)"

REQUESTS = (Outcome.UNKNOWN, Outcome.ANSWERED, Outcome.FAILED)


@frozen
class Entry:
    """What is known of a request when it is about to be paid. ``path`` is the URL's path without its query.

    ``channel_id`` is ``None`` and ``network`` empty where a Virtual Key pays. ``authorised`` and ``deposited`` are what
    it has committed so far, in base units.
    """

    channel_id: str | None
    gateway: str
    network: str
    path: str
    model: str | None = None
    plan: str | None = None
    authorised: int = 0
    deposited: int = 0
    rail: Rail = Rail.MPP


@frozen
class Row:
    """One row as it is read back. Amounts in base units, ``at`` in unix seconds.

    ``spent`` is ``None`` where nobody said what the request cost. ``channel_id`` and ``unspent`` are ``None`` where no
    channel on record belongs to it: a Virtual Key paid, or the channel was forgotten. ``unspent`` is what the payee can
    still take with the vouchers that were signed for the channel, or can have taken where nothing proved it, so the
    most that requests on it can have cost beyond what their rows say. ``fee`` is what a transaction cost, ``None``
    where its receipt was not seen; ``fee_at_most`` is the most that it can cost then. Of a channel that never came to
    be, nothing was authorised or deposited.
    """

    at: int
    rail: Rail
    gateway: str
    network: str
    path: str
    model: str | None
    plan: str | None
    outcome: Outcome
    authorised: int
    deposited: int
    spent: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    channel_id: str | None
    unspent: int | None
    fee: int | None = None
    fee_at_most: int = 0

    @property
    def is_request(self) -> bool:
        """Whether it stands for a request."""
        return self.outcome in REQUESTS

    @property
    def uncertain(self) -> bool:
        """Whether it is a request, or a close, that may have cost something that nothing has told."""
        paid_here = self.rail is Rail.MPP and self.spent is None
        return paid_here and self.outcome in (Outcome.UNKNOWN, Outcome.ANSWERED, Outcome.CLOSE_UNPROVEN)


def book(db: sqlite3.Connection, row: int | None, entry: Entry, outcome: Outcome, now: int) -> int:
    """Write ``entry`` as a new row, or what it has committed since into its ``row``; returns the row.

    A row is dated by what it authorised last, because that is what budgets go by.
    """
    amounts = (str(entry.authorised), str(entry.deposited))
    if row is not None:
        db.execute(
            "UPDATE ledger SET at = CASE WHEN authorised = ? THEN at ELSE ? END, authorised = ?, deposited = ? "
            "WHERE id = ?",
            (amounts[0], now, *amounts, row),
        )
        return row
    cursor = db.execute(
        "INSERT INTO ledger "
        "(at, rail, gateway, network, session, path, model, plan, outcome, authorised, deposited) VALUES "
        "(?, ?, ?, ?, ifnull((SELECT number FROM channels WHERE channel_id = ?), 0), ?, ?, ?, ?, ?, ?)",
        (
            now, entry.rail, entry.gateway, entry.network, entry.channel_id, entry.path, entry.model, entry.plan,
            outcome, *amounts,
        ),
    )  # fmt: skip
    if cursor.lastrowid is None:
        raise InvariantError("a record was written without a number to find it by")
    return cursor.lastrowid


def finish(db: sqlite3.Connection, row: int, outcome: Outcome, usage: Usage) -> None:
    """Complete a row with what came of its request, once: what is complete is never touched again.

    The model that was asked for goes before the one that answered.
    """
    spent = None if usage.spent is None else str(usage.spent)
    db.execute(
        "UPDATE ledger SET outcome = ?, spent = ?, prompt_tokens = ?, completion_tokens = ?, model = ifnull(model, ?) "
        "WHERE id = ? AND outcome = 'unknown'",
        (outcome, spent, usage.prompt_tokens, usage.completion_tokens, usage.model, row),
    )


def adjust(
    db: sqlite3.Connection, channel_id: str, outcome: Outcome, now: int, *, spent: int, authorised: int = 0
) -> None:
    """Write what became of the record of a channel without a request; no row where that is nothing."""
    if not authorised and not spent:
        return
    db.execute(
        "INSERT INTO ledger (at, rail, gateway, network, session, path, outcome, authorised, spent) "
        "SELECT ?, ?, gateway, network, number, '', ?, ?, ? FROM channels WHERE channel_id = ?",
        (now, Rail.MPP, outcome, str(authorised), str(spent), channel_id),
    )


def close(db: sqlite3.Connection, channel_id: str, beyond: int | None, now: int, tx_hash: str | None = None) -> None:
    """Write what the payee took at the close beyond the receipts; ``None`` where that is not proven yet.

    A channel has one such row, which what is proven later takes the place of; none where nothing differs.
    """
    known = db.execute(
        "SELECT id, tx_hash FROM ledger WHERE outcome = ? AND session = "
        "(SELECT number FROM channels WHERE channel_id = ?)",
        (Outcome.CLOSE_UNPROVEN, channel_id),
    ).fetchone()
    if beyond is None:
        if known is None:
            db.execute(
                "INSERT INTO ledger (at, rail, gateway, network, session, path, outcome, tx_hash) "
                "SELECT ?, ?, gateway, network, number, '', ?, ? FROM channels WHERE channel_id = ?",
                (now, Rail.MPP, Outcome.CLOSE_UNPROVEN, tx_hash, channel_id),
            )
        elif tx_hash is not None:
            db.execute("UPDATE ledger SET tx_hash = ? WHERE id = ?", (tx_hash, known[0]))
    elif known is None:
        adjust(db, channel_id, Outcome.CLOSED, now, spent=beyond)
    elif beyond:
        db.execute("UPDATE ledger SET outcome = ?, spent = ? WHERE id = ?", (Outcome.CLOSED, str(beyond), known[0]))
    else:
        db.execute("DELETE FROM ledger WHERE id = ?", (known[0],))


def reopen(db: sqlite3.Connection, channel_id: str) -> None:
    """Drop the row of a close that nothing proved, because the channel is there after all."""
    db.execute(
        "DELETE FROM ledger WHERE outcome = ? AND session = (SELECT number FROM channels WHERE channel_id = ?)",
        (Outcome.CLOSE_UNPROVEN, channel_id),
    )


def closing_transaction(db: sqlite3.Connection, channel_id: str) -> str | None:
    """The transaction that is said to have closed a channel, where nothing proved yet what the payee took."""
    row = db.execute(
        "SELECT tx_hash FROM ledger WHERE outcome = ? AND session = (SELECT number FROM channels WHERE channel_id = ?)",
        (Outcome.CLOSE_UNPROVEN, channel_id),
    ).fetchone()
    return None if row is None else row[0]


def owe(db: sqlite3.Connection, channel_id: str, tx_hash: str, path: str, at_most: int, now: int) -> None:
    """Write the fee of a transaction that is about to be sent. ``path`` names what it does."""
    db.execute(
        "INSERT INTO ledger (at, rail, gateway, network, session, path, outcome, fee_at_most, tx_hash) "
        "SELECT ?, ?, gateway, network, number, ?, ?, ?, ? FROM channels WHERE channel_id = ?",
        (now, Rail.MPP, path, Outcome.FEE, str(at_most), tx_hash, channel_id),
    )


def asked_to_close(db: sqlite3.Connection, channel_id: str) -> bool:
    """Whether there is a fee of a transaction that asked for the close of a channel."""
    row = db.execute(
        "SELECT 1 FROM ledger WHERE outcome = ? AND path = 'requestClose' AND session = "
        "(SELECT number FROM channels WHERE channel_id = ?)",
        (Outcome.FEE, channel_id),
    ).fetchone()
    return row is not None


def owed(db: sqlite3.Connection, channel_id: str) -> list[tuple[str, int]]:
    """The transactions of a channel whose fee is not known, each with the most that it can be."""
    rows = db.execute(
        "SELECT tx_hash, fee_at_most FROM ledger WHERE outcome = ? AND fee IS NULL AND session = "
        "(SELECT number FROM channels WHERE channel_id = ?) ORDER BY id",
        (Outcome.FEE, channel_id),
    ).fetchall()
    return [(str(tx_hash), int(at_most)) for tx_hash, at_most in rows]


def pay(db: sqlite3.Connection, tx_hash: str, fee: int) -> None:
    """Write what a transaction cost. What was written once stays."""
    db.execute(
        "UPDATE ledger SET fee = ? WHERE outcome = ? AND tx_hash = ? AND fee IS NULL", (str(fee), Outcome.FEE, tx_hash)
    )


def free(db: sqlite3.Connection, channel_id: str, captured: int) -> None:
    """Write which authorisations the close of a channel proved to be free, given what the payee took in all.

    The payee took the oldest ones first: each is free where it begins above what was taken.
    """
    rows = db.execute(
        "SELECT id, authorised FROM ledger WHERE session = (SELECT number FROM channels WHERE channel_id = ?) "
        "AND authorised <> '0' ORDER BY id",
        (channel_id,),
    ).fetchall()
    before = 0
    for row, text in rows:
        authorised = int(text)
        taken = min(authorised, max(0, captured - before))
        db.execute("UPDATE ledger SET freed = ? WHERE id = ?", (str(authorised - taken), row))
        before += authorised


def read(db: sqlite3.Connection, since: int, until: int) -> list[Row]:
    """The rows from ``since`` on and before ``until``, in unix seconds; the oldest first."""
    rows = db.execute(
        "SELECT at, rail, ledger.gateway, ledger.network, path, model, plan, outcome, authorised, deposited, "
        "ledger.spent, prompt_tokens, completion_tokens, channel_id, cumulative_amount, channels.spent, state, "
        "channels.captured, fee, fee_at_most "
        "FROM ledger LEFT JOIN channels ON number = session WHERE at >= ? AND at < ? ORDER BY at, id",
        (since, until),
    )
    return [_row(values) for values in rows]


def authorised(db: sqlite3.Connection, network: str, since: Sequence[int], now: int) -> list[int]:
    """What was authorised here on ``network`` from each of the times in ``since`` on, in base units.

    Without what a close proved to be free. What was signed for a channel that never came to be counts for a day more:
    that no chain shows it is one node's word.
    """
    used = _sums(db, _RAISES, (network, min(since)), since)
    if db.execute("SELECT 1 FROM channels WHERE state = 'abandoned' LIMIT 1").fetchone() is None:
        return used
    given_up = (network, min(since), now - _ABANDONED_SECONDS)
    return [all_ - gone for all_, gone in zip(used, _sums(db, _RAISES + _GIVEN_UP, given_up, since), strict=True)]


def _sums(db: sqlite3.Connection, condition: str, values: tuple[object, ...], since: Sequence[int]) -> list[int]:
    """Add up the raises that meet ``condition``, from each of the times in ``since`` on."""
    counts = "".join(f", sum(at >= {int(start)})" for start in since)
    rows = db.execute(
        f"SELECT authorised, freed{counts} FROM ledger WHERE {condition} GROUP BY authorised, freed",  # noqa: S608
        values,
    ).fetchall()
    return [sum((int(row[0]) - int(row[1])) * row[number] for row in rows) for number in range(2, len(since) + 2)]


def _row(values: tuple[Any, ...]) -> Row:
    """The row whose values, in the order in which ``read`` selects them, are ``values``."""
    (
        at, rail, gateway, network, path, model, plan, outcome, authorised, deposited, spent, prompt_tokens,
        completion_tokens, channel_id, cumulative_amount, channel_spent, state, captured, fee, fee_at_most,
    ) = values  # fmt: skip
    moved = state != State.ABANDONED
    unspent: int | None = None
    if cumulative_amount is not None and channel_spent is not None:
        open_ended = state in FUNDED or (state == State.CLOSED and captured is None)
        unspent = max(0, int(cumulative_amount) - int(channel_spent)) if open_ended else 0
    return Row(
        at, Rail(rail), gateway, network, path, model, plan, Outcome(outcome),
        int(authorised) if moved else 0, int(deposited) if moved else 0, None if spent is None else int(spent),
        prompt_tokens, completion_tokens, channel_id, unspent,
        None if fee is None else int(fee), int(fee_at_most or 0) if moved and fee is None else 0,
    )  # fmt: skip
