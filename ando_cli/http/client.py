"""The shared request core: one ``AndoClient``, used by every command that talks to a gateway.

The body is frozen here: what a caller hands in is what every try sends. A paid request whose answer does not come is
sent once more, the same bytes with the same credential, and never with a new one.
"""

from __future__ import annotations

import math
import posixpath
import time
import urllib.request
import zlib
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import httpx

from ando_cli import __version__
from ando_cli.errors import (
    BudgetExceededError,
    Code,
    Interrupted,
    LostAnswerError,
    NetworkError,
    PaymentError,
    ServerError,
    UsageError,
)
from ando_cli.http import tls
from ando_cli.mpp.problem import parse_problem, request_id
from ando_cli.rails.bearer import KEYED, STREAMED, BearerAuth, retry_after
from ando_cli.rails.payment import CREDENTIAL, DRY_RUN, RESENT, UNSENT, Quote, Quoted
from ando_cli.session.decide.planner import advice
from ando_cli.urls import check_url, origin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

CHAT_PATH = "/mpp/chat/completions"
CONNECT_RETRIES = 3
ERROR_BODY_LIMIT = 1024 * 1024
"""Bytes of an error answer that are read; what a server sends beyond them is left on the wire."""

PAID_BODY_LIMIT = 64 * 1024 * 1024
"""Bytes of an answer that was paid for, on either rail. It is kept in memory, so that a cut one is noticed while it can
still be asked for again."""

STREAM_LIMIT = 64 * 1024 * 1024
"""Bytes of an answer that arrives piece by piece; no answer is that long."""

_LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=300)
"""As httpx has them, but a connection is kept while somebody thinks about the next question."""

_BEARER_ROUTES = ("/models", "/chat/completions", "/responses", "/think", "/completions")
_NO_ANSWER = (httpx.ReadError, httpx.WriteError, httpx.CloseError, httpx.RemoteProtocolError, httpx.ReadTimeout,
              httpx.WriteTimeout, httpx.DecodingError)  # fmt: skip
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError, httpx.PoolTimeout)


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
            headers={"User-Agent": f"ando/{__version__}", "Accept-Encoding": "gzip"},
            follow_redirects=False,  # a credential never crosses a redirect
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str) -> bytes:
        """GET a path under the base URL and return the body of the answer, which is a success.

        Raises:
            AndoError: any other answer, or none.
        """
        response = self.send("GET", path, [("Accept", "application/json")])
        if response.is_success:
            return response.content
        raise failure(response)

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
            Interrupted: by Ctrl-C, when it was too late to be sure that nothing is charged.
        """
        target = _as_sent(resolve_url(url, self._base_url))
        given = httpx.Headers(list(headers))
        check_rail(method, target, given.get("Authorization"))
        extensions = {DRY_RUN: True} if dry_run else {}
        with _errors():
            request = self._http.build_request(
                method, target, headers=given, content=body or None, extensions=extensions
            )
            return self._send(request, self._auth if self._pays(target, given) else None)

    @contextmanager
    def stream(self, path: str, body: bytes) -> Iterator[httpx.Response]:
        """POST a JSON body with the Virtual Key and hand on the answer, a success, before its body was read.

        Raises:
            AndoError: any other answer, or none.
        """
        # What is compressed cannot be shown as it arrives.
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream", "Accept-Encoding": "identity"}
        target = _as_sent(resolve_url(path, self._base_url))
        assert self._pays(target, httpx.Headers())
        with _errors():
            request = self._http.build_request(
                "POST", target, headers=headers, content=body, extensions={STREAMED: True}
            )
            response = self._send(request, self._auth, stream=True)
        try:
            if not response.is_success:
                raise failure(response)
            yield response
        finally:
            response.close()

    def _send(self, request: httpx.Request, auth: httpx.Auth | None, *, stream: bool = False) -> httpx.Response:
        try:
            return self._http.send(request, auth=auth, stream=stream)
        except KeyboardInterrupt:
            if CREDENTIAL in request.extensions or _spends_key(request):
                raise Interrupted from None
            raise

    def _pays(self, target: str, given: httpx.Headers) -> bool:
        """Whether this client's rail is the one that the route at ``target`` takes, and not chosen by the caller."""
        if self._auth is None or "Authorization" in given:
            return False
        return isinstance(self._auth, BearerAuth) is is_bearer_route(target, self._base_url)

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


@contextmanager
def _errors() -> Iterator[None]:
    """Turn what httpx raises into errors for people."""
    try:
        yield
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError):
        raise _bad_url() from None
    except httpx.TransportError as error:
        raise _no_answer(error) from None
    except httpx.DecodingError:
        raise ServerError("the answer is compressed in a way that cannot be read", hint="try again") from None


def resolve_url(url: str, base_url: str) -> str:
    """``url`` itself, or where it is a path, that path under the base URL.

    Raises:
        UsageError: it is neither.
    """
    if url.startswith("/"):
        prefix = urlsplit(base_url).path
        return base_url + (url.removeprefix(prefix) if url.startswith(prefix + "/") else url)
    return check_url(url, "the URL", keep_slash=True)


