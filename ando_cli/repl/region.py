"""The last lines of the terminal, which change while an answer is awaited and arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ando_cli.repl.markdown import Line


class Region:
    """Lines at the bottom that are redrawn, below lines that stay.

    Only differences are written, and at once, so nothing flickers.

    Args:
        write: writes to the terminal.
        size: its columns and rows.
    """

    def __init__(self, write: Callable[[str], None], size: Callable[[], tuple[int, int]]) -> None:
        self._write = write
        self._size = size
        self._shown: list[Line] = []

    def show(self, lines: Sequence[Line]) -> None:
        """Show ``lines`` in the region, or the last of them if there are more than the terminal has rows."""
        wanted = list(lines[-self._most() :])
        if wanted != self._shown:
            self._write(self._to(wanted))
            self._shown = wanted

    def above(self, lines: Sequence[Line], keep: Sequence[Line] = ()) -> None:
        """Write ``lines`` above the region, where they stay, and show ``keep`` in the region."""
        kept = list(keep[-self._most() :])
        text = self._to([]) + "".join(f"{line.text}\n" for line in lines)
        self._shown = []
        self._write(text + self._to(kept))
        self._shown = kept

    @property
    def shown(self) -> list[Line]:
        """The lines that the region shows."""
        return self._shown

    def _most(self) -> int:
        """Return the lines that fit, with one row to spare: the cursor cannot return to lines above the top."""
        return max(1, self._size()[1] - 1)

    def _to(self, wanted: Sequence[Line]) -> str:
        """Return the output that turns the shown lines into ``wanted``. The cursor is at the end of the last line."""
        shown = self._shown
        if not shown:
            return "\n".join(line.text for line in wanted)
        same = 0
        while same < min(len(shown), len(wanted)) and shown[same] == wanted[same]:
            same += 1
        if same == len(shown):
            return "".join(f"\n{line.text}" for line in wanted[same:])
        # If the terminal became narrower since, it has wrapped the lines.
        columns = max(1, self._size()[0])
        rows = sum(max(1, -(-line.cells // columns)) for line in shown[same:])
        up = f"\x1b[{rows - 1}A" if rows > 1 else ""
        if same and same == len(wanted):
            # The last line does not change; the cursor returns to its end.
            return f"{up}\r\x1b[J\x1b[A" + (f"\x1b[{wanted[-1].cells}C" if wanted[-1].cells else "")
        return f"{up}\r\x1b[J" + "\n".join(line.text for line in wanted[same:])
