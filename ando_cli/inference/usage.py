"""What the ledger records of an answer: the model and the tokens, never the text."""

from __future__ import annotations

import json
from typing import Any

from ando_cli.frozen import frozen

_MEMBERS = (("prompt_tokens", "completion_tokens"), ("input_tokens", "output_tokens"))
"""The names of token counts: on the chat routes, and on the Responses route."""


@frozen
class Usage:
    """What a request used, in base units and tokens, and which model answered; ``None`` if unknown."""

    spent: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    model: str | None = None


def read_usage(answer: bytes, spent: int | None = None) -> Usage:
    """Read tokens and model from an OpenAI-style answer, with ``spent`` base units."""
    return usage_of(json_object(answer), spent)


def usage_of(answer: dict[str, Any], spent: int | None = None) -> Usage:
    """Read tokens and model from a decoded answer, as ``read_usage`` does."""
    usage = answer.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    read = next((names for names in _MEMBERS if any(name in counts for name in names)), _MEMBERS[0])
    prompt, completion = (_count(counts.get(name)) for name in read)
    return Usage(spent, prompt, completion, _model(answer.get("model")))


def _model(value: object) -> str | None:
    """Return the name of a model. A server chose it and it is stored, so only plain characters pass."""
    if not isinstance(value, str) or not 0 < len(value) <= 100 or not value.isascii():
        return None
    return value if all(c.isalnum() or c in "._:/@-" for c in value) else None


def json_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in ``body``; an empty one if there is none."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None
