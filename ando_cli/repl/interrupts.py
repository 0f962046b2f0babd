"""Ctrl-C while a turn is under way: it ends the waiting, and never what is being recorded."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Interrupts:
    """Lets Ctrl-C through where it is ``welcome``, and holds it back until then everywhere else.

    A conversation goes on after Ctrl-C, in the same process: what it breaks off must be nothing that the next turn
    needs. A second one goes through at once, for whatever does not end by itself.
    """

    def __init__(self) -> None:
        self._welcome = False
        self._pending = False

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Hold Ctrl-C back in the block, but for the parts of it where it is welcome."""
        self._pending = self._welcome = False
        before = signal.signal(signal.SIGINT, self._signalled)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    @contextmanager
    def welcome(self) -> Iterator[None]:
        """Let Ctrl-C end the block, also one that came before it.

        Raises:
            KeyboardInterrupt: it came.
        """
        if self._pending:
            self._pending = False
            raise KeyboardInterrupt
        self._welcome = True
        try:
            yield
        finally:
            self._welcome = False

    def _signalled(self, *_: object) -> None:
        if self._welcome or self._pending:
            self._pending = False
            raise KeyboardInterrupt
        self._pending = True
