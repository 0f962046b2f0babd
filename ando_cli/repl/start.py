"""``ando chat`` as a conversation: its parts put together."""

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
    """How a conversation is held.

    Attributes:
        keeps: whether it is kept.
        history: whether what is typed is remembered in the next run.
        usage: whether each answer is followed by what it took.
        streams: whether answers are shown as they arrive.
    """

    keeps: bool
    history: bool
    usage: bool
    streams: bool


def start(
    state: Invocation, options: PayOptions, conversation: Conversation, found: Kept | None, manner: Manner, first: str
) -> None:
    """Talk on the terminal until the user leaves.

    Args:
        found: the kept conversation that goes on.
        first: what is asked first; empty to begin with reading.

    Raises:
        AndoError: it cannot even begin.
    """
    terminal = state.terminal
    if not (terminal.stdin_tty and terminal.stdout_tty):
        raise UsageError("a conversation needs a terminal", hint='ask one question: ando chat "hello"')
    state.terminal = screen = Screen(terminal)
    with assemble(state, options) as parts:
        settings = parts.settings
        talk = Talk(state, parts, options, streams=manner.streams)
        if conversation.rail == KEY_RAIL:
            talk.client(KEY_RAIL)  # without a key it is refused now
        keeper = Keeper(kept_conversations(settings), found, screen.warn) if manner.keeps else None
        repl = Repl(screen, talk, settings, conversation, keeper=keeper, usage=manner.usage)
        if screen.dumb:
            repl.run(LineKeyboard(screen), first)
            return
        typed = History(settings.folders.state / FILE) if manner.history else None
        repl.run(PromptKeyboard(screen, typed, partial(offers, settings=settings), repl.status), first)
