"""Keeping a conversation: which one goes on, whether it is kept, and writing it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ando_cli.config.settings import KEY_RAIL
from ando_cli.conversation.model import Conversation
from ando_cli.errors import StoreError, UsageError
from ando_cli.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from ando_cli.config.settings import Settings
    from ando_cli.conversation.archive import Conversations, Kept
    from ando_cli.inference.prompt import Prompt


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
            raise UsageError("--continue and --conversation cannot be used together", hint="leave one of them out")
        if self.keep is False and self.goes_on:
            raise UsageError("a saved conversation stays saved", hint="leave out --no-keep, or -c")

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


class Keeper:
    """Keeps one conversation in a file while it goes on. That it cannot be written must not hide an answer.

    Args:
        conversations: where it is kept.
        found: the kept conversation that goes on; ``None`` where a new one begins.
        warn: told what the user must know.

    ``kept`` is the conversation as it was written last.
    """

    def __init__(self, conversations: Conversations, found: Kept | None, warn: Callable[[str], None]) -> None:
        self.kept = found
        self._conversations = conversations
        self._warn = warn

    def begin(self) -> None:
        """Keep what comes as another conversation. The one before stays as it is."""
        self.kept = None

    def keep(self, conversation: Conversation) -> bool:
        """Write ``conversation`` in the place of what was kept of it; False where that cannot be done."""
        before = self.kept or self._conversations.begin(conversation)
        try:
            after = self._conversations.save(replace(before, conversation=conversation))
        except StoreError as error:
            self._warn(f"this turn was not saved: {error.message}")
            return False
        if before.digest is not None and before.id != after.id:
            self._warn(f"another ando continued {before.id} meanwhile: this conversation is saved as {after.id}")
        self.kept = after
        return True
