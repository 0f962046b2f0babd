"""An answer that arrives piece by piece: server-sent events of a chat completion.

Source: the OpenAI interface's streamed chat completions, as ``/v1/chat/completions`` serves them.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx

from ando_cli.errors import Code, LostAnswerError, NetworkError, ServerError
from ando_cli.frozen import frozen
from ando_cli.inference.chat import answer_text, content_of
from ando_cli.inference.usage import Usage, read_usage, usage_of
from ando_cli.mpp.problem import parse_problem
from ando_cli.rails.bearer import BOOKING, Booking
from ando_cli.session.record.ledger import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ando_cli.http.client import AndoClient

_DONE = "[DONE]"


@frozen
class Piece:
    """A part of the answer, or of the reasoning that leads to it."""

    text: str = ""
    reasoning: str = ""


@contextmanager
def stream_answer(client: AndoClient, path: str, body: bytes) -> Iterator[AnswerStream]:
    """Ask with a Virtual Key for an answer that arrives piece by piece.

    Raises:
        AndoError: the gateway refused, or did not answer.
    """
    with client.stream(path, body) as response:
        yield AnswerStream(response)


class AnswerStream:
    """The pieces of one answer, in order; when they have ended, ``usage`` is what they took.

    Args:
        response: a success whose body was not read yet.
    """

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._booking: Booking | None = response.extensions.get(BOOKING)
        self.usage = Usage()

    def __iter__(self) -> Iterator[Piece]:
        """Read the pieces.

        Raises:
            NetworkError: it broke off (``answer_cut``). What came before was handed on.
            ServerError: the gateway gave up in the middle, or sent something else than an answer.
        """
        try:
            yield from self._pieces()
        except ServerError:
            self._finish(Outcome.FAILED)
            raise
        except httpx.TransportError:
            raise _cut(self._response) from None
        self._finish(Outcome.ANSWERED)

    def _pieces(self) -> Iterator[Piece]:
        streamed = self._response.headers.get("content-type", "").partition(";")[0].strip() == "text/event-stream"
        try:
            yield from self._events() if streamed else self._whole()
        except httpx.DecodingError:  # compressed, or so it says, although it was asked not to be
            raise _unreadable() from None

    def _events(self) -> Iterator[Piece]:
        from httpx_sse import EventSource, SSEError

        ended = done = False
        try:
            for event in EventSource(self._response).iter_sse():
                # What follows is read too, which is nothing: the connection can then be used again.
                done = done or event.data == _DONE
                if done:
                    continue
                chunk = _chunk(event.data)
                self.usage = usage_of(chunk) if isinstance(chunk.get("usage"), dict) else self.usage
                for choice in _choices(chunk):
                    delta = choice.get("delta")
                    piece = Piece(content_of(delta, "content") or "", content_of(delta, "reasoning_content") or "")
                    if piece != Piece():
                        yield piece
                    ended = ended or choice.get("finish_reason") is not None
        except SSEError:
            raise _unreadable() from None
        except httpx.TransportError:
            if not done:
                raise
        if not (ended or done):
            raise _cut(self._response)

    def _whole(self) -> Iterator[Piece]:
        """An answer that came in one piece although a stream was asked for."""
        answer = self._response.read()
        text = answer_text(answer)
        self.usage = read_usage(answer)
        yield Piece(text)

    def _finish(self, outcome: Outcome) -> None:
        if self._booking is not None:
            self._booking.finish(outcome, self.usage)


def _chunk(data: str) -> dict[str, Any]:
    try:
        chunk = json.loads(data)
    except (ValueError, RecursionError):
        raise _unreadable() from None
    if not isinstance(chunk, dict):
        raise _unreadable()
    if chunk.get("error") is not None:
        problem = parse_problem(200, data.encode())
        raise ServerError(
            f"the gateway gave up in the middle of the answer: {problem.message}",
            hint="what came is not the whole answer; try again",
            code=problem.code or Code.ANSWER_FAILED,
        )
    return chunk


def _choices(chunk: dict[str, Any]) -> list[dict[str, Any]]:
    choices = chunk.get("choices")
    return [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []


def _cut(response: httpx.Response) -> NetworkError:
    return LostAnswerError(
        f"{response.request.url.host} broke off in the middle of the answer",
        hint="what came is not the whole answer, and may have been charged to the key",
        code=Code.ANSWER_CUT,
    )


def _unreadable() -> ServerError:
    return ServerError(
        "the gateway's streamed answer cannot be read", hint="try again with --no-stream", code=Code.UNEXPECTED_ANSWER
    )
