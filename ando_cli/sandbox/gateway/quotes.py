"""Price chat requests of the paid route, and give the canned answer."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from typing import Any

from ando_cli.sandbox.openai import metering
from ando_cli.sandbox.openai.metering import DEFAULT_MAX_TOKENS, Usage
from ando_cli.sandbox.problems import Problem
from ando_cli.sandbox.settings import PLANS, Settings

OPTIMISED_MODEL = "sandbox/optimised"


@dataclass(frozen=True)
class Quote:
    """Hold what a request asks for and what it can cost at most, in base units.

    Attributes:
        management: whether the request only manages its session: no model answers, and nothing is charged.
    """

    plan: str
    model: str
    prompt_tokens: int
    max_tokens: int
    max_cost: int
    management: bool = False


NOTHING = Quote("", "", 0, 0, 0, management=True)
"""The quote of a management request, which asks for no answer: a POST without a body and without a query."""


def quote(body: bytes, settings: Settings) -> Quote:
    """Check a chat request and price it.

    Raises:
        Problem: The request is not valid for this route, or can cost more than one voucher bucket.
    """
    request = metering.parse(body)
    if request.get("stream", False) is not False:
        raise Problem("mpp_streaming_unavailable")
    plan = request.get("plan", PLANS[0])
    if plan not in PLANS:
        raise metering.invalid(f"plan must be one of {', '.join(PLANS)}")
    max_tokens = metering.check_limit(
        request.get("max_tokens", request.get("max_completion_tokens", DEFAULT_MAX_TOKENS))
    )
    model = _model(request)
    prompt_tokens = metering.count_prompt(request.get("messages"))
    max_cost = (prompt_tokens + max_tokens) * settings.prices[plan]
    if settings.charge == "full":
        max_cost = settings.amount
    if max_cost > settings.amount:
        raise Problem("mpp_request_exceeds_voucher_bucket")
    return Quote(plan, model, prompt_tokens, max_tokens, max_cost)


def answer(quoted: Quote, settings: Settings) -> tuple[bytes, Usage]:
    """Return the chat completion for a request, and its usage."""
    whole = metering.CANNED_ANSWER if settings.answer is None else settings.answer
    text = whole[: quoted.max_tokens * metering.CHARACTERS_PER_TOKEN]
    completion_tokens = metering.tokens(text)
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


def _model(request: dict[str, Any]) -> str:
    optimise = request.get("model_optimization", True)
    model = request.get("model")
    if not isinstance(optimise, bool):
        raise metering.invalid("model_optimization must be true or false")
    if optimise and model is not None:
        raise metering.invalid("model is only allowed when model_optimization is false")
    if not optimise and (not isinstance(model, str) or not model):
        raise metering.invalid("model is required when model_optimization is false")
    return model or OPTIMISED_MODEL