def _as_sent(url: str) -> str:
    """``url`` as it goes on the wire: what is checked must be what the server gets."""
    try:
        return str(httpx.URL(url))
    except (httpx.InvalidURL, UnicodeError):
        raise _bad_url() from None


def _bad_url() -> UsageError:
    return UsageError("the URL cannot be used", hint="write it like https://host/path")


def is_paid_route(url: str) -> bool:
    """Whether the URL's path is one of the gateway's accountless routes, however it is spelt."""
    return "mpp" in _segments(unquote(urlsplit(url).path))


def is_bearer_route(url: str, base_url: str) -> bool:
    """Whether the URL is a route of this gateway that a Virtual Key pays for."""
    # As a server reads it that resolves "." and "..", also where they are encoded.
    path = _segments(posixpath.normpath(unquote(urlsplit(url).path)))
    routes = [_segments(urlsplit(base_url).path + route) for route in _BEARER_ROUTES]
    return origin(url) == origin(base_url) and path in routes


def _segments(path: str) -> list[str]:
    """The names in a path: no letter case, no empty ones, no ``;parameters``."""
    return [name.partition(";")[0] for name in path.lower().split("/") if name]


def check_rail(method: str, url: str, authorization: str | None) -> None:
    """Refuse a request that would carry one rail's credential to the other's route.

    Raises:
        UsageError: nothing was sent.
    """
    # A header that is given twice reads as one with a comma.
    values = [value.split(None, 1) for value in (authorization or "").lower().split(",")]
    schemes = {words[0] for words in values if words}
    if is_paid_route(url):
        if method.upper() == "HEAD":
            raise UsageError("HEAD on the paid route is reserved by the gateway", hint="use POST, or another URL")
        if "bearer" in schemes:
            raise UsageError(
                "a Virtual Key must not go to the paid route",
                hint="leave the Authorization header out: this route is paid from the channel",
            )
    elif "payment" in schemes:
        raise UsageError(
            "a payment credential must not go to a route that does not take it",
            hint="leave the Authorization header out",
        )


def check_key_route(url: str, base_url: str, authorization: str | None) -> None:
    """Refuse to add the Virtual Key to a request that is not for a route of its gateway that takes one.

    Raises:
        UsageError: nothing was sent.
    """
    if authorization is not None:
        raise UsageError("the request has an Authorization of its own", hint="leave out the header, or --rail key")
    if not is_bearer_route(url, base_url):
        raise UsageError(
            "this URL is not a route of the gateway that takes a Virtual Key",
            hint=f"those are {', '.join(_BEARER_ROUTES)}; leave out --rail key",
        )


def failure(response: httpx.Response) -> PaymentError | ServerError:
    """The error for an answer that is not a success."""
    problem = parse_problem(response.status_code, response.content)
    named = request_id(response.headers)
    where = f" (request {named})" if named else ""
    told = "authorization" in response.request.headers and _key_failure(response, where)
    if told:
        error: PaymentError | ServerError = told
    elif 300 <= response.status_code < 400:
        error = ServerError(
            f"the server answered with a redirect ({response.status_code}), which is not followed",
            hint="a payment must not follow a redirect; use the final URL",
            code=Code.REDIRECT,
        )
    elif response.status_code == 402:
        error = PaymentError(
            f"the server wants to be paid: {problem.message}", hint="this request was not paid", code=problem.code
        )
    else:
        general = "check the request" if response.status_code < 500 else "try again later"
        hint = advice(problem.canonical) or general
        again = _can_be_repeated(response)
        error = ServerError(
            f"the server answered {response.status_code}: {problem.message}{where}",
            hint=hint,
            code=problem.code,
            retryable=again,
            retry_after=_retry_after(response) if again else None,
        )
    return error.with_answer(response.content, named)


def _can_be_repeated(response: httpx.Response) -> bool:
    """Whether the request can be sent again later without the risk of paying twice: it was not paid, or not taken."""
    status, request = response.status_code, response.request
    if CREDENTIAL in request.extensions:
        return False
    if _may_cost(request):
        return status in (429, 503)
    return status == 429 or (status >= 500 and status != 501)


def _may_cost(request: httpx.Request) -> bool:
    """Whether somebody may be charged for a request that was not paid here: it carries a key, or the caller's own."""
    return "authorization" in request.headers and request.method not in ("GET", "HEAD")


def _retry_after(response: httpx.Response) -> int | None:
    pause = retry_after(response.headers, time.time())
    return None if pause is None else math.ceil(pause)


