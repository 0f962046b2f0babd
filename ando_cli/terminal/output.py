"""The only place that writes to the terminal: answers, notes, tables, errors and exit codes.

stdout is for the answer alone, stderr for everything else. The three streams are one object handed in, so that tests
hand in others; whether they are terminals is asked once.
"""

from __future__ import annotations

import codecs
import io
import json
import os
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ando_cli import redact
from ando_cli.config.settings import SWITCH
from ando_cli.errors import AndoError, Code, ExitCode, UsageError
from ando_cli.terminal import bars as chart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from rich.console import Console

_UNBOUNDED = 10_000
"""Characters that a line is long at most where nobody folds it."""

_PLAIN = {"…": "...", "·": "-", "→": "->", "—": "-", "•": "*", "━": "-"}
_COLOURFUL_WINDOWS = ("WT_SESSION", "ANSICON", "ConEmuANSI", "TERM")
"""Variables of the Windows consoles that understand colours."""

SPINNER_DELAY = 0.4
"""Seconds to wait before a spinner appears; quick answers never load ``rich``."""


def _is_terminal(stream: IO[Any]) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # a closed stream
        return False


@dataclass(slots=True)
class Terminal:
    """Where a command reads and writes.

    ``quiet`` silences notes (not warnings or errors), ``verbose`` counts the ``-v``. ``json_output`` makes answers and
    errors one document on stdout, which is JSON, or TOON with ``toon_output``: that one is never set alone.
    """

    stdin: IO[str]
    stdout: IO[str]
    stderr: IO[str]
    environ: Mapping[str, str]
    json_output: bool = False
    toon_output: bool = False
    quiet: bool = False
    verbose: int = 0
    _stage: str = field(default="", init=False)

    @classmethod
    def standard(cls) -> Terminal:
        """The process's own streams. An answer in any language must not fail on a narrow locale's encoding."""
        codecs.register_error("ando", _plainer)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="ando")
        # A process can be started with any of the three closed; there is then nothing to read, and nobody to tell.
        nothing = Path(os.devnull)
        stdin = sys.stdin or nothing.open(encoding="utf-8")
        stdout = sys.stdout or nothing.open("w", encoding="utf-8")
        stderr = sys.stderr or nothing.open("w", encoding="utf-8")
        return cls(stdin, stdout, stderr, os.environ)

    @property
    def stdin_tty(self) -> bool:
        """Whether a person types into stdin."""
        return _is_terminal(self.stdin)

    @property
    def stdout_tty(self) -> bool:
        """Whether a person reads stdout."""
        return _is_terminal(self.stdout)

    @property
    def stderr_tty(self) -> bool:
        """Whether a person reads stderr."""
        return _is_terminal(self.stderr)

    @property
    def structured(self) -> bool:
        """Whether a command that draws a table is to hand over its data instead.

        It is with ``-j`` or ``-t``, and where a program reads stdout (unless ``ANDO_NO_AUTO_JSON=1``). A command uses
        it so; one whose answer is a single text asks ``json_output`` instead, which a pipe does not set::

            if terminal.structured:
                terminal.json(rows)
                return
            terminal.table(...)
        """
        tables = SWITCH.get(self.environ.get("ANDO_NO_AUTO_JSON", "0").strip().lower() or "0", True)
        return self.json_output or not (self.stdout_tty or tables)

    @property
    def attended(self) -> bool:
        """Whether there is somebody to ask."""
        return self.stderr_tty and (self.stdin_tty or _has_controlling_terminal())

    @property
    def colour(self) -> bool:
        """Whether stderr may be coloured: a terminal that is not dumb, and ``NO_COLOR`` not set."""
        if os.name == "nt" and not any(self.environ.get(name) for name in _COLOURFUL_WINDOWS):
            return False
        return self.stderr_tty and not self.environ.get("NO_COLOR") and self.environ.get("TERM") != "dumb"

    def read_bytes(self, limit: int) -> bytes:
        """Read what is piped in, at most ``limit`` bytes."""
        return bytes(self.stdin.buffer.read(limit))  # type: ignore[attr-defined]

    def answer(self, text: str) -> None:
        """Write the answer to stdout, with a line break at its end; control characters go where a person reads it."""
        shown = redact.printable(text) if self.stdout_tty else text
        with self._writing():
            self.stdout.write(shown if shown.endswith("\n") else shown + "\n")
            self.stdout.flush()

    def answer_bytes(self, data: bytes) -> None:
        """Write ``data`` to stdout: the very bytes into a pipe or a file, printable text on a terminal."""
        if self.stdout_tty:
            self.answer(data.decode("utf-8", errors="replace"))
            return
        with self._writing():
            self.stdout.flush()
            self.stdout.buffer.write(data)  # type: ignore[attr-defined]
            self.stdout.flush()

    def answer_pieces(self, pieces: Iterable[str]) -> None:
        """Write an answer to stdout as it arrives, with a line break at its end; a spinner until it begins."""
        arriving = iter(pieces)
        with self.progress():
            first = next(arriving, "")
        last = ""
        try:
            for piece in chain((first,), arriving):
                last = self._write_piece(piece) or last
        finally:
            if last and not last.endswith("\n"):
                self._write_piece("\n")  # also of an answer that broke off: what follows is on a line of its own

    def _write_piece(self, piece: str) -> str:
        shown = redact.printable(piece) if self.stdout_tty else piece
        with self._writing():
            self.stdout.write(shown)
            self.stdout.flush()
        return shown

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            self.give_up_stdout()
            self.json_output = self.toon_output = False
            raise AndoError(
                f"cannot write the answer: {error.strerror}",
                hint="make room, or name a file with -o",
                code=Code.UNWRITABLE,
            ) from None

    def give_up_stdout(self) -> None:
        """Write nothing more to a stdout that fails, not even what is still buffered when the process ends."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.stdout.fileno())

    def save(self, path: Path, data: bytes) -> None:
        """Write an answer to ``path``; it was paid for, so where that fails it goes to stdout instead.

        Raises:
            AndoError: the file could not be written, although ``check_writable`` thought so.
        """
        try:
            path.write_bytes(data)
        except OSError as error:
            self.answer_bytes(data)
            raise AndoError(
                f"cannot write {path}: {error.strerror}", hint="the answer went to stdout instead", code=Code.UNWRITABLE
            ) from None
        self.note(f"written to {path}")

    def json(self, value: object) -> None:
        """Write ``value`` to stdout as one document.

        That is JSON, indented for a person and on one line for a program; or TOON where that was asked for.
        """
        if self.toon_output:
            self.answer(_toon(value))
        else:
            indent = 2 if self.stdout_tty else None
            text = json.dumps(value, ensure_ascii=False, indent=indent)
            # Data must not lose what an encoding has not.
            self.answer(text if self._draws(text, unknown="utf-8") else json.dumps(value, indent=indent))

    def document(self, body: bytes) -> bytes:
        """A JSON answer of a server in the form that was asked for: the very bytes, or with ``-t`` the same as TOON."""
        if not self.toon_output:
            return body
        try:
            return _toon(json.loads(body)).encode()
        except (ValueError, RecursionError):
            self.warn("the answer is not JSON, and is given as it came")
            return body

    def note(self, text: str) -> None:
        """Say something on stderr, unless ``--quiet``."""
        if not self.quiet:
            self._line(text)

    def warn(self, text: str) -> None:
        """Say on stderr what a user must know although the command goes on."""
        self._line(f"{self._paint('33', 'warning:')} {text}")

    def detail(self, level: int, text: str) -> None:
        """Say on stderr what was asked for with ``-v`` (``level`` 1) or ``-vv`` (``level`` 2)."""
        if self.verbose >= level:
            self._line(self._paint("2", text))

    def fail(self, error: AndoError) -> ExitCode:
        """Show ``error`` and return the exit code: two lines on stderr, or one object on stdout."""
        if self.json_output:
            shown = {
                "code": error.code,
                "message": error.message,
                "hint": error.hint,
                "exit_code": int(error.exit_code),
                "retryable": error.retryable,
                "retry_after": error.retry_after,
                "request_id": error.request_id,
            }
            self.json({"error": shown})
        else:
            self._line(f"{self._paint('31', 'error:')} {error.message}")
            if error.hint:
                self._line(f"{self._paint('36', 'try:')} {error.hint}")
        return error.exit_code

    def table(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        right: Sequence[str],
        fold: Sequence[str],
        bars: Sequence[int] = (),
        spare: Sequence[str] = (),
    ) -> None:
        """Draw a table on stdout; columns in ``right`` are aligned there, those in ``fold`` give way on a narrow one.

        Where there is too little room even so, the columns in ``spare`` are left out, the last ones first, and then the
        rows are drawn below each other. ``bars`` has a value for each row, which is drawn at its end as far as there is
        room.
        """
        from ando_cli.terminal.tables import Sheet, draw

        console = self._console(self.stdout)
        sheet = Sheet(columns, rows, right=right, fold=fold, spare=spare, bars=bars)
        for table in draw(sheet, console.width, plain_bars=not self._draws(chart.FULL)):
            console.print(table)

    def _console(self, stream: IO[str]) -> Console:
        """``rich`` on ``stream``: without any escape sequence where no colour is wanted; a pipe has no width."""
        from rich.console import Console

        plain = bool(self.environ.get("NO_COLOR")) or self.environ.get("TERM") == "dumb"
        width = None if _is_terminal(stream) or os.environ.get("COLUMNS") else _UNBOUNDED
        return Console(file=stream, color_system=None if plain else "auto", highlight=False, width=width)

    def _draws(self, text: str, unknown: str = "ascii") -> bool:
        """Whether stdout's encoding, which is ``unknown`` where nobody says, has every character of ``text``."""
        try:
            text.encode(getattr(self.stdout, "encoding", None) or unknown)
        except (LookupError, UnicodeEncodeError):
            return False
        return True

    def csv(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Write rows with a heading to stdout as CSV; ``None`` is an empty field.

        A text that a spreadsheet would take for a formula gets a quote before it; amounts stay as they are.
        """
        import csv

        written = io.StringIO()
        writer = csv.writer(written, lineterminator="\n")
        writer.writerows((columns, *([_no_formula(cell) for cell in row] for row in rows)))
        self.answer(written.getvalue())

    def ask(self, question: str) -> bool | None:
        """Ask a yes-or-no question of the person at the terminal; ``None`` where there is nobody to ask.

        The answer is read from the controlling terminal, so a prompt works although stdin is a pipe. The default is no.
        """
        if not self.stderr_tty:
            return None
        line = f"{question} [y/N] "
        if self.stdin_tty:
            self.stderr.write(line)
            self.stderr.flush()
            return _is_yes(self.stdin.readline())
        try:
            # Two of them: one for both ways would have to be seekable.
            tty = Path("/dev/tty")
            with tty.open("w", encoding="utf-8") as screen, tty.open(encoding="utf-8", errors="replace") as keyboard:
                screen.write(line)
                screen.flush()
                return _is_yes(keyboard.readline())
        except OSError:
            return None

    def secret_prompt(self) -> Callable[[str], str] | None:
        """What asks for a secret without echo, or ``None`` where there is nobody to ask.

        It asks on the controlling terminal, so that it works although stdin is a pipe.
        """
        if not self.attended:
            return None

        def ask(question: str) -> str:
            from getpass import getpass

            try:
                return getpass(question)
            except EOFError:
                raise UsageError("nothing was typed", hint="try again, and end the line with Enter") from None

        return ask

    def stage(self, text: str) -> None:
        """Name what the command is doing now, for the spinner and for ``-v``."""
        self._stage = text
        self.detail(1, text)

    @contextmanager
    def progress(self) -> Iterator[None]:
        """Show a spinner with the current stage on stderr while the body runs; on a terminal only."""
        if not self.stderr_tty or self.quiet or self.verbose or self.environ.get("TERM") == "dumb":
            yield
            return
        done = threading.Event()
        thread = threading.Thread(target=self._spin, args=(done,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    @contextmanager
    def countdown(self, text: str, seconds: int) -> Iterator[Callable[[int], None]]:
        """Show a bar on stderr, on a terminal only; what it yields is told how many seconds are left."""
        if not self.stderr_tty or self.quiet or self.environ.get("TERM") == "dumb":
            yield lambda _: None
            return
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        console = self._console(self.stderr)
        with Progress(TextColumn(text), BarColumn(), TimeRemainingColumn(), console=console) as bar:
            task = bar.add_task(text, total=seconds)
            yield lambda left: bar.update(task, completed=seconds - left)

    def _spin(self, done: threading.Event) -> None:
        if done.wait(SPINNER_DELAY):
            return
        from rich.status import Status

        console = self._console(self.stderr)
        spinner = "dots" if (getattr(self.stderr, "encoding", None) or "").lower().startswith("utf") else "line"
        with Status(self._stage or "working", console=console, spinner=spinner) as status:
            while not done.wait(0.1):
                status.update(self._stage or "working")

    def _line(self, text: str) -> None:
        try:
            self.stderr.write(text + "\n")
            self.stderr.flush()
        except OSError:  # nobody listens: there is nowhere left to complain
            return

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text


def _plainer(error: UnicodeError) -> tuple[str, int]:
    """What stands for characters that a stream's encoding has not: the same in ASCII where there is such a thing."""
    assert isinstance(error, UnicodeEncodeError)  # of a stream that is written to
    return "".join(_PLAIN.get(c, "?") for c in error.object[error.start : error.end]), error.end


def _toon(value: object) -> str:
    from toon_format import encode  # it takes as long to load as typer does

    # JSON can hold half a surrogate pair, TOON cannot.
    sound = json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
    return str(encode(sound))


def _no_formula(cell: object) -> object:
    formula = isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@") and not cell[1:].replace(".", "").isdecimal()
    return f"'{cell}" if formula else cell


def _has_controlling_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
    except OSError:
        return False
    return True


def check_writable(path: Path) -> None:
    """Check that an answer can be written to ``path``, before it is paid for.

    Raises:
        UsageError: it is a folder, or cannot be written.
    """
    target = path if path.exists() else path.parent
    if path.is_dir() or not os.access(target, os.W_OK):
        raise UsageError(f"cannot write {path}", hint="give another file")


def _is_yes(line: str) -> bool:
    return line.strip().lower() in ("y", "yes")
