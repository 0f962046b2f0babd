"""Ctrl-C during a turn: it ends a wait, but never interrupts recording."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Interrupts:
    """Lets Ctrl-C through in ``welcome`` blocks, and delays it until then everywhere else.

    A conversation continues after Ctrl-C in the same process, so Ctrl-C must not interrupt what the next turn needs. A
    second Ctrl-C goes through at once, in case something does not end by itself.
    """

    def __init__(self) -> None:
        self._welcome = False
        self._pending = False

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Delay Ctrl-C in the block, except in its ``welcome`` parts."""
        self._pending = self._welcome = False
        before = signal.signal(signal.SIGINT, self._signalled)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    @contextmanager
    def welcome(self) -> Iterator[None]:
        """Let Ctrl-C end the block, also a Ctrl-C that came earlier.

        Raises:
            KeyboardInterrupt: the user pressed Ctrl-C.
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
