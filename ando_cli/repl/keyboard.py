"""Reading what a person types: with prompt_toolkit, or line by line on a terminal without cursor control."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, TextIO, cast

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.completion import Completer, Completion
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import Condition, has_focus
from prompt_toolkit.history import History, InMemoryHistory
from prompt_toolkit.input import create_input
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.output import ColorDepth, create_output
from prompt_toolkit.styles import Style

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document
    from prompt_toolkit.key_binding import KeyPressEvent

    from ando_cli.repl import history
    from ando_cli.repl.screen import Screen

PROMPT = "> "
Word = tuple[str, str]
"""The words that can be typed, and their meanings."""


class Keyboard(Protocol):
    """The source of the next text."""

    def read(self) -> str:
        """Read the next text.

        Raises:
            EOFError: the input ended, or the user pressed Ctrl-D.
            KeyboardInterrupt: the user pressed Ctrl-C; the unfinished text is dropped.
        """


class LineKeyboard:
    """A terminal that can only show lines."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def read(self) -> str:
        """Read the next text."""
        self._screen.put(PROMPT)
        line = ""
        try:
            line = self._screen.stdin.readline()
        finally:
            if not line:
                self._screen.put("\n")
        if not line:
            raise EOFError
        return line


class PromptKeyboard:
    """A line editor, also for texts of several lines.

    Args:
        kept: the history across runs; ``None`` remembers this run only.
        offers: the completions of the text before the cursor, with their meanings.
        status: returns one line of at most that many columns, shown below.
    """

    def __init__(
        self,
        screen: Screen,
        kept: history.History | None,
        offers: Callable[[str], Iterable[Word]],
        status: Callable[[int], str],
    ) -> None:
        self._screen = screen
        plain = bool(screen.environ.get("NO_COLOR"))
        self._session: PromptSession[str] = PromptSession(
            input=create_input(cast("TextIO", screen.stdin)),
            output=create_output(cast("TextIO", screen.stdout)),
            color_depth=ColorDepth.DEPTH_1_BIT if plain else None,
            history=InMemoryHistory() if kept is None else _History(kept),
            completer=_Offers(offers),
            complete_while_typing=Condition(_names_command),
            multiline=True,
            prompt_continuation=" " * len(PROMPT),
            key_bindings=_bindings(),
            bottom_toolbar=lambda: status(get_app().output.get_size().columns),
            style=Style([("bottom-toolbar", "noreverse" if plain else "noreverse fg:ansibrightblack")]),
            enable_suspend=True,
        )

    def read(self) -> str:
        """Read the next text."""
        try:
            return self._session.prompt(PROMPT)
        except KeyboardInterrupt:
            if not self._session.default_buffer.text:
                self._screen.note("Ctrl-D leaves")
            raise


class _History(History):
    def __init__(self, kept: history.History) -> None:
        super().__init__()
        self._kept = kept

    def load_history_strings(self) -> Iterable[str]:
        return reversed(self._kept.load())

    def store_string(self, string: str) -> None:
        self._kept.add(string)


class _Offers(Completer):
    def __init__(self, offers: Callable[[str], Iterable[Word]]) -> None:
        self._offers = offers

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        text = document.text_before_cursor
        begun = len(text.rpartition(" ")[2])
        found: Iterable[Word] = ()
        with suppress(Exception):  # prompt_toolkit would show it in the middle of the text
            found = list(self._offers(text))
        for word, meaning in found:
            yield Completion(word, start_position=-begun, display_meta=meaning)


def _names_command() -> bool:
    text = get_app().current_buffer.text
    return text.startswith("/") and not text.startswith("//") and " " not in text and "\n" not in text


def _bindings() -> KeyBindings:
    keys = KeyBindings()
    typing = has_focus(DEFAULT_BUFFER)

    @keys.add("enter", filter=typing)
    def _send(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @keys.add("escape", "enter", filter=typing)
    def _break(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys
