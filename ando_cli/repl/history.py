"""The history of what the user typed, across runs: a file that only the user can read."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from ando_cli.files import make_private_folder, replace_private

if TYPE_CHECKING:
    from pathlib import Path

FILE = "history"
"""Its name in the state folder."""

LARGEST = 512 * 1024
"""The most bytes of the file; beyond that, its older half is dropped."""

LONGEST = 32 * 1024
"""The most characters of one entry; a longer one is not saved."""


class History:
    """The entries in the file at ``path``, one JSON text a line. Failures to read or write are ignored."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> list[str]:
        """Return all entries, the oldest first."""
        with suppress(OSError):
            data = self._path.read_bytes()
            if len(data) > LARGEST:
                data = data[-LARGEST // 2 :].partition(b"\n")[2]
                replace_private(self._path, data)
            return [entry for entry in map(_read, data.splitlines()) if entry]
        return []

    def add(self, text: str) -> None:
        """Add what the user typed."""
        if len(text) > LONGEST:
            return
        with suppress(OSError):
            make_private_folder(self._path.parent)
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(file, json.dumps(text).encode() + b"\n")
            finally:
                os.close(file)


def _read(line: bytes) -> str:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return ""
    return entry if isinstance(entry, str) else ""
