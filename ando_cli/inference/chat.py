"""The chat completion as data: the body of the paid route, and what its answer says. Pure; no I/O.

Source: "MPP Chat Completions" of the gateway's documentation. Everything that the gateway would refuse, and everything
that would cost money for nothing, is refused here, before it is sent.
"""

from __future__ import annotations

import json
import math
from dataclasses import field
from typing import TYPE_CHECKING, Any

from ando_cli.errors import Code, ServerError, UsageError
from ando_cli.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence


PLANS = ("Starter", "Plus", "Premium")
DEFAULT_PLAN = "Starter"
DEFAULT_MAX_TOKENS = 1024
_LARGEST_MAX_TOKENS = 10_000_000
_LIMITS = ("max_tokens", "max_completion_tokens")
OPTION_OF = {
    "messages": "the prompt", "prompt": "the prompt", "input": "the prompt", "instructions": "--system",
    "model": "--model", "model_optimization": "--model", "plan": "--plan", "max_tokens": "--max-tokens",
    "max_output_tokens": "--max-tokens", "temperature": "--temperature", "top_p": "--top-p", "seed": "--seed",
    "stop": "--stop", "stream": "--no-stream",
}  # fmt: skip
"""The members of a body that an option writes."""


@frozen
class Prompt:
    """What was typed: the words, and the options that shape the answer. ``None`` where an option was not given."""

    text: str = ""
    system: str | None = None
    model: str | None = None
    plan: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)
    """Further members of the body, from ``--set``."""


def build_body(prompt: Prompt, piped: str = "") -> bytes:
    """The request body for ``prompt``, with ``piped`` text put before its words.

    Raises:
        UsageError: an empty prompt, an unknown plan, an option out of range.
    """
    return build_turn(prompt, messages_of(prompt, piped))


def build_turn(prompt: Prompt, messages: list[dict[str, Any]]) -> bytes:
    """As ``build_body``, with the messages of a whole conversation.

    Raises:
        UsageError: as ``build_body``.
    """
    body: dict[str, Any] = {"plan": _plan(DEFAULT_PLAN if prompt.plan is None else prompt.plan)}
    if prompt.model is None:
        body["model_optimization"] = True
    elif prompt.model.strip():
        body |= {"model_optimization": False, "model": prompt.model}
    else:
        raise UsageError("the model's name is empty", hint="leave out --model to let the gateway pick one")
    body |= {"messages": messages, "max_tokens": max_tokens_of(prompt), "stream": False}
    return encode(body | sampling_of(prompt) | prompt.extra)


def join_words(prompt: Prompt, piped: str) -> str:
    """What is asked: the piped text, then the words of the prompt.

    Raises:
        UsageError: there is neither.
    """
    content = "\n\n".join(part for part in (piped.strip("\n"), prompt.text) if part.strip())
    if not content:
        raise UsageError("the prompt is empty", hint='write it as an argument, ando chat "hello", or pipe it in')
    return content


def messages_of(prompt: Prompt, piped: str = "") -> list[dict[str, Any]]:
    """The messages of a single question.

    Raises:
        UsageError: the prompt is empty.
    """
    system = [{"role": "system", "content": prompt.system}] if prompt.system else []
    return [*system, {"role": "user", "content": join_words(prompt, piped)}]


def max_tokens_of(prompt: Prompt) -> int:
    """The longest answer to pay for, in tokens; it is always sent.

    Raises:
        UsageError: it is no count of tokens.
    """
    return _max_tokens(DEFAULT_MAX_TOKENS if prompt.max_tokens is None else prompt.max_tokens)


def sampling_of(prompt: Prompt) -> dict[str, Any]:
    """The members of a body that shape the answer, those that were asked for.

    Raises:
        UsageError: one is out of range.
    """
    shaped: dict[str, Any] = {}
    if prompt.temperature is not None:
        shaped["temperature"] = _within(prompt.temperature, 0, 2, "--temperature")
    if prompt.top_p is not None:
        shaped["top_p"] = _within(prompt.top_p, 0, 1, "--top-p")
    if prompt.seed is not None:
        shaped["seed"] = prompt.seed
    if prompt.stop:
        shaped["stop"] = list(prompt.stop)
    return shaped


