"""One gateway has one origin, however it is spelt; and what is this machine."""

from __future__ import annotations

import pytest

from ando_cli.urls import is_loopback, may_carry_credentials, origin


@pytest.mark.parametrize(
    "url",
    [
        "https://bücher.example/v1",
        "https://BÜCHER.example/v1",
        "https://xn--bcher-kva.example/v1",
        "https://XN--BCHER-KVA.EXAMPLE:443/v1",
        "https://bücher.example./v1",
        "https://bücher.example.:443",
    ],
)
def test_one_gateway_has_one_origin(url: str) -> None:
    assert origin(url) == "https://xn--bcher-kva.example"


def test_other_ports_schemes_and_hosts_are_other_origins() -> None:
    found = {
        origin(url) for url in ("https://a.example", "https://a.example:80", "http://a.example", "https://a.b.example")
    }
    assert len(found) == 4
    assert origin("https://[FD00::1]:8443/x") == "https://[fd00::1]:8443"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.255.0.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("128.0.0.1", False),
        ("::2", False),
        ("127.0.0.1.example", False),
        ("gateway.localhost", False),
        ("", False),
    ],
)
def test_this_machine_is_known_by_its_addresses(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
    shown = f"[{host}]" if ":" in host else host
    assert may_carry_credentials(f"http://{shown}/") is expected
    assert may_carry_credentials(f"https://{shown}/")
