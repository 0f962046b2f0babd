"""What may be shown: text from a server is cleaned, identifiers are shortened."""

from __future__ import annotations

import unicodedata
from urllib.parse import urlsplit

_KEPT_CONTROLS = {"\n", "\t"}
# Bidirectional overrides and isolates reorder what a reader sees; the joiners that emoji need are not among them.
_BIDI = {chr(c) for c in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C)}


def clean(text: str, limit: int = 300) -> str:
    """Return ``text`` on one line, without control or formatting characters, at most ``limit`` characters long.

    Use it for every string that a server chose and a terminal shows: it removes escape sequences, bidirectional
    overrides and line breaks, and marks a cut with an ellipsis.
    """
    window = text[: limit * 4]
    kept = "".join(" " if c.isspace() else c for c in window if c.isspace() or unicodedata.category(c)[0] != "C")
    line = " ".join(kept.split())
    if len(line) > limit or len(text) > len(window):
        return line[: limit - 1].rstrip() + "…"
    return line


def printable(text: str) -> str:
    """Return ``text`` without the characters that could drive a terminal; line breaks, tabs and emoji stay."""
    return "".join(
        c for c in text if c in _KEPT_CONTROLS or (unicodedata.category(c) not in ("Cc", "Cs") and c not in _BIDI)
    )


def short(identifier: str) -> str:
    """Shorten a hex identifier for display: ``0x1234abcd…cdef``."""
    return identifier if len(identifier) <= 16 else f"{identifier[:10]}…{identifier[-4:]}"


def shown_id(identifier: str, *, full: bool) -> str:
    """Return a hex identifier as a command shows it: whole with ``--full``, else short."""
    return identifier if full else short(identifier)


def host_only(url: str) -> str:
    """Return a URL up to its host: hosted endpoints carry their key in the path, the query or before the host."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "[redacted]"
    host = f"[{host}]" if ":" in host else host
    shown = f"{parts.scheme}://{host}" + (f":{port}" if port else "")
    return shown if url.rstrip("/").lower() == shown else f"{shown}/…"
