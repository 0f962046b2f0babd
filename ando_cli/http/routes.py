"""Which URL is which route of a gateway, and which credential may go there."""

from __future__ import annotations

import posixpath
from urllib.parse import unquote, urlsplit

import httpx

from ando_cli.errors import Code, UntrustedError, UsageError
from ando_cli.urls import check_url, may_carry_credentials, origin

_BEARER_ROUTES = ("/models", "/chat/completions", "/responses", "/think", "/completions")


def resolve_url(url: str, base_url: str) -> str:
    """Return ``url`` itself, or where it is a path, that path under the base URL.

    Raises:
        UsageError: it is neither.
    """
    if url.startswith("/"):
        prefix = urlsplit(base_url).path
        return base_url + (url.removeprefix(prefix) if url.startswith(prefix + "/") else url)
    return check_url(url, "the URL", keep_slash=True)


def as_sent(url: str) -> str:
    """Write ``url`` as it goes on the wire: what is checked must be what the server gets.

    Raises:
        UsageError: it cannot be sent to.
    """
    try:
        return str(httpx.URL(url))
    except (httpx.InvalidURL, UnicodeError):
        raise bad_url() from None


def bad_url() -> UsageError:
    """Return the error for a URL that cannot be used."""
    return UsageError("the URL cannot be used", hint="write it like https://host/path")


def is_paid_route(url: str) -> bool:
    """Return whether the URL's path is one of the gateway's accountless routes, however it is spelt."""
    return "mpp" in _segments(unquote(urlsplit(url).path))


def is_bearer_route(url: str, base_url: str) -> bool:
    """Return whether the URL is a route of this gateway that a Virtual Key pays for."""
    # As a server reads it that resolves "." and "..", also where they are encoded.
    path = _segments(posixpath.normpath(unquote(urlsplit(url).path)))
    routes = [_segments(urlsplit(base_url).path + route) for route in _BEARER_ROUTES]
    return origin(url) == origin(base_url) and path in routes


def _segments(path: str) -> list[str]:
    """The names in a path: no letter case, no empty ones, no ``;parameters``."""
    return [name.partition(";")[0] for name in path.lower().split("/") if name]


def check_transport(url: str) -> None:
    """Refuse what anybody on the way could read and change: the question, the answer, and what is paid for it.

    Raises:
        UntrustedError: the URL is one of plain http, to another machine.
    """
    if not may_carry_credentials(url):
        raise UntrustedError(
            "nothing is sent over plain http to another machine",
            hint="use the https URL; nothing was sent or signed",
            code=Code.INSECURE_TRANSPORT,
        )


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
        raise UsageError("the request has its own Authorization header", hint="leave out the header or --rail key")
    if not is_bearer_route(url, base_url):
        raise UsageError(
            "this URL is not a route of the gateway that takes a Virtual Key",
            hint=f"those are {', '.join(_BEARER_ROUTES)}; leave out --rail key",
        )
