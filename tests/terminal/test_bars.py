"""Bars made of characters."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ando_cli.terminal.bars import FULL, bars


def test_the_largest_fills_its_cells_and_the_others_are_in_proportion() -> None:
    assert bars([8, 4, 3, 0, -1], 4) == [FULL * 4, FULL * 2, FULL + "▌", "", ""]
    assert bars([8, 4, 3, 0, -1], 4, plain=True) == ["####", "##", "#", "", ""]


def test_of_nothing_there_are_no_bars() -> None:
    assert bars([], 8) == []
    assert bars([0, 0], 8) == ["", ""]


@given(st.lists(st.integers(-5, 2**130), max_size=20), st.integers(1, 60), st.booleans())
def test_what_is_above_zero_has_a_mark_and_no_bar_is_too_long(values: list[int], cells: int, plain: bool) -> None:
    drawn = bars(values, cells, plain=plain)
    assert [bool(bar) for bar in drawn] == [value > 0 for value in values]
    assert max((len(bar) for bar in drawn), default=0) <= cells
    assert all(bar.isascii() for bar in drawn) or not plain
