"""What moves on stderr while a command waits: a spinner, and a countdown bar."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ando_cli.terminal.console import open_console

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import IO

DELAY = 0.4
"""Seconds before the spinner appears; quick answers never load ``rich``."""

_TICK = 0.1


@contextmanager
def spinning(stderr: IO[str], environ: Mapping[str, str], stage: Callable[[], str]) -> Iterator[None]:
    """Show a spinner while the body runs.

    Args:
        stderr: a terminal.
        environ: decides whether colours are used.
        stage: returns what the command is doing; empty for no name.
    """
    done = threading.Event()
    thread = threading.Thread(target=_spin, args=(stderr, environ, stage, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _spin(stderr: IO[str], environ: Mapping[str, str], stage: Callable[[], str], done: threading.Event) -> None:
    if done.wait(DELAY):
        return
    from rich.status import Status

    console = open_console(stderr, environ)
    spinner = "dots" if (getattr(stderr, "encoding", None) or "").lower().startswith("utf") else "line"
    with Status(stage() or "working", console=console, spinner=spinner) as status:
        while not done.wait(_TICK):
            status.update(stage() or "working")


@contextmanager
def counting_down(
    stderr: IO[str], environ: Mapping[str, str], text: str, seconds: int
) -> Iterator[Callable[[int], None]]:
    """Show a bar while the body runs. Yield a function that takes the seconds that are left."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = open_console(stderr, environ)
    with Progress(TextColumn(text), BarColumn(), TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task(text, total=seconds)
        yield lambda left: bar.update(task, completed=seconds - left)
