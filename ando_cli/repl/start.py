"""Starting ``ando chat`` as a conversation."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ando_cli.config.settings import KEY_RAIL
from ando_cli.conversation.keeping import Keeper, kept_conversations
from ando_cli.conversation.talk import Talk
from ando_cli.errors import UsageError
from ando_cli.frozen import frozen
from ando_cli.repl.actions import offers
from ando_cli.repl.history import FILE, History
from ando_cli.repl.keyboard import LineKeyboard, PromptKeyboard
from ando_cli.repl.loop import Repl
from ando_cli.repl.screen import Screen
from ando_cli.runtime.wiring import assemble

if TYPE_CHECKING:
    from ando_cli.conversation.archive import Kept
    from ando_cli.conversation.model import Conversation
    from ando_cli.runtime.context import Invocation
    from ando_cli.runtime.wiring import PayOptions


@frozen
class Manner:
    """The options of a conversation.

    Attributes:
        keeps: whether to save it.
        history: whether to remember what the user types for the next run.
        usage: whether to show after each answer what it used and cost.
        streams: whether to show answers as they arrive.
    """

    keeps: bool
    history: bool
    usage: bool
    streams: bool


def start(
    state: Invocation, options: PayOptions, conversation: Conversation, found: Kept | None, manner: Manner, first: str
) -> None:
    """Hold a conversation on the terminal until the user leaves.

    Args:
        found: the saved conversation to continue.
        first: the first question; if empty, the user types it.

    Raises:
        AndoError: the conversation cannot start.
    """
    terminal = state.terminal
    if not (terminal.stdin_tty and terminal.stdout_tty):
        raise UsageError("a conversation needs a terminal", hint='ask one question: ando chat "hello"')
    state.terminal = screen = Screen(terminal)
    with assemble(state, options) as parts:
        settings = parts.settings
        talk = Talk(state, parts, options, streams=manner.streams)
        if conversation.rail == KEY_RAIL:
            talk.client(KEY_RAIL)  # without a key, fail now
        keeper = Keeper(kept_conversations(settings), found, screen.warn) if manner.keeps else None
        repl = Repl(screen, talk, settings, conversation, keeper=keeper, usage=manner.usage)
        if screen.dumb:
            repl.run(LineKeyboard(screen), first)
            return
        typed = History(settings.folders.state / FILE) if manner.history else None
        repl.run(PromptKeyboard(screen, typed, partial(offers, settings=settings), repl.status), first)
