"""The SQLite file: channels, pinned payees, and the ledger of paid requests.

Record before sending (rule 1 in ARCHITECTURE.md): every method commits before it returns, and what was signed is
synced to the disk, so that it is known after a crash. Amounts are decimal text: they can pass 64 bits.
"""

# ruff: noqa: S608 - what is put into a statement here is this module's own text; values are always bound
from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from ando_cli.errors import Code, StoreError
from ando_cli.files import make_private_folder
from ando_cli.session.channel import LIVE
from ando_cli.session.record import claims as traffic
from ando_cli.session.record import ledger
from ando_cli.session.record.ledger import Outcome
from ando_cli.session.record.schema import CHANNEL_COLUMNS, MIGRATIONS, channel_row, read_channel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from ando_cli.inference.usage import Usage
    from ando_cli.session.channel import Channel, ChannelKey, Pending, State
    from ando_cli.session.record.claims import Claim, Traffic
    from ando_cli.session.record.ledger import Entry, Row

BUSY_SECONDS = 10.0

_EVER = 2**63 - 1
_NOTHING_PENDING = "pending_transaction = NULL, pending_amount = NULL, pending_valid_before = NULL"
_KEY = "gateway = ? AND network = ? AND chain_id = ? AND escrow = ? AND token = ? AND payee = ? AND payer = ?"


