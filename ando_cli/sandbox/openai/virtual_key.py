"""Check the one Virtual Key of a sandbox, and count what it spends."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

from ando_cli.sandbox.problems import Problem

if TYPE_CHECKING:
    from ando_cli.sandbox.database import Database


class VirtualKey:
    """Hold a key and its account in the shared file. Amounts are in base units."""

    def __init__(self, key: str, database: Database) -> None:
        self.key = key
        self._database = database
        self._row = f"spent:{hashlib.sha256(key.encode()).hexdigest()}"

    def check(self, authorization: str | None) -> None:
        """Check that an ``Authorization`` header carries this key.

        Raises:
            Problem: The header is missing or carries something else.
        """
        if authorization is None:
            raise Problem("missing_api_key")
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "payment":
            raise Problem("wrong_route", "This route only takes a Virtual Key.")
        if scheme.lower() != "bearer" or not _equal(token.strip(" "), self.key):
            raise Problem("invalid_api_key")

    @property
    def spent(self) -> int:
        """Return what the key has spent in total, in every process that shares the file."""
        row = self._database.row("SELECT value FROM meta WHERE key = ?", (self._row,))
        return int(row[0]) if row else 0

    def charge(self, cost: int, budget: int | None) -> None:
        """Add the cost of a request, if the budget covers it.

        Raises:
            Problem: The budget does not cover it; nothing was added.
        """
        with self._database.transaction() as connection:
            spent = self.spent + cost
            if budget is not None and spent > budget:
                raise Problem("budget_exhausted")
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (self._row, str(spent)))


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(errors="surrogateescape"), other.encode())
