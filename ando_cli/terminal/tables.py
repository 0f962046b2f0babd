"""Tables for a screen of any width. An amount that is cut off is misread, so nothing but text gives way.

This module loads ``rich``: import it where a table is drawn, not before.
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
"""Characters that a table with bars is wide at most."""

MIN_BAR = 8
"""Characters below which bars say nothing, and are left out."""

NARROWEST = 12
"""Characters below which a column is not folded: a word in pieces is no word."""

_LONGEST_CELL = 200


@frozen
class Sheet:
    """What a table shows.

    Attributes:
        columns: their names.
        rows: a text for each column.
        right: the columns that are aligned on that side.
        fold: those that give way where there is too little room.
        spare: those that are left out where there still is, the last ones first.
        bars: a value for each row, which is drawn at its end as far as there is room.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: Sequence[str] = ()
    fold: Sequence[str] = ()
    spare: Sequence[str] = ()
    bars: Sequence[int] = ()


def draw(sheet: Sheet, width: int, *, plain_bars: bool = False) -> list[Table]:
    """Return ``sheet`` for a screen of ``width`` characters: one table, or where it does not fit one for each row."""
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
    """One row, its columns below each other: a narrow screen has room enough in that direction."""
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
    """What the table is wide if nothing is folded: each column but the last with a blank behind it."""
    return sum(width + 1 for _, width in _widths(sheet, cells, shown)) - 1


def _least(sheet: Sheet, cells: Sequence[Sequence[str]], shown: Sequence[str]) -> int:
    """What the table is wide if as much is folded as can be."""
    widths = _widths(sheet, cells, shown)
    return sum((min(width, NARROWEST) if name in sheet.fold else width) + 1 for name, width in widths) - 1
