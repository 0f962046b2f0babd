"""The state of one request during its negotiation. Private to the rails."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ando_cli.frozen import frozen
from ando_cli.session.decide.policy import Committed
from ando_cli.session.decide.situation import Progress
from ando_cli.urls import origin

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from ando_cli.mpp.problem import Problem
    from ando_cli.rails.offers import Offer
    from ando_cli.rails.pauses import Pauses
    from ando_cli.session.record.ledger import Entry


def _silent(_: str) -> None:
    """Ignore the message."""


@frozen
class Notes:
    """Where a rail reports to: ``stage`` what is happening, ``warn`` what the user must know though it goes on."""

    stage: Callable[[str], None] = _silent
    warn: Callable[[str], None] = _silent


@frozen
class Asked:
    """A request as its caller made it: every try sends the same bytes to the same URL.

    ``headers`` are the names, in lower case, of the headers that it carries; ``model`` and ``plan`` what the ledger
    notes of it, where it names them; ``patience`` how many seconds a try of it can take until an answer is there or
    given up.
    """

    url: str
    gateway: str
    body: bytes = field(repr=False)
    headers: frozenset[str]
    model: str | None = None
    plan: str | None = None
    method: str = "POST"
    patience: float = 3600.0

    @property
    def route(self) -> str:
        """The method and the URL, without what can hold a secret: for the record of a channel that it opens."""
        parts = urlsplit(self.url)
        return f"{self.method} {origin(self.url)}{parts.path}"


@dataclass(slots=True)
class Turn:
    """Where the negotiation of one request stands.

    Attributes:
        asked: the request.
        offer: the challenge that is planned with, until the next one comes.
        answer: the gateway's last answer.
        pauses: the waits that the gateway asks for.
        rejection: what the last credential was turned down with, until that is dealt with.
        progress: what was done so far, for the planner.
        header: the header that carries the last credential; ``None`` where none was sent.
        answered: the ids of the challenges that were answered.
        known_spent: what was on record as spent when the last credential was sent, in base units.
        unpaid: how often the request was sent without a credential.
        row, booked: this request's row in the ledger, and what stands there.
        raised, deposited: what the request committed so far, in base units.
        gone: what of the two went to a channel that pays no longer, and stands in an earlier row.
        hinted: whether the gateway's hint about a channel was looked at. Once is enough: the chain is asked then.
        out: the request with a credential that was sent last, until its answer is taken in.
        claim: this request's row among the claims on its channel.
        waited: seconds spent waiting for other requests.
    """

    asked: Asked
    offer: Offer
    answer: httpx.Response
    pauses: Pauses
    rejection: Problem | None = None
    progress: Progress = field(default_factory=Progress)
    header: str | None = None
    answered: set[str] = field(default_factory=set)
    known_spent: int = 0
    unpaid: int = 1
    row: int | None = None
    booked: Entry | None = None
    raised: int = 0
    deposited: int = 0
    gone: Committed = field(default_factory=Committed)
    hinted: bool = False
    out: httpx.Request | None = None
    claim: int | None = None
    waited: float = 0.0
