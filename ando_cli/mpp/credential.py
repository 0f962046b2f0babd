"""Credentials: the ``Authorization: Payment …`` value that answers a session challenge."""

from __future__ import annotations

import json
from dataclasses import field
from typing import TYPE_CHECKING, Any

from ando_cli.frozen import frozen
from ando_cli.mpp.base64url import encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ando_cli.mpp.challenge import Challenge

# Whoever holds a transaction or a signature can submit it: neither is shown by any repr.


@frozen
class OpenPayload:
    """Open the channel: a signed transaction for the server to broadcast, with the first voucher.

    ``cumulative_amount`` is in base units; everything else is hex with ``0x``.
    """

    channel_id: str = field(repr=False)
    transaction: str = field(repr=False)
    authorized_signer: str = field(repr=False)
    cumulative_amount: int
    signature: str = field(repr=False)

    def to_wire(self) -> dict[str, Any]:
        """Return the payload as the members of its JSON object."""
        return {
            "action": "open",
            "type": "transaction",
            "channelId": self.channel_id.lower(),
            "transaction": self.transaction.lower(),
            "authorizedSigner": self.authorized_signer.lower(),
            "cumulativeAmount": str(self.cumulative_amount),
            "signature": self.signature.lower(),
        }


@frozen
class TopUpPayload:
    """Add ``additional_deposit`` base units to the channel: a signed transaction for the server to broadcast."""

    channel_id: str = field(repr=False)
    transaction: str = field(repr=False)
    additional_deposit: int

    def to_wire(self) -> dict[str, Any]:
        """Return the payload as the members of its JSON object."""
        return {
            "action": "topUp",
            "type": "transaction",
            "channelId": self.channel_id.lower(),
            "transaction": self.transaction.lower(),
            "additionalDeposit": str(self.additional_deposit),
        }


@frozen
class VoucherPayload:
    """Pay with a voucher: the payee may take up to ``cumulative_amount`` base units over the channel's whole life."""

    channel_id: str = field(repr=False)
    cumulative_amount: int
    signature: str = field(repr=False)

    def to_wire(self) -> dict[str, Any]:
        """Return the payload as the members of its JSON object."""
        return {"action": "voucher", **_signed(self)}


@frozen
class ClosePayload:
    """Ask for a cooperative close, with the voucher up to which the payee may settle.

    ``close_signature`` authorises the close itself; v2 alone has it.
    """

    channel_id: str = field(repr=False)
    cumulative_amount: int
    signature: str = field(repr=False)
    close_signature: str | None = field(default=None, repr=False)

    def to_wire(self) -> dict[str, Any]:
        """Return the payload as the members of its JSON object."""
        authorised = {} if self.close_signature is None else {"closeSignature": self.close_signature.lower()}
        return {"action": "close", **_signed(self), **authorised}


Payload = OpenPayload | TopUpPayload | VoucherPayload | ClosePayload


def authorization(
    challenge: Challenge,
    payload: Payload,
    *,
    chain_id: int,
    payer: str,
    descriptor: Mapping[str, str] | None = None,
) -> str:
    """Return the value of the credential's header field: ``Payment`` and the base64url of its JSON.

    The challenge is echoed as it was received. ``source`` names the payer as a ``did:pkh`` in lower case: servers
    read an address in any case or with a valid checksum, and lower case is both without a hash to compute.

    Args:
        challenge: the challenge this answers.
        payload: what pays.
        chain_id: the chain of the channel.
        payer: the address that funds the channel, hex with ``0x``.
        descriptor: what names a v2 channel in every payload; a v1 channel is named by its id alone.
    """
    named = {} if descriptor is None else {"descriptor": dict(descriptor)}
    credential = {
        "challenge": challenge.echo(),
        "payload": payload.to_wire() | named,
        "source": f"did:pkh:eip155:{chain_id}:{payer.lower()}",
    }
    return f"Payment {encode(json.dumps(credential, separators=(',', ':')).encode('ascii'))}"


def _signed(voucher: VoucherPayload | ClosePayload) -> dict[str, str]:
    return {
        "channelId": voucher.channel_id.lower(),
        "cumulativeAmount": str(voucher.cumulative_amount),
        "signature": voucher.signature.lower(),
    }
