"""Asking a gateway what it knows about one of our channels, without paying."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from ando_cli.rails.exchange import Exchange
from ando_cli.rails.offers import Offers
from ando_cli.rails.settlement import Settlement
from ando_cli.rails.turn import Notes
from ando_cli.session.decide.snapshot import SESSION_HEADER, Proven, prove
from ando_cli.tempo.protocol import Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from ando_cli.rails.turn import Turn
    from ando_cli.session.act.session import Session


class HintAuth(httpx.Auth):
    """Identifies the wallet, and reads what the v2 challenge says about a channel. The request stays unpaid.

    Args:
        session: knows the wallet's address, and what is trusted.
        channel_id: the channel to ask about; without one, any of this wallet's.
        gateway_of: names the gateway of a URL.
        accepted_payee: the fingerprint of a changed payee that the user accepts.

    ``proven`` is the result, if the hint proves itself.
    """

    proven: Proven | None = None

    def __init__(
        self,
        session: Session,
        channel_id: str | None,
        *,
        gateway_of: Callable[[str], str],
        accepted_payee: str | None = None,
    ) -> None:
        self._session = session
        self._channel_id = channel_id
        notes = Notes()
        offers = Offers(session, accepted_payee=accepted_payee, protocol=Protocol.V2)
        self._exchange = Exchange(session, offers, Settlement(session, notes), gateway_of=gateway_of, notes=notes)

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send ``request`` with the channel's id, or with the wallet's account.

        Raises:
            PaymentError: the challenge is not acceptable, or not in the v2 protocol.
            WalletError: there is no usable wallet.
        """
        session = self._session
        account = f"did:pkh:eip155:{session.network.chain_id}:{session.keys.payer}"
        request.headers[SESSION_HEADER] = self._channel_id or account
        yield from self._exchange.flow(request, self._read)

    def _read(self, _: httpx.Request, turn: Turn) -> Generator[httpx.Request, httpx.Response, None]:
        terms = turn.offer.request
        found = prove(terms.session_snapshot or {}, self._session.channel_key(turn.asked.gateway, terms))
        if found is not None and self._channel_id in (None, found.terms.channel_id):
            self.proven = found
        yield from ()
