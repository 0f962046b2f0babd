"""Reading an answer that arrives piece by piece, and completing its row in the ledger."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx

from ando_cli.errors import Code, LostAnswerError, NetworkError, ServerError
from ando_cli.http.extensions import BOOKING
from ando_cli.inference.answers import answer_text
from ando_cli.inference.stream import Chunks, Piece, unreadable
from ando_cli.inference.usage import Usage, read_usage
from ando_cli.session.record.ledger import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ando_cli.http.client import AndoClient
    from ando_cli.inference.request import Request
    from ando_cli.rails.bearer import Booking


@contextmanager
def stream_answer(client: AndoClient, request: Request) -> Iterator[AnswerStream]:
    """Ask with a Virtual Key for a streamed answer.

    Raises:
        AndoError: the gateway refused, or did not answer.
    """
    with client.stream(request) as response:
        yield AnswerStream(response)


class AnswerStream:
    """The pieces of one answer, in order; after the last one, ``usage`` holds what it used.

    Args:
        response: a successful response whose body was not read yet.
    """

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._booking: Booking | None = response.extensions.get(BOOKING)
        self.usage = Usage()

    def __iter__(self) -> Iterator[Piece]:
        """Read the pieces.

        Raises:
            NetworkError: the answer broke off (``answer_cut``). Earlier pieces were returned.
            ServerError: the gateway stopped in the middle, or sent something other than an answer.
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
        except httpx.DecodingError:  # it claims to be compressed, although the request asked for no compression
            raise unreadable() from None

    def _events(self) -> Iterator[Piece]:
        from httpx_sse import EventSource, SSEError

        chunks = Chunks()
        try:
            for event in EventSource(self._response).iter_sse():
                # Read to the end, where nothing follows, so that the connection can be used again.
                yield from self._taken(chunks, event.data)
        except SSEError:
            raise unreadable() from None
        except httpx.TransportError:
            if not chunks.done:
                raise
        if not chunks.complete:
            raise _cut(self._response)

    def _taken(self, chunks: Chunks, data: str) -> list[Piece]:
        pieces = chunks.take(data)
        self.usage = chunks.usage
        return pieces

    def _whole(self) -> Iterator[Piece]:
        """Read an answer that came in one piece although a stream was requested."""
        answer = self._response.read()
        text = answer_text(answer)
        self.usage = read_usage(answer)
        yield Piece(text)

    def _finish(self, outcome: Outcome) -> None:
        if self._booking is not None:
            self._booking.finish(outcome, self.usage)


def _cut(response: httpx.Response) -> NetworkError:
    return LostAnswerError(
        f"{response.request.url.host} broke off in the middle of the answer",
        hint="the answer is incomplete, and may have been charged to the key",
        code=Code.ANSWER_CUT,
    )
