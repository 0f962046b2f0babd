"""Questions to the person at the terminal."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ando_cli.errors import UsageError
from ando_cli.terminal.streams import is_terminal

if TYPE_CHECKING:
    from typing import IO

_CONTROLLING_TERMINAL = Path("/dev/tty")


def has_controlling_terminal() -> bool:
    """Return whether the process has a terminal, whatever its streams are."""
    try:
        os.close(os.open(_CONTROLLING_TERMINAL, os.O_RDWR))
    except OSError:
        return False
    return True


def confirm(question: str, stdin: IO[str], stderr: IO[str]) -> bool | None:
    """Ask a yes-or-no question; the default is no. Return ``None`` if there is nobody to ask.

    If stdin is not a terminal, the answer is read from the controlling terminal: a prompt works behind a pipe.
    """
    line = f"{question} [y/N] "
    if is_terminal(stdin):
        stderr.write(line)
        stderr.flush()
        return is_yes(stdin.readline())
    tty = _CONTROLLING_TERMINAL
    try:
        # Two files, because one for both directions would have to be seekable.
        with tty.open("w", encoding="utf-8") as screen, tty.open(encoding="utf-8", errors="replace") as keyboard:
            screen.write(line)
            screen.flush()
            return is_yes(keyboard.readline())
    except OSError:
        return None


def is_yes(line: str) -> bool:
    """Return whether the typed text means yes."""
    return line.strip().lower() in ("y", "yes")


def ask_secret(question: str) -> str:
    """Ask for a secret on the controlling terminal, without echo.

    Raises:
        UsageError: the input ended before anything was typed.
    """
    from getpass import getpass

    try:
        return getpass(question)
    except EOFError:
        raise UsageError("nothing was typed", hint="try again, and end the line with Enter") from None
