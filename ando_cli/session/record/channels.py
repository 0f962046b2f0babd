"""The SQL for channels and pinned payees. Amounts are decimal text."""

# ruff: noqa: S608 - what is put into a statement here is this module's own text; values are always bound
from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from ando_cli.session.record.schema import CHANNEL_COLUMNS, channel_row, read_channel

if TYPE_CHECKING:
    from pathlib import Path

    from ando_cli.session.channel import Channel, ChannelKey, Doubt, Pending, State

_LIVE_FIRST = "state NOT IN ('opening', 'open'), created_at DESC"
_NOTHING_PENDING = "pending_transaction = NULL, pending_amount = NULL, pending_valid_before = NULL"
_KEY = "gateway = ? AND network = ? AND chain_id = ? AND escrow = ? AND token = ? AND payee = ? AND payer = ?"


def live(db: sqlite3.Connection, key: ChannelKey) -> Channel | None:
    """Read the one channel for ``key`` that is open or being opened."""
    where = (key.gateway, key.network, key.chain_id, key.escrow, key.token, key.payee, key.payer)
    return _one(db, f"{_KEY} AND state IN ('opening', 'open')", where)


def find(db: sqlite3.Connection, channel_id: str) -> Channel | None:
    """Read the channel with that id, whatever its state."""
    return _one(db, "channel_id = ?", (channel_id,))


def read(db: sqlite3.Connection) -> list[Channel]:
    """Read all channels, the live ones first, then the youngest."""
    rows = db.execute(f"SELECT {CHANNEL_COLUMNS} FROM channels ORDER BY {_LIVE_FIRST}, number DESC").fetchall()
    return [read_channel(row) for row in rows]


def insert(db: sqlite3.Connection, channel: Channel, now: int) -> None:
    """Write a channel that was not on record."""
    row = channel_row(channel, now)
    db.execute(f"INSERT INTO channels ({CHANNEL_COLUMNS}) VALUES ({', '.join('?' * len(row))})", row)


def pin(db: sqlite3.Connection, gateway: str, network: str, payee: str, now: int, *, replaces: str | None) -> bool:
    """Write whom a gateway is paid at on a network, for good, or in the place of ``replaces``; False if another is."""
    db.execute("INSERT INTO pins VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", (gateway, network, payee, now))
    db.execute(
        "UPDATE pins SET payee = ?, pinned_at = ? WHERE gateway = ? AND network = ? AND payee = ?",
        (payee, now, gateway, network, replaces),
    )
    return pinned_payee(db, gateway, network) == payee


def pinned_payee(db: sqlite3.Connection, gateway: str, network: str) -> str | None:
    """Read a gateway's payee on a network."""
    row = db.execute("SELECT payee FROM pins WHERE gateway = ? AND network = ?", (gateway, network)).fetchone()
    return None if row is None else str(row[0])


def raise_cumulative(db: sqlite3.Connection, channel_id: str, expected: int, raised: int, now: int) -> bool:
    """Write a higher amount where ``expected`` is the highest on an open channel; False where it is not."""
    return _change(
        db, "cumulative_amount = ?", "channel_id = ? AND cumulative_amount = ? AND state = 'open'",
        (str(raised), now, channel_id, str(expected)),
    )  # fmt: skip


def receipted(db: sqlite3.Connection, channel_id: str, accepted: int, spent: int, now: int, *, metered: bool) -> None:
    """Write what a receipt said. Nothing falls."""
    row = db.execute("SELECT accepted, spent, metered FROM channels WHERE channel_id = ?", (channel_id,)).fetchone()
    if row is not None and (accepted > int(row[0]) or spent > int(row[1]) or metered > row[2]):
        _change(
            db, "accepted = ?, spent = ?, metered = ?, doubt = CASE WHEN doubt = 1 THEN 0 ELSE doubt END",
            "channel_id = ?",
            (str(max(accepted, int(row[0]))), str(max(spent, int(row[1]))), metered or row[2], now, channel_id),
        )  # fmt: skip


def doubt(db: sqlite3.Connection, channel_id: str, degree: Doubt, now: int) -> None:
    """Write that receipts do not tell all that was spent. A greater doubt stays."""
    _change(db, "doubt = ?", "channel_id = ? AND doubt < ?", (degree, now, channel_id, degree))


def agree(db: sqlite3.Connection, channel_id: str, step: int, now: int) -> None:
    """Write the agreed step of a channel that has none."""
    _change(db, "step = ?", "channel_id = ? AND step = '0'", (str(step), now, channel_id))


