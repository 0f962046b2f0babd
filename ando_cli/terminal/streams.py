"""The three streams of a process, and which characters their encodings have."""

from __future__ import annotations

import codecs
import io
import os
import sys
from pathlib import Path
from typing import IO, Any

from ando_cli.frozen import frozen

_PLAIN = {"…": "...", "·": "-", "→": "->", "—": "-", "•": "*", "━": "-"}


@frozen
class Streams:
    """Where a command reads and writes."""

    stdin: IO[str]
    stdout: IO[str]
    stderr: IO[str]


def standard_streams() -> Streams:
    """Return the process's own streams, set so that characters missing from a narrow encoding never raise an error."""
    codecs.register_error("ando", _plainer)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="ando")
    # A process can start with any of the three closed: there is then nothing to read, or no reader.
    nothing = Path(os.devnull)
    return Streams(
        sys.stdin or nothing.open(encoding="utf-8"),
        sys.stdout or nothing.open("w", encoding="utf-8"),
        sys.stderr or nothing.open("w", encoding="utf-8"),
    )


def is_terminal(stream: IO[Any]) -> bool:
    """Return whether ``stream`` is a terminal."""
    try:
        return stream.isatty()
    except ValueError:  # a closed stream
        return False


def can_show(stream: IO[str], text: str, unknown: str = "ascii") -> bool:
    """Return whether the encoding of ``stream`` has every character of ``text``.

    Args:
        stream: where the text would be written.
        text: what would be written.
        unknown: the encoding to assume for a stream that names none.
    """
    try:
        text.encode(getattr(stream, "encoding", None) or unknown)
    except (LookupError, UnicodeEncodeError):
        return False
    return True


def discard(stream: IO[str]) -> None:
    """Redirect ``stream``, including what it still buffers, to the null device."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, stream.fileno())
    finally:
        os.close(nowhere)


def _plainer(error: UnicodeError) -> tuple[str, int]:
    """Replace the characters that a stream's encoding lacks, by similar ASCII where possible."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_PLAIN.get(c, "?") for c in error.object[error.start : error.end]), error.end