class Store:
    """The store in one file. Safe for many processes, and for many threads of this one.

    Args:
        path: the SQLite file; it and its folder are created, readable by the user alone.
        clock: unix seconds, for the times in the records.

    Raises:
        StoreError: the file cannot be opened or written, is not a store, or was written by a newer version.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.RLock()
        self._durable = True
        self._db = self._open()

    def close(self) -> None:
        """Close the file. What was recorded stays recorded."""
        with self._lock:
            self._db.close()

    def live(self, key: ChannelKey) -> Channel | None:
        """The one channel for ``key`` that is open or being opened."""
        with self._errors(), self._lock:
            row = self._db.execute(
                f"SELECT {CHANNEL_COLUMNS} FROM channels WHERE {_KEY} AND state IN ('opening', 'open')", _key(key)
            ).fetchone()
        return None if row is None else read_channel(row)

    def channel(self, channel_id: str) -> Channel | None:
        """The channel with that id, whatever its state."""
        with self._errors(), self._lock:
            row = self._db.execute(
                f"SELECT {CHANNEL_COLUMNS} FROM channels WHERE channel_id = ?", (channel_id,)
            ).fetchone()
        return None if row is None else read_channel(row)

    def channels(self) -> list[Channel]:
        """All channels, the live ones first, then the youngest."""
        with self._errors(), self._lock:
            rows = self._db.execute(
                f"SELECT {CHANNEL_COLUMNS} FROM channels "
                "ORDER BY state NOT IN ('opening', 'open'), created_at DESC, number DESC"
            ).fetchall()
        return [read_channel(row) for row in rows]

    def add(self, channel: Channel) -> None:
        """Record a channel that is about to be opened, and pin its payee.

        Raises:
            StoreError: there is a live channel for the same key already.
        """
        with self._write() as db:
            db.execute(
                f"INSERT INTO channels ({CHANNEL_COLUMNS}) VALUES ({', '.join('?' * 25)})",
                channel_row(channel, int(self._clock())),
            )
            self.pin(channel.gateway, channel.network, channel.terms.payee)

    def pin(self, gateway: str, network: str, payee: str) -> None:
        """Record whom this gateway is paid at on this network, in the place of whoever it was before."""
        with self._write() as db:
            db.execute(
                "INSERT INTO pins VALUES (?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET payee = excluded.payee, pinned_at = excluded.pinned_at",
                (gateway, network, payee, int(self._clock())),
            )

    def pinned_payee(self, gateway: str, network: str) -> str | None:
        """The payee that this gateway was first paid at on this network."""
        with self._errors(), self._lock:
            row = self._db.execute(
                "SELECT payee FROM pins WHERE gateway = ? AND network = ?", (gateway, network)
            ).fetchone()
        return None if row is None else str(row[0])

    def raise_cumulative(self, channel_id: str, expected: int, raised: int) -> bool:
        """Record that ``raised`` is about to be signed where ``expected`` was the highest; False where it no longer is.

        It only rises: a lower or equal amount is a programming error.
        """
        assert raised > expected
        return self._change(
            "cumulative_amount = ?", "channel_id = ? AND cumulative_amount = ? AND state = 'open'",
            (str(raised),), (channel_id, str(expected)),
        )  # fmt: skip

    def receipted(self, channel_id: str, accepted: int, spent: int, *, metered: bool = False) -> None:
        """Record what a receipt said. Nothing falls; the caller has checked it against what was signed.

        ``metered`` where it shows that requests are not charged in full.
        """
        with self._write() as db:
            row = db.execute(
                "SELECT accepted, spent, metered FROM channels WHERE channel_id = ?", (channel_id,)
            ).fetchone()
            if row is not None and (accepted > int(row[0]) or spent > int(row[1]) or metered > row[2]):
                db.execute(
                    "UPDATE channels SET accepted = ?, spent = ?, metered = ?, updated_at = ? WHERE channel_id = ?",
                    (
                        str(max(accepted, int(row[0]))), str(max(spent, int(row[1]))), metered or row[2],
                        int(self._clock()), channel_id,
                    ),
                )  # fmt: skip

    def traffic(self, channel_id: str, mine: int | None) -> Traffic:
        """What other requests than the one with the claim ``mine`` are doing with the channel."""
        with self._write() as db:
            return traffic.read(db, channel_id, mine, int(self._clock()))

    def claim(self, number: int | None, claim: Claim) -> int:
        """Record what a request does with a channel, anew or in place of its claim ``number``; returns the number."""
        with self._write() as db:
            return traffic.write(db, number, claim, int(self._clock()))

    def release(self, number: int) -> None:
        """Drop the claim of a request that is over."""
        with self.transaction(durable=False):
            traffic.drop(self._db, number)

    def opened(self, channel_id: str, deposit: int) -> None:
        """Record that the channel is on the chain with that deposit."""
        self._change(
            f"state = 'open', deposit = ?, {_NOTHING_PENDING}",
            "channel_id = ? AND state IN ('opening', 'open')", (str(deposit),), (channel_id,),
        )  # fmt: skip

    def seen(self, channel_id: str, deposit: int) -> None:
        """Record what the chain shows as the deposit of a channel that nothing is paid from."""
        self._change("deposit = ?", "channel_id = ? AND state IN ('closing', 'spare')", (str(deposit),), (channel_id,))

    def adopt(self, channel: Channel) -> None:
        """Record a channel as it was found on the chain, new or known, and pin its payee.

        Of a known one the amounts only rise, whatever another process did meanwhile.

        Raises:
            StoreError: it would be the second live channel for the same key.
        """
        with self.transaction():
            known = self.channel(channel.channel_id)
            if known is None:
                self.add(channel)
                self.carry(channel.channel_id, authorised=channel.cumulative_amount, spent=channel.spent)
                return
            self._change(
                "state = ?, deposit = ?, cumulative_amount = ?, accepted = ?, spent = ?, closes_at = ?, "
                + _NOTHING_PENDING,
                "channel_id = ?",
                (
                    channel.state, str(channel.deposit), str(max(known.cumulative_amount, channel.cumulative_amount)),
                    str(max(known.accepted, channel.accepted)), str(max(known.spent, channel.spent)),
                    channel.closes_at,
                ),
                (channel.channel_id,),
            )  # fmt: skip
            self.carry(
                channel.channel_id,
                authorised=max(0, channel.cumulative_amount - known.cumulative_amount),
                spent=max(0, channel.spent - known.spent),
            )

    def carry(self, channel_id: str, *, authorised: int, spent: int) -> None:
        """Write into the ledger what was signed and spent for a channel elsewhere, as it comes on record here."""
        with self._write() as db:
            ledger.adjust(db, channel_id, Outcome.CARRIED, int(self._clock()), authorised=authorised, spent=spent)

    def topping_up(self, channel_id: str, pending: Pending) -> bool:
        """Record a signed top-up before it is sent; False where another one is under way."""
        return self._change(
            "pending_transaction = ?, pending_amount = ?, pending_valid_before = ?",
            "channel_id = ? AND state = 'open' AND pending_transaction IS NULL",
            (pending.transaction, str(pending.amount), pending.valid_before), (channel_id,),
        )  # fmt: skip

    def closing(self, channel_id: str, closes_at: int) -> None:
        """Record that the escrow is asked to close the channel: nothing is paid from it any more."""
        self._change(
            f"state = 'closing', closes_at = ?, {_NOTHING_PENDING}",
            "channel_id = ? AND state IN ('opening', 'open', 'closing', 'spare')", (closes_at,), (channel_id,),
        )  # fmt: skip

    def ended(self, channel_id: str, state: State, captured: int | None = None) -> None:
        """Record that the channel is closed, with what the payee took, or that it never came to be.

        What the payee took is what was spent, whatever receipts said; the ledger has the difference as a row.
        """
        assert state not in LIVE
        with self._write() as db:
            if captured is not None:
                spent = db.execute("SELECT spent FROM channels WHERE channel_id = ?", (channel_id,)).fetchone()
                beyond = captured - int(spent[0]) if spent is not None else 0
                ledger.adjust(db, channel_id, Outcome.CLOSED, int(self._clock()), spent=beyond)
                self._change("spent = ?", "channel_id = ?", (str(captured),), (channel_id,))
            self._change(f"state = ?, {_NOTHING_PENDING}", "channel_id = ?", (state,), (channel_id,))

    def forget(self, channel_id: str) -> None:
        """Drop the record of a channel. What it holds is on the chain, but we no longer know what we signed.

        Its rows in the ledger stay, and are nobody's: session 0.
        """
        with self._write() as db:
            db.execute(
                "UPDATE ledger SET session = 0 WHERE session = (SELECT number FROM channels WHERE channel_id = ?)",
                (channel_id,),
            )
            db.execute("DELETE FROM channels WHERE channel_id = ?", (channel_id,))

    def book(self, row: int | None, entry: Entry, outcome: Outcome = Outcome.UNKNOWN) -> int:
        """Write a request that is about to be paid into the ledger, and return its row.

        A new row's outcome is unknown until it is known, which is also what a crash leaves. ``row`` is what an earlier
        call for the same request returned: only what it committed has changed since. Another ``outcome`` is for money
        that is committed without a request.
        """
        with self._write() as db:
            return ledger.book(db, row, entry, outcome, int(self._clock()))

    def finish(self, row: int, outcome: Outcome, usage: Usage) -> None:
        """Complete a row of the ledger with what came of it."""
        with self._write() as db:
            ledger.finish(db, row, outcome, usage)

    def ledger(self, since: int = 0, until: int = _EVER) -> list[Row]:
        """The rows of the ledger from ``since`` on and before ``until``, in unix seconds; the oldest first."""
        with self._errors(), self._lock:
            return ledger.read(self._db, since, until)

    def authorised(self, network: str, since: Sequence[int]) -> list[int]:
        """What was authorised here on ``network`` from each of the times in ``since`` on, in base units."""
        with self._errors(), self._lock:
            return ledger.authorised(self._db, network, since)

    def books(self) -> tuple[list[Channel], list[Row]]:
        """All channels and all rows of the ledger, as they were at one moment."""
        with self._errors(), self._lock:
            self._db.execute("BEGIN")
            try:
                return self.channels(), self.ledger()
            finally:
                self._db.execute("COMMIT")

    def _change(self, assignment: str, condition: str, values: tuple[object, ...], where: tuple[object, ...]) -> bool:
        with self._write() as db:
            changed = db.execute(
                f"UPDATE channels SET {assignment}, updated_at = ? WHERE {condition}",
                (*values, int(self._clock()), *where),
            ).rowcount
        return changed == 1

    def _open(self) -> sqlite3.Connection:
        folder = self._path.parent
        try:
            make_private_folder(folder)
            # Created before SQLite does it, so that it is never readable by others, not even for a moment.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise _unwritable(folder, error.strerror or type(error).__name__) from None
        with self._errors():
            db = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            version = int(db.execute("PRAGMA user_version").fetchone()[0])
            if version > len(MIGRATIONS):
                raise _newer(version)
            db.execute("PRAGMA synchronous = FULL")
            if version < len(MIGRATIONS):
                self._write_ahead(db)
                self._migrate(db)
        return db

    def _write_ahead(self, db: sqlite3.Connection) -> None:
        # For this switch SQLite does not wait while another process makes the same new file.
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                db.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if not _is_busy(error) or time.monotonic() >= deadline:
                    raise
                time.sleep(0.01)
            else:
                return

    def _migrate(self, db: sqlite3.Connection) -> None:
        db.execute("BEGIN IMMEDIATE")
        # Read again: another process may have been faster.
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
            for statement in script.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {number}")
        db.execute("COMMIT")

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[None]:
        """Make what the body records one step: all of it is recorded when the body ends, or none of it.

        One transaction at a time, of all threads and processes. It is on the disk then, unless it is not ``durable``:
        that survives this process, but may be lost with the machine's power. Never so for what was signed.
        """
        with self._write(durable=durable):
            yield

    @contextmanager
    def _write(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        with self._errors(), self._lock:
            if self._db.in_transaction:
                yield self._db
                return
            if durable is not self._durable:
                self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                self._durable = durable
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError:
            raise StoreError(
                "another channel for the same gateway is live already",
                hint="ando session list",
                code=Code.STORE_CONFLICT,
            ) from None
        except sqlite3.OperationalError as error:
            if _is_busy(error):
                raise StoreError(
                    f"the session store was in use for {BUSY_SECONDS:.0f} seconds",
                    hint="another ando holds it; try again when it is done",
                    code=Code.STORE_BUSY,
                ) from None
            raise _unwritable(self._path.parent, str(error)) from None
        except sqlite3.DatabaseError:
            raise _damaged(self._path) from None


def examine(path: Path) -> int:
    """The version of the schema of the store at ``path``, whose file is looked through for damage, and not changed.

    Raises:
        StoreError: it is damaged, cannot be read, or was written by a newer version.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", timeout=1, uri=True)) as db:
            sound = db.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
            version = int(db.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.OperationalError as error:
        raise StoreError(f"the session store cannot be read: {error}", hint=f"check {path}", code=Code.STORE) from None
    except sqlite3.DatabaseError:
        sound, version = False, 0
    if not sound:
        raise _damaged(path)
    if version > len(MIGRATIONS):
        raise _newer(version)
    return version


def channel_states(path: Path) -> list[tuple[str, str, str]]:
    """Id, state and gateway of each channel on record, the live ones first; for the shell, so quickly or not at all.

    Raises:
        sqlite3.Error: there is no store, it is busy, or it is none.
    """
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", timeout=0.2, uri=True)) as db:
        return db.execute(
            "SELECT channel_id, state, gateway FROM channels "
            "ORDER BY state NOT IN ('opening', 'open'), created_at DESC LIMIT 500"
        ).fetchall()


def _is_busy(error: sqlite3.OperationalError) -> bool:
    primary = error.sqlite_errorcode & 0xFF  # the bits above tell the kinds of it apart
    return primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _damaged(path: Path) -> StoreError:
    return StoreError(
        "the session store is damaged",
        hint=f"move {path.name} in {path.parent} away; the deposits themselves are on the chain",
        code=Code.STORE_DAMAGED,
    )


def _newer(version: int) -> StoreError:
    return StoreError(
        f"the session store was written by a newer ando (schema {version})",
        hint="update ando; the store was not touched",
        code=Code.STORE_NEWER,
    )


def _unwritable(folder: Path, why: str) -> StoreError:
    return StoreError(
        f"the session state cannot be written: {why}",
        hint=f"nothing was signed; make {folder} writable, or set ANDO_HOME to a folder that is",
        code=Code.STORE_UNWRITABLE,
    )


def _key(key: ChannelKey) -> tuple[object, ...]:
    return (key.gateway, key.network, key.chain_id, key.escrow, key.token, key.payee, key.payer)
