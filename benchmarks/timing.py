"""Taking times side by side: A, B, A, B, …, so that a busy moment of the machine falls on both."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WARM_UP = 2


@dataclass(frozen=True)
class Row:
    """One line of the table. Times in seconds; ``beside`` is ``None`` where there is nothing to compare."""

    what: str
    ours: float | None
    beside: float | None = None
    goal: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How often the time beside it fits into ours."""
        return None if self.ours is None or not self.beside else self.ours / self.beside


def side_by_side(ours: Callable[[], object], beside: Callable[[], object], rounds: int) -> tuple[float, float]:
    """The median seconds of each of the two, run in turns after a warm-up."""
    taken: tuple[list[float], list[float]] = ([], [])
    for turn in range(WARM_UP + rounds):
        for times, run in zip(taken, (ours, beside), strict=True):
            start = time.perf_counter()
            run()
            if turn >= WARM_UP:
                times.append(time.perf_counter() - start)
    return median(taken[0]), median(taken[1])


def table(rows: Sequence[Row]) -> str:
    """The rows as text, in columns."""
    cells = [("", "ours", "beside", "ratio", "goal", ""), *map(_cells, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(5)]
    return "\n".join(
        "  ".join(
            (row[0].ljust(widths[0]), *(row[column].rjust(widths[column]) for column in range(1, 5)), row[5])
        ).rstrip()
        for row in cells
    )


def _cells(row: Row) -> tuple[str, ...]:
    ratio, verdict = row.ratio, ""
    if ratio is not None and row.goal is not None:
        verdict = "met" if ratio <= row.goal else "missed"
    return (
        row.what,
        _seconds(row.ours),
        _seconds(row.beside),
        "" if ratio is None else f"{ratio:.2f}",
        "" if row.goal is None else f"≤ {row.goal:g}",
        "  ".join(filter(None, (verdict, row.note))),
    )


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value * 1e3:.1f} ms" if value >= 1e-3 else f"{value * 1e6:.1f} us"
