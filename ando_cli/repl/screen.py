"""The terminal of a conversation: beside ``output``, the only place that writes to it.

While a turn is under way its last lines are a ``Region``: first a spinner with the stage, then the part of the answer
that can still change. Whatever else is said meanwhile goes above them.
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
    """The terminal that a person talks on.

    Args:
        terminal: whose streams these are; stdin and stdout are terminals.
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
        """How answers are drawn. The last column stays free: some terminals break a line there."""
        encoding = (getattr(self.stdout, "encoding", None) or "").lower().replace("-", "")
        return Look(max(10, self.size()[0] - 1), self.environ, unicode=encoding.startswith("utf"))

    @contextmanager
    def turn(self) -> Iterator[Arriving]:
        """Run one turn: a spinner until the answer arrives, which is drawn as it comes. Ctrl-C ends the waiting.

        Raises:
            KeyboardInterrupt: the user gave up. What had arrived stays on the screen.
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
        """Let Ctrl-C end this part of the turn, which waits for somebody."""
        if not self._waiting:
            yield
            return
        with self._interrupts.welcome():
            yield

    def ask(self, question: str) -> bool | None:
        """Ask a yes-or-no question; the default is no. What was typed before it was asked is no answer to it."""
        with self._talking():
            _forget_typed(self)
            self._put("\n".join(self._folded(f"{question} [y/N]")) + " ")
            with self.progress():
                answer = self.stdin.readline()
            if not answer.endswith("\n"):
                self._put("\n")
        return answer.strip().lower() in ("y", "yes")

    def secret_prompt(self) -> Callable[[str], str] | None:
        """Return what asks for a secret, without the spinner in between; ``None`` if there is nobody to ask."""
        prompt = super().secret_prompt()
        if prompt is None:
            return None

        def ask(question: str) -> str:
            with self._talking(), self.progress():
                return prompt(question)

        return ask

    def say(self, text: str) -> None:
        """Write a text for the user, as it is."""
        self._line(text)

    def show(self, text: str) -> None:
        """Write an answer that is complete."""
        arriving = Arriving(self)
        arriving.add(text)
        arriving.end()

    def draw(self, lines: list[Line], keep: list[Line]) -> None:
        """Write ``lines`` for good, and ``keep`` below them as what can still change."""
        with self._lock:
            if lines:
                self._region.above(lines, keep)
            else:
                self._region.show(keep)

    def put(self, text: str) -> None:
        """Write ``text`` where the cursor stands."""
        with self._lock:
            self._put(text)

    def _draw_all(self, arriving: Arriving, done: threading.Event) -> None:
        pause, began = _TICK, time.monotonic()
        with suppress(AndoError, OSError):  # the terminal is gone, which whoever writes next is told
            while not done.wait(pause):
                now = time.monotonic()
                with self._lock:
                    if self._paused or self.dumb:
                        continue
                    if arriving.begun:
                        arriving.draw()
                    elif now - began > _DELAY and not (self.quiet or self.verbose):
                        self._region.show([self._spinner(now - began)])
                # A long block takes long to draw: it is drawn less often, not all the time.
                pause = max(_TICK, 3 * (time.monotonic() - now))

    def _spinner(self, seconds: float) -> Line:
        look = self.look
        frames = _FRAMES if look.unicode else _PLAIN_FRAMES
        text = f"{frames[int(seconds / _TICK) % len(frames)]} {self._stage or 'working'} {seconds:.0f}s"
        text = clean(text, look.width)
        return Line(text, len(text))

    @contextmanager
    def _talking(self) -> Iterator[None]:
        """The terminal as it is outside of a turn, with what is under way out of sight."""
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
        """The lines of ``text``, those that are too long broken between words."""
        width = self.look.width
        return [part for line in text.split("\n") for part in ([line] if len(line) <= width else wrap(line, width))]

    def _put(self, text: str) -> None:
        with self._writing():
            self.stdout.write(text)
            self.stdout.flush()


class Arriving:
    """An answer on its way to the screen. ``begun`` is whether there is something to see of it."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._lock = threading.Lock()
        self._rest = ""
        """What arrived and can still change."""
        self._new = False
        self._last = ""
        """What was written last, of what stays."""
        self.begun = False

    def add(self, text: str) -> None:
        """Take the next piece."""
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
        """Show what has arrived since."""
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
        # The rest can be several blocks already, of which the last one is not complete.
        self._screen.draw(settled, self._lines(split(rest, whole=True)[0], look))

    def end(self) -> None:
        """Show all of it for good; nothing follows."""
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
        """The lines of blocks, with an empty one between each of them and the one before."""
        lines: list[Line] = []
        for block in blocks:
            shown = render(block, look)
            lines += [Line("", 0), *shown] if shown and (lines or self._last) else shown
        return lines


@contextmanager
def _echo(screen: Screen, wanted: bool) -> Iterator[None]:
    """Whether what is typed is shown, in the block. Where that cannot be said, as it is."""
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
    """Drop what was typed and not read yet."""
    with suppress(ImportError, OSError, ValueError):
        import termios

        termios.tcflush(screen.stdin.fileno(), termios.TCIFLUSH)
