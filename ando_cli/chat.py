"""The chat completion as data: the body of the paid route, and what its answer says. Pure; no I/O.

Source: "MPP Chat Completions" of the gateway's documentation. Everything that the gateway would refuse, and everything
that would cost money for nothing, is refused here, before it is sent.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ando_cli.errors import ServerError, UsageError
from ando_cli.redact import amount

if TYPE_CHECKING:
    from ando_cli.rails.payment import Paid
    from ando_cli.tempo.network import Network

PLANS = ("Starter", "Plus", "Premium")
DEFAULT_PLAN = "Starter"
DEFAULT_MAX_TOKENS = 1024
_LARGEST_MAX_TOKENS = 10_000_000
_LIMITS = ("max_tokens", "max_completion_tokens")


@dataclass(frozen=True, slots=True)
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


def build_body(prompt: Prompt, piped: str = "") -> bytes:
    """The request body for ``prompt``, with ``piped`` text put before its words.

    Raises:
        UsageError: an empty prompt, an unknown plan, an option out of range.
    """
    content = "\n\n".join(part for part in (piped.strip("\n"), prompt.text) if part.strip())
    if not content:
        raise UsageError("the prompt is empty", hint='write it as an argument, ando chat "hello", or pipe it in')
    messages = [{"role": "system", "content": prompt.system}] if prompt.system else []
    body: dict[str, Any] = {"plan": _plan(DEFAULT_PLAN if prompt.plan is None else prompt.plan)}
    if prompt.model is None:
        body["model_optimization"] = True
    elif prompt.model.strip():
        body |= {"model_optimization": False, "model": prompt.model}
    else:
        raise UsageError("the model's name is empty", hint="leave out --model to let the gateway pick one")
    body |= {
        "messages": [*messages, {"role": "user", "content": content}],
        "max_tokens": _max_tokens(DEFAULT_MAX_TOKENS if prompt.max_tokens is None else prompt.max_tokens),
        "stream": False,
    }
    if prompt.temperature is not None:
        body["temperature"] = _within(prompt.temperature, 0, 2, "--temperature")
    if prompt.top_p is not None:
        body["top_p"] = _within(prompt.top_p, 0, 1, "--top-p")
    if prompt.seed is not None:
        body["seed"] = prompt.seed
    if prompt.stop:
        body["stop"] = list(prompt.stop)
    return _encode(body)


def check_body(body: bytes) -> bytes:
    """Return ``body`` as it is, if it is a request that the paid route can take.

    Raises:
        UsageError: not a JSON object with messages, or one that asks for what this route does not do.
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
    for name in _LIMITS:
        if value.get(name) is not None:
            _max_tokens(value[name], name)
    return body


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
            "the gateway's answer holds no text", hint="show what it is with --json-output", code="unexpected_answer"
        )
    return content


def describe_usage(answer: bytes, paid: Paid | None, network: Network) -> str:
    """One line with the tokens and the money of an answer."""
    parts = []
    try:
        usage = json.loads(answer)["usage"]
        parts.append(f"tokens: {int(usage['prompt_tokens'])} in, {int(usage['completion_tokens'])} out")
    except (ValueError, KeyError, TypeError, RecursionError):
        parts.append("tokens: not told")
    if paid is None:
        parts.append("nothing was paid")
    else:
        symbol = network.token_symbol
        parts.append(f"spent: {'unknown' if paid.spent is None else f'{amount(paid.spent)} {symbol}'}")
        if paid.deposited:
            parts.append(f"deposited: {amount(paid.deposited)}")
        parts.append(f"left: {amount(paid.channel.left)} of {amount(paid.channel.deposit)}")
    return " · ".join(parts)


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


def _encode(body: dict[str, Any]) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # arguments that are not UTF-8 arrive as lone surrogates
        raise UsageError("the prompt is not UTF-8 text", hint="check the terminal's encoding") from None
