"""Saved conversations: one file each, in a folder that only the user can read.

Nothing is saved unless the user asks for it. These files and the history of typed text are the only places where
prompts are stored.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ando_cli.conversation.model import Conversation, from_json
from ando_cli.errors import Code, StoreError, UsageError
from ando_cli.files import make_private_folder, parse_json, read_bounded, replace_private
from ando_cli.frozen import frozen
from ando_cli.times import iso_time

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FOLDER = "conversations"
"""Its name in the state folder."""

LARGEST = 16 * 1024 * 1024
"""The most bytes of one file."""

_SUFFIX = ".json"
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"  # without characters that are mistaken for others
_EPOCH = 1_735_689_600  # the start of 2025
_TIME_DIGITS = 6
_RANDOM_DIGITS = 2
_HINT = "`ando conversations list` shows the ids"


@frozen
class Kept:
    """A saved conversation and its file.

    Attributes:
        id: short and unique; ids sort by the second in which conversations began.
        created, updated: Unix seconds, to the millisecond.
        digest: of the file as it was read or written; ``None`` if there is no file yet.
    """

    id: str
    conversation: Conversation
    created: float
    updated: float
    digest: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the saved conversation as a JSON object, as the file holds it."""
        times = {
            "created_at": iso_time(self.created, milliseconds=True),
            "updated_at": iso_time(self.updated, milliseconds=True),
        }
        return {"id": self.id, "title": self.conversation.title, **times, **self.conversation.to_json()}


class Conversations:
    """The saved conversations in one folder.

    Args:
        folder: created when the first conversation is saved.
        clock: returns Unix seconds.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock

    def begin(self, conversation: Conversation) -> Kept:
        """Return a new record for a conversation. It has no file until it is saved."""
        now = self._now()
        return Kept(_new_id(now), conversation, now, now)

    def save(self, kept: Kept) -> Kept:
        """Write the whole file or nothing, and return the record as saved.

        If another ``ando`` continued the same conversation meanwhile, this one gets a new file, so nothing is lost.

        Raises:
            StoreError: the file cannot be written, or is too large.
        """
        try:
            while self._digest(kept.id) != kept.digest:
                now = self._now()
                kept = replace(kept, id=_new_id(now), created=now, digest=None)
            kept = replace(kept, updated=max(self._now(), kept.updated))
            data = json.dumps(kept.to_json(), ensure_ascii=False, indent=1).encode(errors="replace")
            if len(data) > LARGEST:
                raise StoreError(
                    f"the conversation is larger than {LARGEST // 1024 // 1024} MiB",
                    hint="start another conversation",
                    code=Code.CONVERSATION_TOO_LARGE,
                )
            make_private_folder(self._folder)
            replace_private(self._path(kept.id), data)
        except OSError as error:
            raise StoreError(
                f"the conversation cannot be written: {error.strerror}",
                hint=f"make {self._folder} writable",
                code=Code.CONVERSATION_UNWRITABLE,
            ) from None
        return replace(kept, digest=_digest(data))

    def all(self) -> tuple[list[Kept], list[str]]:
        """Return all readable conversations, the most recent first, and the ids of unreadable ones."""
        found, damaged = [], []
        for name in self.ids():
            try:
                found.append(self._read(name))
            except StoreError:
                damaged.append(name)
        return sorted(found, key=lambda kept: (kept.updated, kept.id), reverse=True), damaged

    def latest(self) -> Kept:
        """Return the conversation that was continued last.

        Raises:
            UsageError: none is saved.
            StoreError: the files cannot be read.
        """
        found, damaged = self.all()
        if found:
            return found[0]
        if damaged:
            return self._read(damaged[0])
        raise UsageError(
            "no conversation is saved", hint="`ando chat --keep` saves one, `ando config set keep true` saves all"
        )

    def find(self, text: str) -> Kept:
        """Return the conversation whose id begins with ``text``.

        Raises:
            UsageError: no id does, or more than one.
            StoreError: its file cannot be read.
        """
        return self._read(self.named(text))

    def named(self, text: str) -> str:
        """Return the id that begins with ``text``, without reading its file.

        Raises:
            UsageError: no id does, or more than one.
        """
        wanted = text.strip().lower()
        found = [name for name in self.ids() if name.startswith(wanted)]
        if not wanted or not found:
            raise UsageError("no conversation has an id that begins with this", hint=_HINT)
        if len(found) > 1 and wanted not in found:
            raise UsageError(f"{len(found)} conversations have an id that begins with this", hint="give more of the id")
        return wanted if wanted in found else found[0]

    def remove(self, name: str) -> None:
        """Delete the file of the conversation with that id.

        Raises:
            StoreError: the file cannot be deleted.
        """
        try:
            self._path(name).unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"the conversation {name} cannot be removed: {error.strerror}", hint=f"check {self._folder}"
            ) from None

    def ids(self) -> list[str]:
        """Return the ids of all saved conversations, in order."""
        try:
            names = sorted(path.stem for path in self._folder.iterdir() if path.suffix == _SUFFIX)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(
                f"the conversations cannot be read: {error.strerror}", hint=f"check the folder {self._folder}"
            ) from None
        return [name for name in names if name and set(name) <= set(_DIGITS)]

    def _read(self, name: str) -> Kept:
        try:
            data = read_bounded(self._path(name), LARGEST)
            value: Any = parse_json(data)
            conversation = from_json(value)
            return Kept(name, conversation, _seconds(value["created_at"]), _seconds(value["updated_at"]), _digest(data))
        except (OSError, ValueError, OverflowError, KeyError, TypeError, UsageError) as error:
            why = getattr(error, "strerror", None) or "its file is damaged"
            raise StoreError(
                f"the conversation {name} cannot be read: {why}",
                hint=f"check {self._path(name)}, or `ando conversations remove {name}`",
                code=Code.CONVERSATION_DAMAGED,
            ) from None

    def _digest(self, name: str) -> str | None:
        """Return the digest of the file as it is now; ``None`` if there is no file."""
        try:
            return _digest(self._path(name).read_bytes())
        except FileNotFoundError:
            return None

    def _now(self) -> float:
        return round(self._clock(), 3)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{_SUFFIX}"


def _new_id(now: float) -> str:
    moment = max(0, int(now) - _EPOCH)
    digits = [_DIGITS[moment >> 5 * place & 31] for place in reversed(range(_TIME_DIGITS))]
    return "".join(digits) + "".join(_DIGITS[byte & 31] for byte in os.urandom(_RANDOM_DIGITS))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
