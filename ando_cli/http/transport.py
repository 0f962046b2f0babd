"""What is read of an answer: bounded, decoded, and asked for again where it was paid for and did not come.

If a paid request gets no answer, it is sent once more: the same bytes with the same credential, never with a new one.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import httpx

from ando_cli.errors import Code, NetworkError, ServerError
from ando_cli.http.deadline import Deadline, Words
from ando_cli.http.extensions import CREDENTIAL, CUT, KEYED, PACE, RESENT, STREAMED, UNSENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

ERROR_BODY_LIMIT = 1024 * 1024
"""Bytes of an error answer that are read; what a server sends beyond them is left on the wire."""

PAID_BODY_LIMIT = 64 * 1024 * 1024
"""Bytes of an answer that was paid for, on either rail. It is kept in memory, so that a cut one is noticed while it can
still be asked for again."""

_GZIP = zlib.MAX_WBITS | 16
UNPAID_BODY_LIMIT = 64 * 1024 * 1024
"""Bytes of an answer that costs nothing; a longer one is an error."""

STREAM_LIMIT = 64 * 1024 * 1024
"""Bytes of an answer that arrives piece by piece; no answer is that long."""

_PIECE = 1024 * 1024
"""Bytes that are unpacked at once."""

_NO_ANSWER = (httpx.ReadError, httpx.WriteError, httpx.CloseError, httpx.RemoteProtocolError, httpx.ReadTimeout,
              httpx.WriteTimeout, httpx.DecodingError)  # fmt: skip
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError, httpx.PoolTimeout)
"""What httpx raises where nothing was sent."""


class _CutError(httpx.ReadError):
    """A success ended early. ``response`` is what came of it."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__("the answer ends early")
        self.response = response


class _Bounded(httpx.SyncByteStream):
    """The body of ``response``, decoded, which ends with an error where it does not end by itself."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        read, words, pace = 0, Words(), self._response.extensions.get(PACE)
        for chunk in _decoded(self._response, STREAM_LIMIT):
            read += len(chunk)
            if read > STREAM_LIMIT:
                raise httpx.ReadError("the answer does not end")
            if pace is not None and words.arrived(chunk):
                pace.restart()
            yield chunk

    def close(self) -> None:
        self._response.close()


class Transport(httpx.BaseTransport):
    """Reads what must be read while the request can still be repeated, and no more than is safe."""

    def __init__(
        self, inner: httpx.BaseTransport, waiting: Callable[[], AbstractContextManager[object]], deadline: Deadline
    ) -> None:
        self._inner = inner
        self._waiting = waiting
        self._deadline = deadline

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, once more where it carries a credential and its answer was lost or ended early.

        Where the second one is no better, the part that came is the answer, with ``CUT`` among its extensions.

        Raises:
            NetworkError: the command's time is over, and nothing was sent.
            ServerError: an answer that costs nothing is too long.
            httpx.TransportError: no answer came.
        """
        if self._deadline.over:
            request.extensions[UNSENT] = True
            raise _time_over(self._deadline)
        cut: httpx.Response | None = None
        with self._waiting():
            try:
                return self._attempt(request)
            except NOT_SENT:
                request.extensions[UNSENT] = True
                raise
            except _NO_ANSWER as error:
                if CREDENTIAL not in request.extensions or self._deadline.over:
                    raise
                cut = _part(error)
            request.extensions[RESENT] = True
            try:
                response = self._attempt(request)
            except (httpx.TransportError, httpx.DecodingError) as error:
                # However the second try failed, the first one may have arrived.
                response = cut = _longer(cut, _part(error))
            else:
                if cut is not None and not response.is_success:
                    response = cut
            if response is cut:
                response.extensions[CUT] = True
        response.extensions[RESENT] = True
        return response

    def close(self) -> None:
        """Close what carries the bytes."""
        self._inner.close()

    def _attempt(self, request: httpx.Request) -> httpx.Response:
        response = self._inner.handle_request(request)
        if response.status_code >= 300:
            return _read(response, ERROR_BODY_LIMIT)
        if STREAMED in request.extensions:
            return _plain(response, stream=_Bounded(response))
        if CREDENTIAL in request.extensions or KEYED in request.extensions:
            return _read_whole(response, PAID_BODY_LIMIT)
        whole = _read(response, UNPAID_BODY_LIMIT + 1)
        if len(whole.content) > UNPAID_BODY_LIMIT:
            raise ServerError(
                f"the answer is longer than {UNPAID_BODY_LIMIT // 1024**2} MiB: the rest was not read",
                hint="nothing was paid for it; ask for less",
                code=Code.ANSWER_TOO_LONG,
            )
        return whole


