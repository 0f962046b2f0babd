"""The request core: what it hands to the rail, and what it shows while it waits."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ando_cli.errors import BudgetExceededError, PaymentError, UsageError
from ando_cli.http.client import AndoClient
from ando_cli.http.extensions import MODEL, PLAN
from ando_cli.inference.request import Request
from tests.support.http_wire import ASKED, BASE, BODY, CHAT_PATH, Pays, Wire, ando, asks, get, ok

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator


def test_something_to_look_at_is_shown_while_each_answer_is_awaited() -> None:
    shown: list[str] = []

    @contextmanager
    def waiting() -> Iterator[None]:
        shown.append("on")
        yield
        shown.append("off")

    AndoClient(
        BASE, Pays(), connect_timeout=1, timeout=1, waiting=waiting, transport=Wire(asks(), httpx.ReadError("x"), ok())
    ).post(ASKED)
    assert shown == ["on", "off", "on", "off"]


def test_a_virtual_key_is_not_put_over_an_authorization_of_the_callers_own() -> None:
    wire = Wire(ok())
    holder = AndoClient(BASE, Pays(), bearer=True, connect_timeout=1, timeout=1, transport=wire)
    holder.send(Request("/models", method="GET", headers=(("Authorization", "Bearer mine"),)))
    assert [headers["Authorization"] for _, _, headers in wire.seen] == ["Bearer mine"]


def test_a_402_to_a_key_of_the_callers_own_is_about_a_virtual_key_on_its_routes_alone() -> None:
    mine = (("Authorization", "Bearer mine"),)
    with pytest.raises(PaymentError, match="wants to be paid") as caught:
        AndoClient(BASE, None, connect_timeout=1, timeout=1, transport=Wire(asks())).post(
            Request("https://other.example/x", BODY, headers=mine)
        )
    assert not isinstance(caught.value, BudgetExceededError)
    assert "an Authorization of its own" in (caught.value.hint or "")
    with pytest.raises(BudgetExceededError, match="Virtual Key"):
        AndoClient(BASE, None, connect_timeout=1, timeout=1, transport=Wire(asks())).post(
            Request("/chat/completions", BODY, headers=mine)
        )


def test_what_the_ledger_keeps_of_a_request_travels_beside_it() -> None:
    seen: list[dict[str, Any]] = []

    class Rail(httpx.Auth):
        def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
            seen.append({name: value for name, value in request.extensions.items() if name.startswith("ando.")})
            yield request

    both = ando(Wire(ok(), ok()), Rail())
    both.post(Request(CHAT_PATH, b"not parsed", "m", "Plus"))
    both.post(Request(CHAT_PATH, b'{"model":"x"}'))
    assert seen == [{MODEL: "m", PLAN: "Plus"}, {}]


def test_a_virtual_keys_rail_goes_to_its_routes_and_to_no_other() -> None:
    wire = Wire(ok(), ok())

    class Key(httpx.Auth):
        def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
            request.headers["Authorization"] = "Bearer key"
            yield request

    holder = AndoClient(BASE, Key(), bearer=True, connect_timeout=1, timeout=1, transport=wire)
    holder.send(get("/models"))
    holder.send(get("/free"))
    assert ["Authorization" in headers for _, _, headers in wire.seen] == [True, False]
    with pytest.raises(UsageError), holder.stream(Request(CHAT_PATH, BODY)):
        pass
    assert len(wire.seen) == 2
