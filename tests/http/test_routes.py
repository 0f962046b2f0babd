"""Which route is which, and that the two rails never touch."""

from __future__ import annotations

import httpx
import pytest

from ando_cli.errors import UsageError
from ando_cli.http.routes import check_rail, is_bearer_route, is_paid_route, resolve_url
from ando_cli.inference.request import Request
from tests.support.http_wire import BASE, BODY, Pays, Wire, ando, asks, get, ok

MPP = [
    "https://gateway.example/v1/mpp/chat/completions",
    "https://gateway.example/v1/MPP/chat/completions",
    "https://gateway.example/v1/%6dpp/chat/completions",
    "https://gateway.example/v1/%4D%50%50/chat",
    "https://gateway.example/v1%2Fmpp%2Fchat",
    "https://gateway.example/v1//mpp//chat",
    "https://gateway.example/v1/./mpp/chat",
    "https://gateway.example/v1/mpp;v=1/chat",
    "https://gateway.example/v1/mpp",
    "https://gateway.example/v1/mpp?x=1",
    "https://gateway.example/v1/chat/%2e%2e/mpp/chat",
    "https://elsewhere.example/mpp/",
    "/mpp/chat/completions",
    "/v1/mpp/chat/completions",
]
BEARER = [
    "https://gateway.example/v1/chat/completions",
    "https://gateway.example/v1/chat/completions/",
    "https://gateway.example/v1/Chat/completions?x=1",
    "https://gateway.example/v1//chat/completions",
    "https://gateway.example/v1/./chat/completions",
    "https://gateway.example/v1/x/../chat/completions",
    "https://gateway.example/v1/x/%2e%2e/chat/completions",
    "https://gateway.example/v1/ch%61t/completions",
    "https://gateway.example/v1/chat%2fcompletions",
    "https://GATEWAY.example:443/v1/chat/completions",
    "/models",
    "/responses",
    "/think",
    "/completions",
]


@pytest.mark.parametrize(
    "value",
    ["Bearer key", "bearer key", "BEARER  key", "  Bearer key", "Bearer\tkey", "Bearer", "Basic eA==, Bearer key"],
)
@pytest.mark.parametrize("url", MPP)
def test_a_virtual_key_never_goes_to_the_paid_route(url: str, value: str) -> None:
    wire = Wire()
    with pytest.raises(UsageError, match="Virtual Key"):
        ando(wire).send(Request(url, BODY, headers=(("authorization", value),)))
    assert wire.seen == []


def test_a_virtual_key_hidden_behind_another_authorization_header_is_found() -> None:
    with pytest.raises(UsageError, match="Virtual Key"):
        ando(Wire()).send(
            Request(MPP[0], BODY, headers=(("Authorization", "Basic eA=="), ("AUTHORIZATION", "Bearer key")))
        )


@pytest.mark.parametrize("value", ["Payment abc", "payment abc", "PAYMENT\tabc", "Basic x, Payment abc"])
@pytest.mark.parametrize("url", [*BEARER, "https://elsewhere.example/any"])
def test_a_payment_credential_never_goes_to_another_route(url: str, value: str) -> None:
    wire = Wire()
    with pytest.raises(UsageError, match="payment credential"):
        ando(wire).send(Request(url, BODY, headers=(("Authorization", value),)))
    assert wire.seen == []


@pytest.mark.parametrize("url", BEARER)
def test_a_route_that_a_virtual_key_pays_for_is_never_paid_from_a_channel(url: str) -> None:
    wire = Wire(asks())
    assert ando(wire, Pays()).send(Request(url, BODY)).status_code == 402
    assert "Authorization" not in wire.seen[0][2]


@pytest.mark.parametrize("url", MPP)
def test_a_paid_route_is_paid_however_it_is_spelt(url: str) -> None:
    wire = Wire(asks(), ok())
    assert ando(wire, Pays()).send(Request(url, BODY)).status_code == 200


@pytest.mark.parametrize("method", ["HEAD", "head", "Head"])
def test_head_never_goes_to_the_paid_route(method: str) -> None:
    for url in MPP:
        with pytest.raises(UsageError, match="reserved"):
            ando(Wire()).send(Request(url, method=method))
    assert ando(Wire(httpx.Response(200))).send(Request("/other", method=method)).status_code == 200


def test_what_only_looks_like_the_paid_route_is_not_it() -> None:
    for url in ("https://h/v1/mppx/chat", "https://h/v1/chat?mpp", "https://mpp/v1/chat", "https://h/v1/chat#/mpp/"):
        assert not is_paid_route(url)
        check_rail("HEAD", url, "Bearer key")


def test_another_gateways_route_of_the_same_name_is_not_this_ones() -> None:
    assert not is_bearer_route("https://elsewhere.example/v1/chat/completions", BASE)
    assert is_bearer_route(BASE + "/chat/completions", BASE)


def test_a_path_is_taken_under_the_base_url_once() -> None:
    assert resolve_url("/mpp/x", BASE) == resolve_url("/v1/mpp/x", BASE) == BASE + "/mpp/x"
    assert resolve_url("/v10/x", BASE) == BASE + "/v10/x"
    assert resolve_url("https://a.example/b/", BASE) == "https://a.example/b/"


@pytest.mark.parametrize(
    "url", ["ftp://h/x", "h/x", "", "https://", "https://[::1", "javascript:1", "https://h:99999/"]
)
def test_a_url_that_cannot_be_used_is_refused_before_anything_is_sent(url: str) -> None:
    wire = Wire()
    with pytest.raises(UsageError):
        ando(wire).send(get(url))
    assert wire.seen == []
