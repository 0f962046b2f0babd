"""The shared request core: one ``AndoClient``, used by every command that talks to a gateway.

The body is frozen here: what a caller hands in is what every try sends. A paid request whose answer does not come is
sent once more, the same bytes with the same credential, and never with a new one.
"""

from __future__ import annotations

import urllib.request
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import httpx

from ando_cli import __version__
from ando_cli.errors import NetworkError, PaymentError, ServerError, UsageError
from ando_cli.mpp.problem import parse_problem
from ando_cli.rails.payment import CREDENTIAL, DRY_RUN, RESENT, Quote, Quoted
from ando_cli.settings import check_url, origin

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CHAT_PATH = "/mpp/chat/completions"
CONNECT_RETRIES = 3
ERROR_BODY_LIMIT = 1024 * 1024
"""Bytes of an error answer that are read; what a server sends beyond them is left on the wire."""

PAID_BODY_LIMIT = 64 * 1024 * 1024
"""Bytes of a paid answer. It is kept in memory, so that a cut one is noticed while it can still be asked for again."""

_BEARER_ROUTES = ("/models", "/chat/completions", "/responses", "/think", "/completions")
_NO_ANSWER = (httpx.ReadError, httpx.WriteError, httpx.CloseError, httpx.RemoteProtocolError, httpx.ReadTimeout,
              httpx.WriteTimeout)  # fmt: skip