def parse_extra(pairs: Sequence[str]) -> dict[str, Any]:
    """The values of ``--set KEY=VALUE``: JSON where they are, else text.

    Raises:
        UsageError: one is no pair, given twice, or a member that has an option of its own.
    """
    extra: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not key or not equals:
            raise UsageError("--set takes KEY=VALUE", hint="for example: --set frequency_penalty=0.5")
        if key in OPTION_OF:
            raise UsageError(f"--set {key} has an option of its own", hint=f"use {OPTION_OF[key]}")
        if key in extra:
            raise UsageError(f"--set {key} is given twice", hint="leave one of them out")
        try:
            extra[key] = json.loads(text, parse_constant=_no_number)
        except (ValueError, RecursionError):
            extra[key] = text
    return extra


def check_body(body: bytes) -> bytes:
    """Return ``body`` as it is, if it is a request that the paid route can take.

    Raises:
        UsageError: not a JSON object with messages, or one that asks for what this route does not do.
    """
    value = read_object(body)
    if value.get("stream") not in (None, False):
        raise UsageError(
            'the paid route does not stream: "stream" must be false', hint="leave it out, or set it to false"
        )
    if "plan" in value:
        _plan(value["plan"])
    if value.get("model") is not None and value.get("model_optimization", True) is not False:
        raise UsageError(
            'the body names a model while "model_optimization" is on',
            hint='set "model_optimization" to false, or leave "model" out',
        )
    if value.get("model") is None and value.get("model_optimization") is False:
        raise UsageError('"model_optimization" is false and no model is named', hint='add "model"')
    check_limits(value)
    return body


def read_object(body: bytes) -> dict[str, Any]:
    """The chat request in ``body``.

    Raises:
        UsageError: it is not a JSON object with messages.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise UsageError("the body is not valid JSON", hint="check it with `jq .`") from None
    if not isinstance(value, dict) or not isinstance(value.get("messages"), list) or not value["messages"]:
        raise UsageError(
            "the body is not a JSON object with messages",
            hint='write {"messages":[{"role":"user","content":"hi"}],"max_tokens":64}',
        )
    return value


def check_limits(request: dict[str, Any]) -> None:
    """Check what a chat request says of how long the answer may be.

    Raises:
        UsageError: it is no count of tokens.
    """
    for name in _LIMITS:
        if request.get(name) is not None:
            _max_tokens(request[name], name)


def has_limit(body: bytes) -> bool:
    """Whether a checked body says how long the answer may be. Without it the gateway decides, and so the price."""
    value = json.loads(body)
    return any(value.get(name) is not None for name in _LIMITS)


def smallest_body() -> bytes:
    """The cheapest request that the paid route takes: one word in, one token out."""
    return build_body(Prompt(text="hi", max_tokens=1))


def is_body(text: str) -> bool:
    """Whether piped text is a request body rather than text to put before the prompt: a JSON object with messages."""
    if not text.lstrip().startswith("{"):
        return False
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and "messages" in value


def answer_text(answer: bytes) -> str:
    """The words of a chat completion.

    Raises:
        ServerError: the answer is not one. It was paid for; ``-j`` shows what came.
    """
    try:
        content = json.loads(answer)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        content = None
    if not isinstance(content, str):
        raise ServerError(
            "the gateway's answer holds no text", hint="see what it is with -j", code=Code.UNEXPECTED_ANSWER
        )
    return content


def content_of(message: object, member: str) -> str | None:
    """A text in a message, or in the difference to one; ``None`` where there is none."""
    value = message.get(member) if isinstance(message, dict) else None
    return value if isinstance(value, str) else None


def _no_number(text: str) -> None:
    raise ValueError(text)  # NaN and Infinity: Python reads them, JSON has none


def _plan(plan: object) -> str:
    if isinstance(plan, str) and plan in PLANS:
        return plan
    raise UsageError("the plan is unknown", hint=f"choose one of {', '.join(PLANS)}")


def _max_tokens(value: object, name: str = "max_tokens") -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _LARGEST_MAX_TOKENS:
        return value
    raise UsageError(f"{name} is not a count of tokens", hint="give a whole number above 0")


def _within(value: float, least: float, most: float, name: str) -> float:
    if math.isfinite(value) and least <= value <= most:
        return value
    raise UsageError(f"{name} is out of range", hint=f"give a number from {least:g} to {most:g}")


def encode(body: dict[str, Any]) -> bytes:
    """A request body as the bytes that are sent.

    Raises:
        UsageError: its text is not UTF-8.
    """
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # arguments that are not UTF-8 arrive as lone surrogates
        raise UsageError("the prompt is not UTF-8 text", hint="check the terminal's encoding") from None
