"""Receipts: what a ``Payment-Receipt`` header says was taken."""

from __future__ import annotations

from dataclasses import field

from ando_cli.frozen import frozen
from ando_cli.mpp import fields
from ando_cli.mpp.base64url import decode_object
from ando_cli.mpp.malformed import MalformedError


@frozen
class Receipt:
    """A session receipt, as the server claims it. Amounts are base units.

    A claim, not a fact: ``accepted_cumulative`` may be more than was ever signed and ``spent`` more than that. Our
    own record of what was signed is the authority. The repr leaves out what identifies the payment.

    Attributes:
        timestamp: when it was issued, the RFC 3339 date-time as received.
        accepted_cumulative: the highest voucher amount the server holds.
        spent: how much of it was used, over the channel's whole life.
        units: how many units of service this request took, where the server counts them.
        tx_hash: the transaction that opened, topped up or settled the channel, if this request sent one.
    """

    method: str
    intent: str
    status: str
    timestamp: str
    reference: str = field(repr=False)
    challenge_id: str = field(repr=False)
    channel_id: str = field(repr=False)
    accepted_cumulative: int
    spent: int
    units: int | None
    tx_hash: str | None = field(repr=False)


def parse_receipt(value: str) -> Receipt:
    """Read the value of a ``Payment-Receipt`` header. Unknown members are ignored, ``units`` and ``txHash`` optional.

    Raises:
        MalformedError: not the base64url of a JSON object, a member is missing or has the wrong form, or it is
            not the receipt of a session payment that succeeded.
    """
    members = decode_object(value)
    if members.get("status") != "success":
        raise MalformedError("status is not success")
    if members.get("intent") != "session":
        raise MalformedError("intent is not session")
    fields.timestamp(members.get("timestamp"), "timestamp")
    units = members.get("units")
    if units is not None and (type(units) is not int or units < 0):
        raise MalformedError("units is not a count")
    tx_hash = members.get("txHash")
    return Receipt(
        method=fields.text(members.get("method"), "method"),
        intent="session",
        status="success",
        timestamp=members["timestamp"],
        reference=fields.text(members.get("reference"), "reference"),
        challenge_id=fields.text(members.get("challengeId"), "challengeId"),
        channel_id=fields.hash32(members.get("channelId"), "channelId"),
        accepted_cumulative=fields.amount(members.get("acceptedCumulative"), "acceptedCumulative"),
        spent=fields.amount(members.get("spent"), "spent"),
        units=units,
        tx_hash=None if tx_hash is None else fields.hash32(tx_hash, "txHash"),
    )