class AndoClient:
    """Sends requests to a gateway, paying on the way where ``auth`` does.

    Args:
        base_url: the gateway's, with its ``/v1``.
        auth: the rail; ``None`` sends without one.
        connect_timeout, timeout: seconds to wait for a connection, and for each part of an answer.
        waiting: entered while an answer is awaited; shows the spinner.
        transport: what carries the bytes; a test's own, else HTTP.
    """

    def __init__(
        self,
        base_url: str,
        auth: httpx.Auth | None,
        *,
        connect_timeout: float,
        timeout: float,
        waiting: Callable[[], AbstractContextManager[object]] = nullcontext,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._base_url = base_url
        self._auth = auth
        self._http = httpx.Client(
            transport=_Transport(transport or _Wire(), waiting),
            timeout=httpx.Timeout(timeout, connect=connect_timeout),
            headers={"User-Agent": f"ando/{__version__}"},
            follow_redirects=False,  # a credential never crosses a redirect
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def post(self, path: str, body: bytes) -> httpx.Response:
        """POST a JSON body to a path under the base URL and return the answer, which is a success.

        Raises:
            AndoError: any other answer, or none.
        """
        response = self.send("POST", path, [("Content-Type", "application/json")], body)
        if response.is_success:
            return response
        raise failure(response)

    def send(
        self,
        method: str,
        url: str,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        dry_run: bool = False,
    ) -> httpx.Response:
        """Send one request and return the answer, whatever its status.

        Raises:
            UsageError: the request mixes the two rails, or is one that the gateway reserves.
            PaymentError, WalletError, StoreError: it asks to be paid, and cannot be.
            NetworkError: no answer came.
            Quoted: it was a dry run of a request that asks to be paid.
        """
        target = resolve_url(url, self._base_url)
        given = httpx.Headers(list(headers))
        check_rail(method, target, given.get("Authorization"))
        pays = self._auth is not None and "Authorization" not in given and not is_bearer_route(target, self._base_url)
        extensions = {DRY_RUN: True} if dry_run else {}
        try:
            request = self._http.build_request(
                method, target, headers=given, content=body or None, extensions=extensions
            )
            return self._http.send(request, auth=self._auth if pays else None)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError):
            raise UsageError("the URL cannot be used", hint="write it like https://host/path") from None
        except httpx.TransportError as error:
            raise _no_answer(error) from None
        except httpx.DecodingError:
            raise ServerError("the answer is compressed in a way that cannot be read", hint="try again") from None

    def quote(self, path: str, body: bytes) -> Quote | None:
        """Ask what a POST would cost; ``None`` where it costs nothing.

        Raises:
            AndoError: as ``send``, or the gateway answered with an error.
        """
        try:
            response = self.send("POST", path, [("Content-Type", "application/json")], body, dry_run=True)
        except Quoted as quoted:
            return quoted.quote
        if response.is_success:
            return None
        raise failure(response)


def resolve_url(url: str, base_url: str) -> str:
    """``url`` itself, or where it is a path, that path under the base URL.

    Raises:
        UsageError: it is neither.
    """
    if url.startswith("/"):
        prefix = urlsplit(base_url).path
        return base_url + (url.removeprefix(prefix) if url.startswith(prefix + "/") else url)
    return check_url(url, "the URL", keep_slash=True)


def is_paid_route(url: str) -> bool:
    """Whether the URL's path is one of the gateway's accountless routes, however it is spelt."""
    return "mpp" in unquote(urlsplit(url).path).lower().split("/")


def is_bearer_route(url: str, base_url: str) -> bool:
    """Whether the URL is a route of this gateway that a Virtual Key pays for."""
    path = unquote(urlsplit(url).path).rstrip("/").lower()
    return origin(url) == origin(base_url) and path in {urlsplit(base_url).path + route for route in _BEARER_ROUTES}


def check_rail(method: str, url: str, authorization: str | None) -> None:
    """Refuse a request that would carry one rail's credential to the other's route.

    Raises:
        UsageError: nothing was sent.
    """
    scheme = (authorization or "").strip().partition(" ")[0].lower()
    if is_paid_route(url):
        if method.upper() == "HEAD":
            raise UsageError("HEAD on the paid route is reserved by the gateway", hint="use POST, or another URL")
        if scheme == "bearer":
            raise UsageError(
                "a Virtual Key must not go to the paid route",
                hint="leave the Authorization header out: this route is paid from the channel",
            )
    elif scheme == "payment":
        raise UsageError(
            "a payment credential must not go to a route that does not take it",
            hint="leave the Authorization header out",
        )


def failure(response: httpx.Response) -> PaymentError | ServerError:
    """The error for an answer that is not a success."""
    problem = parse_problem(response.status_code, response.content)
    request_id = response.headers.get("x-request-id", "")
    where = f" (request {request_id[:64]})" if request_id.replace("-", "").isalnum() else ""
    if 300 <= response.status_code < 400:
        error: PaymentError | ServerError = ServerError(
            f"the server answered with a redirect ({response.status_code}), which is not followed",
            hint="a payment must not follow a redirect; use the final URL",
            code="redirect",
        )
    elif response.status_code == 402:
        error = PaymentError(
            f"the server wants to be paid: {problem.message}", hint="this request was not paid", code=problem.code
        )
    else:
        hint = "check the request" if response.status_code < 500 else "try again later"
        error = ServerError(
            f"the server answered {response.status_code}: {problem.message}{where}", hint=hint, code=problem.code
        )
    error.body = response.content
    return error


class _Wire(httpx.BaseTransport):
    """HTTP, through the environment's proxy where there is one, but never on the way to this machine itself."""

    def __init__(self) -> None:
        self._transports: dict[str | None, httpx.HTTPTransport] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        bypass = host in ("localhost", "127.0.0.1", "::1") or bool(urllib.request.proxy_bypass(host))
        proxies = {} if bypass else urllib.request.getproxies()
        proxy = proxies.get(request.url.scheme) or proxies.get("all")
        if proxy not in self._transports:
            # Connecting again is safe: nothing was sent yet.
            self._transports[proxy] = httpx.HTTPTransport(retries=CONNECT_RETRIES, proxy=proxy)
        return self._transports[proxy].handle_request(request)

    def close(self) -> None:
        for transport in self._transports.values():
            transport.close()


class _Transport(httpx.BaseTransport):
    """Reads what must be read while the request can still be repeated, and no more than is safe."""

    def __init__(self, inner: httpx.BaseTransport, waiting: Callable[[], AbstractContextManager[object]]) -> None:
        self._inner = inner
        self._waiting = waiting

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        with self._waiting():
            try:
                return self._attempt(request)
            except _NO_ANSWER:
                if CREDENTIAL not in request.extensions:
                    raise
            try:
                response = self._attempt(request)
            except httpx.TransportError:
                # However the second try failed, the first one may have arrived.
                raise httpx.ReadError("no answer to either try") from None
        response.extensions[RESENT] = True
        return response

    def close(self) -> None:
        self._inner.close()

    def _attempt(self, request: httpx.Request) -> httpx.Response:
        response = self._inner.handle_request(request)
        if response.status_code >= 400:
            return _read(response, request, ERROR_BODY_LIMIT)
        if CREDENTIAL in request.extensions:
            return _read(response, request, PAID_BODY_LIMIT)
        return response


def _read(response: httpx.Response, request: httpx.Request, limit: int) -> httpx.Response:
    """``response`` with its body read, decoded, and cut at ``limit`` bytes."""
    response.request = request  # what an error while reading is reported for
    body = bytearray()
    try:
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) >= limit:
                break
    finally:
        response.close()
    dropped = ("content-encoding", "content-length", "transfer-encoding")
    headers = [(name, value) for name, value in response.headers.multi_items() if name.lower() not in dropped]
    return httpx.Response(
        response.status_code, headers=headers, content=bytes(body[:limit]), extensions=response.extensions
    )


def _no_answer(error: httpx.TransportError) -> NetworkError:
    paid = CREDENTIAL in error.request.extensions
    host = error.request.url.host
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError | httpx.PoolTimeout):
        again = "; the voucher stays valid for the next request" if paid else ""
        return NetworkError(
            f"cannot connect to {host}",
            hint=f"check the network and the URL; nothing was sent{again}",
            code="connect_failed",
        )
    if paid:
        return NetworkError(
            f"{host} did not answer the paid request, sent twice: whether it was charged is unknown",
            hint="nothing new was authorised; asking again may be charged again",
            code="outcome_unknown",
        )
    what = "did not answer in time" if isinstance(error, httpx.TimeoutException) else "broke off the connection"
    return NetworkError(f"{host} {what}", hint="nothing was paid; try again", code="no_answer")
