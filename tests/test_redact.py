"""What may be shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ando_cli.money import amount, parse_amount
from ando_cli.redact import clean, printable, short


def test_text_of_a_server_becomes_one_harmless_line() -> None:
    assert clean("a\x1b[31mred\x1b[0m\r\n\tb\u202ec\x00 \u200bd") == "a[31mred[0m bc d"


def test_a_cut_is_marked() -> None:
    assert clean("x" * 400, limit=10) == "x" * 9 + "…"
    assert clean(" " * 10_000 + "late", limit=10).endswith("…")
    assert clean("x" * 10, limit=10) == "x" * 10


@given(st.text(), st.integers(1, 50))
def test_clean_text_is_short_and_printable(text: str, limit: int) -> None:
    shown = clean(text, limit)
    assert len(shown) <= limit
    assert all(c.isprintable() for c in shown)


def test_an_answer_keeps_its_lines_and_its_emoji_but_drives_no_terminal() -> None:
    assert printable("a\tb\nc 👩\u200d🚀 \x1b[2J\x9b\u202e\ud800") == "a\tb\nc 👩\u200d🚀 [2J"


@given(st.text())
def test_what_is_printable_stays_printable(text: str) -> None:
    assert printable(printable(text)) == printable(text)
    assert not {"\x1b", "\r", "\x07", "\u202e"} & set(printable(text))


def test_identifiers_are_shortened_at_both_ends() -> None:
    assert short("0x" + "ab" * 32) == "0xabababab…abab"
    assert short("0x1234") == "0x1234"


@pytest.mark.parametrize(
    ("base_units", "shown"),
    [(0, "0.00"), (1, "0.000001"), (1_500_000, "1.50"), (-10, "-0.00001"), (10**21, "1000000000000000.00")],
)
def test_amounts_are_exact_with_at_least_two_decimals(base_units: int, shown: str) -> None:
    assert amount(base_units) == shown


@given(st.integers(1, 10**21 - 1))
def test_an_amount_that_is_shown_is_read_back_as_itself(base_units: int) -> None:
    assert parse_amount(amount(base_units)) == base_units
