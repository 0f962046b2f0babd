"""A terminal that is written to, and what it then shows."""

from __future__ import annotations

import io

import pyte


class Emulator(io.StringIO):
    """A stream in the place of stdout, with a terminal of that size behind it. It says its size where it is asked."""

    encoding = "utf-8"  # type: ignore[assignment]

    def __init__(self, columns: int, rows: int) -> None:
        super().__init__()
        self.columns = columns
        self._screen = pyte.HistoryScreen(columns, rows, history=5000, ratio=1)
        self._screen.set_mode(pyte.modes.LNM)  # a line feed returns to the left, as a terminal's driver has it
        self._stream = pyte.Stream(self._screen)

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._stream.feed(text)
        return len(text)

    @property
    def lines(self) -> list[str]:
        """All that is shown, also what scrolled off the top, down to the last line that is not empty."""
        top = ["".join(row[x].data for x in range(self.columns)) for row in self._screen.history.top]
        lines = [row.rstrip() for row in (*top, *self._screen.display)]
        while lines and not lines[-1]:
            lines.pop()
        return lines
