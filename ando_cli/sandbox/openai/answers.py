"""Build the canned answers of the account-owned routes, buffered or as server-sent events, as OpenAI's API has them.

The provider does not document the shape of ``/v1/think``. Here it is a chat completion whose message has
``reasoning_content`` besides ``content``, as other gateways with reasoning models send it.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ando_cli.sandbox.openai import metering
from ando_cli.sandbox.openai.metering import CANNED_ANSWER, CHARACTERS_PER_TOKEN, Usage
from ando_cli.sandbox.settings import PLANS

if TYPE_CHECKING:
    from ando_cli.sandbox.openai.requests import TextRequest
    from ando_cli.sandbox.settings import Settings

CANNED_REASONING = "This is a canned train of thought: nothing was thought about."
MODELS_SINCE = 1_750_000_000
OWNER = "ando-sandbox"
DONE = b"data: [DONE]\n\n"

_WORD = re.compile(r"\s*\S+|\s+$")


@dataclass(frozen=True)
class Generated:
    """Hold what the model said, and its usage."""

    reasoning: str
    text: str
    complete: bool
    usage: Usage

    @property
    def finish_reason(self) -> str:
        """Return why the model stopped."""
        return "stop" if self.complete else "length"


def models(settings: Settings) -> dict[str, Any]:
    """Return the list of models."""
    data = [{"id": name, "object": "model", "created": MODELS_SINCE, "owned_by": OWNER} for name in settings.models]
    return {"object": "list", "data": data}


def generate(request: TextRequest, settings: Settings) -> Generated:
    """Generate the answer to a request, cut to the length that it allows, at the price of the first plan."""
    whole = f"{CANNED_ANSWER} {request.received}" if settings.answer is None else settings.answer
    thought = CANNED_REASONING if request.route == "think" else ""
    reasoning = thought[: request.max_tokens * CHARACTERS_PER_TOKEN]
    reasoning_tokens = metering.tokens(reasoning)
    text = whole[: (request.max_tokens - reasoning_tokens) * CHARACTERS_PER_TOKEN]
    completion_tokens = reasoning_tokens + metering.tokens(text)
    cost = (request.prompt_tokens + completion_tokens) * settings.prices[PLANS[0]]
    complete = (reasoning, text) == (thought, whole)
    return Generated(reasoning, text, complete, Usage(request.prompt_tokens, completion_tokens, cost))


def buffered(request: TextRequest, generated: Generated) -> dict[str, Any]:
    """Return the whole answer as one object."""
    if request.route == "responses":
        return _response(request, generated)
    if request.route == "completions":
        choice = _choice({"text": generated.text, "logprobs": None}, generated.finish_reason)
        return {**_head("cmpl", "text_completion", request), "choices": [choice], "usage": _usage(generated)}
    message = {"role": "assistant", "content": generated.text}
    if request.route == "think":
        message["reasoning_content"] = generated.reasoning
    choice = _choice({"message": message}, generated.finish_reason)
    return {**_head("chatcmpl", "chat.completion", request), "choices": [choice], "usage": _usage(generated)}


def events(request: TextRequest, generated: Generated) -> tuple[bytes, ...]:
    """Return the answer as one event for each word, and ``[DONE]`` at the end."""
    if request.route == "completions":
        head = _head("cmpl", "text_completion", request)
        choices = [_choice({"text": word, "logprobs": None}, None) for word in _words(generated.text)]
        choices.append(_choice({"text": "", "logprobs": None}, generated.finish_reason))
    else:
        head = _head("chatcmpl", "chat.completion.chunk", request)
        deltas = [{"role": "assistant", "content": ""}]
        deltas += [{"reasoning_content": word} for word in _words(generated.reasoning)]
        deltas += [{"content": word} for word in _words(generated.text)]
        choices = [_choice({"delta": delta}, None) for delta in deltas]
        choices.append(_choice({"delta": {}}, generated.finish_reason))
    # OpenAI sends a null usage in every event before the one with the usage.
    none_yet = {"usage": None} if request.include_usage else {}
    chunks = [{**head, "choices": [choice], **none_yet} for choice in choices]
    if request.include_usage:
        chunks.append({**head, "choices": [], "usage": _usage(generated)})
    return (*(event(chunk) for chunk in chunks), DONE)


def event(data: object) -> bytes:
    """Encode one server-sent event."""
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def _response(request: TextRequest, generated: Generated) -> dict[str, Any]:
    status = "completed" if generated.complete else "incomplete"
    usage = generated.usage
    content = {"type": "output_text", "text": generated.text, "annotations": []}
    return {
        "id": f"resp_{uuid.uuid4().hex}",
        "object": "response",
        "created_at": int(time.time()),
        "status": status,
        "error": None,
        "incomplete_details": None if generated.complete else {"reason": "max_output_tokens"},
        "instructions": request.instructions,
        "max_output_tokens": request.max_tokens,
        "model": request.model,
        "output": [
            {
                "type": "message",
                "id": f"msg_{uuid.uuid4().hex}",
                "status": status,
                "role": "assistant",
                "content": [content],
            }
        ],
        "parallel_tool_calls": False,
        "tool_choice": "none",
        "tools": [],
        "usage": {
            "input_tokens": usage.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": usage.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        },
    }


def _head(prefix: str, kind: str, request: TextRequest) -> dict[str, Any]:
    return {
        "id": f"{prefix}-{uuid.uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": request.model,
    }


def _choice(said: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    return {"index": 0, **said, "finish_reason": finish_reason}


def _usage(generated: Generated) -> dict[str, Any]:
    prompt, completion = generated.usage.prompt_tokens, generated.usage.completion_tokens
    usage: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    if generated.reasoning:
        usage["completion_tokens_details"] = {"reasoning_tokens": metering.tokens(generated.reasoning)}
    return usage


def _words(text: str) -> list[str]:
    return _WORD.findall(text)
