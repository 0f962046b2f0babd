"""A process that can be killed at each point that matters: a write of the store, a send, an answer."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ando_cli.session.record.store import Store

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator


class KilledError(BaseException):
    """The process ends here."""


class Fuse:
    """Blows when it is touched for the ``at``-th time, and stays blown; 0 is never."""

    def __init__(self) -> None:
        self.at = 0
        self.touched = 0

    def touch(self) -> None:
        self.touched += 1
        if 0 < self.at <= self.touched:
            raise KilledError


FUSE = Fuse()


class MortalStore(Store):
    """Can die before each commit, and after it."""

    @contextmanager
    def _write(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        nested = self._db.in_transaction
        with super()._write(durable=durable) as db:
            yield db
            if not nested:
                FUSE.touch()
        if not nested:
            FUSE.touch()
