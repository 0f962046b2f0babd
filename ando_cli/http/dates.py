"""HTTP dates, and the headers that hold them."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx


def parse_date(text: str) -> float | None:
    """Read an HTTP date (RFC 9110, section 5.6.7), in unix seconds; ``None`` where ``text`` is not one."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None


def server_time(response: httpx.Response) -> float | None:
    """Read the server's clock off its answer, in unix seconds; ``None`` where it does not tell."""
    return parse_date(response.headers.get("Date", ""))


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Read what a ``Retry-After`` header asks for (RFC 9110, section 10.2.3), in seconds from ``now``.

    ``None`` where there is none, or none that can be read.
    """
    value = headers.get("retry-after", "").strip()
    if value.isdecimal() and len(value) < 10:
        return float(value)
    moment = parse_date(value)
    return None if moment is None else max(0.0, moment - now)
