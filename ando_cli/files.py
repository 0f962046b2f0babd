"""Private files and folders, modes 0600 and 0700, and bounded reads of any file."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def make_private_folder(path: Path) -> None:
    """Create ``path`` and its missing parents, each with mode 0700; existing folders keep their mode.

    Raises:
        OSError: a folder cannot be created.
    """
    # mkdir(parents=True) would give the parents the default mode.
    missing = []
    folder = path
    while not folder.is_dir() and folder != folder.parent:
        missing.append(folder)
        folder = folder.parent
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)


def replace_private(path: Path, data: bytes) -> None:
    """Replace the file at ``path`` with ``data``, mode 0600: all of it, or the file does not change.

    Raises:
        OSError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


class TooLargeError(ValueError):
    """A file is larger than allowed."""


def read_bounded(path: Path, limit: int) -> bytes:
    """Return the contents of the file at ``path``.

    Raises:
        OSError: it cannot be read.
        TooLargeError: it is larger than ``limit`` bytes.
    """
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise TooLargeError(f"larger than {limit} bytes")
    return data


def parse_json(data: bytes) -> Any:
    """Return the value of a JSON document.

    Raises:
        ValueError: it is not JSON, or nested deeper than Python reads.
    """
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None
