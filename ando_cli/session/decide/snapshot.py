"""A gateway's hint about a v2 channel. Pure.

It is ``sessionSnapshot`` in a challenge, and ``Payment-Session-Snapshot`` beside an answer. Only
what our own signature and the channel's id prove counts.

``prove`` accepts what proves itself: a descriptor of this wallet's channel for the same purpose, whose hash is the id,
and a voucher by the channel's signer. ``adopted`` compares that with the chain. A gateway can therefore only report
what we signed ourselves. Its ``deposit``, ``settled`` and ``requiredCumulative`` are not read, and ``spent`` counts as
in a receipt: up to what was signed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ando_cli.frozen import frozen
from ando_cli.mpp import fields
from ando_cli.mpp.base64url import decode_object
from ando_cli.mpp.malformed import MalformedError
from ando_cli.session.channel import Channel, ChannelKey, State
from ando_cli.tempo.channel import ChannelTerms
from ando_cli.tempo.protocol import Protocol
from ando_cli.tempo.voucher import recover_voucher_signer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ando_cli.tempo.channel import ChannelState

SESSION_HEADER = "Payment-Session"
SNAPSHOT_HEADER = "Payment-Session-Snapshot"


@frozen
class Proven:
    """A channel of ours, and an amount that was signed for it. Base units; ``spent`` is the gateway's word."""

    terms: ChannelTerms
    cumulative_amount: int
    spent: int


def from_headers(headers: Mapping[str, str]) -> dict[str, Any] | None:
    """The snapshot that came beside an answer; ``None`` where there is none, or none that can be read."""
    value = headers.get(SNAPSHOT_HEADER)
    if value is None:
        return None
    try:
        snapshot = decode_object(value)
    except MalformedError:
        return None
    named = headers.get(SESSION_HEADER)
    return snapshot if named in (None, snapshot.get("channelId")) else None


def prove(snapshot: Mapping[str, Any], key: ChannelKey) -> Proven | None:
    """What ``snapshot`` proves of a channel for ``key``; ``None`` where it proves nothing."""
    try:
        return _proven(snapshot, key)
    except (MalformedError, ValueError):
        return None


def adopted(proven: Proven, state: ChannelState | None, key: ChannelKey) -> Channel | None:
    """The channel as it goes on record, if the chain (``state``) agrees that it is open and can hold what was signed.

    ``None`` where it does not.
    """
    if state is None or state.finalized or state.close_requested_at:
        return None
    if not state.settled <= proven.cumulative_amount <= state.deposit:
        return None
    return Channel(
        channel_id=proven.terms.channel_id, gateway=key.gateway, network=key.network, terms=proven.terms,
        state=State.OPEN, deposit=state.deposit, cumulative_amount=proven.cumulative_amount,
        accepted=proven.cumulative_amount, spent=max(proven.spent, state.settled),
    )  # fmt: skip


def _proven(snapshot: Mapping[str, Any], key: ChannelKey) -> Proven | None:
    where = fields.chain_id(snapshot.get("chainId"), "chainId"), fields.address(snapshot.get("escrow"), "escrow")
    described = _members(snapshot, "descriptor")
    terms = ChannelTerms(
        payer=fields.address(described.get("payer"), "payer"),
        payee=fields.address(described.get("payee"), "payee"),
        operator=fields.address(described.get("operator"), "operator"),
        token=fields.address(described.get("token"), "token"),
        salt=fields.hash32(described.get("salt"), "salt"),
        authorized_signer=fields.address(described.get("authorizedSigner"), "authorizedSigner"),
        expiring_nonce_hash=fields.hash32(described.get("expiringNonceHash"), "expiringNonceHash"),
        escrow=key.escrow,
        chain_id=key.chain_id,
        protocol=Protocol.V2,
    )
    voucher = _members(snapshot, "highestVoucher")
    channel_id = terms.channel_id
    named = (fields.hash32(holder.get("channelId"), "channelId") for holder in (snapshot, voucher))
    parties = terms.payer, terms.payee, terms.token
    if where != (key.chain_id, key.escrow) or parties != (key.payer, key.payee, key.token) or {*named} != {channel_id}:
        return None
    cumulative_amount = fields.amount(voucher.get("cumulativeAmount"), "cumulativeAmount")
    accepted = fields.amount(snapshot.get("acceptedCumulative"), "acceptedCumulative")
    spent = fields.amount(snapshot.get("spent"), "spent")
    signer = recover_voucher_signer(
        channel_id, cumulative_amount, fields.text(voucher.get("signature"), "signature"),
        escrow=key.escrow, chain_id=key.chain_id, protocol=Protocol.V2,
    )  # fmt: skip
    if signer != terms.signer or accepted != cumulative_amount or spent > accepted:
        return None
    return Proven(terms, cumulative_amount, spent)


def _members(holder: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = holder.get(name)
    if not isinstance(value, dict):
        raise MalformedError(f"{name} is missing")
    return value
