"""Read the requests of the account-owned routes, as far as OpenAI's API defines them.

Only the fields that the sandbox uses are checked; it ignores all others, such as sampling fields.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from ando_cli.sandbox.openai import metering
from ando_cli.sandbox.problems import Problem

ROLES = ("developer", "system", "user", "assistant", "tool", "function")
LIMITS = {
    "chat": ("max_completion_tokens", "max_tokens"),
    "think": ("max_completion_tokens", "max_tokens"),
    "completions": ("max_tokens",),
    "responses": ("max_output_tokens",),
}
NO_TEXT_RESPONSE = ("background", "conversation", "previous_response_id", "tools")


@dataclass(frozen=True)
class TextRequest:
    """Hold a valid request for text.

    Attributes:
        route: one of ``chat``, ``think``, ``completions`` and ``responses``.
        received: a sentence about what was sent, which distinguishes one request from another.
        include_usage: whether a stream ends with the usage.
        instructions: the instructions of a ``responses`` request.
    """

    route: str
    model: str
    prompt_tokens: int
    max_tokens: int
    received: str
    stream: bool = False
    include_usage: bool = False
    instructions: str | None = None


def read(route: str, body: bytes) -> TextRequest:
    """Check and read a request for one of the routes.

    Raises:
        Problem: The request is not valid for the route.
    """
    request = metering.parse(body)
    model = request.get("model")
    if not isinstance(model, str) or not model:
        raise metering.invalid("model is required")
    stream = _flag(request, "stream")
    instructions = None
    if route == "completions":
        prompt = _prompt(request.get("prompt"))
        prompt_tokens, received = metering.tokens(prompt), f"Characters received: {len(prompt)}."
    else:
        if route == "responses":
            _check_response(request)
            instructions = request.get("instructions")
        messages = _response_messages(request) if route == "responses" else request.get("messages")
        prompt_tokens = metering.count_prompt(messages)
        received = _count_roles(messages)
    return TextRequest(
        route=route,
        model=model,
        prompt_tokens=prompt_tokens,
        max_tokens=_max_tokens(request, route),
        received=received,
        stream=stream,
        include_usage=_include_usage(request, stream),
        instructions=instructions,
    )


def _max_tokens(request: dict[str, Any], route: str) -> int:
    for name in LIMITS[route]:
        if request.get(name) is not None:
            return metering.check_limit(request[name], name)
    return metering.DEFAULT_MAX_TOKENS


def _flag(request: dict[str, Any], name: str) -> bool:
    value = request.get(name)
    if not isinstance(value, bool | None):
        raise metering.invalid(f"{name} must be true or false")
    return bool(value)


def _include_usage(request: dict[str, Any], stream: bool) -> bool:
    options = request.get("stream_options")
    if options is None:
        return False
    if not stream or not isinstance(options, dict):
        raise metering.invalid("stream_options must be an object, and is only allowed when stream is true")
    return _flag(options, "include_usage")


def _count_roles(messages: Any) -> str:
    roles = Counter(message["role"] for message in messages)
    if set(roles) - set(ROLES):
        raise metering.invalid(f"the role of a message must be one of {', '.join(ROLES)}")
    return f"Messages received: {', '.join(f'{number} {role}' for role, number in roles.items())}."


def _prompt(prompt: object) -> str:
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise metering.invalid("prompt must be a string, or a list of one string")
    return prompt


def _check_response(request: dict[str, Any]) -> None:
    if _flag(request, "stream"):
        raise Problem("unsupported_parameter", "This route is buffered: stream must be false.")
    for name in NO_TEXT_RESPONSE:
        if request.get(name):
            raise Problem("unsupported_parameter", f"This route answers with text only: it does not support {name}.")
    if not isinstance(request.get("instructions"), str | None):
        raise metering.invalid("instructions must be a string")


def _response_messages(request: dict[str, Any]) -> list[Any]:
    """Return the input of a ``responses`` request as chat messages, after its instructions."""
    given = request.get("input")
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if not isinstance(given, list) or not given:
        raise metering.invalid("input must be a string or a list of at least one message")
    for item in given:
        if isinstance(item, dict) and item.get("type", "message") != "message":
            raise Problem("unsupported_parameter", "This route answers with text only: input items must be messages.")
    instructions = request.get("instructions")
    return given if instructions is None else [{"role": "system", "content": instructions}, *given]
