"""Moments and spans as text."""

from __future__ import annotations

import pytest

from ando_cli.times import age, duration, iso_time


def test_a_moment_is_rfc_3339_in_utc() -> None:
    assert iso_time(0) == "1970-01-01T00:00:00Z"
    assert iso_time(1_800_000_000) == "2027-01-15T08:00:00Z"
    assert iso_time(1_800_000_000.123, milliseconds=True) == "2027-01-15T08:00:00.123Z"
    assert iso_time(1_800_000_000, milliseconds=True) == "2027-01-15T08:00:00.000Z"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-5, "0s"), (0, "0s"), (59, "59s"), (60, "1m"), (3_599, "59m"), (3_600, "1h"), (86_399, "23h"), (86_400, "1d")],
)
def test_an_age_is_in_its_largest_unit(seconds: int, shown: str) -> None:
    assert age(seconds) == shown


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0 s"), (59, "59 s"), (60, "1 min 0 s"), (899, "14 min 59 s")])
def test_a_wait_is_in_minutes_and_seconds(seconds: int, shown: str) -> None:
    assert duration(seconds) == shown
