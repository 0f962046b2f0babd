"""The text of an answer, on each of the routes. Pure; no I/O."""

from __future__ import annotations

import json

from ando_cli.errors import Code, ServerError


def answer_text(answer: bytes) -> str:
    """Return the text of a chat completion.

    Raises:
        ServerError: the answer is not a chat completion. It was paid for, and ``-j`` prints it.
    """
    try:
        content = json.loads(answer)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        content = None
    if not isinstance(content, str):
        raise _no_text()
    return content


def respond_text(answer: bytes) -> str:
    """Return the text of a response: all of its output texts.

    Raises:
        ServerError: it holds no text.
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
    """Return the text of a text completion.

    Raises:
        ServerError: it holds no text.
    """
    try:
        text = json.loads(answer)["choices"][0]["text"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        text = None
    if not isinstance(text, str):
        raise _no_text()
    return text


def think_text(answer: bytes) -> str:
    """Return the text of an answer of ``/think``, without the reasoning.

    Raises:
        ServerError: it holds no text.
    """
    try:
        return answer_text(answer)
    except ServerError:
        return respond_text(answer)


def reasoning_of(answer: bytes) -> str | None:
    """Return the reasoning of an answer; ``None`` if it holds none."""
    try:
        message = json.loads(answer)["choices"][0]["message"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return None
    return content_of(message, "reasoning_content") or content_of(message, "reasoning")


def content_of(message: object, member: str) -> str | None:
    """Return a text in a message or a delta; ``None`` if there is none."""
    value = message.get(member) if isinstance(message, dict) else None
    return value if isinstance(value, str) else None


def _no_text() -> ServerError:
    return ServerError("the gateway's answer holds no text", hint="print it with -j", code=Code.UNEXPECTED_ANSWER)
