"""Report the state of a known v2 channel to a client: ``sessionSnapshot`` and two response headers."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ando_cli.sandbox.chain.node import RpcError

if TYPE_CHECKING:
    from ando_cli.sandbox.gateway.accounts import Accounts
    from ando_cli.sandbox.gateway.credentials import Credential
    from ando_cli.sandbox.gateway.protocol_v2 import ProtocolV2
    from ando_cli.sandbox.gateway.session_rows import Session
    from ando_cli.sandbox.settings import Settings

SESSION_HEADER = "Payment-Session"
SNAPSHOT_HEADER = "Payment-Session-Snapshot"

_CHANNEL = re.compile(r"0x[0-9a-fA-F]{64}")
_PAYER = re.compile(r"(?:did:pkh:eip155:[0-9]{1,19}:)?(0x[0-9a-fA-F]{40})")


class Snapshots:
    """Find the session that a request is about, and report its state."""

    def __init__(self, protocol: ProtocolV2, accounts: Accounts) -> None:
        self._protocol = protocol
        self._accounts = accounts

    async def about(
        self, settings: Settings, header: str | None, credential: Credential | None, cost: int
    ) -> dict[str, Any] | None:
        """Return the snapshot for a request that names its session by the ``Payment-Session`` header or its credential.

        The header holds a channel id, or the payer as a did:pkh or an address, which means its newest open channel.
        ``cost`` is the most that the request can cost, in base units.
        """
        if not settings.snapshots:
            return None
        session = self._named(header) or (None if credential is None else self._credited(credential))
        return None if session is None else await self._snapshot(session, settings, cost)

    def _named(self, header: str | None) -> Session | None:
        if header is None:
            return None
        if _CHANNEL.fullmatch(header):
            return self._accounts.known(header.lower())
        payer = _PAYER.fullmatch(header)
        return self._accounts.newest(self._protocol.name, payer[1].lower()) if payer else None

    def _credited(self, credential: Credential) -> Session | None:
        # The form of the credential's channel id was not checked yet.
        channel = str(credential.payload.get("channelId")).lower()
        return self._accounts.known(channel) or self._accounts.newest(self._protocol.name, credential.source.payer)

    async def _snapshot(self, session: Session, settings: Settings, cost: int) -> dict[str, Any] | None:
        if session.protocol != self._protocol.name or session.closed or session.closing or not session.signature:
            return None
        try:
            channel = await self._protocol.channel_of(session)
        except RpcError:
            return None
        if channel.deposit == 0 or channel.close_requested_at:
            return None
        short = session.accepted - session.spent - session.reserved < cost
        network = self._protocol.network
        return {
            "acceptedCumulative": str(session.accepted),
            "chainId": network.chain_id,
            "channelId": session.channel_id,
            "deposit": str(channel.deposit),
            "descriptor": json.loads(session.descriptor),
            "escrow": self._protocol.escrow,
            "highestVoucher": {
                "channelId": session.channel_id,
                "cumulativeAmount": str(session.accepted),
                "signature": session.signature,
            },
            "requiredCumulative": str(session.accepted + settings.amount if short else session.accepted),
            "settled": str(channel.settled),
            "spent": str(session.spent),
            "units": session.units,
        }
