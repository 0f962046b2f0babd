"""What connections are checked against: everybody who is asked over https, and nothing is read for http."""

from __future__ import annotations

import ssl

import httpx
import pytest

from ando_cli.http import tls


def test_over_https_the_other_end_must_prove_its_name_to_an_authority() -> None:
    context = tls.context("https")
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.get_ca_certs() or context.cert_store_stats()["x509_ca"]
    assert tls.context("https") is context, "read once"


@pytest.mark.parametrize("scheme", ["http", "", "HTTPS"])
def test_otherwise_nothing_is_read_and_nobody_would_be_believed(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setattr(httpx, "create_ssl_context", None)
    context = tls.context(scheme)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.cert_store_stats()["x509_ca"] == 0
