"""The shared request core: one ``AndoClient``, used by every command that talks to a gateway.

The body is frozen here: every attempt sends the caller's bytes.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import httpx

from ando_cli import __version__
from ando_cli.errors import Interrupted, UsageError
from ando_cli.http.deadline import Deadline
from ando_cli.http.extensions import CREDENTIAL, DRY_RUN, KEY_ROUTE, MODEL, PLAN, STREAMED
from ando_cli.http.failures import check_whole, failure, reading_errors, spends_key
from ando_cli.http.routes import as_sent, check_rail, check_transport, is_bearer_route, resolve_url
from ando_cli.http.transport import Transport
from ando_cli.http.wire import Wire
from ando_cli.inference.request import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class AndoClient:
    """Sends requests to a gateway, paying on the way where ``auth`` does.

    Args:
        base_url: the gateway's, with its ``/v1``.
        auth: the rail; ``None`` sends without a credential.
        bearer: whether ``auth`` is a Virtual Key's, which goes to the routes that take one and to no other; any other
            rail goes everywhere else.
        connect_timeout: seconds to wait for a connection.
        timeout: seconds for an answer as a whole; where it is read piece by piece, for each word of it.
        deadline: bounds everything that is sent and awaited.
        waiting: entered while an answer is awaited; shows the spinner.
        transport: sends the bytes; HTTP unless a test passes its own.
    """

    def __init__(
        self,
        base_url: str,
        auth: httpx.Auth | None,
        *,
        bearer: bool = False,
        connect_timeout: float,
        timeout: float,
        deadline: Deadline | None = None,
        waiting: Callable[[], AbstractContextManager[object]] = nullcontext,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._base_url = base_url
        self._auth = auth
        self._bearer = bearer
        limit = deadline or Deadline()
        self._http = httpx.Client(
            transport=Transport(transport or Wire(limit), waiting, limit),
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
        return self.post(Request(path, method="GET", headers=(("Accept", "application/json"),))).content

    def post(self, request: Request) -> httpx.Response:
        """Send a request and return the answer, which is a success.

        Raises:
            AndoError: any other answer, or none.
        """
        response = self.send(request)
        if response.is_success:
            check_whole(response)
            return response
        raise failure(response)

    def send(self, request: Request, *, dry_run: bool = False) -> httpx.Response:
        """Send one request and return the answer, whatever its status.

        Args:
            dry_run: if the server asks for payment, raise an exception of the rail, and sign nothing.

        Raises:
            UsageError: the request mixes the two rails, is one that the gateway reserves, or would go over plain http
                to another machine.
            PaymentError, WalletError, StoreError: it asks to be paid, and cannot be.
            NetworkError: no answer came.
            Interrupted: the user pressed Ctrl-C when the request could already be charged.
        """
        target, given = self._addressed(request)
        with reading_errors():
            extensions = {DRY_RUN: True} if dry_run else {}
            if is_bearer_route(target, self._base_url):
                extensions[KEY_ROUTE] = True
            built = self._build(request, target, given, extensions)
            return self._send(built, self._auth if self._pays(target, given) else None)

    @contextmanager
    def stream(self, request: Request) -> Iterator[httpx.Response]:
        """Send a request with the Virtual Key and hand on the answer, a success, before its body was read.

        Raises:
            AndoError: any other answer, or none.
        """
        target, given = self._addressed(request)
        if not (self._bearer and self._pays(target, given)):
            raise UsageError("only requests with a Virtual Key can be streamed", hint="use --no-stream")
        # What is compressed cannot be shown as it arrives.
        given.update({"Accept": "text/event-stream", "Accept-Encoding": "identity"})
        with reading_errors():
            built = self._build(request, target, given, {STREAMED: True})
            response = self._send(built, self._auth, stream=True)
        try:
            if not response.is_success:
                raise failure(response)
            yield response
        finally:
            response.close()

    def _addressed(self, request: Request) -> tuple[str, httpx.Headers]:
        """The URL and the headers of a request that is not for the wrong rail, and may leave this machine."""
        target = as_sent(resolve_url(request.path, self._base_url))
        check_transport(target)
        given = httpx.Headers(list(request.headers))
        check_rail(request.method, target, given.get("Authorization"))
        return target, given

    def _build(
        self, request: Request, target: str, headers: httpx.Headers, extensions: dict[str, Any]
    ) -> httpx.Request:
        named = {MODEL: request.model, PLAN: request.plan}
        extensions |= {name: value for name, value in named.items() if value is not None}
        return self._http.build_request(
            request.method, target, headers=headers, content=request.body or None, extensions=extensions
        )

    def _send(self, request: httpx.Request, auth: httpx.Auth | None, *, stream: bool = False) -> httpx.Response:
        try:
            return self._http.send(request, auth=auth, stream=stream)
        except KeyboardInterrupt:
            if CREDENTIAL in request.extensions or spends_key(request):
                raise Interrupted from None
            raise

    def _pays(self, target: str, given: httpx.Headers) -> bool:
        """Whether this client's rail is the one that the route at ``target`` takes, and not chosen by the caller.

        A payment can go beside an ``Authorization`` of the caller's own, in another header.
        """
        if self._auth is None or (self._bearer and "Authorization" in given):
            return False
        return self._bearer is is_bearer_route(target, self._base_url)
