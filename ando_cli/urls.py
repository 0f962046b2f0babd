"""URLs: their origin, whether they are well formed, and whether they may carry a credential."""

from __future__ import annotations

from urllib.parse import urlsplit

from ando_cli.errors import UsageError

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def origin(url: str) -> str:
    """Return ``scheme://host[:port]`` of ``url``, lower-case, without the scheme's default port."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    default = {"http": 80, "https": 443}.get(parts.scheme)
    port = "" if parts.port in (None, default) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def may_carry_credentials(url: str) -> bool:
    """Return whether a credential may travel to ``url``: https, or plain http to a loopback address."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and (parts.hostname or "").lower() in _LOOPBACK)


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
