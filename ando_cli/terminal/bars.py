"""Bars made of characters. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_EIGHTHS = " ▏▎▍▌▋▊▉"
FULL = "█"


def bars(values: Sequence[int], cells: int, *, plain: bool = False) -> list[str]:
    """Return one bar for each of ``values``, the largest of which fills ``cells`` characters.

    Every value above zero has a mark, and no other value has one. ``plain`` bars are ASCII.
    """
    largest = max((*values, 0))
    return ["" if value <= 0 else _bar(value, largest, cells, plain=plain) for value in values]


def _bar(value: int, largest: int, cells: int, *, plain: bool) -> str:
    if plain:
        return "#" * max(1, value * cells // largest)
    whole, rest = divmod(max(1, value * cells * 8 // largest), 8)
    return (FULL * whole + _EIGHTHS[rest]).rstrip()
