"""Streamed answers: the chunks of a chat completion, as data. Pure; no I/O.

Source: the OpenAI interface's streamed chat completions, as ``/v1/chat/completions`` serves them.
"""

from __future__ import annotations

import json
from typing import Any

from ando_cli.errors import Code, ServerError
from ando_cli.frozen import frozen
from ando_cli.inference.answers import content_of
from ando_cli.inference.usage import Usage, usage_of
from ando_cli.mpp.problem import parse_problem

_DONE = "[DONE]"


@frozen
class Piece:
    """A part of the answer, or of its reasoning."""

    text: str = ""
    reasoning: str = ""


class Chunks:
    """Reads events one by one.

    ``usage`` is what the answer used, as far as it was reported. ``complete`` is whether the answer has ended, and
    ``done`` whether the stream has.
    """

    def __init__(self) -> None:
        self.usage = Usage()
        self.complete = False
        self.done = False

    def take(self, data: str) -> list[Piece]:
        """Read one event, and return the pieces of the answer in it.

        Raises:
            ServerError: it is not a chunk of an answer, or reports that the gateway stopped.
        """
        self.done = self.done or data == _DONE
        if self.done:
            self.complete = True
            return []
        chunk = _chunk(data)
        if isinstance(chunk.get("usage"), dict):
            self.usage = usage_of(chunk)
        pieces = []
        for choice in _choices(chunk):
            delta = choice.get("delta")
            piece = Piece(content_of(delta, "content") or "", content_of(delta, "reasoning_content") or "")
            if piece != Piece():
                pieces.append(piece)
            self.complete = self.complete or choice.get("finish_reason") is not None
        return pieces


def unreadable() -> ServerError:
    """Return the error for a stream that is not a chat completion."""
    return ServerError(
        "the gateway's streamed answer cannot be read", hint="try again with --no-stream", code=Code.UNEXPECTED_ANSWER
    )


def _chunk(data: str) -> dict[str, Any]:
    try:
        chunk = json.loads(data)
    except (ValueError, RecursionError):
        raise unreadable() from None
    if not isinstance(chunk, dict):
        raise unreadable()
    if chunk.get("error") is not None:
        problem = parse_problem(200, data.encode())
        raise ServerError(
            f"the gateway stopped in the middle of the answer: {problem.message}",
            hint="the answer is incomplete; try again",
            code=problem.code or Code.ANSWER_FAILED,
        )
    return chunk


def _choices(chunk: dict[str, Any]) -> list[dict[str, Any]]:
    choices = chunk.get("choices")
    return [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []
