"""Reading a chat request, its price, and the canned answer. No model is asked anything."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from typing import Any

from ando_cli.sandbox.problems import Problem
from ando_cli.sandbox.settings import PLANS, Settings
from ando_cli.sandbox.wire import loads

CANNED_ANSWER = "This is a canned answer from the ando sandbox: no model was asked and nothing was spent."
OPTIMISED_MODEL = "sandbox/optimised"
DEFAULT_MAX_TOKENS = 1024
MAX_TOKENS_LIMIT = 1_000_000
CHARACTERS_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 4


@dataclass(frozen=True)
class Quote:
    """What a request asks for and what it can cost at most, in base units."""

    plan: str
    model: str
    prompt_tokens: int
    max_tokens: int
    max_cost: int


@dataclass(frozen=True)
class Usage:
    """What the answer to a request took, and its cost in base units."""

    prompt_tokens: int
    completion_tokens: int
    cost: int


def quote(body: bytes, settings: Settings) -> Quote:
    """Check a chat request and price it.

    Raises:
        Problem: it is not a valid request for this route, or can cost more than one voucher bucket.
    """
    request = parse(body)
    if request.get("stream", False) is not False:
        raise Problem("mpp_streaming_unavailable")
    plan = request.get("plan", PLANS[0])
    if plan not in PLANS:
        raise invalid(f"plan is one of {', '.join(PLANS)}")
    max_tokens = check_limit(request.get("max_tokens", request.get("max_completion_tokens", DEFAULT_MAX_TOKENS)))
    model = _model(request)
    prompt_tokens = count_prompt(request.get("messages"))
    max_cost = (prompt_tokens + max_tokens) * settings.prices[plan]
    if settings.charge == "full":
        max_cost = settings.amount
    if max_cost > settings.amount:
        raise Problem("mpp_request_exceeds_voucher_bucket")
    return Quote(plan, model, prompt_tokens, max_tokens, max_cost)


def answer(quoted: Quote, settings: Settings) -> tuple[bytes, Usage]:
    """The chat completion for a request, and what it took."""
    whole = CANNED_ANSWER if settings.answer is None else settings.answer
    text = whole[: quoted.max_tokens * CHARACTERS_PER_TOKEN]
    completion_tokens = tokens(text)
    cost = (quoted.prompt_tokens + completion_tokens) * settings.prices[quoted.plan]
    usage = Usage(quoted.prompt_tokens, completion_tokens, settings.amount if settings.charge == "full" else cost)
    completion = {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": quoted.model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "stop" if text == whole else "length",
            }
        ],
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        },
    }
    return json.dumps(completion).encode(), usage


def tokens(text: str) -> int:
    """A cheap and repeatable count: about four characters a token."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object in a body.

    Raises:
        Problem: there is none.
    """
    try:
        request = loads(body)
    except ValueError:
        raise invalid("the body is not JSON") from None
    if not isinstance(request, dict):
        raise invalid("the body is not a JSON object")
    return request


def check_limit(value: object, name: str = "max_tokens") -> int:
    """The highest number of tokens that an answer may have.

    Raises:
        Problem: it is no such number.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_TOKENS_LIMIT:
        raise invalid(f"{name} is a whole number from 1 to {MAX_TOKENS_LIMIT}")
    return value


def _model(request: dict[str, Any]) -> str:
    optimise = request.get("model_optimization", True)
    model = request.get("model")
    if not isinstance(optimise, bool):
        raise invalid("model_optimization is true or false")
    if optimise and model is not None:
        raise invalid("model is only given when model_optimization is false")
    if not optimise and (not isinstance(model, str) or not model):
        raise invalid("model is required when model_optimization is false")
    return model or OPTIMISED_MODEL


def count_prompt(messages: object) -> int:
    """The tokens of a list of chat messages.

    Raises:
        Problem: it is not one.
    """
    if not isinstance(messages, list) or not messages:
        raise invalid("messages is a list of at least one message")
    count = 0
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise invalid("a message is an object with a role and a content")
        content = message.get("content")
        if not isinstance(content, str | list | None):
            raise invalid("the content of a message is text or a list of parts")
        text = content if isinstance(content, str) else json.dumps(content)
        count += TOKENS_PER_MESSAGE + tokens(text)
    return count


def invalid(message: str) -> Problem:
    """The body is not valid, for the reason that ``message`` gives: a clause without a full stop."""
    return Problem("invalid_request", message[:1].upper() + message[1:] + ".")
