"""Days and months in local time, also where clocks are changed."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from ando_cli.errors import UsageError
from ando_cli.session.decide.periods import Span, day_name, day_of, month_of, parse_span

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUR = 3600


@pytest.fixture(autouse=True)
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def utc(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp())  # type: ignore[arg-type, misc]


NOW = utc(2026, 3, 10, 22, 30)
"""Half past eleven in the evening of the tenth."""


def test_a_day_is_the_local_one() -> None:
    assert day_of(NOW) == Span(utc(2026, 3, 9, 23), utc(2026, 3, 10, 23))
    assert day_name(NOW) == "2026-03-10"
    assert day_name(NOW + HOUR // 2) == "2026-03-11"


@pytest.mark.parametrize(("day", "hours"), [((2026, 3, 29), 23), ((2026, 10, 25), 25), ((2026, 7, 1), 24)])
def test_where_clocks_are_changed_a_day_has_another_length(day: tuple[int, int, int], hours: int) -> None:
    span = day_of(utc(*day, 12))
    assert span.until - span.since == hours * HOUR
    assert day_name(span.since) != day_name(span.since - 1)
    assert day_name(span.until - 1) == day_name(span.since)


def test_a_month_goes_to_the_first_of_the_next() -> None:
    assert month_of(NOW) == Span(utc(2026, 2, 28, 23), utc(2026, 3, 31, 22))
    assert month_of(utc(2026, 12, 31, 12)).until == utc(2026, 12, 31, 23)


@pytest.mark.parametrize(
    ("text", "first", "after"),
    [
        ("2026-03-01", (2026, 2, 28, 23), (2026, 3, 1, 23)),
        ("2026-02", (2026, 1, 31, 23), (2026, 2, 28, 23)),
        (" Today ", (2026, 3, 9, 23), (2026, 3, 10, 23)),
        ("yesterday", (2026, 3, 8, 23), (2026, 3, 9, 23)),
        ("1d", (2026, 3, 9, 23), (2026, 3, 10, 23)),
        ("7d", (2026, 3, 3, 23), (2026, 3, 10, 23)),
        ("month", (2026, 2, 28, 23), (2026, 3, 31, 22)),
    ],
)
def test_a_span_can_be_written_in_many_ways(text: str, first: tuple[int, ...], after: tuple[int, ...]) -> None:
    assert parse_span(text, "--since", NOW) == Span(utc(*first), utc(*after))


@pytest.mark.parametrize(
    "text", ["", "7", "0d", "-1d", "99999d", "2026-13", "2026-02-30", "0000-01", "9999-12-31", "tomorrow", "7d ago"]
)
def test_what_names_no_day_is_an_error(text: str) -> None:
    with pytest.raises(UsageError, match="--since is not a day"):
        parse_span(text, "--since", utc(200, 1, 1) if text == "99999d" else NOW)
