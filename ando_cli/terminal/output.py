"""The terminal: one object, passed in, that writes all answers, notes, tables and errors.

stdout is for the answer only, stderr for everything else. Tests pass other streams.
"""

from __future__ import annotations

import json
import os
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import chain
from typing import IO, TYPE_CHECKING

from ando_cli import redact
from ando_cli.config.settings import SWITCH
from ando_cli.errors import AndoError, Code, ExitCode, LostAnswerError, UsageError
from ando_cli.terminal import bars as chart
from ando_cli.terminal.console import open_console, takes_colour
from ando_cli.terminal.streams import Streams, can_show, discard, is_terminal, standard_streams

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path


@dataclass(slots=True)
class Terminal:
    """Where a command reads and writes.

    ``quiet`` silences notes (not warnings or errors), and ``verbose`` counts the ``-v``. ``json_output`` makes answers
    and errors one document on stdout: JSON, or TOON with ``toon_output``, which is never set alone.
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
    def standard(cls, environ: Mapping[str, str] | None = None, streams: Streams | None = None) -> Terminal:
        """Return a terminal on ``streams``; without them, on the process's own streams and environment."""
        on = standard_streams() if streams is None else streams
        return cls(on.stdin, on.stdout, on.stderr, os.environ if environ is None else environ)

    @property
    def stdin_tty(self) -> bool:
        """Whether a person types into stdin."""
        return is_terminal(self.stdin)

    @property
    def stdout_tty(self) -> bool:
        """Whether a person reads stdout."""
        return is_terminal(self.stdout)

    @property
    def stderr_tty(self) -> bool:
        """Whether a person reads stderr."""
        return is_terminal(self.stderr)

    @property
    def structured(self) -> bool:
        """Whether a command that draws a table prints its data instead.

        True with ``-j`` or ``-t``, and where a program reads stdout (unless ``ANDO_NO_AUTO_JSON=1``). A command whose
        answer is a single text asks ``json_output`` instead, which a pipe does not set::

            if terminal.structured:
                terminal.json(rows)
            else:
                terminal.table(...)
        """
        tables = SWITCH.get(self.environ.get("ANDO_NO_AUTO_JSON", "0").strip().lower() or "0", True)
        return self.json_output or not (self.stdout_tty or tables)

    @property
    def attended(self) -> bool:
        """Whether there is a person to ask."""
        from ando_cli.terminal.prompts import has_controlling_terminal

        return self.stderr_tty and (self.stdin_tty or has_controlling_terminal())

    @property
    def colour(self) -> bool:
        """Whether stderr may be coloured."""
        return takes_colour(self.stderr, self.environ)

    def read_bytes(self, limit: int) -> bytes:
        """Read stdin, at most ``limit`` bytes."""
        return bytes(self.stdin.buffer.read(limit))  # type: ignore[attr-defined]

    def answer(self, text: str) -> None:
        """Write the answer and a line break to stdout; control characters are removed if a person reads it."""
        self._write(text if text.endswith("\n") else text + "\n")

    def answer_bytes(self, data: bytes) -> None:
        """Write ``data`` to stdout: unchanged into a pipe or a file, as printable text on a terminal."""
        if self.stdout_tty:
            self.answer(data.decode("utf-8", errors="replace"))
            return
        with self._writing():
            self.stdout.flush()
            self.stdout.buffer.write(data)  # type: ignore[attr-defined]
            self.stdout.flush()

    def answer_pieces(self, pieces: Iterable[str]) -> None:
        """Write an answer to stdout as it arrives, then a line break; show a spinner until it begins."""
        arriving = iter(pieces)
        with self.progress():
            first = next(arriving, "")
        last = ""
        try:
            for piece in chain((first,), arriving):
                last = self._write(piece) or last
        finally:
            if last and not last.endswith("\n"):
                self._write("\n")  # also after an incomplete answer, so that what follows starts on a new line

    def _write(self, text: str) -> str:
        shown = redact.printable(text) if self.stdout_tty else text
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
                hint="free some space, or choose another file with -o",
                code=Code.UNWRITABLE,
            ) from None

    def give_up_stdout(self) -> None:
        """Stop writing to a stdout that fails, including what is still buffered when the process ends."""
        discard(self.stdout)

    def save(self, path: Path, data: bytes) -> None:
        """Write an answer to ``path``, or to stdout if that fails: it was paid for.

        Raises:
            AndoError: the file could not be written, although ``check_writable`` passed.
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
        """Write ``value`` to stdout as one document: TOON if that was chosen, else JSON.

        JSON is indented for a person and on one line for a program.
        """
        from ando_cli.terminal.documents import to_json, to_toon

        if self.toon_output:
            self.answer(to_toon(value))
        else:
            indent = 2 if self.stdout_tty else None
            self.answer(to_json(value, indent=indent, can_show=lambda text: can_show(self.stdout, text, "utf-8")))

    def document(self, body: bytes) -> bytes:
        """Return a server's JSON answer unchanged, or as TOON with ``-t``."""
        from ando_cli.terminal.documents import to_toon

        if not self.toon_output:
            return body
        try:
            return to_toon(json.loads(body)).encode()
        except (ValueError, RecursionError):
            self.warn("the answer is not JSON, so it is printed unchanged")
            return body

    def note(self, text: str) -> None:
        """Write a note to stderr, unless ``--quiet``."""
        if not self.quiet:
            self._line(text)

    def warn(self, text: str) -> None:
        """Write to stderr what a user must know while the command continues."""
        self._line(f"{self._paint('33', 'warning:')} {text}")

    def detail(self, level: int, text: str) -> None:
        """Write a detail to stderr, if ``-v`` (``level`` 1) or ``-vv`` (``level`` 2) was given."""
        if self.verbose >= level:
            self._line(self._paint("2", text))

    def fail(self, error: AndoError) -> ExitCode:
        """Show ``error`` and return its exit code: two lines on stderr, or one object on stdout."""
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
            if isinstance(error, LostAnswerError) and error.body:
                shown["body"] = error.body.decode(errors="replace")  # what came of an answer that may have been charged
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
        """Draw a table on stdout, with columns in ``right`` right-aligned and those in ``fold`` folded if need be.

        If there is still too little room, the columns in ``spare`` are left out, the last ones first. If that is not
        enough, each row is drawn as a list. ``bars`` has a value for each row, drawn at its end if there is room.
        """
        from ando_cli.terminal.tables import Sheet, draw

        console = open_console(self.stdout, self.environ)
        sheet = Sheet(columns, rows, right=right, fold=fold, spare=spare, bars=bars)
        for table in draw(sheet, console.width, plain_bars=not can_show(self.stdout, chart.FULL)):
            console.print(table)

    def csv(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Write rows with a heading to stdout as CSV; ``None`` is an empty field, and no text is a formula."""
        from ando_cli.terminal.documents import to_csv

        self.answer(to_csv(columns, rows))

    def ask(self, question: str) -> bool | None:
        """Ask the person at the terminal a yes-or-no question; ``None`` if there is nobody to ask.

        The answer is read from the controlling terminal, so a prompt works even if stdin is a pipe. The default is no.
        """
        from ando_cli.terminal.prompts import confirm

        return confirm(question, self.stdin, self.stderr) if self.stderr_tty else None

    def secret_prompt(self) -> Callable[[str], str] | None:
        """Return the function that asks for a secret without echo; ``None`` if there is nobody to ask.

        The function asks on the controlling terminal, so it works even if stdin is a pipe.
        """
        from ando_cli.terminal.prompts import ask_secret

        return ask_secret if self.attended else None

    def stage(self, text: str) -> None:
        """Set the name of what the command is doing, for the spinner and for ``-v``."""
        self._stage = text
        self.detail(1, text)

    def progress(self) -> AbstractContextManager[None]:
        """Show a spinner with the current stage on stderr while the body runs; on a terminal only."""
        if not self.stderr_tty or self.quiet or self.verbose or self.environ.get("TERM") == "dumb":
            return nullcontext()
        from ando_cli.terminal.spinner import spinning

        return spinning(self.stderr, self.environ, lambda: self._stage)

    def countdown(self, text: str, seconds: int) -> AbstractContextManager[Callable[[int], None]]:
        """Show a bar on stderr, on a terminal only. Yield a function that takes the seconds that are left."""
        if not self.stderr_tty or self.quiet or self.environ.get("TERM") == "dumb":
            return nullcontext(lambda _: None)
        from ando_cli.terminal.spinner import counting_down

        return counting_down(self.stderr, self.environ, text, seconds)

    def _line(self, text: str) -> None:
        try:
            self.stderr.write(text + "\n")
            self.stderr.flush()
        except OSError:  # nobody reads stderr, so there is nowhere to report it
            return

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text


def check_writable(path: Path) -> None:
    """Check that an answer can be written to ``path``, before it is paid for.

    Raises:
        UsageError: ``path`` is a folder, or cannot be written.
    """
    target = path if path.exists() else path.parent
    if path.is_dir() or not os.access(target, os.W_OK):
        raise UsageError(f"cannot write {path}", hint="give another file")
