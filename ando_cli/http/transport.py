"""What carries the bytes: bounded reads, the repeat of a paid request, decoding, proxies.

If a paid request gets no answer, it is sent once more: the same bytes with the same credential, never with a new one.
"""

from __future__ import annotations

import urllib.request
import zlib
from typing import TYPE_CHECKING, Any

import httpx

from ando_cli.errors import UsageError
from ando_cli.http import tls
from ando_cli.http.extensions import CREDENTIAL, CUT, KEYED, RESENT, STREAMED, UNSENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

CONNECT_RETRIES = 3
ERROR_BODY_LIMIT = 1024 * 1024
"""Bytes of an error answer that are read; what a server sends beyond them is left on the wire."""

PAID_BODY_LIMIT = 64 * 1024 * 1024
"""Bytes of an answer that was paid for, on either rail. It is kept in memory, so that a cut one is noticed while it can
still be asked for again."""

_GZIP = zlib.MAX_WBITS | 16

STREAM_LIMIT = 64 * 1024 * 1024
"""Bytes of an answer that arrives piece by piece; no answer is that long."""

_LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=300)
"""As httpx has them, but a connection is kept while somebody thinks about the next question."""

_NO_ANSWER = (httpx.ReadError, httpx.WriteError, httpx.CloseError, httpx.RemoteProtocolError, httpx.ReadTimeout,
              httpx.WriteTimeout, httpx.DecodingError)  # fmt: skip
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError, httpx.PoolTimeout)
"""What httpx raises where nothing was sent."""


class _CutError(httpx.ReadError):
    """A success ended early. ``response`` is what came of it."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__("the answer ends early")
        self.response = response


class Wire(httpx.BaseTransport):
    """HTTP, through the environment's proxy where there is one, but never on the way to this machine itself."""

    def __init__(self) -> None:
        self._transports: dict[tuple[str, str | None], httpx.HTTPTransport] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request the way that its URL goes.

        Raises:
            UsageError: the proxy cannot be used.
            httpx.TransportError: no answer came.
        """
        host = request.url.host
        bypass = host in ("localhost", "127.0.0.1", "::1") or bool(urllib.request.proxy_bypass(host))
        proxies = {} if bypass else urllib.request.getproxies()
        way = request.url.scheme, proxies.get(request.url.scheme) or proxies.get("all")
        if way not in self._transports:
            self._transports[way] = _connect_through(*way)
        return self._transports[way].handle_request(request)

    def close(self) -> None:
        """Close the connections."""
        for transport in self._transports.values():
            transport.close()


def _connect_through(scheme: str, proxy: str | None) -> httpx.HTTPTransport:
    url = proxy if proxy is None or "://" in proxy else f"http://{proxy}"
    try:
        # Connecting again is safe: nothing was sent yet.
        context = tls.context(scheme)
        return httpx.HTTPTransport(verify=context, retries=CONNECT_RETRIES, proxy=url, limits=_LIMITS)
    except (ValueError, ImportError, httpx.InvalidURL):
        raise UsageError(
            "the proxy in the environment cannot be used",
            hint="set HTTPS_PROXY (or ALL_PROXY) to an http:// or https:// URL, or NO_PROXY for this host",
        ) from None


class _Bounded(httpx.SyncByteStream):
    """The body of ``response``, decoded, which ends with an error where it does not end by itself."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        read = 0
        for chunk in _decoded(self._response, STREAM_LIMIT):
            read += len(chunk)
            if read > STREAM_LIMIT:
                raise httpx.ReadError("the answer does not end")
            yield chunk

    def close(self) -> None:
        self._response.close()


class Transport(httpx.BaseTransport):
    """Reads what must be read while the request can still be repeated, and no more than is safe."""

    def __init__(self, inner: httpx.BaseTransport, waiting: Callable[[], AbstractContextManager[object]]) -> None:
        self._inner = inner
        self._waiting = waiting

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, once more where it carries a credential and its answer was lost or ended early.

        Where the second one is no better, the part that came is the answer, with ``CUT`` among its extensions.

        Raises:
            httpx.TransportError: no answer came.
        """
        cut: httpx.Response | None = None
        with self._waiting():
            try:
                return self._attempt(request)
            except NOT_SENT:
                request.extensions[UNSENT] = True
                raise
            except _NO_ANSWER as error:
                if CREDENTIAL not in request.extensions:
                    raise
                cut = _part(error)
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
        return response


def _read(response: httpx.Response, limit: int) -> httpx.Response:
    """``response`` with its body read, decoded, and cut at ``limit`` bytes."""
    body = bytearray()
    try:
        for chunk in _decoded(response, limit):
            body += chunk
            if len(body) >= limit:
                break
    finally:
        response.close()
    return _plain(response, content=bytes(body[:limit]))


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
