"""The prompt and its options as data, and their members of a body on every route. Pure; no I/O.

Whatever a gateway would refuse, or would charge for without use, is refused before it is sent.
"""

from __future__ import annotations

import json
import math
from dataclasses import field
from typing import TYPE_CHECKING, Any

from ando_cli.errors import UsageError
from ando_cli.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

PLANS = ("Starter", "Plus", "Premium")
DEFAULT_PLAN = "Starter"
DEFAULT_MAX_TOKENS = 1024
_LARGEST_MAX_TOKENS = 10_000_000
OPTION_OF = {
    "messages": "the prompt", "prompt": "the prompt", "input": "the prompt", "instructions": "--system",
    "model": "--model", "model_optimization": "--model", "plan": "--plan", "max_tokens": "--max-tokens",
    "max_output_tokens": "--max-tokens", "temperature": "--temperature", "top_p": "--top-p", "seed": "--seed",
    "stop": "--stop", "stream": "--no-stream",
}  # fmt: skip
"""The members of a body that options set."""


@frozen
class Prompt:
    """The words, and the options that shape the answer. ``None`` if an option was not given."""

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


def join_words(prompt: Prompt, piped: str) -> str:
    """Return the question: the piped text, then the words of the prompt.

    Raises:
        UsageError: there is neither.
    """
    content = "\n\n".join(part for part in (piped.strip("\n"), prompt.text) if part.strip())
    if not content:
        raise UsageError("the prompt is empty", hint='write it as an argument, ando chat "hello", or pipe it in')
    return content


def messages_of(prompt: Prompt, piped: str = "") -> list[dict[str, Any]]:
    """Return the messages of a single question.

    Raises:
        UsageError: the prompt is empty.
    """
    system = [{"role": "system", "content": prompt.system}] if prompt.system else []
    return [*system, {"role": "user", "content": join_words(prompt, piped)}]


def max_tokens_of(prompt: Prompt) -> int:
    """Return the longest answer to pay for, in tokens; it is always sent.

    Raises:
        UsageError: it is not a count of tokens.
    """
    return check_max_tokens(DEFAULT_MAX_TOKENS if prompt.max_tokens is None else prompt.max_tokens)


def sampling_of(prompt: Prompt) -> dict[str, Any]:
    """Return the members of a body that shape the answer, as far as options set them.

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
    """Parse the values of ``--set KEY=VALUE``: as JSON if they are JSON, else as text.

    Raises:
        UsageError: a value is not a pair, is given twice, or has its own option.
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


def check_plan(plan: object) -> str:
    """Return ``plan`` if a plan of that name exists.

    Raises:
        UsageError: there is none.
    """
    if isinstance(plan, str) and plan in PLANS:
        return plan
    raise UsageError("the plan is unknown", hint=f"choose one of {', '.join(PLANS)}")


def check_max_tokens(value: object, name: str = "max_tokens") -> int:
    """Return ``value`` if it can bound the length of an answer. ``name`` is what the error calls it.

    Raises:
        UsageError: it is not a count of tokens.
    """
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _LARGEST_MAX_TOKENS:
        return value
    raise UsageError(f"{name} is not a count of tokens", hint="give a whole number above 0")


def _within(value: float, least: float, most: float, name: str) -> float:
    if math.isfinite(value) and least <= value <= most:
        return value
    raise UsageError(f"{name} is out of range", hint=f"give a number from {least:g} to {most:g}")


def _no_number(text: str) -> None:
    raise ValueError(text)  # Python reads NaN and Infinity, but JSON does not have them
