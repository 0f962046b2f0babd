"""Tables for a screen of any width: nothing but text gives way."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from ando_cli.terminal.tables import Sheet, draw

COLUMNS = ("id", "gateway", "deposit", "spent", "age")
ROWS = [
    ("0xa0a94ec8", "https://gateway.example.org", "123.456789", "0.00027", "2d"),
    ("0x2", "東京", "5.00", "1.00", "9m"),
]
SHEET = Sheet(COLUMNS, ROWS, right=("deposit", "spent", "age"), fold=("gateway",), spare=("age",))


def drawn(sheet: Sheet, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    for table in draw(sheet, width):
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize("width", range(18, 90))
def test_an_amount_is_whole_and_nothing_runs_over(width: int) -> None:
    lines = drawn(SHEET, width)
    assert max(map(len, lines)) <= width
    words = " ".join(lines).split()
    for _, _, deposit, spent, _ in ROWS:
        assert deposit in words
        assert spent in words


def test_where_there_is_room_it_is_one_line_for_each_row() -> None:
    assert drawn(SHEET, 80) == [
        "id         gateway                        deposit   spent age",
        "0xa0a94ec8 https://gateway.example.org 123.456789 0.00027  2d",
        "0x2        東京                              5.00    1.00  9m",
    ]


def test_text_gives_way_first_then_what_can_be_spared_then_the_form() -> None:
    assert drawn(SHEET, 52)[0] == "id         gateway               deposit   spent age"
    assert drawn(SHEET, 44)[0] == "id         gateway           deposit   spent"
    assert drawn(SHEET, 41)[:7] == [
        "id      0xa0a94ec8",
        "gateway https://gateway.example.org",
        "deposit 123.456789",
        "spent   0.00027",
        "age     2d",
        "",
        "id      0x2",
    ]


def test_bars_take_the_room_that_is_left() -> None:
    sheet = Sheet(("day", "spent"), [("1", "2.00"), ("2", "1.00")], right=("spent",), bars=(2, 1))
    assert drawn(sheet, 40)[1:] == ["1    2.00 " + "█" * 30, "2    1.00 " + "█" * 15]
    assert drawn(sheet, 16)[1:] == ["1    2.00", "2    1.00"]
