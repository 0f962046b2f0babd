"""How long the network may take: one answer, and all of a command.

httpx and httpcore bound each read by itself, so a server that sends a byte now and then is waited for without end.
:class:`Pace` bounds an answer as a whole. It is in force while bytes are read and written, and
:mod:`ando_cli.http.streams` asks it how long the next wait may be.
"""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_LINE_HEAD = 256
"""Bytes of a line of an event stream that are looked at."""


class Deadline:
    """The moment at which a command, or a part of it, has to be done with the network.

    Args:
        seconds: from now; ``None`` where there is no such moment.
        within: another deadline that holds as well.
    """

    def __init__(self, seconds: float | None = None, *, within: Deadline | None = None) -> None:
        self.seconds = seconds
        self._within = within
        self._ends = math.inf
        self.restart()

    def restart(self) -> None:
        """Count from now."""
        self._ends = math.inf if self.seconds is None else time.monotonic() + self.seconds

    def left(self) -> float:
        """Return the seconds that are left: infinite without a limit, zero when it is over."""
        left = max(0.0, self._ends - time.monotonic())
        return left if self._within is None else min(left, self._within.left())

    @property
    def over(self) -> bool:
        """Whether nothing is left."""
        return self.left() <= 0


class Pace:
    """How long one exchange may take: from the first byte that is sent to the last that is read.

    Connecting does not count, and has a limit of its own. Where an answer is read piece by piece, :meth:`restart` after
    each word makes the limit that of the wait between words.

    Args:
        seconds: for the exchange; ``None`` without a limit.
        deadline: that of the command, which counts connecting too.
    """

    def __init__(self, seconds: float | None, deadline: Deadline) -> None:
        self._seconds = seconds
        self._deadline = deadline
        self._started: float | None = None

    def restart(self) -> None:
        """Count from now."""
        self._started = time.monotonic()

    def left(self, timeout: float | None) -> float | None:
        """Return how long the next read or write may take, at most ``timeout``: zero when the time is over."""
        if self._started is None:
            self.restart()
        left = self._deadline.left()
        if self._seconds is not None and self._started is not None:
            left = min(left, max(0.0, self._started + self._seconds - time.monotonic()))
        return _shorter(timeout, left)

    def left_to_connect(self, timeout: float | None) -> float | None:
        """Return how long connecting may take, at most ``timeout``: zero when the time is over."""
        return _shorter(timeout, self._deadline.left())

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Bound what this thread reads and writes inside."""
        token = _IN_FORCE.set(self)
        try:
            yield
        finally:
            _IN_FORCE.reset(token)


def _shorter(timeout: float | None, left: float) -> float | None:
    if math.isinf(left):
        return timeout
    return left if timeout is None else min(timeout, left)


_IN_FORCE: ContextVar[Pace | None] = ContextVar("pace", default=None)


def pace_in_force() -> Pace:
    """Return the pace of the exchange that this thread is in; one without limits outside of any."""
    return _IN_FORCE.get() or Pace(None, Deadline())


class Words:
    """Tells words from what merely keeps a connection busy in a stream of server-sent events."""

    def __init__(self) -> None:
        self._rest = b""

    def arrived(self, chunk: bytes) -> bool:
        """Return whether ``chunk`` completes a line of data. Comments, blank lines and other fields are none."""
        lines = (self._rest + chunk).replace(b"\r", b"\n").split(b"\n")
        self._rest = lines.pop()[:_LINE_HEAD]
        return any(line.startswith(b"data:") and line[5:].strip() for line in lines)
