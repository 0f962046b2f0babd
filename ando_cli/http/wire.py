"""HTTP itself: how connections are made, through which proxy, checked against which certificates, and for how long."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpcore
import httpx

from ando_cli.errors import UsageError
from ando_cli.http import proxies, tls
from ando_cli.http.deadline import Deadline, Pace
from ando_cli.http.extensions import PACE
from ando_cli.http.streams import PacedBackend, UntrustedError

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECT_RETRIES = 3
"""How often connecting is tried again, which is safe: nothing was sent yet."""

_CONNECTIONS, _IDLE_CONNECTIONS, _IDLE_SECONDS = 100, 20, 300.0
"""As httpx has them, but a connection is kept while somebody thinks about the next question."""

_ERRORS: dict[type[Exception], type[httpx.TransportError]] = {
    httpcore.ConnectTimeout: httpx.ConnectTimeout,
    httpcore.ReadTimeout: httpx.ReadTimeout,
    httpcore.WriteTimeout: httpx.WriteTimeout,
    httpcore.PoolTimeout: httpx.PoolTimeout,
    httpcore.ConnectError: httpx.ConnectError,
    httpcore.ReadError: httpx.ReadError,
    httpcore.WriteError: httpx.WriteError,
    httpcore.ProxyError: httpx.ProxyError,
    httpcore.UnsupportedProtocol: httpx.UnsupportedProtocol,
    httpcore.LocalProtocolError: httpx.LocalProtocolError,
    httpcore.RemoteProtocolError: httpx.RemoteProtocolError,
}


class UntrustedCertificateError(httpx.ConnectError):
    """The server's certificate, or the proxy's, is not to be trusted; nothing was sent. The text says why."""


class ProxyConnectError(httpx.ProxyError):
    """There is no way through the proxy; nothing was sent. The text says so, and names the proxy."""


class Wire(httpx.BaseTransport):
    """Sends requests, each the way that its URL goes. The read timeout of a request bounds its answer as a whole.

    Args:
        deadline: bounds everything, connecting included.
        retries: how often connecting is tried again.
    """

    def __init__(self, deadline: Deadline | None = None, *, retries: int = CONNECT_RETRIES) -> None:
        self._deadline = deadline or Deadline()
        self._retries = retries
        self._backend = PacedBackend()
        self._pools: dict[tuple[str, str | None], httpcore.ConnectionPool] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request the way that its URL goes.

        Raises:
            UsageError: the proxy cannot be used.
            httpx.TransportError: no answer came.
        """
        scheme, proxy = request.url.scheme, proxies.choose(str(request.url))
        way = scheme, proxy
        if way not in self._pools:
            self._pools[way] = _connect_through(*way, self._backend, self._retries)
        timeouts = request.extensions.get("timeout", {})
        pace = Pace(timeouts.get("read"), self._deadline)
        url = request.url
        with _errors(request, proxy), pace.in_force():
            response = self._pools[way].handle_request(
                httpcore.Request(
                    method=request.method,
                    url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Body(response, request, pace),
            extensions={**response.extensions, PACE: pace},
        )

    def close(self) -> None:
        """Close the connections."""
        for pool in self._pools.values():
            pool.close()


def _connect_through(
    scheme: str, proxy: str | None, backend: httpcore.NetworkBackend, retries: int
) -> httpcore.ConnectionPool:
    """Make what keeps the connections of one way; each is made when it is first needed."""
    options: dict[str, Any] = {
        "ssl_context": tls.context(scheme),
        "max_connections": _CONNECTIONS,
        "max_keepalive_connections": _IDLE_CONNECTIONS,
        "keepalive_expiry": _IDLE_SECONDS,
        "network_backend": backend,
    }
    if proxy is None:
        return httpcore.ConnectionPool(retries=retries, **options)
    try:
        given = httpx.Proxy(proxy)
        url, auth = given.url, given.raw_auth
        address = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        if url.scheme.startswith("socks"):
            return httpcore.SOCKSProxy(address, proxy_auth=auth, **options)
        secure = tls.context("https") if url.scheme == "https" else None
        return httpcore.HTTPProxy(address, proxy_auth=auth, proxy_ssl_context=secure, **options)
    except (ValueError, ImportError, httpx.InvalidURL):
        raise UsageError(
            "the proxy in the environment cannot be used",
            hint="correct HTTPS_PROXY or ALL_PROXY, or set NO_PROXY for this host",
        ) from None


class _Body(httpx.SyncByteStream):
    """The body of an answer, in the time that is left for it."""

    def __init__(self, response: httpcore.Response, request: httpx.Request, pace: Pace) -> None:
        self._response = response
        self._request = request
        self._pace = pace

    def __iter__(self) -> Iterator[bytes]:
        pieces = self._response.iter_stream()
        while True:
            with _errors(self._request, None), self._pace.in_force():
                piece = next(pieces, None)
            if piece is None:
                return
            yield piece

    def close(self) -> None:
        with _errors(self._request, None):
            self._response.close()


@contextmanager
def _errors(request: httpx.Request, proxy: str | None) -> Iterator[None]:
    """Turn what goes wrong below into httpx's errors; they name the proxy where the request goes through one."""
    try:
        yield
    except UntrustedError as error:
        raise UntrustedCertificateError(str(error), request=request) from None
    except Exception as error:
        found = next((new for old, new in _ERRORS.items() if isinstance(error, old)), None)
        if found is None:
            raise
        if proxy is not None and found is httpx.ProxyError:
            raise ProxyConnectError(f"the proxy {proxies.shown(proxy)} answered {error}", request=request) from None
        if proxy is not None and found in (httpx.ConnectError, httpx.ConnectTimeout):
            raise ProxyConnectError(f"no way through the proxy {proxies.shown(proxy)}", request=request) from None
        raise found(str(error), request=request) from error
