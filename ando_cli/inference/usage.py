"""What the ledger takes from an answer: the model and the tokens. Never the words."""

from __future__ import annotations

import json
from typing import Any

from ando_cli.frozen import frozen

_MEMBERS = (("prompt_tokens", "completion_tokens"), ("input_tokens", "output_tokens"))
"""How the chat routes name the counts of tokens, and how the Responses route does."""


@frozen
class Usage:
    """What a request used, in base units and tokens, and which model answered; ``None`` where nobody said."""

    spent: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    model: str | None = None


def read_usage(answer: bytes, spent: int | None = None) -> Usage:
    """What an OpenAI-style answer says of its tokens and its model, with ``spent`` base units."""
    return usage_of(json_object(answer), spent)


def usage_of(answer: dict[str, Any], spent: int | None = None) -> Usage:
    """As ``read_usage``, of an answer that is decoded."""
    usage = answer.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    read = next((names for names in _MEMBERS if any(name in counts for name in names)), _MEMBERS[0])
    prompt, completion = (_count(counts.get(name)) for name in read)
    return Usage(spent, prompt, completion, _model(answer.get("model")))


def _model(value: object) -> str | None:
    """The name of a model. A server chose it, and it is kept: nothing else can hide in it."""
    if not isinstance(value, str) or not 0 < len(value) <= 100 or not value.isascii():
        return None
    return value if all(c.isalnum() or c in "._:/@-" for c in value) else None


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object in ``body``; an empty one where it holds none."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None