def _time_over(deadline: Deadline) -> NetworkError:
    return NetworkError(
        f"the {deadline.seconds:g} seconds of --max-time are over",
        hint="this request was not sent; give the command more time",
        code=Code.MAX_TIME,
    )


def _read(response: httpx.Response, limit: int) -> httpx.Response:
    """``response`` with its body read, decoded, and cut at ``limit`` bytes."""
    body = bytearray()
    try:
        for chunk in _decoded(response, min(limit, _PIECE)):
            body += chunk
            if len(body) >= limit:
                break
    finally:
        response.close()
    del body[limit:]
    return _plain(response, content=bytes(body))


def _read_whole(response: httpx.Response, limit: int) -> httpx.Response:
    """``response`` with its body read and decoded; with ``CUT`` where that is longer than ``limit`` bytes.

    Raises:
        _CutError: the body ends early.
    """
    body = bytearray()
    try:
        for chunk in _decoded(response, limit):
            body += chunk
            if len(body) > limit:
                whole = _plain(response, content=bytes(body[:limit]))
                whole.extensions[CUT] = True  # another try would be as long
                return whole
    except _NO_ANSWER:
        raise _CutError(_plain(response, content=bytes(body))) from None
    finally:
        response.close()
    return _plain(response, content=bytes(body))


def _part(error: Exception) -> httpx.Response | None:
    return error.response if isinstance(error, _CutError) else None


def _longer(first: httpx.Response | None, second: httpx.Response | None) -> httpx.Response:
    """The one of two parts of an answer that holds more.

    Raises:
        httpx.ReadError: there is none.
    """
    parts = [part for part in (first, second) if part is not None and part.content]
    if not parts:
        raise httpx.ReadError("no answer to either try")
    return max(parts, key=lambda part: len(part.content))


def _plain(response: httpx.Response, **body: Any) -> httpx.Response:
    """``response`` with a body that needs no decoding any more: ``content`` or ``stream``, as httpx names them."""
    dropped = (b"content-encoding", b"content-length", b"transfer-encoding")
    # The bytes as they came: a value that is not ASCII would not survive being decoded and encoded again.
    headers = [(name, value) for name, value in response.headers.raw if name.lower() not in dropped]
    return httpx.Response(response.status_code, headers=headers, extensions=response.extensions, **body)


def _decoded(response: httpx.Response, limit: int) -> Iterator[bytes]:
    """Yield the body in pieces of at most ``limit`` bytes.

    httpx unpacks whatever it is sent at once, and layer by layer, so that a few kilobytes can fill the memory. Here any
    coding but the one that we ask for stays as it is.
    """
    stream = response.stream
    if not isinstance(stream, httpx.SyncByteStream):
        raise TypeError("the answer's body is not read synchronously")
    raw = _as_stated(response, stream)
    if response.headers.get("content-encoding", "").strip().lower() not in ("gzip", "x-gzip"):
        yield from raw
        return
    try:
        yield from _inflated(raw, limit)
    except zlib.error:
        raise httpx.DecodingError("not gzip") from None


def _as_stated(response: httpx.Response, stream: httpx.SyncByteStream) -> Iterator[bytes]:
    """Yield what ``stream`` holds, and fail where that is less than the length that the answer states."""
    length, read = response.headers.get("content-length", ""), 0
    for chunk in stream:
        read += len(chunk)
        yield chunk
    if length.isascii() and length.isdigit() and 0 < read < int(length[:20]):  # none at all: an answer to HEAD
        raise httpx.ReadError("the answer ends early")


def _inflated(raw: Iterator[bytes], limit: int) -> Iterator[bytes]:
    """Yield what is unpacked from gzip, of any number of members, and fail where the last one does not end."""
    inflate = zlib.decompressobj(_GZIP)
    started = False
    for chunk in raw:
        while chunk:
            if inflate.eof:
                chunk = chunk.lstrip(b"\0")  # members may be padded
                if not chunk:
                    break
                inflate = zlib.decompressobj(_GZIP)
            started = True
            yield inflate.decompress(chunk, limit)
            chunk = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
    while started and not inflate.eof:
        more = inflate.decompress(b"", limit)
        if not more:
            raise httpx.ReadError("the answer ends early")
        yield more
