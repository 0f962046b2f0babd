"""One row for each request that is paid for, on either rail: amounts, tokens, models, times, outcomes.

No prompt, key, address or receipt.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Rail(StrEnum):
    """How a request is paid for: from a channel (``mpp``), or by the account that a Virtual Key belongs to."""

    MPP = "mpp"
    KEY = "key"


class Outcome(StrEnum):
    """What came of a paid request. It starts as unknown, which is what a crash leaves behind."""

    UNKNOWN = "unknown"
    ANSWERED = "answered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a request when it is about to be paid. ``path`` is the URL's path without its query.

    ``channel_id`` is ``None`` and ``network`` empty where a Virtual Key pays. ``authorised`` and ``deposited`` are what
    it has committed so far, in base units.
    """

    channel_id: str | None
    gateway: str
    network: str
    path: str
    model: str | None = None
    plan: str | None = None
    authorised: int = 0
    deposited: int = 0
    rail: Rail = Rail.MPP


@dataclass(frozen=True, slots=True)
class Usage:
    """What a request used, in base units and tokens; ``None`` where nobody said."""

    spent: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
