"""The account-owned routes as data: their bodies, and what their answers say. Pure; no I/O.

Source: "Introduction" of the gateway's documentation, and the OpenAI interfaces that it names. ``/think`` is documented
by name alone: it is sent a chat request, and its answer is read as a chat completion or as a response.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ando_cli.errors import Code, ServerError, UsageError
from ando_cli.frozen import frozen
from ando_cli.inference.chat import (
    answer_text,
    check_limits,
    content_of,
    encode,
    join_words,
    max_tokens_of,
    messages_of,
    read_object,
    sampling_of,
)

if TYPE_CHECKING:
    from ando_cli.inference.chat import Prompt

MODELS_PATH = "/models"
CHAT_PATH = "/chat/completions"
RESPOND_PATH = "/responses"
THINK_PATH = "/think"
COMPLETE_PATH = "/completions"


@frozen
class Model:
    """One model that a key may use. ``created`` is unix seconds, where the gateway tells."""

    id: str
    owner: str | None = None
    created: int | None = None


def build_chat(prompt: Prompt, piped: str = "", *, stream: bool = False) -> bytes:
    """The body of ``/chat/completions`` and of ``/think``.

    Raises:
        UsageError: no model, an empty prompt, an option out of range.
    """
    return build_turn(prompt, messages_of(prompt, piped), stream=stream)


def build_turn(prompt: Prompt, messages: list[dict[str, Any]], *, stream: bool = False) -> bytes:
    """As ``build_chat``, with the messages of a whole conversation.

    Raises:
        UsageError: as ``build_chat``.
    """
    body: dict[str, Any] = {"model": _model(prompt), "messages": messages, "max_tokens": max_tokens_of(prompt)}
    body |= {"stream": stream} | sampling_of(prompt) | prompt.extra
    if stream:
        # Without it a streamed answer does not tell its tokens.
        body.setdefault("stream_options", {"include_usage": True})
    return encode(body)


def check_chat(body: bytes) -> bytes:
    """Return ``body`` as it is, if it is a request that ``/chat/completions`` can take.

    Raises:
        UsageError: not a JSON object with messages and a model, or one for the paid route.
    """
    value = read_object(body)
    for name in ("plan", "model_optimization"):
        if name in value:
            raise UsageError(
                f'the body has "{name}", which is of the paid route alone', hint="leave it out, or use --rail mpp"
            )
    if not isinstance(value.get("model"), str) or not value["model"].strip():
        raise UsageError("the body names no model", hint='add "model"; `ando models` lists them')
    check_limits(value)
    return body


def is_streamed(body: bytes) -> bool:
    """Whether a checked body asks for an answer that arrives piece by piece."""
    return json.loads(body).get("stream") is True


def build_respond(prompt: Prompt, piped: str = "") -> bytes:
    """The body of ``/responses``.

    Raises:
        UsageError: no model, an empty prompt, an option out of range.
    """
    body: dict[str, Any] = {"model": _model(prompt), "input": join_words(prompt, piped)}
    if prompt.system:
        body["instructions"] = prompt.system
    return encode(body | {"max_output_tokens": max_tokens_of(prompt)} | sampling_of(prompt) | prompt.extra)


def build_complete(prompt: Prompt, piped: str = "") -> bytes:
    """The body of ``/completions``. A text that is to be continued may end in white space, which is kept.

    Raises:
        UsageError: no model, an empty prompt, an option out of range.
    """
    body: dict[str, Any] = {"model": _model(prompt), "prompt": join_words(prompt, piped)}
    return encode(body | {"max_tokens": max_tokens_of(prompt)} | sampling_of(prompt) | prompt.extra)


def read_models(answer: bytes) -> list[Model]:
    """The models in an answer of ``/models``.

    Raises:
        ServerError: it is none.
    """
    try:
        listed = json.loads(answer)["data"]
        models = [
            Model(one["id"], _text(one.get("owned_by")), _time(one.get("created"))) for one in listed if one["id"]
        ]
        if not all(isinstance(model.id, str) for model in models):
            raise TypeError("a model's id is a text")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ServerError(
            "the gateway's list of models cannot be read",
            hint="see it with `ando request --rail key /models`",
            code=Code.UNEXPECTED_ANSWER,
        ) from None
    return models


def respond_text(answer: bytes) -> str:
    """The words of a response: all texts that it puts out.

    Raises:
        ServerError: there are none.
    """
    try:
        outputs = json.loads(answer)["output"]
        parts = [part for item in outputs for part in item.get("content") or () if part.get("type") == "output_text"]
        text = "".join(part["text"] for part in parts)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        parts, text = [], ""
    if not parts:
        raise _no_text()
    return text


def complete_text(answer: bytes) -> str:
    """The words of a text completion.

    Raises:
        ServerError: there are none.
    """
    try:
        text = json.loads(answer)["choices"][0]["text"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        text = None
    if not isinstance(text, str):
        raise _no_text()
    return text


def think_text(answer: bytes) -> str:
    """The words of what ``/think`` answers, without the reasoning that led to them.

    Raises:
        ServerError: there are none.
    """
    try:
        return answer_text(answer)
    except ServerError:
        return respond_text(answer)


def reasoning_of(answer: bytes) -> str | None:
    """How a reasoning model came to its answer, where it tells."""
    try:
        message = json.loads(answer)["choices"][0]["message"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return None
    return content_of(message, "reasoning_content") or content_of(message, "reasoning")


def _model(prompt: Prompt) -> str:
    if prompt.model and prompt.model.strip():
        return prompt.model
    raise UsageError(
        "a Virtual Key's request names its model",
        hint="give one with -m (`ando models` lists them), or once and for all with `ando config set model NAME`",
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _time(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _no_text() -> ServerError:
    return ServerError("the gateway's answer holds no text", hint="see what it is with -j", code=Code.UNEXPECTED_ANSWER)
