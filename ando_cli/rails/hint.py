"""Asking a gateway what it knows of a channel of ours, without paying anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ando_cli.rails.payment import PaymentAuth
from ando_cli.session.decide.snapshot import SESSION_HEADER, Proven, prove
from ando_cli.tempo.protocol import Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import ExitStack

    import httpx

    from ando_cli.rails.payment import Turn
    from ando_cli.session.act.lifecycle import Lifecycle


class HintAuth(PaymentAuth):
    """Says who asks, and reads what the v2 challenge tells of a channel. The request stays unpaid.

    Args:
        channel_id: the channel to ask about; without one, any of this wallet's.

    ``proven`` is what came of it, where the hint proves itself.
    """

    proven: Proven | None = None

    def __init__(
        self,
        lifecycle: Lifecycle,
        channel_id: str | None,
        *,
        gateway_of: Callable[[str], str],
        accepted_payee: str | None = None,
    ) -> None:
        super().__init__(lifecycle, gateway_of=gateway_of, accepted_payee=accepted_payee, protocol=Protocol.V2)
        self._channel_id = channel_id

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send ``request`` with the channel's id, or with the wallet's account."""
        lifecycle = self._lifecycle
        account = f"did:pkh:eip155:{lifecycle.network.chain_id}:{lifecycle.payer}"
        request.headers[SESSION_HEADER] = self._channel_id or account
        yield from super().sync_auth_flow(request)

    def _negotiate(
        self, request: httpx.Request, response: httpx.Response, turn: Turn, locks: ExitStack
    ) -> Generator[httpx.Request, httpx.Response, None]:
        self._take_offer(response, turn)
        assert turn.offer is not None  # it was just taken
        terms = turn.offer.request
        found = prove(terms.session_snapshot or {}, self._lifecycle.channel_key(turn.gateway, terms))
        if found is not None and self._channel_id in (None, found.terms.channel_id):
            self.proven = found
        yield from ()
