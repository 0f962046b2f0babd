"""What the commands of ``ando config`` share: the file, and its values in force."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ando_cli.config import report
from ando_cli.config.schema import CONFIG_FILE, read_config
from ando_cli.config.settings import KEYS, find_folders

if TYPE_CHECKING:
    from pathlib import Path

    from ando_cli.config.report import Row
    from ando_cli.runtime.context import Invocation


def path_of(state: Invocation) -> Path:
    """Return the path of the configuration file, whether or not it exists."""
    return find_folders(state.environ).config / CONFIG_FILE


def rows_of(state: Invocation, *, reveal: bool = False) -> list[Row]:
    """Return every value in force.

    Raises:
        UsageError: the file cannot be read.
    """
    folders = find_folders(state.environ)
    config = read_config(folders.config / CONFIG_FILE, KEYS)
    return report.rows(state.flags, state.environ, config, folders, reveal=reveal)


def row_shape(row: Row) -> dict[str, Any]:
    """Return a value as data, for ``-j``."""
    return {"key": row.key, "value": row.value, "source": str(row.source), "name": row.name}
