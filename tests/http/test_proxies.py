"""Which connection goes through which proxy."""

from __future__ import annotations

import pytest

from ando_cli.errors import UsageError
from ando_cli.http import proxies
from ando_cli.http.proxies import bypassed, choose, shown

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8600",
        "127.8.9.10",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
        "[::1]:1",
        "[::ffff:127.0.0.1]",
    ],
)
def test_the_way_to_this_machine_never_goes_through_a_proxy(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    for name in ("ALL_PROXY", "http_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, PROXY)
    assert choose(f"http://{host}/") is None
    assert choose(f"https://{host}/") is None


@pytest.mark.parametrize("host", ["128.0.0.1", "localhost.example", "notlocalhost", "[::2]", "[::ffff:10.0.0.1]"])
def test_the_way_to_another_machine_does(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("ALL_PROXY", PROXY)
    assert choose(f"http://{host}/") == PROXY


def test_the_proxy_is_that_of_the_scheme_else_that_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose("https://a.example/") is None
    monkeypatch.setenv("ALL_PROXY", PROXY)
    monkeypatch.setenv("https_proxy", "http://secure.example:1")
    assert choose("https://a.example/") == "http://secure.example:1"
    assert choose("http://a.example/") == PROXY
    monkeypatch.setenv("HTTPS_PROXY", "http://capitals.example:1")
    assert choose("https://a.example/") == "http://secure.example:1", "the lower-case one goes first"


@pytest.mark.parametrize(
    ("entry", "host", "expected"),
    [
        ("*", "a.example", True),
        ("example", "example", True),
        ("example", "a.example", True),
        ("example", "anexample", False),
        (".example", "a.example", True),
        (".example", "example", True),
        ("*.example", "a.b.example", True),
        ("*.example", "example", False),
        ("*.example", "anexample", False),
        ("EXAMPLE.", "a.example", True),
        ("a.example:443", "a.example", True),
        ("a.example:8443", "a.example", False),
        (".example:443", "a.example", True),
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1:443", "10.0.0.1", True),
        ("10.0.0.1:80", "10.0.0.1", False),
        ("0.0.1", "10.0.0.1", False),
        ("10.0.0.0/8", "10.255.0.1", True),
        ("10.0.0.0/8", "11.0.0.0", False),
        ("10.0.0.0/8", "ten.example", False),
        ("10.0.0.0/99", "10.0.0.1", False),
        ("10.0.0.0/8", "::ffff:10.0.0.1", True),
        ("fd00::1", "fd00::1", True),
        ("fd00:0::1", "fd00::1", True),
        ("[fd00::1]", "fd00::1", True),
        ("[fd00::1]:443", "fd00::1", True),
        ("[fd00::1]:80", "fd00::1", False),
        ("fd00::/8", "fdff::2", True),
        ("[fd00::]/8", "fdff::2", True),
        ("fd00::/8", "fe00::2", False),
        ("", "a.example", False),
        (".", "a.example", False),
        ("b.example, a.example", "a.example", True),
        ("b.example a.example", "a.example", True),
    ],
)
def test_no_proxy_names_hosts_in_all_these_ways(entry: str, host: str, expected: bool) -> None:
    assert bypassed(host, 443, entry) is expected


@pytest.mark.parametrize("variable", ["NO_PROXY", "no_proxy"])
def test_what_no_proxy_names_is_reached_directly(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv(variable, "fd00::/8,gw.example:8443")
    assert choose("https://[fd00::1]/v1") is None
    assert choose("https://[fe00::1]/v1") == PROXY
    assert choose("https://gw.example:8443/v1") is None
    assert choose("https://gw.example/v1") == PROXY


def test_a_proxy_may_be_written_without_its_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example:3128")
    assert choose("https://a.example/") == PROXY


@pytest.mark.parametrize("proxy", ["ftp://proxy.example", "socks4://proxy.example", "://", "http://", "http://x:0"])
def test_a_proxy_that_cannot_be_used_is_an_error(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(UsageError, match="proxy"):
        choose("https://a.example/")


def test_socks_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://proxy.example:1080")
    monkeypatch.setattr(proxies.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match="socksio"):
        choose("https://a.example/")
    monkeypatch.setattr(proxies.importlib.util, "find_spec", lambda _: object())
    assert choose("https://a.example/") == "socks5://proxy.example:1080"


def test_a_proxy_is_shown_without_its_password() -> None:
    assert shown("http://user:secret@proxy.example:3128/x") == "proxy.example:3128"
    assert shown("http://proxy.example") == "proxy.example"
