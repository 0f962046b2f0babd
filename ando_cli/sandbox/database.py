"""Store chain, sessions and secrets of a sandbox in one SQLite file, shared by every process that opens it.

Amounts go up to 2**128 - 1, which SQLite's integers cannot hold: they are stored as decimal text.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA_VERSION = 3
BUSY_SECONDS = 30.0
POLL_SECONDS = 0.02

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE balances (
    token TEXT, account TEXT, amount TEXT NOT NULL, PRIMARY KEY (token, account)) WITHOUT ROWID;
CREATE TABLE allowances (
    token TEXT, owner TEXT, spender TEXT, amount TEXT NOT NULL, PRIMARY KEY (token, owner, spender)) WITHOUT ROWID;
CREATE TABLE channels (
    id TEXT PRIMARY KEY, finalized INTEGER NOT NULL, close_requested_at INTEGER NOT NULL, payer TEXT NOT NULL,
    payee TEXT NOT NULL, token TEXT NOT NULL, authorized_signer TEXT NOT NULL, deposit TEXT NOT NULL,
    settled TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE nonces (
    account TEXT, nonce_key TEXT, nonce INTEGER NOT NULL, PRIMARY KEY (account, nonce_key)) WITHOUT ROWID;
CREATE TABLE blocks (
    number INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, parent TEXT NOT NULL, timestamp INTEGER NOT NULL);
CREATE TABLE transactions (
    hash TEXT PRIMARY KEY, block INTEGER NOT NULL, raw BLOB NOT NULL, receipt TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX transactions_by_block ON transactions (block);
CREATE TABLE sessions (
    channel_id TEXT PRIMARY KEY, accepted TEXT NOT NULL, spent TEXT NOT NULL, units INTEGER NOT NULL,
    closed INTEGER NOT NULL, closing_until REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE reservations (
    challenge_id TEXT PRIMARY KEY, channel_id TEXT NOT NULL, amount TEXT NOT NULL, until REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE answers (
    challenge_id TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, status INTEGER NOT NULL, receipt TEXT NOT NULL,
    body BLOB NOT NULL, created REAL NOT NULL) WITHOUT ROWID;
"""

# What version 2 adds to version 1: logs and the second protocol.
SECOND = """
CREATE TABLE reserves (
    id TEXT PRIMARY KEY, settled TEXT NOT NULL, deposit TEXT NOT NULL, close_requested_at INTEGER NOT NULL)
    WITHOUT ROWID;
CREATE TABLE logs (
    block INTEGER NOT NULL, position INTEGER NOT NULL, transaction_hash TEXT NOT NULL, address TEXT NOT NULL,
    topic0 TEXT, topic1 TEXT, topic2 TEXT, topic3 TEXT, data BLOB NOT NULL, PRIMARY KEY (block, position))
    WITHOUT ROWID;
ALTER TABLE sessions ADD COLUMN protocol TEXT NOT NULL DEFAULT 'v1';
ALTER TABLE sessions ADD COLUMN payer TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN descriptor TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN signature TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN used REAL NOT NULL DEFAULT 0;
"""

# What version 3 adds: expiring nonces that were used, and how to undo what each block did to the state of the chain.
THIRD = """
CREATE TABLE expiring_nonces (hash TEXT PRIMARY KEY, valid_before INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE undo (number INTEGER PRIMARY KEY, block INTEGER NOT NULL, statement TEXT NOT NULL);
CREATE INDEX undo_by_block ON undo (block);
"""

STATE = {
    "balances": (("token", "account"), ("amount",)),
    "allowances": (("token", "owner", "spender"), ("amount",)),
    "channels": (
        ("id",),
        ("finalized", "close_requested_at", "payer", "payee", "token", "authorized_signer", "deposit", "settled"),
    ),
    "reserves": (("id",), ("settled", "deposit", "close_requested_at")),
    "nonces": (("account", "nonce_key"), ("nonce",)),
}
"""The tables of the chain's state: the columns of each that are its key, and the others."""


class Database:
    """Hold one connection, safe to use from several threads; every write is an immediate transaction."""

    def __init__(self, path: Path) -> None:
        """Open the file; create it, readable by its owner alone, if it does not exist.

        Raises:
            OSError: The file or its folder cannot be created or written.
            ValueError: The file is not a sandbox's file, or has another version.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite gives its -wal and -shm files the mode of the database, so this covers all three.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            self._use_wal()
            self._create()
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise ValueError(f"the sandbox file cannot be used: {error}") from error

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Hold the write lock for a block, then commit, or roll back if it raises. Do not nest it, nor await in it."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Read one consistent state of the file for a block."""
        with self._lock:
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                self._connection.execute("ROLLBACK")

    @contextmanager
    def scratch(self, immediate: bool) -> Iterator[sqlite3.Connection]:
        """Read and write for a block, then undo all of it.

        Unless ``immediate``, the lock is taken by the first write, which fails with an ``OperationalError`` if another
        process has written meanwhile.
        """
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE" if immediate else "BEGIN")
            try:
                yield self._connection
            finally:
                self._connection.execute("ROLLBACK")

    def row(self, query: str, values: tuple[Any, ...]) -> Any:
        """Return the first row of a query, or ``None``."""
        with self._lock:
            return self._connection.execute(query, values).fetchone()

    def remember(self, key: str, value: str) -> str:
        """Return the stored value of ``key``; the first caller's ``value`` is the one that is stored."""
        with self.transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (key, value))
            row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
            return str(row[0])

    def _use_wal(self) -> None:
        """Switch the file to a write-ahead log, unless it has one already.

        SQLite does not wait for the lock here if another process switches at the same time, so this method does.
        """
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                break
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(POLL_SECONDS)
        # A commit survives the death of the process but not of the machine, which is enough without real money.
        self._connection.execute("PRAGMA synchronous = OFF")

    def _create(self) -> None:
        """Create the tables in a new file, or those that an older file lacks."""
        with self.transaction() as connection:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            if version < SCHEMA_VERSION:
                steps = (SCHEMA, SECOND, THIRD)[version:]
                for statement in "".join(steps).split(";"):
                    connection.execute(statement)
                for statement in _triggers():
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            elif version != SCHEMA_VERSION:
                raise sqlite3.DatabaseError(f"its version is {version}, not {SCHEMA_VERSION}")


def _triggers() -> list[str]:
    """Return the triggers that note, for each change of the state, the statement that undoes it.

    The changes belong to the block after the newest one: a transaction runs before its block is stored.
    """
    note = "INSERT INTO undo (block, statement) SELECT (SELECT max(number) + 1 FROM blocks), "
    triggers = []
    for table, (keys, others) in STATE.items():
        columns = " || ', ' || ".join(f"quote({name})" for name in (*keys, *others))
        restore = f"{note} 'INSERT INTO {table} VALUES (' || {columns} || ')' FROM {table} WHERE "  # noqa: S608
        row = " || ' AND ' || ".join(f"'{name} = ' || quote(NEW.{name})" for name in keys)
        remove = f"{note} 'DELETE FROM {table} WHERE ' || {row}"  # noqa: S608 - the names of the tables above
        old, new = (" AND ".join(f"{name} = {which}.{name}" for name in keys) for which in ("OLD", "NEW"))
        triggers += [
            # Undone from the last to the first: first the new row goes, then the old one that it replaced comes back.
            f"CREATE TRIGGER put_{table} BEFORE INSERT ON {table} BEGIN {restore}{new}; {remove}; END",
            f"CREATE TRIGGER drop_{table} BEFORE DELETE ON {table} BEGIN {restore}{old}; END",
        ]
    return triggers
