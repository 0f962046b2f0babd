"""Tables for a screen of any width. A cut amount would be misread, so only text is folded.

This module loads ``rich``, so import it only where a table is drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from ando_cli import redact
from ando_cli.frozen import frozen
from ando_cli.terminal import bars as chart

if TYPE_CHECKING:
    from collections.abc import Sequence

CHART_WIDTH = 80
"""The most characters of a table with bars."""

MIN_BAR = 8
"""The fewest characters of a bar; narrower bars are left out."""

NARROWEST = 12
"""The fewest characters of a folded column; narrower ones would break words."""

_LONGEST_CELL = 200


@frozen
class Sheet:
    """The contents of a table.

    Attributes:
        columns: the names of the columns.
        rows: a text for each column.
        right: the columns that are right-aligned.
        fold: the columns that are folded if there is too little room.
        spare: the columns that are left out if that is not enough, the last ones first.
        bars: a value for each row, drawn at its end if there is room.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: Sequence[str] = ()
    fold: Sequence[str] = ()
    spare: Sequence[str] = ()
    bars: Sequence[int] = ()


def draw(sheet: Sheet, width: int, *, plain_bars: bool = False) -> list[Table]:
    """Return ``sheet`` for a screen of ``width`` characters: one table, or if it does not fit, one for each row."""
    cells = [[redact.clean(cell, _LONGEST_CELL) for cell in row] for row in sheet.rows]
    shown = list(sheet.columns)
    for column in reversed(sheet.spare):
        if _least(sheet, cells, shown) > width:
            shown.remove(column)
    if _least(sheet, cells, shown) > width:
        return [_upright(sheet, row) for row in cells]
    room = min(width, CHART_WIDTH) - _wanted(sheet, cells, shown) - 1
    bars = chart.bars(sheet.bars, room, plain=plain_bars) if sheet.bars and room >= MIN_BAR else []
    return [_lying(sheet, cells, shown, bars)]


def _lying(sheet: Sheet, cells: Sequence[Sequence[str]], shown: Sequence[str], bars: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for column in shown:
        side: Literal["left", "right"] = "right" if column in sheet.right else "left"
        table.add_column(column, justify=side, overflow="fold", no_wrap=column not in sheet.fold)
    if bars:
        table.add_column("", no_wrap=True)
    for number, row in enumerate(cells):
        kept = [Text(cell) for name, cell in zip(sheet.columns, row, strict=True) if name in shown]
        table.add_row(*kept, *([Text(bars[number], style="cyan")] if bars else []))
    return table


def _upright(sheet: Sheet, row: Sequence[str]) -> Table:
    """Return one row as a list, one column a line, for a narrow screen."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, cell in zip(sheet.columns, row, strict=True):
        table.add_row(name, Text(cell))
    table.add_row("", "")
    return table


def _widths(sheet: Sheet, cells: Sequence[Sequence[str]], shown: Sequence[str]) -> list[tuple[str, int]]:
    return [
        (name, max(map(cell_len, (name, *(row[number] for row in cells)))))
        for number, name in enumerate(sheet.columns)
        if name in shown
    ]


def _wanted(sheet: Sheet, cells: Sequence[Sequence[str]], shown: Sequence[str]) -> int:
    """Return the table's width if nothing is folded: each column but the last is followed by a space."""
    return sum(width + 1 for _, width in _widths(sheet, cells, shown)) - 1


def _least(sheet: Sheet, cells: Sequence[Sequence[str]], shown: Sequence[str]) -> int:
    """Return the table's width if as much as possible is folded."""
    widths = _widths(sheet, cells, shown)
    return sum((min(width, NARROWEST) if name in sheet.fold else width) + 1 for name, width in widths) - 1
