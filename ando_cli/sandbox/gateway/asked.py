"""Read each part of a request once, as the gateway understands it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ando_cli.sandbox.gateway import credentials, quotes
from ando_cli.sandbox.openai import bearer
from ando_cli.sandbox.problems import Problem

if TYPE_CHECKING:
    from aiohttp import web
    from multidict import CIMultiDictProxy

    from ando_cli.sandbox.gateway.credentials import Credential
    from ando_cli.sandbox.gateway.quotes import Quote
    from ando_cli.sandbox.settings import Settings

CHAT_PATH = "/v1/mpp/chat/completions"
SCHEMES = ("Bearer", "Payment", "Basic")
FREE_PATH = "/v1/free"
HEALTH_PATH = "/v1/health"


@dataclass(frozen=True)
class Asked:
    """Hold what a client sent.

    Attributes:
        authorization: the header that carries credentials on this route, unchanged.
        schemes: the schemes of all ``Authorization`` headers, in their order; ``other`` for an unknown one.
        parsed: the credential in ``authorization``, or its problem; ``None`` without one, and on other routes.
        priced: the quote of the request, or the problem of its body; ``None`` on other routes.
    """

    method: str
    path: str
    headers: CIMultiDictProxy[str]
    body: bytes
    authorization: str | None
    schemes: tuple[str, ...]
    parsed: Credential | Problem | None
    priced: Quote | Problem | None

    @classmethod
    async def read(cls, request: web.Request, settings: Settings) -> Asked:
        """Read a request to its end."""
        body = await request.read()
        header = "Authorization" if request.path in bearer.ROUTES else settings.credential_header or "Authorization"
        authorization = request.headers.get(header)
        schemes = tuple(_scheme(value) for value in request.headers.getall("Authorization", ()))
        parsed: Credential | Problem | None = None
        priced: Quote | Problem | None = None
        if request.path == CHAT_PATH and request.method == "POST":
            try:
                managing = not body and not request.query_string
                priced = quotes.NOTHING if managing else quotes.quote(body, settings)
            except Problem as problem:
                priced = problem
            if authorization is not None:
                try:
                    parsed = credentials.parse(authorization)
                except Problem as problem:
                    parsed = problem
        return cls(request.method, request.path, request.headers, body, authorization, schemes, parsed, priced)

    @property
    def bearer_route(self) -> str | None:
        """Return the name of the account-owned route that the request is for, or ``None``."""
        return bearer.ROUTES.get(self.path)

    @property
    def allowed_method(self) -> str:
        """Return the one method that the route takes."""
        return "POST" if self.bearer_route is None else bearer.allowed_method(self.bearer_route)

    @property
    def action(self) -> str:
        """Return what the request is for.

        An action of a credential, ``malformed`` or ``unpaid`` on the paid route; the name of an account-owned route;
        ``free`` or ``other``.
        """
        if self.bearer_route is not None:
            return self.bearer_route
        if self.path == FREE_PATH:
            return "free"
        if self.priced is None:
            return "other"
        if self.parsed is None:
            return "unpaid"
        return "malformed" if isinstance(self.parsed, Problem) else self.parsed.action

    @property
    def quote(self) -> Quote | None:
        """Return the quote of a request that can be paid, or ``None``."""
        return None if isinstance(self.priced, Problem) else self.priced

    @property
    def credential(self) -> Credential | None:
        """Return the credential, or ``None`` without a well-formed one."""
        return None if isinstance(self.parsed, Problem) else self.parsed

    def require_quote(self) -> Quote:
        """Return the quote of the request.

        Raises:
            Problem: The route or method does not exist, or the body is not valid.
        """
        if self.path != CHAT_PATH:
            raise Problem("not_found")
        if self.priced is None:
            raise Problem("method_not_allowed")
        if isinstance(self.priced, Problem):
            raise self.priced
        return self.priced

    def require_credential(self) -> Credential:
        """Return the credential of the request.

        Raises:
            Problem: The credential is missing or malformed.
        """
        if self.parsed is None:
            raise Problem("payment_required")
        if isinstance(self.parsed, Problem):
            raise self.parsed
        return self.parsed


def _scheme(authorization: str) -> str:
    # The scheme is logged, so a key that was sent without a scheme must not be mistaken for one.
    word = authorization.partition(" ")[0].lower()
    return next((scheme for scheme in SCHEMES if scheme.lower() == word), "other")
