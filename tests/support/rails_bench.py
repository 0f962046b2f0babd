"""One wallet with its store, a chain, a gateway without a socket, and the rail that pays between them."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ando_cli.errors import AndoError
from ando_cli.http.client import AndoClient
from ando_cli.http.extensions import PAID, RESENT
from ando_cli.rails.payment import PaymentAuth
from ando_cli.rails.settlement import Paid
from ando_cli.session.channel import Channel, State
from ando_cli.session.decide.policy import Caps
from ando_cli.session.record.store import Store
from tests.support.rails_gateway import Gateway, drive
from tests.support.session_doubles import (
    GATEWAY,
    MILLION,
    Clock,
    Consent,
    FakeChain,
    make_session,
)

if TYPE_CHECKING:
    from pathlib import Path

    from ando_cli.session.decide.budget import Budgets


@dataclass
class Bench:
    """One wallet with its store, a chain, a gateway, and the rail between them."""

    folder: Path
    caps: Caps = field(default_factory=lambda: Caps(5 * MILLION))
    accepted_payee: str | None = None
    store_class: type[Store] = Store
    budgets: Budgets | None = None

    def __post_init__(self) -> None:
        self.clock = Clock()
        self.chain = FakeChain(self.clock)
        self.gateway = Gateway(self.chain, self.clock)
        self.consent = Consent()
        self.warnings: list[str] = []
        self.start()

    def start(self) -> None:
        """A new command: all that the last one had in memory is gone."""
        self.store = self.store_class(self.folder / "sessions.db", clock=self.clock)
        self.session = make_session(
            self.folder, self.chain, self.clock, caps=self.caps, consent=self.consent, store=self.store,
            budgets=self.budgets, warn=self.warnings.append,
        )  # fmt: skip
        self.auth = PaymentAuth(
            self.session,
            gateway_of=lambda _: GATEWAY,
            accepted_payee=self.accepted_payee,
            warn=self.warnings.append,
        )

    def send(self, request: httpx.Request | None = None) -> httpx.Response:
        return drive(self.auth, self.gateway, request)

    def fails(self, request: httpx.Request | None = None) -> str:
        """The code of the error that sending ends with."""
        with pytest.raises(AndoError) as caught:
            self.send(request)
        return caught.value.code

    def have(self, known: Channel) -> Channel:
        """Have ``known`` on record, on the chain and at the gateway."""
        self.store.add(known)
        self.chain.show(known)
        self.gateway.accepted[known.channel_id] = known.cumulative_amount
        self.gateway.spent[known.channel_id] = known.spent
        return known

    @property
    def live(self) -> Channel:
        (found,) = [known for known in self.store.channels() if known.state in (State.OPEN, State.OPENING)]
        return found

    def ledger(self) -> list[dict[str, Any]]:
        with sqlite3.connect(self.folder / "sessions.db") as db:
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute("SELECT * FROM ledger ORDER BY id")]

    def outcomes(self) -> list[str]:
        return [row["outcome"] for row in self.ledger() if row["outcome"] != "fee"]


def paid(response: httpx.Response) -> Paid:
    found = response.extensions[PAID]
    assert isinstance(found, Paid)
    return found


def over_http(bench: Bench, error: BaseException, credentials: int = 0) -> AndoClient:
    """The request core on its way to the gateway, where sending fails with ``error`` after so many credentials."""
    sent = 0

    def carry(request: httpx.Request) -> httpx.Response:
        nonlocal sent
        if "Authorization" in request.headers:
            sent += 1
            if sent > credentials:
                raise error
        return bench.gateway(request)

    return AndoClient(GATEWAY, bench.auth, connect_timeout=1, timeout=1, transport=httpx.MockTransport(carry))


def lost(answer: httpx.Response) -> httpx.Response:
    """``answer`` as the transport marks it where the first try was not answered."""
    answer.extensions[RESENT] = True
    return answer
