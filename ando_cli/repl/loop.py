"""The loop of a conversation: it asks questions and runs commands until the input ends."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from ando_cli import __version__
from ando_cli.conversation.usage import describe_usage
from ando_cli.errors import AndoError
from ando_cli.frozen import frozen
from ando_cli.inference.usage import Usage
from ando_cli.repl import actions, slash, status

if TYPE_CHECKING:
    from ando_cli.config.settings import Settings
    from ando_cli.conversation.keeping import Keeper
    from ando_cli.conversation.model import Conversation, Message
    from ando_cli.conversation.talk import Talk
    from ando_cli.conversation.turn import Turn
    from ando_cli.repl.keyboard import Keyboard
    from ando_cli.repl.screen import Screen
    from ando_cli.session.channel import Channel


@frozen
class Unanswered:
    """A question without an answer, and the conversation before it."""

    question: str
    after: tuple[Message, ...]


class Repl:
    """A conversation on a terminal.

    Args:
        conversation: a new one, or the one to continue.
        keeper: saves the conversation; ``None`` if it is not saved.
        usage: whether to show after each answer what it used and cost.
    """

    def __init__(
        self,
        screen: Screen,
        talk: Talk,
        settings: Settings,
        conversation: Conversation,
        *,
        keeper: Keeper | None = None,
        usage: bool = False,
    ) -> None:
        self.screen = screen
        self.talk = talk
        self.settings = settings
        self.conversation = conversation
        self.unanswered: Unanswered | None = None
        """The last question, if it has no answer."""
        self._keeper = keeper
        self._usage = usage

    def run(self, keyboard: Keyboard, first: str = "") -> None:
        """Run until the input ends. Ask ``first`` at the start, unless it is empty."""
        self._greet()
        going = True
        if first.strip():
            self.ask(first)
        while going:
            try:
                going = self._carry_out(keyboard.read())
            except KeyboardInterrupt:
                continue
            except EOFError:
                going = False
        if self._keeper is not None and self._keeper.kept is not None:
            self.screen.note(f"saved as {self._keeper.kept.id}; `ando chat -c` continues it")

    def ask(self, question: str, after: tuple[Message, ...] | None = None) -> None:
        """Ask ``question`` after the whole conversation, or ``after`` a part of it; the answer then replaces the rest.

        Without an answer, the conversation does not change.
        """
        said = self.conversation.messages if after is None else after
        self.unanswered = Unanswered(question, said)
        base = replace(self.conversation, messages=said)
        try:
            turn = self.talk.turn(base, question)
        except AndoError as error:
            self._fail(error)
            return
        try:
            with self.screen.turn() as arriving:
                turn.run(arriving.add)
        except AndoError as error:
            self._count_lost(turn)
            self._fail(error)
        except KeyboardInterrupt:
            self._count_lost(turn)
            charge = (
                "the request was under way and may still be charged" if turn.may_be_charged else "nothing was charged"
            )
            self.screen.say(f"cancelled: {charge}; /retry asks again")
        else:
            self.unanswered = None
            self.change(base.answered(question, turn.text, turn.usage))
            if self._usage:
                network, rail = self.settings.network, self.conversation.rail
                self.screen.note(describe_usage(turn.usage, turn.paid, network, rail))

    def change(self, conversation: Conversation) -> None:
        """Continue with ``conversation``, and save it if conversations are saved."""
        self.conversation = conversation
        if self._keeper is not None and (conversation.messages or self._keeper.kept is not None):
            self._keeper.keep(conversation)

    def begin(self, conversation: Conversation) -> None:
        """Start a new conversation. The one before stays kept as it was."""
        if self._keeper is not None:
            self._keeper.begin()
        self.unanswered = None
        self.change(conversation)

    def channel(self) -> Channel | None:
        """Return the channel that pays, as last seen."""
        with suppress(AndoError):
            return self.talk.look_for_channel()
        return None

    def status(self, width: int) -> str:
        """Return the status line."""
        symbol = self.settings.network.token_symbol
        dot = "·" if self.screen.look.unicode else "|"
        return status.status_line(self.conversation, self.channel(), symbol, width, dot)

    def _carry_out(self, line: str) -> bool:
        """Ask the question or run the command; return False to leave."""
        try:
            typed = slash.read(line)
            if isinstance(typed, slash.Said):
                self.ask(typed.text)
            elif typed is not None and typed.name == "exit":
                return False
            elif typed is not None:
                actions.ACTIONS[typed.name](self, typed.argument)
        except AndoError as error:
            self.screen.fail(error)
        return True

    def _fail(self, error: AndoError) -> None:
        """Show why a question got no answer."""
        self.screen.fail(error)
        self.screen.note("the conversation is unchanged: /retry asks again, /edit changes the question")

    def _count_lost(self, turn: Turn) -> None:
        """Count what a turn without an answer may have cost."""
        totals = self.conversation.totals
        if turn.usage != Usage():  # the answer holds no text
            totals = totals.after(turn.usage)
        elif turn.may_be_charged:
            totals = totals.after_loss()
        if totals != self.conversation.totals:
            self.change(replace(self.conversation, totals=totals))

    def _greet(self) -> None:
        screen, said = self.screen, self.conversation.messages
        kept = "" if self._keeper is None else "; this conversation is saved"
        screen.note(f"ando {__version__}: /help lists the commands, Ctrl-D leaves{kept}")
        if said:
            turns = self.conversation.turns
            screen.note(f"continuing after {turns} turn{'' if turns == 1 else 's'}; the last one was:\n")
            screen.show("\n".join(f"> {line}" for line in (self.conversation.last_question or "").splitlines()))
            screen.show(said[-1].content)
