"""One row for each paid request: amounts, tokens, models, times, outcomes. No prompt, key, address or receipt."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What came of a paid request. It starts as unknown, which is what a crash leaves behind."""

    UNKNOWN = "unknown"
    ANSWERED = "answered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a request when it is about to be paid. ``path`` is the URL's path without its query.

    ``authorised`` and ``deposited`` are what it has committed so far, in base units.
    """

    channel_id: str
    gateway: str
    network: str
    path: str
    model: str | None = None
    plan: str | None = None
    authorised: int = 0
    deposited: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """What a request used, in base units and tokens; ``None`` where nobody said."""

    spent: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
