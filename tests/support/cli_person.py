"""Somebody who talks with ``ando`` on a terminal, and sees what a terminal shows."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING

import pyte

from tests.support.cli_box import PATIENCE, Box, OnTerminal

if TYPE_CHECKING:
    from collections.abc import Callable


class Person(OnTerminal):
    """A conversation on a terminal whose screen is kept as a terminal keeps it, with what scrolled off its top."""

    def __init__(self, box: Box, *arguments: str, size: tuple[int, int] = (80, 24), **variables: str | None) -> None:
        self._display = pyte.HistoryScreen(*size, history=1000, ratio=1)
        self._display.write_process_input = self._answer  # type: ignore[method-assign]
        self._typed_at = 0
        self._stream = pyte.ByteStream(self._display)
        super().__init__(arguments, box.environ({"TERM": "xterm", "COLUMNS": None} | variables), box.folder, size=size)

    @property
    def rows(self) -> list[str]:
        """All rows, also those that scrolled away, without blanks at their ends."""
        top = ["".join(row[x].data for x in range(self._display.columns)) for row in self._display.history.top]
        return [row.rstrip() for row in (*top, *self._display.display)]

    @property
    def status(self) -> str:
        """The line below the prompt."""
        return next((row for row in reversed(self.rows) if row), "")

    def type(self, text: str) -> None:
        """Type; what is seen from then on is what comes after it."""
        self._typed_at = self._prompt_row()
        super().type(text)

    def sees(self, text: str) -> str:
        """Wait until ``text`` is shown after what was typed last; returns all that is."""
        self._wait(lambda: text in self._since_typed(), text)
        return self._since_typed()

    def is_asked(self) -> None:
        """Wait until the next text can be typed: below an empty prompt there is nothing but the status."""
        self._wait(self._at_prompt, "the prompt")

    def says(self, text: str) -> list[str]:
        """Type a line, wait until the next one can be typed, and return what was shown in between."""
        self.is_asked()
        before = self._prompt_row()
        self.type(f"{text}\r")
        self._wait(lambda: self._at_prompt() and self._prompt_row() > before, f"the end of {text!r}")
        return self.rows[before : self._prompt_row()]

    def leaves(self) -> None:
        """Press Ctrl-D, and check that all ends well."""
        self.is_asked()
        self.type("\x04")
        self.end().worked()

    def _since_typed(self) -> str:
        return "\n".join(self.rows[self._typed_at :])

    def _prompt_row(self) -> int:
        return len(self._display.history.top) + self._display.cursor.y

    def _at_prompt(self) -> bool:
        row = self._display.display[self._display.cursor.y]
        return (
            self._display.cursor.x == 2 and row.startswith("> ") and re.match(r"(mpp|key)\b", self.status) is not None
        )

    def _wait(self, fulfilled: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE / 2
        while not fulfilled():
            try:
                going = self._read(deadline)
            except AssertionError:
                going = False
            assert going, f"{what} did not come: {self.rows!r}"

    def _seen(self, data: bytes) -> None:
        self._stream.feed(data)

    def _answer(self, data: str) -> None:
        """What a terminal answers when it is asked where the cursor is."""
        os.write(self._master, data.encode())
