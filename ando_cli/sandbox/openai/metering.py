"""Read the text requests of OpenAI's API and count their tokens. No model runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ando_cli.sandbox.problems import Problem
from ando_cli.sandbox.wire import loads

CANNED_ANSWER = "This is a canned answer from the ando sandbox: no model ran and no real money was spent."
DEFAULT_MAX_TOKENS = 1024
MAX_TOKENS_LIMIT = 1_000_000
CHARACTERS_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 4


@dataclass(frozen=True)
class Usage:
    """Count the tokens of a request and its answer, and their cost in base units."""

    prompt_tokens: int
    completion_tokens: int
    cost: int


def tokens(text: str) -> int:
    """Count tokens cheaply and repeatably: about four characters a token."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def parse(body: bytes) -> dict[str, Any]:
    """Parse the JSON object in a body.

    Raises:
        Problem: The body is not a JSON object.
    """
    try:
        request = loads(body)
    except ValueError:
        raise invalid("the body is not JSON") from None
    if not isinstance(request, dict):
        raise invalid("the body is not a JSON object")
    return request


def check_limit(value: object, name: str = "max_tokens") -> int:
    """Check the highest number of tokens that an answer may have.

    Raises:
        Problem: The value is not a whole number in the allowed range.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_TOKENS_LIMIT:
        raise invalid(f"{name} must be a whole number from 1 to {MAX_TOKENS_LIMIT}")
    return value


def count_prompt(messages: object) -> int:
    """Count the tokens of a list of chat messages.

    Raises:
        Problem: ``messages`` is not a list of chat messages.
    """
    if not isinstance(messages, list) or not messages:
        raise invalid("messages must be a list of at least one message")
    count = 0
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise invalid("a message must be an object with a role and a content")
        content = message.get("content")
        if not isinstance(content, str | list | None):
            raise invalid("the content of a message must be text or a list of parts")
        text = content if isinstance(content, str) else json.dumps(content)
        count += TOKENS_PER_MESSAGE + tokens(text)
    return count


def invalid(message: str) -> Problem:
    """Return the problem of an invalid body; ``message`` gives the reason, as a clause without a full stop."""
    return Problem("invalid_request", message[:1].upper() + message[1:] + ".")
