"""The SQLite file: opening it, migrating its schema, its transactions, and its errors.

Record before sending (rule 1 in ARCHITECTURE.md): every transaction is committed before it ends, and what was
signed is synced to the disk, so that it is known after a crash.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from ando_cli.errors import Code, StoreError
from ando_cli.files import make_private_folder
from ando_cli.session.record.schema import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BUSY_SECONDS = 10.0


class Database:
    """One file. Safe for many processes, and for many threads of this one.

    Args:
        path: the SQLite file; it and its folder are created, readable only by the user.
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
        """Close the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[None]:
        """Make what the body records one step: all of it is recorded when the body ends, or none of it.

        One transaction at a time, of all threads and processes. It is on the disk then, unless it is not ``durable``:
        that survives this process, but may be lost with the machine's power. Never so for what was signed.
        """
        with self._write(durable=durable):
            yield

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with self._errors(), self._lock:
            yield self._db

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


def engine() -> str:
    """Return the name and the version of the database library."""
    return f"SQLite {sqlite3.sqlite_version}"


def examine(path: Path) -> int:
    """Return the version of the schema of the store at ``path``. The file is checked for damage, not changed.

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
