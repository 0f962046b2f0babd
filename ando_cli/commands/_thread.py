"""The conversation that a question is part of, if only as the first and last one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ando_cli.config.settings import KEY_RAIL
from ando_cli.conversation.model import Conversation
from ando_cli.errors import StoreError, UsageError
from ando_cli.frozen import frozen
from ando_cli.inference.chat import join_words

if TYPE_CHECKING:
    from ando_cli.config.settings import Settings
    from ando_cli.conversation.archive import Conversations, Kept
    from ando_cli.inference.chat import Prompt
    from ando_cli.inference.usage import Usage
    from ando_cli.runtime.context import Invocation


@frozen
class Wanted:
    """What the flags say of keeping: go on with the last conversation, or with a named one; keep this one, or not."""

    last: bool = False
    named: str | None = None
    keep: bool | None = None

    def __post_init__(self) -> None:
        """Check that they go together.

        Raises:
            UsageError: they do not.
        """
        if self.last and self.named is not None:
            raise UsageError("--continue and --conversation exclude each other", hint="leave one of them out")
        if self.keep is False and self.goes_on:
            raise UsageError("a conversation that was kept goes on being kept", hint="leave out --no-keep, or -c")

    @property
    def goes_on(self) -> bool:
        """Whether there is to be a conversation already."""
        return self.last or self.named is not None

    @property
    def asked_for(self) -> bool:
        """Whether it is the flags that have this conversation kept, and not the configuration."""
        return self.goes_on or self.keep is True

    def keeps(self, settings: Settings) -> bool:
        """Whether the conversation is kept."""
        return self.asked_for or (self.keep is None and settings.keep)

    def find(self, settings: Settings) -> Kept | None:
        """The conversation that goes on; ``None`` where a new one begins.

        Raises:
            UsageError: there is none.
            StoreError: it cannot be read.
        """
        if not self.goes_on:
            return None
        kept = kept_conversations(settings)
        return kept.latest() if self.named is None else kept.find(self.named)


def kept_conversations(settings: Settings) -> Conversations:
    """The conversations of these settings; those with the sandbox are apart."""
    from ando_cli.conversation.archive import FOLDER, Conversations  # not on the paid path

    return Conversations(settings.folders.state / FOLDER)


def begin(found: Kept | None, words: Prompt, rail: str, settings: Settings) -> Conversation:
    """The conversation as the next question is asked: with the options that were typed, on ``rail``."""
    before = found.conversation if found is not None else Conversation()
    conversation = replace(before.with_options(words), rail=rail)
    options = conversation.options
    if options.model is None and (found is None or rail == KEY_RAIL):
        conversation = replace(conversation, options=replace(options, model=settings.model))
    return conversation


class Thread:
    """One question of a conversation.

    Args:
        conversation: as the question is asked.
        found: the kept conversation that it was before.
        keeps: whether it is kept.
    """

    def __init__(self, state: Invocation, conversation: Conversation, found: Kept | None, *, keeps: bool) -> None:
        self.conversation = conversation
        self._state = state
        self._found = found
        self._keeps = keeps
        self._question: str | None = None

    @property
    def asked(self) -> bool:
        """Whether the question was made of words, and so can be part of a conversation."""
        return self._question is not None

    def messages(self, typed: Prompt, piped: str) -> list[dict[str, Any]]:
        """The messages of the request.

        Raises:
            UsageError: the prompt is empty.
        """
        self._question = join_words(typed, piped)
        return self.conversation.asking(self._question)

    @property
    def is_kept(self) -> bool:
        """Whether the question is to be kept with its answer."""
        return self._keeps and self.asked

    def keep(self, answer: str, usage: Usage) -> None:
        """Keep the question with its answer. That it cannot be written must not hide the answer."""
        assert self._question is not None
        conversation = self.conversation.answered(self._question, answer, usage)
        terminal, found = self._state.terminal, self._found
        kept = kept_conversations(self._state.settings)
        before = replace(found, conversation=conversation) if found else kept.begin(conversation)
        try:
            after = kept.save(before)
        except StoreError as error:
            terminal.warn(f"this is not kept: {error.message}")
            return
        if found is None:
            terminal.note(f"kept as {after.id}; `ando chat -c` goes on with it")
        elif found.id != after.id:
            terminal.warn(f"another ando went on with {found.id} meanwhile: this is kept as {after.id}")
