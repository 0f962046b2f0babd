"""The account-owned routes as data: their requests. Pure; no I/O.

Source: "Introduction" of the gateway's documentation, and the OpenAI interfaces that it names. Only the name
of ``/think`` is documented: it gets a chat request, and its answer is read as a chat completion or as a response.
"""

from __future__ import annotations

from typing import Any

from ando_cli.errors import UsageError
from ando_cli.inference.answers import answer_text, complete_text, respond_text, think_text
from ando_cli.inference.prompt import Prompt, join_words, max_tokens_of, messages_of, sampling_of
from ando_cli.inference.request import Request, Route, check_limits, check_messages, request_of

CHAT = Route("/chat/completions", keyed=True, text=answer_text)
RESPOND = Route("/responses", keyed=True, text=respond_text)
THINK = Route("/think", keyed=True, text=think_text)
COMPLETE = Route("/completions", keyed=True, text=complete_text)


def build_chat(prompt: Prompt, messages: list[dict[str, Any]], *, stream: bool = False) -> Request:
    """Build the chat request that asks ``messages`` with the options of ``prompt``.

    Raises:
        UsageError: no model, an option out of range.
    """
    return _chat(CHAT, prompt, messages, stream=stream)


def build_think(prompt: Prompt, piped: str = "") -> Request:
    """Build the request of ``/think``, which is a chat request.

    Raises:
        UsageError: no model, an empty prompt, an option out of range.
    """
    return _chat(THINK, prompt, messages_of(prompt, piped), stream=False)


def build_respond(prompt: Prompt, piped: str = "") -> Request:
    """Build the request of ``/responses``.

    Raises:
        UsageError: no model, an empty prompt, an option out of range.
    """
    body: dict[str, Any] = {"model": _model(prompt), "input": join_words(prompt, piped)}
    if prompt.system:
        body["instructions"] = prompt.system
    return request_of(RESPOND, body | {"max_output_tokens": max_tokens_of(prompt)} | sampling_of(prompt) | prompt.extra)


def build_complete(prompt: Prompt, piped: str = "") -> Request:
    """Build the request of ``/completions``. White space at the end of the text is kept.

    Raises:
        UsageError: no model, an empty prompt, an option out of range.
    """
    body: dict[str, Any] = {"model": _model(prompt), "prompt": join_words(prompt, piped)}
    return request_of(COMPLETE, body | {"max_tokens": max_tokens_of(prompt)} | sampling_of(prompt) | prompt.extra)


def check_chat(value: Any, body: bytes) -> Request:
    """Make the request from a whole body, if ``/chat/completions`` accepts it. Its bytes do not change.

    Args:
        value: the JSON of ``body``.

    Raises:
        UsageError: the body is not a JSON object with messages and a model, or is for the paid route.
    """
    members = check_messages(value)
    for name in ("plan", "model_optimization"):
        if name in members:
            raise UsageError(
                f'the body has "{name}", which only the paid route accepts', hint="leave it out, or use --rail mpp"
            )
    if not isinstance(members.get("model"), str) or not members["model"].strip():
        raise UsageError("the body names no model", hint='add "model"; `ando models` lists them')
    check_limits(members)
    return request_of(CHAT, members, body)


def _chat(route: Route, prompt: Prompt, messages: list[dict[str, Any]], *, stream: bool) -> Request:
    body: dict[str, Any] = {"model": _model(prompt), "messages": messages, "max_tokens": max_tokens_of(prompt)}
    body |= {"stream": stream} | sampling_of(prompt) | prompt.extra
    if stream:
        # Without it, a streamed answer does not report its tokens.
        body.setdefault("stream_options", {"include_usage": True})
    return request_of(route, body)


def _model(prompt: Prompt) -> str:
    if prompt.model and prompt.model.strip():
        return prompt.model
    raise UsageError(
        "a request with a Virtual Key needs a model",
        hint="give one with -m (`ando models` lists them), or set a default with `ando config set model NAME`",
    )
