"""Saving a conversation: which one to continue, whether to save it, and writing the file."""

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
    """The flags: whether to continue the last conversation or a named one, and whether to save this one."""

    last: bool = False
    named: str | None = None
    keep: bool | None = None

    def __post_init__(self) -> None:
        """Check that the flags can be used together.

        Raises:
            UsageError: they cannot.
        """
        if self.last and self.named is not None:
            raise UsageError("--continue and --conversation cannot be used together", hint="leave one of them out")
        if self.keep is False and self.goes_on:
            raise UsageError("a saved conversation stays saved", hint="leave out --no-keep, or -c")

    @property
    def goes_on(self) -> bool:
        """Whether the flags continue an existing conversation."""
        return self.last or self.named is not None

    @property
    def asked_for(self) -> bool:
        """Whether the flags, rather than the configuration, save this conversation."""
        return self.goes_on or self.keep is True

    def keeps(self, settings: Settings) -> bool:
        """Return whether to save the conversation."""
        return self.asked_for or (self.keep is None and settings.keep)

    def find(self, settings: Settings) -> Kept | None:
        """Return the conversation to continue; ``None`` for a new one.

        Raises:
            UsageError: there is none.
            StoreError: it cannot be read.
        """
        if not self.goes_on:
            return None
        kept = kept_conversations(settings)
        return kept.latest() if self.named is None else kept.find(self.named)


def kept_conversations(settings: Settings) -> Conversations:
    """Return the saved conversations of these settings; the sandbox has its own."""
    from ando_cli.conversation.archive import FOLDER, Conversations  # not on the paid path

    return Conversations(settings.folders.state / FOLDER)


def begin(found: Kept | None, words: Prompt, rail: str, settings: Settings) -> Conversation:
    """Return the conversation with the given options, on ``rail``."""
    before = found.conversation if found is not None else Conversation()
    conversation = replace(before.with_options(words), rail=rail)
    options = conversation.options
    if options.model is None and (found is None or rail == KEY_RAIL):
        conversation = replace(conversation, options=replace(options, model=settings.model))
    return conversation


class Keeper:
    """Saves one conversation to a file after each turn. A failure to write must not hide an answer.

    Args:
        conversations: where to save it.
        found: the saved conversation to continue; ``None`` for a new one.
        warn: called with what the user must know.

    ``kept`` is the conversation as last written.
    """

    def __init__(self, conversations: Conversations, found: Kept | None, warn: Callable[[str], None]) -> None:
        self.kept = found
        self._conversations = conversations
        self._warn = warn

    def begin(self) -> None:
        """Save what follows as another conversation. The earlier one does not change."""
        self.kept = None

    def keep(self, conversation: Conversation) -> bool:
        """Write ``conversation`` over its saved form; return False if that fails."""
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
