"""The chat completion that a channel pays for: the body of the accountless route. Pure; no I/O.

Source: "MPP Chat Completions" of the gateway's documentation.
"""

from __future__ import annotations

from typing import Any

from ando_cli.errors import UsageError
from ando_cli.inference.answers import answer_text
from ando_cli.inference.prompt import DEFAULT_PLAN, Prompt, check_plan, max_tokens_of, messages_of, sampling_of
from ando_cli.inference.request import Request, Route, check_limits, check_messages, request_of

CHAT = Route("/mpp/chat/completions", keyed=False, text=answer_text)


def build(prompt: Prompt, messages: list[dict[str, Any]]) -> Request:
    """Build the request that asks ``messages`` with the options of ``prompt``.

    Raises:
        UsageError: an unknown plan, an option out of range.
    """
    body: dict[str, Any] = {"plan": check_plan(DEFAULT_PLAN if prompt.plan is None else prompt.plan)}
    if prompt.model is None:
        body["model_optimization"] = True
    elif prompt.model.strip():
        body |= {"model_optimization": False, "model": prompt.model}
    else:
        raise UsageError("the model's name is empty", hint="leave out --model to let the gateway pick one")
    body |= {"messages": messages, "max_tokens": max_tokens_of(prompt), "stream": False}
    return request_of(CHAT, body | sampling_of(prompt) | prompt.extra)


def smallest() -> Request:
    """Build the cheapest request that the paid route takes: one word in, one token out."""
    prompt = Prompt(text="hi", max_tokens=1)
    return build(prompt, messages_of(prompt))


def check(value: Any, body: bytes) -> Request:
    """Make the request from a whole body, if the paid route accepts it. Its bytes do not change.

    Args:
        value: the JSON of ``body``.

    Raises:
        UsageError: the body is not a JSON object with messages, or asks for what this route does not support.
    """
    members = check_messages(value)
    if members.get("stream") not in (None, False):
        raise UsageError(
            'the paid route does not stream: "stream" must be false', hint="leave it out, or set it to false"
        )
    if "plan" in members:
        check_plan(members["plan"])
    if members.get("model") is not None and members.get("model_optimization", True) is not False:
        raise UsageError(
            'the body names a model while "model_optimization" is on',
            hint='set "model_optimization" to false, or leave "model" out',
        )
    if members.get("model") is None and members.get("model_optimization") is False:
        raise UsageError('"model_optimization" is false and no model is named', hint='add "model"')
    check_limits(members)
    return request_of(CHAT, members, body)