def opened(db: sqlite3.Connection, channel_id: str, deposit: int, now: int) -> None:
    """Write that the channel is on the chain with that deposit, and that nothing is pending."""
    _change(
        db, f"state = 'open', deposit = ?, {_NOTHING_PENDING}", "channel_id = ? AND state IN ('opening', 'open')",
        (str(deposit), now, channel_id),
    )  # fmt: skip


def seen(db: sqlite3.Connection, channel_id: str, deposit: int, now: int) -> None:
    """Write the deposit of a channel that nothing is paid from."""
    _change(db, "deposit = ?", "channel_id = ? AND state IN ('closing', 'spare')", (str(deposit), now, channel_id))


def take_over(db: sqlite3.Connection, known: Channel, found: Channel, now: int) -> None:
    """Replace ``known`` by ``found``, the same channel. Its amounts only rise."""
    _change(
        db,
        "state = ?, deposit = ?, cumulative_amount = ?, accepted = ?, spent = ?, closes_at = ?, captured = NULL, "
        + _NOTHING_PENDING,
        "channel_id = ?",
        (
            found.state, str(found.deposit), str(max(known.cumulative_amount, found.cumulative_amount)),
            str(max(known.accepted, found.accepted)), str(max(known.spent, found.spent)), found.closes_at,
            now, found.channel_id,
        ),
    )  # fmt: skip


def topping_up(db: sqlite3.Connection, channel_id: str, pending: Pending, now: int) -> bool:
    """Write a signed top-up; False where another one is under way."""
    return _change(
        db, "pending_transaction = ?, pending_amount = ?, pending_valid_before = ?",
        "channel_id = ? AND state = 'open' AND pending_transaction IS NULL",
        (pending.transaction, str(pending.amount), pending.valid_before, now, channel_id),
    )  # fmt: skip


def closing_at(db: sqlite3.Connection, channel_id: str, closes_at: int, now: int) -> None:
    """Write that the escrow is asked to close the channel."""
    _change(
        db, f"state = 'closing', closes_at = ?, {_NOTHING_PENDING}",
        "channel_id = ? AND state IN ('opening', 'open', 'closing', 'spare')", (closes_at, now, channel_id),
    )  # fmt: skip


def end(db: sqlite3.Connection, channel_id: str, state: State, now: int) -> None:
    """Write that the channel is over."""
    _change(db, f"state = ?, {_NOTHING_PENDING}", "channel_id = ?", (state, now, channel_id))


def capture(db: sqlite3.Connection, channel_id: str, captured: int, now: int) -> int:
    """Write what the payee took in all, which is what was spent; returns by how much that is more than on record."""
    before = db.execute("SELECT spent FROM channels WHERE channel_id = ?", (channel_id,)).fetchone()
    _change(db, "spent = ?, captured = ?", "channel_id = ?", (str(captured), str(captured), now, channel_id))
    return captured - int(before[0]) if before is not None else 0


def forget(db: sqlite3.Connection, channel_id: str) -> None:
    """Delete the record of a channel. Its rows in the ledger stay, with session 0."""
    db.execute(
        "UPDATE ledger SET session = 0 WHERE session = (SELECT number FROM channels WHERE channel_id = ?)",
        (channel_id,),
    )
    db.execute("DELETE FROM channels WHERE channel_id = ?", (channel_id,))


def channel_states(path: Path) -> list[tuple[str, str, str]]:
    """Return id, state and gateway of each channel on record, the live ones first.

    It serves shell completion, so it fails rather than waits.

    Raises:
        sqlite3.Error: there is no store, it is busy, or it is none.
    """
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", timeout=0.2, uri=True)) as db:
        return db.execute(
            f"SELECT channel_id, state, gateway FROM channels ORDER BY {_LIVE_FIRST} LIMIT 500"
        ).fetchall()


def _one(db: sqlite3.Connection, condition: str, values: tuple[object, ...]) -> Channel | None:
    row = db.execute(f"SELECT {CHANNEL_COLUMNS} FROM channels WHERE {condition}", values).fetchone()
    return None if row is None else read_channel(row)


def _change(db: sqlite3.Connection, assignment: str, condition: str, values: tuple[object, ...]) -> bool:
    """Change the channels that meet ``condition``. ``values``: those assigned, the time, those of the condition."""
    changed = db.execute(f"UPDATE channels SET {assignment}, updated_at = ? WHERE {condition}", values).rowcount
    return changed == 1
