"""``rich`` on one of our streams."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ando_cli.terminal.streams import is_terminal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import IO

    from rich.console import Console

_UNBOUNDED = 10_000
"""The most characters of a line that nothing folds."""

_COLOURFUL_WINDOWS = ("WT_SESSION", "ANSICON", "ConEmuANSI", "TERM")
"""Environment variables of Windows consoles that support colours."""


def open_console(stream: IO[str], environ: Mapping[str, str]) -> Console:
    """Return ``rich`` on ``stream``: without escape sequences if colours are off, and without a width in a pipe."""
    from rich.console import Console

    plain = bool(environ.get("NO_COLOR")) or environ.get("TERM") == "dumb"
    columns = environ.get("COLUMNS", "")
    width = int(columns) if columns.isdecimal() and int(columns) else None if is_terminal(stream) else _UNBOUNDED
    return Console(file=stream, color_system=None if plain else "auto", highlight=False, width=width)


def takes_colour(stream: IO[str], environ: Mapping[str, str]) -> bool:
    """Return whether ``stream`` may be coloured: it is a terminal that is not dumb, and ``NO_COLOR`` is not set."""
    if os.name == "nt" and not any(environ.get(name) for name in _COLOURFUL_WINDOWS):
        return False
    return is_terminal(stream) and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
