"""URLs: their origin, whether they are well formed, and whether they may carry a credential."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import urlsplit

from ando_cli.errors import UsageError

_DEFAULT_PORTS = {"http": 80, "https": 443}


def host_of(url: str) -> str:
    """Return the host of ``url`` in its one spelling: lower-case, ASCII (IDNA), no dot at the end, no brackets."""
    host = (urlsplit(url).hostname or "").lower()
    if not host.isascii():
        import idna  # as httpx sends it; its tables take their time

        with suppress(idna.IDNAError):
            host = idna.encode(host).decode()
    return host.removesuffix(".")


def origin(url: str) -> str:
    """Return ``scheme://host[:port]`` of ``url`` in its one spelling, without the scheme's default port."""
    parts = urlsplit(url)
    host = host_of(url)
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def is_loopback(host: str) -> bool:
    """Return whether ``host``, as ``host_of`` spells it, is this machine: ``localhost`` or an address of its own."""
    if host == "localhost":
        return True
    if not (host[:1].isdecimal() or ":" in host):
        return False
    import ipaddress  # not for names

    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def may_carry_credentials(url: str) -> bool:
    """Return whether a credential may travel to ``url``: https, or plain http to a loopback address."""
    scheme = urlsplit(url).scheme
    return scheme == "https" or (scheme == "http" and is_loopback(host_of(url)))


def check_url(url: str, name: str, *, allow_password: bool = False, keep_slash: bool = False) -> str:
    """Return ``url`` without surrounding white space and, unless ``keep_slash`` is set, without a trailing slash.

    Raises:
        UsageError: ``url`` is not an absolute http(s) URL, or holds a user name or password.
    """
    try:
        parts = urlsplit(url.strip())
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid or any(c.isspace() or ord(c) < 32 for c in url.strip()):
        raise UsageError(f"{name} is not an http(s) URL", hint="write it like https://host/path")
    if not allow_password and (parts.username is not None or parts.password is not None):
        raise UsageError(f"{name} holds a user name or password", hint="leave them out of the URL")
    return url.strip() if keep_slash else url.strip().rstrip("/")