def _key_failure(response: httpx.Response, where: str) -> PaymentError | ServerError | None:
    """The error for an answer that is about the Virtual Key that was sent; ``None`` where it is about another thing."""
    scheme, _, key = response.request.headers["authorization"].partition(" ")
    if scheme.lower() != "bearer":
        return None
    problem = parse_problem(response.status_code, response.content)
    message = problem.message.replace(key, "…") if key else problem.message  # some servers quote it
    match response.status_code:
        case 401:
            return ServerError(
                f"the gateway does not accept the Virtual Key: {message}{where}",
                hint="it is wrong, revoked, or for another route; look at the connection in Ando, then `ando key set`",
                code=Code.KEY_REFUSED,
            )
        case 402:
            return BudgetExceededError(
                f"the Virtual Key's budget is exhausted: {message}{where}",
                hint="raise the connection's limit in Ando, or pay per use with --rail mpp; nothing was paid here",
                code=Code.KEY_BUDGET_EXHAUSTED,
            )
        case 429:
            pause = _retry_after(response)
            when = "later" if pause is None else f"in {pause} seconds"
            return ServerError(
                f"the gateway has had too many requests with this key: {message}{where}",
                hint=f"try again {when}, one request at a time",
                code=Code.RATE_LIMITED,
                retry_after=pause,
            )
    return None


class _Wire(httpx.BaseTransport):
    """HTTP, through the environment's proxy where there is one, but never on the way to this machine itself."""

    def __init__(self) -> None:
        self._transports: dict[tuple[str, str | None], httpx.HTTPTransport] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        bypass = host in ("localhost", "127.0.0.1", "::1") or bool(urllib.request.proxy_bypass(host))
        proxies = {} if bypass else urllib.request.getproxies()
        way = request.url.scheme, proxies.get(request.url.scheme) or proxies.get("all")
        if way not in self._transports:
            self._transports[way] = _connect_through(*way)
        return self._transports[way].handle_request(request)

    def close(self) -> None:
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


class _Transport(httpx.BaseTransport):
    """Reads what must be read while the request can still be repeated, and no more than is safe."""

    def __init__(self, inner: httpx.BaseTransport, waiting: Callable[[], AbstractContextManager[object]]) -> None:
        self._inner = inner
        self._waiting = waiting

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        with self._waiting():
            try:
                return self._attempt(request)
            except _NOT_SENT:
                request.extensions[UNSENT] = True
                raise
            except _NO_ANSWER:
                if CREDENTIAL not in request.extensions:
                    raise
            try:
                response = self._attempt(request)
            except (httpx.TransportError, httpx.DecodingError):
                # However the second try failed, the first one may have arrived.
                raise httpx.ReadError("no answer to either try") from None
        response.extensions[RESENT] = True
        return response

    def close(self) -> None:
        self._inner.close()

    def _attempt(self, request: httpx.Request) -> httpx.Response:
        response = self._inner.handle_request(request)
        if response.status_code >= 300:
            return _read(response, ERROR_BODY_LIMIT)
        if STREAMED in request.extensions:
            return _plain(response, stream=_Bounded(response))
        if CREDENTIAL in request.extensions or KEYED in request.extensions:
            return _read(response, PAID_BODY_LIMIT)
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


def _plain(response: httpx.Response, **body: Any) -> httpx.Response:
    """``response`` with a body that needs no decoding any more: ``content`` or ``stream``, as httpx names them."""
    dropped = (b"content-encoding", b"content-length", b"transfer-encoding")
    # The bytes as they came: a value that is not ASCII would not survive being decoded and encoded again.
    headers = [(name, value) for name, value in response.headers.raw if name.lower() not in dropped]
    return httpx.Response(response.status_code, headers=headers, extensions=response.extensions, **body)


def _decoded(response: httpx.Response, limit: int) -> Iterator[bytes]:
    """The body in pieces of at most ``limit`` bytes. httpx unpacks whatever it is sent at once, and layer by layer, so
    that a few kilobytes can fill the memory; any coding but the one that we ask for stays as it is."""
    assert isinstance(response.stream, httpx.SyncByteStream)
    if response.headers.get("content-encoding", "").strip().lower() not in ("gzip", "x-gzip"):
        yield from response.stream
        return
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        for chunk in response.stream:
            while chunk:
                yield inflate.decompress(chunk, limit)
                chunk = inflate.unconsumed_tail
    except zlib.error:
        raise httpx.DecodingError("not gzip") from None


def _spends_key(request: httpx.Request) -> bool:
    return request.headers.get("authorization", "").startswith("Bearer ") and request.method == "POST"


def _no_answer(error: httpx.TransportError) -> NetworkError:
    paid = CREDENTIAL in error.request.extensions
    keyed = _spends_key(error.request)
    host = error.request.url.host
    if isinstance(error, _NOT_SENT):
        again = "; the voucher stays valid for the next request" if paid else ""
        return NetworkError(
            f"cannot connect to {host}",
            hint=f"check the network and the URL; nothing was sent{again}",
            code=Code.CONNECT_FAILED,
        )
    if paid:
        return LostAnswerError(
            f"{host} did not answer the paid request, sent twice: whether it was charged is unknown",
            hint="nothing new was authorised; asking again may be charged again",
        )
    what = "did not answer in time" if isinstance(error, httpx.TimeoutException) else "broke off the connection"
    if keyed:
        return LostAnswerError(
            f"{host} {what}: whether the key was charged is unknown",
            hint="asking again may be charged again",
        )
    return NetworkError(
        f"{host} {what}",
        hint="nothing was paid; try again",
        code=Code.NO_ANSWER,
        retryable=not _may_cost(error.request),
    )
