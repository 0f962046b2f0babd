"""The lines of a terminal that change, and those above them that do not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ando_cli.repl.markdown import Line
from ando_cli.repl.region import Region
from tests.support.emulator import Emulator

COLUMNS, ROWS = 12, 5
Steps = list[tuple[list[Line] | None, list[Line]]]
LINES = st.lists(st.text("abc ", max_size=COLUMNS - 1).map(lambda text: Line(text, len(text))), max_size=8)


@given(st.lists(st.tuples(st.none() | LINES, LINES), max_size=12))
def test_the_terminal_shows_what_stays_and_below_it_the_region(
    steps: list[tuple[list[Line] | None, list[Line]]],
) -> None:
    terminal = Emulator(COLUMNS, ROWS)
    region = Region(terminal.write, lambda: (COLUMNS, ROWS))
    stays: list[Line] = []
    for lines, shown in steps:
        if lines is None:
            region.show(shown)
        else:
            region.above(lines, shown)
            stays += lines
        expected = [line.text.rstrip() for line in (*stays, *shown[-(ROWS - 1) :])]
        while expected and not expected[-1]:
            expected.pop()
        assert terminal.lines == expected


def test_only_what_differs_is_written() -> None:
    written: list[str] = []
    region = Region(written.append, lambda: (80, 24))
    first, second = Line("first", 5), Line("second", 6)
    region.show([first])
    region.show([first])
    region.show([first, second])
    region.show([first, Line("third", 5)])
    assert written == ["first", "\nsecond", "\r\x1b[Jthird"]


def test_a_terminal_that_became_narrower_is_cleared_of_the_lines_that_it_broke() -> None:
    written: list[str] = []
    width = 40
    region = Region(written.append, lambda: (width, 24))
    region.show([Line("x" * 39, 39), Line("y" * 10, 10)])
    width = 20
    region.show([])
    assert written[-1] == "\x1b[2A\r\x1b[J"
