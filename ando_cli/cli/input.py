"""Reading what a command receives on stdin or in a file, up to a limit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ando_cli.errors import UsageError
from ando_cli.files import TooLargeError, read_bounded

if TYPE_CHECKING:
    from ando_cli.terminal.output import Terminal

INPUT_LIMIT = 16 * 1024 * 1024


def read_stdin(terminal: Terminal) -> bytes:
    """Read all of stdin.

    Raises:
        UsageError: it is larger than ``INPUT_LIMIT``.
    """
    data = terminal.read_bytes(INPUT_LIMIT + 1)
    if len(data) > INPUT_LIMIT:
        raise _too_large()
    return data


def decode(data: bytes) -> str:
    """Return what was piped in, as text.

    Raises:
        UsageError: it is not UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError("the piped text is not UTF-8", hint="convert it first, for example with iconv") from None


def read_source(terminal: Terminal, source: str) -> bytes:
    """Read what an option's value refers to, as in curl: ``@FILE``, ``@-`` for stdin, or the text itself.

    Raises:
        UsageError: the file cannot be read, or is larger than ``INPUT_LIMIT``.
    """
    if source == "@-":
        return read_stdin(terminal)
    if not source.startswith("@"):
        return source.encode("utf-8", errors="surrogateescape")
    path = Path(source[1:])
    try:
        return read_bounded(path, INPUT_LIMIT)
    except TooLargeError:
        raise _too_large() from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a file name"
        raise UsageError(f"cannot read {path}: {why}", hint="check the file's name") from None


def _too_large() -> UsageError:
    return UsageError(f"the input is larger than {INPUT_LIMIT // 1024 // 1024} MiB", hint="send a shorter input")
