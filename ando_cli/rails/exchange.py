"""The requests of one negotiation: the first one, those that carry a credential, and those that fetch a challenge."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx

from ando_cli.errors import AndoError, Code, InvariantError, OutcomeUnknownError, PaymentError
from ando_cli.http.extensions import CREDENTIAL, MODEL, PLAN, UNSENT
from ando_cli.mpp.credential import TopUpPayload, authorization
from ando_cli.rails.pauses import Pauses
from ando_cli.rails.turn import Asked, Turn
from ando_cli.session.record.ledger import Outcome
from ando_cli.tempo.protocol import Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from ando_cli.mpp.credential import Payload
    from ando_cli.rails.offers import Offers
    from ando_cli.rails.settlement import Settlement
    from ando_cli.rails.turn import Notes
    from ando_cli.session.act.session import Session
    from ando_cli.session.channel import Channel

MAX_UNPAID_REQUESTS = 4
"""How often one request may be sent unpaid, to be given a challenge."""

_UNBOUNDED = 1800.0
"""Seconds that a request without a timeout is taken to last."""

_MARGIN = 30.0
"""Seconds for what is done beside waiting: signing, writing the store, connecting again."""


class Exchange:
    """Makes the requests of a rail, and records each in the ledger, however it ends.

    Args:
        session: pins payees, and has the store.
        offers: reads the challenges.
        settlement: keeps the books.
        gateway_of: names the gateway of a URL.
        notes: receives reports of what is happening.
    """

    def __init__(
        self,
        session: Session,
        offers: Offers,
        settlement: Settlement,
        *,
        gateway_of: Callable[[str], str],
        notes: Notes,
    ) -> None:
        self._session = session
        self._offers = offers
        self._settlement = settlement
        self._gateway_of = gateway_of
        self._notes = notes

    def flow(
        self,
        request: httpx.Request,
        negotiate: Callable[[httpx.Request, Turn], Generator[httpx.Request, httpx.Response, None]],
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """Send ``request``; where it is answered with a challenge that can be taken, go on with ``negotiate``.

        Raises:
            AndoError: whatever ``negotiate`` raises; the ledger says then what is known of the request.
        """
        url = str(request.url)
        request.headers.setdefault("Idempotency-Key", str(uuid.uuid4()))
        request.headers.setdefault("Accept-Payment", "tempo/session")
        named = request.extensions.get(MODEL), request.extensions.get(PLAN)
        patience = _patience(request.extensions.get("timeout", {}))
        asked = Asked(
            url, self._gateway_of(url), request.read(), frozenset(request.headers), *named, request.method, patience
        )
        pauses = Pauses(self._session, self._notes, url)
        response = yield from self._unpaid(request, pauses)
        if response.status_code != 402 or self._offers.for_caller(response, asked):
            return
        turn = Turn(asked, self._offers.take(response, asked), response, pauses)
        try:
            yield from negotiate(request, turn)
        except OutcomeUnknownError:
            self._settlement.doubt(turn)  # it may have been charged: its row keeps saying that nobody knows
            raise
        except AndoError as error:
            # So may a request whose answer an error of our own prevented from being processed.
            if turn.out is None or not isinstance(error, InvariantError):
                self._settlement.finish(turn, Outcome.FAILED)
            raise
        except BaseException:  # httpx gives up on the flow, or the user does
            if turn.out is None or UNSENT in turn.out.extensions:
                self._settlement.finish(turn, Outcome.FAILED)
            else:
                self._settlement.doubt(turn)
            raise
        finally:
            self._settlement.release(turn)

    def challenged(self, request: httpx.Request, turn: Turn) -> Generator[httpx.Request, httpx.Response, bool]:
        """Fetch the challenge that the next credential answers, and take it; False where the answer is not a 402.

        Raises:
            PaymentError: the request was sent unpaid too often, or the challenge cannot be answered.
        """
        if turn.unpaid >= MAX_UNPAID_REQUESTS:
            raise PaymentError(
                "the gateway's challenges expire before they can be answered",
                hint="check this computer's clock; nothing more was authorised",
                code=Code.NO_FRESH_CHALLENGE,
            )
        turn.unpaid += 1
        _drop_credential(request, turn)
        turn.answer = yield from self._unpaid(request, turn.pauses)
        if turn.answer.status_code != 402:
            return False
        turn.offer = self._offers.take(turn.answer, turn.asked, turn.answered)
        return True

    def _unpaid(
        self, request: httpx.Request, pauses: Pauses
    ) -> Generator[httpx.Request, httpx.Response, httpx.Response]:
        """Send a request without a credential, again where the gateway asks to wait a moment."""
        response = yield request
        while pauses.after_busy(response):
            response = yield request
        return response

    def paid(self, request: httpx.Request, turn: Turn, channel: Channel, payload: Payload) -> httpx.Request:
        """Return the request with a credential for ``channel`` as recorded: the last thing before the bytes leave."""
        challenge, terms = turn.offer.challenge, channel.terms
        if turn.offer.replaces is not None:
            self._session.store.pin(channel.gateway, channel.network, terms.payee, replaces=turn.offer.replaces)
        turn.progress = replace(turn.progress, paid_attempts=turn.progress.paid_attempts + 1)
        turn.answered.add(challenge.id)
        turn.known_spent = channel.spent
        _drop_credential(request, turn)
        turn.header = challenge.header or "Authorization"
        descriptor = terms.descriptor if terms.protocol is Protocol.V2 else None
        value = authorization(challenge, payload, chain_id=terms.chain_id, payer=terms.payer, descriptor=descriptor)
        request.extensions[CREDENTIAL] = True
        if isinstance(payload, TopUpPayload):
            # Not this request but another one, sent to the same place: no cache may take the two for one.
            headers = httpx.Headers(request.headers)
            headers["Idempotency-Key"] = str(uuid.uuid4())
            headers[turn.header] = value
            return httpx.Request(
                request.method, request.url, headers=headers, content=turn.asked.body, extensions=request.extensions
            )
        turn.progress = replace(turn.progress, sent=channel.cumulative_amount)
        self._notes.stage("waiting for the answer")
        request.headers[turn.header] = value
        return request


def _drop_credential(request: httpx.Request, turn: Turn) -> None:
    """Take the last credential out of ``request``; an ``Authorization`` of the caller's own stays."""
    if turn.header is not None:
        request.headers.pop(turn.header, None)
    request.extensions.pop(CREDENTIAL, None)


def _patience(timeouts: Mapping[str, float | None]) -> float:
    """How many seconds a request can take until it has its answer or is given up: httpx's ``timeout`` extension.

    The transport sends it twice at most.
    """
    longest = [timeouts.get(name) for name in ("connect", "read")]
    return 2 * sum(_UNBOUNDED if seconds is None else seconds for seconds in longest) + _MARGIN
