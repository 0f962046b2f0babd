"""Days and months in local time, as spans of unix seconds. Pure but for the time zone of this machine."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

from ando_cli.errors import UsageError
from ando_cli.frozen import frozen

FORMS = "2026-11-30, 2026-11, today, yesterday, 7d, month"
"""How a span can be written, for help texts."""


@frozen
class Span:
    """From ``since`` on and before ``until``, in unix seconds."""

    since: int
    until: int


def day_name(at: int) -> str:
    """The local day that ``at`` is in: ``2026-11-30``."""
    return datetime.fromtimestamp(at).date().isoformat()


def day_of(at: float) -> Span:
    """The local day that ``at`` is in. It has 23 or 25 hours where clocks are changed."""
    today = datetime.fromtimestamp(at).date()
    return _span(today, today + timedelta(days=1))


def month_of(at: float) -> Span:
    """The local month that ``at`` is in."""
    today = datetime.fromtimestamp(at).date()
    return _month(today.year, today.month)


def parse_span(text: str, name: str, now: float) -> Span:
    """The days that ``text`` names: a day, a month, ``today``, ``yesterday``, ``month``, or ``7d``.

    ``7d`` is a week: today and the six days before it.

    Raises:
        UsageError: it is not a day.
    """
    wanted, today = text.strip().lower(), datetime.fromtimestamp(now).date()
    try:
        if wanted == "today":
            return day_of(now)
        if wanted == "yesterday":
            return _span(today - timedelta(days=1), today)
        if wanted == "month":
            return month_of(now)
        if days := re.fullmatch(r"([1-9][0-9]{0,4})d", wanted, re.ASCII):
            return _span(today - timedelta(days=int(days[1]) - 1), today + timedelta(days=1))
        if month := re.fullmatch(r"([0-9]{4})-([0-9]{2})", wanted, re.ASCII):
            return _month(int(month[1]), int(month[2]))
        day = date.fromisoformat(wanted)
        return _span(day, day + timedelta(days=1))
    except (ValueError, OverflowError, OSError):  # OSError: a day that the platform's clock cannot tell
        raise UsageError(f"{name} is not a day: {text[:32]!r}", hint=f"use one of these forms: {FORMS}") from None


def _month(year: int, month: int) -> Span:
    following = date(year + month // 12, month % 12 + 1, 1)
    return _span(date(year, month, 1), following)


def _span(first: date, after: date) -> Span:
    return Span(_midnight(first), _midnight(after))


def _midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day).timestamp())
