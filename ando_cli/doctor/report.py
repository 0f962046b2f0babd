"""The findings: one line for each check, with nothing secret in it."""

from __future__ import annotations

import re
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from ando_cli.frozen import frozen
from ando_cli.redact import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ando_cli.errors import AndoError

_LONGEST = 400
_HEX = re.compile(r"0x[0-9a-fA-F]{16,}")


class Status(StrEnum):
    """The result of a check."""

    PASS = "pass"  # noqa: S105 - no password
    WARN = "warn"
    """It works, or is not needed."""
    FAIL = "fail"
    """Paying does not work with this."""


@frozen
class Line:
    """One check: its name, its status, what was found, and what to do about it."""

    name: str
    status: Status
    found: str
    fix: str | None = None

    @classmethod
    def of_error(cls, name: str, error: AndoError, status: Status = Status.FAIL) -> Line:
        """Return the line for an error."""
        return cls(name, status, error.message, error.hint)


def tidy(lines: Iterable[Line], environ: Mapping[str, str]) -> list[Line]:
    """Return the lines without private data: no address or other long hex, and no folder that names the user."""
    folders = {environ.get("ANDO_HOME", ""): "$ANDO_HOME", str(_home(environ)): "~"}
    names = sorted((name for name in folders if len(name) > 1), key=len, reverse=True)

    def tidied(text: str) -> str:
        for name in names:
            text = text.replace(name.rstrip("/\\"), folders[name])
        return _HEX.sub("0x…", clean(text, _LONGEST))

    return [
        replace(line, found=tidied(line.found), fix=None if line.fix is None else tidied(line.fix)) for line in lines
    ]


def _home(environ: Mapping[str, str]) -> str:
    try:
        return environ.get("HOME") or str(Path.home())
    except RuntimeError:  # a process without a home folder
        return ""
