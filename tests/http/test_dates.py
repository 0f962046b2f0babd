"""HTTP dates and waits, as servers write them."""

from __future__ import annotations

import httpx
import pytest

from ando_cli.http.dates import retry_after, server_time


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0), ("120", 120.0), ("Thu, 01 Jan 1970 00:01:40 GMT", 40.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("", None), ("-1", None), ("soon", None), ("1e9", None), ("9" * 400, None), ("Thu, 99 Jan 1970", None),
    ],
)  # fmt: skip
def test_retry_after_in_both_of_its_forms(value: str, seconds: float | None) -> None:
    assert retry_after(httpx.Headers({"Retry-After": value}), 60.0) == seconds


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        ("Thu, 01 Jan 1970 00:02:00 GMT", 120.0),
        ("", None),
        ("yesterday", None),
        ("Thu, 01 Jan 99999 00:00:00 GMT", None),
    ],
)
def test_the_clock_of_a_server_is_its_date_header(date: str, seconds: float | None) -> None:
    assert server_time(httpx.Response(200, headers={"Date": date})) == seconds
    assert server_time(httpx.Response(200)) is None
