"""Which proxy a connection goes through: one rule for the gateway and for the chain's RPC.

What goes to this machine itself never goes through a proxy. Beyond that ``HTTP_PROXY``, ``HTTPS_PROXY`` and
``ALL_PROXY`` name the proxy, in capitals or not, and ``NO_PROXY`` lists what is reached directly: names with the names
below them, ``.domain``, ``*.domain``, addresses, networks (``10.0.0.0/8``, ``fd00::/8``), each but a network with or
without ``:port``, and ``*`` for everything.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import urllib.request
from urllib.parse import urlsplit

from ando_cli.errors import UsageError
from ando_cli.urls import host_of, is_loopback

_DEFAULT_PORTS = {"http": 80, "https": 443}
_SOCKS = ("socks5", "socks5h")


def choose(url: str) -> str | None:
    """Return the URL of the proxy that a connection to ``url`` goes through; ``None`` where it goes there directly.

    Raises:
        UsageError: the environment names a proxy that cannot be used.
    """
    parts = urlsplit(url)
    host = host_of(url)
    if is_loopback(host) or host == "localhost" or host.endswith(".localhost"):
        return None
    proxies = urllib.request.getproxies()
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    if bypassed(host, port, proxies.get("no", "")):
        return None
    # Where the environment names none, macOS and Windows have settings of their own.
    if not urllib.request.getproxies_environment() and urllib.request.proxy_bypass(host):
        return None
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return _checked(proxy) if proxy else None


def bypassed(host: str, port: int, exceptions: str) -> bool:
    """Tell whether ``exceptions``, as ``NO_PROXY`` has them, name this host, as ``host_of`` spells it."""
    address = _address(host)
    for entry in exceptions.lower().replace(",", " ").split():
        if entry == "*":
            return True
        if "/" in entry:
            if address is not None and _in_network(address, entry):
                return True
            continue
        name, its_port = _split_port(entry)
        if its_port not in (None, port):
            continue
        named = _address(name)
        if named is not None and named == address:
            return True
        if named is not None or address is not None:
            continue  # no part of an address is a domain
        below = name.removeprefix("*").removeprefix(".").rstrip(".")
        if below and (host.endswith("." + below) or (host == below and not name.startswith("*"))):
            return True
    return False


def _split_port(entry: str) -> tuple[str, int | None]:
    """A name or an address, and the port behind it where there is one."""
    if entry.startswith("["):
        name, _, port = entry[1:].partition("]")
        port = port.removeprefix(":")
    elif entry.count(":") == 1:
        name, _, port = entry.partition(":")
    else:
        return entry, None  # a bare IPv6 address, or nothing behind it
    return name, int(port) if port.isdecimal() and len(port) < 6 else None


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _in_network(address: ipaddress.IPv4Address | ipaddress.IPv6Address, entry: str) -> bool:
    try:
        return address in ipaddress.ip_network(entry.replace("[", "").replace("]", ""), strict=False)
    except ValueError:
        return False


def _checked(proxy: str) -> str:
    """``proxy`` as a URL that can be connected through."""
    url = proxy if "://" in proxy else f"http://{proxy}"
    try:
        parts = urlsplit(url)
        valid = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    scheme = url.partition("://")[0].lower()
    if scheme in _SOCKS and valid:
        if importlib.util.find_spec("socksio") is None:
            raise UsageError(
                "the environment names a SOCKS proxy, which needs the package socksio",
                hint="install ando-cli[socks], or set NO_PROXY for this host",
            )
    elif scheme not in ("http", "https") or not valid:
        raise UsageError(
            "the proxy in the environment cannot be used",
            hint="set HTTPS_PROXY (or ALL_PROXY) to an http://, https:// or socks5:// URL, or NO_PROXY for this host",
        )
    return url


def shown(proxy: str) -> str:
    """Return the host and the port of a proxy, without the password that its URL may hold."""
    parts = urlsplit(proxy)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
