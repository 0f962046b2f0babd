"""The terminal of a conversation. Only this module and ``output`` write to it.

During a turn, its last lines are a ``Region``: first a spinner with the stage, then the part of the answer that can
still change. Everything else is written above them.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager, suppress
from textwrap import wrap
from typing import TYPE_CHECKING

from ando_cli.errors import AndoError
from ando_cli.redact import clean, printable
from ando_cli.repl.interrupts import Interrupts
from ando_cli.repl.markdown import LONGEST_BLOCK, Line, Look, render, split
from ando_cli.repl.region import Region
from ando_cli.terminal.output import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TICK = 0.08
_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_PLAIN_FRAMES = "|/-\\"
_DELAY = 0.2
"""Seconds before the spinner appears."""


class Screen(Terminal):
    """The terminal of a conversation.

    Args:
        terminal: its stdin and stdout are terminals.
    """

    def __init__(self, terminal: Terminal) -> None:
        super().__init__(
            terminal.stdin, terminal.stdout, terminal.stderr, terminal.environ,
            quiet=terminal.quiet, verbose=terminal.verbose,
        )  # fmt: skip
        self.dumb = terminal.environ.get("TERM", "") in ("dumb", "unknown", "") and os.name != "nt"
        self._lock = threading.RLock()
        self._region = Region(self._put, self.size)
        self._interrupts = Interrupts()
        self._paused = False
        self._waiting = False
        """Whether a turn is under way."""

    def size(self) -> tuple[int, int]:
        """Return columns and rows."""
        with suppress(OSError, ValueError):
            columns, rows = os.get_terminal_size(self.stdout.fileno())
            if columns > 0 and rows > 0:
                return columns, rows
        return 80, 24

    @property
    def look(self) -> Look:
        """How answers are drawn. The last column stays free, because some terminals break a line there."""
        encoding = (getattr(self.stdout, "encoding", None) or "").lower().replace("-", "")
        return Look(max(10, self.size()[0] - 1), self.environ, unicode=encoding.startswith("utf"))

    @contextmanager
    def turn(self) -> Iterator[Arriving]:
        """Run one turn: show a spinner, then draw the answer as it arrives. Ctrl-C ends the wait.

        Raises:
            KeyboardInterrupt: the user pressed Ctrl-C. What had arrived stays on the screen.
        """
        arriving = Arriving(self)
        done = threading.Event()
        painter = threading.Thread(target=self._draw_all, args=(arriving, done), name="ando-screen", daemon=True)
        self._stage, self._waiting, self._paused = "", True, False
        with self._interrupts.held_back(), _echo(self, False):
            painter.start()
            try:
                yield arriving
            finally:
                done.set()
                painter.join()
                self._waiting = False
                arriving.end()

    @contextmanager
    def progress(self) -> Iterator[None]:
        """Let Ctrl-C end this part of the turn, which is a wait."""
        if not self._waiting:
            yield
            return
        with self._interrupts.welcome():
            yield

    def ask(self, question: str) -> bool | None:
        """Ask a yes-or-no question; the default is no. Text that was typed earlier does not count."""
        with self._talking():
            _forget_typed(self)
            self._put("\n".join(self._folded(f"{question} [y/N]")) + " ")
            with self.progress():
                answer = self.stdin.readline()
            if not answer.endswith("\n"):
                self._put("\n")
        return answer.strip().lower() in ("y", "yes")

    def secret_prompt(self) -> Callable[[str], str] | None:
        """Return the function that asks for a secret, which hides the spinner; ``None`` if there is nobody to ask."""
        prompt = super().secret_prompt()
        if prompt is None:
            return None

        def ask(question: str) -> str:
            with self._talking(), self.progress():
                return prompt(question)

        return ask

    def say(self, text: str) -> None:
        """Write a text for the user, unchanged."""
        self._line(text)

    def show(self, text: str) -> None:
        """Write a complete answer."""
        arriving = Arriving(self)
        arriving.add(text)
        arriving.end()

    def draw(self, lines: list[Line], keep: list[Line]) -> None:
        """Write ``lines`` permanently, and below them ``keep``, which can still change."""
        with self._lock:
            if lines:
                self._region.above(lines, keep)
            else:
                self._region.show(keep)

    def put(self, text: str) -> None:
        """Write ``text`` at the cursor."""
        with self._lock:
            self._put(text)

    def _draw_all(self, arriving: Arriving, done: threading.Event) -> None:
        pause, began = _TICK, time.monotonic()
        with suppress(AndoError, OSError):  # the terminal is gone; the next write reports it
            while not done.wait(pause):
                now = time.monotonic()
                with self._lock:
                    if self._paused or self.dumb:
                        continue
                    if arriving.begun:
                        arriving.draw()
                    elif now - began > _DELAY and not (self.quiet or self.verbose):
                        self._region.show([self._spinner(now - began)])
                # A long block takes long to draw, so it is drawn less often.
                pause = max(_TICK, 3 * (time.monotonic() - now))

    def _spinner(self, seconds: float) -> Line:
        look = self.look
        frames = _FRAMES if look.unicode else _PLAIN_FRAMES
        text = f"{frames[int(seconds / _TICK) % len(frames)]} {self._stage or 'working'} {seconds:.0f}s"
        text = clean(text, look.width)
        return Line(text, len(text))

    @contextmanager
    def _talking(self) -> Iterator[None]:
        """Give the block the terminal as it is outside a turn, with the region hidden."""
        with self._lock:
            self._paused = True
            self._region.show([])
        try:
            with _echo(self, True):
                yield
        finally:
            self._paused = False

    def _line(self, text: str) -> None:
        if not self.stderr_tty:
            super()._line(text)
            return
        with self._lock, suppress(AndoError, OSError):
            self._region.above([Line(line, 0) for line in self._folded(text)], self._region.shown)

    def _folded(self, text: str) -> list[str]:
        """Return the lines of ``text``, with long ones broken between words."""
        width = self.look.width
        return [part for line in text.split("\n") for part in ([line] if len(line) <= width else wrap(line, width))]

    def _put(self, text: str) -> None:
        with self._writing():
            self.stdout.write(text)
            self.stdout.flush()


class Arriving:
    """An answer that is being drawn. ``begun`` is whether any of it is visible."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._lock = threading.Lock()
        self._rest = ""
        """The text that arrived and can still change."""
        self._new = False
        self._last = ""
        """The last permanent line."""
        self.begun = False

    def add(self, text: str) -> None:
        """Add the next piece."""
        shown = printable(text)
        if self._screen.dumb:
            self._screen.put(shown)
            self._last = shown or self._last
        else:
            with self._lock:
                self._rest += shown
                self._new = True
        self.begun = self.begun or bool(shown.strip())

    def draw(self) -> None:
        """Draw what has arrived since the last time."""
        with self._lock:
            text, new = self._rest, self._new
            self._new = False
        if not new:
            return
        blocks, rest = split(text, whole=False)
        if len(rest) > LONGEST_BLOCK:
            blocks, rest = [*blocks, rest], ""
        with self._lock:
            self._rest = rest + self._rest[len(text) :]
        look = self._screen.look
        settled = self._lines(blocks, look)
        self._last = "\n" if settled else self._last
        # The rest can be several blocks, the last of which is not complete.
        self._screen.draw(settled, self._lines(split(rest, whole=True)[0], look))

    def end(self) -> None:
        """Draw all of it permanently; nothing follows."""
        screen = self._screen
        if screen.dumb:
            if not self._last.endswith("\n"):
                screen.put("\n")
            return
        blocks, _ = split(self._rest, whole=True)
        self._rest = ""
        lines = self._lines(blocks, screen.look)
        screen.draw([*lines, Line("", 0)] if self.begun else [], [])

    def _lines(self, blocks: list[str], look: Look) -> list[Line]:
        """Return the lines of blocks, with an empty line between blocks."""
        lines: list[Line] = []
        for block in blocks:
            shown = render(block, look)
            lines += [Line("", 0), *shown] if shown and (lines or self._last) else shown
        return lines


@contextmanager
def _echo(screen: Screen, wanted: bool) -> Iterator[None]:
    """Set whether the terminal echoes input in the block, if it can be set."""
    try:
        import termios

        keyboard = screen.stdin.fileno()
        before = termios.tcgetattr(keyboard)
    except (ImportError, OSError, ValueError):
        yield
        return
    changed = list(before)
    changed[3] = before[3] | termios.ECHO if wanted else before[3] & ~termios.ECHO
    termios.tcsetattr(keyboard, termios.TCSADRAIN, changed)
    try:
        yield
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


def _forget_typed(screen: Screen) -> None:
    """Discard input that was typed but not read yet."""
    with suppress(ImportError, OSError, ValueError):
        import termios

        termios.tcflush(screen.stdin.fileno(), termios.TCIFLUSH)
