"""Moments and spans as text. Pure."""

from __future__ import annotations

from datetime import UTC, datetime


def iso_time(seconds: float, *, milliseconds: bool = False) -> str:
    """Return a unix time as RFC 3339 in UTC: ``2026-11-25T16:41:00Z``, or with ``milliseconds`` three decimals more."""
    moment = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    return moment.isoformat(timespec="milliseconds" if milliseconds else "seconds") + "Z"


def local_time(seconds: float) -> str:
    """Return a unix time as people read it where this machine stands: ``2026-11-25 16:41``."""
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")


def age(seconds: int) -> str:
    """Return how long ago something was, in its largest unit: ``5m``, ``2d``."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{max(0, seconds)}s"


def duration(seconds: int) -> str:
    """Return a wait in minutes and seconds: ``14 min 59 s``."""
    minutes, rest = divmod(seconds, 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
