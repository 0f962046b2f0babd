"""The ``request`` of a session challenge: what a Tempo payment channel is asked to pay (tempo session intent)."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any

from ando_cli.frozen import frozen
from ando_cli.mpp import fields
from ando_cli.mpp.base64url import decode_object
from ando_cli.mpp.malformed import MalformedError

if TYPE_CHECKING:
    from ando_cli.mpp.challenge import Challenge

METHOD = "tempo"
INTENT = "session"
MAINNET = 4217
"""The chain that a v1 request means which names none."""


@frozen
class SessionRequest:
    """What a session challenge asks for. Amounts are base units of ``currency``; addresses are lower-case hex.

    It is only well-formed: the policy decides whether this escrow, token, payee and chain may be paid, and
    ``suggested_deposit`` is a wish. ``session_protocol`` is what the server named (``"v1"`` if it named none),
    not necessarily one that we speak. The repr leaves out what identifies the parties.
    """

    amount: int
    currency: str
    recipient: str = field(repr=False)
    suggested_deposit: int | None
    unit_type: str | None
    escrow_contract: str
    chain_id: int
    channel_id: str | None = field(repr=False)
    min_voucher_delta: int
    fee_payer: bool
    operator: str | None = field(repr=False)
    session_protocol: str
    session_snapshot: dict[str, Any] | None = field(repr=False)


def parse_session_request(challenge: Challenge) -> SessionRequest:
    """Read the ``request`` of a challenge with ``method="tempo"`` and ``intent="session"``.

    A member that is ``null`` counts as absent, unknown ones are ignored.

    Raises:
        MalformedError: the challenge is of another method or intent, a member is missing or has the wrong form, or
            the amount is zero.
    """
    if (challenge.method, challenge.intent) != (METHOD, INTENT):
        raise MalformedError("not a tempo session challenge")
    request = _present(decode_object(challenge.request))
    if not isinstance(request.get("methodDetails"), dict):
        raise MalformedError("methodDetails is missing")
    details = _present(request["methodDetails"])
    amount = fields.amount(request.get("amount"), "amount")
    if amount == 0:
        raise MalformedError("amount is zero")
    snapshot = details.get("sessionSnapshot")
    if snapshot is not None and not isinstance(snapshot, dict):
        raise MalformedError("sessionSnapshot is not an object")
    fee_payer = details.get("feePayer", False)
    if not isinstance(fee_payer, bool):
        raise MalformedError("feePayer is not true or false")
    suggested = request.get("suggestedDeposit")
    unit_type = request.get("unitType")
    channel_id = details.get("channelId")
    operator = details.get("operator")
    protocol = fields.text(details.get("sessionProtocol", "v1"), "sessionProtocol")
    chain = details.get("chainId", MAINNET if protocol == "v1" else None)
    return SessionRequest(
        amount=amount,
        currency=fields.address(request.get("currency"), "currency"),
        recipient=fields.address(request.get("recipient"), "recipient"),
        suggested_deposit=None if suggested is None else fields.amount(suggested, "suggestedDeposit"),
        unit_type=None if unit_type is None else fields.text(unit_type, "unitType"),
        escrow_contract=fields.address(details.get("escrowContract"), "escrowContract"),
        chain_id=fields.chain_id(chain, "chainId"),
        channel_id=None if channel_id is None else fields.hash32(channel_id, "channelId"),
        min_voucher_delta=fields.amount(details.get("minVoucherDelta", "0"), "minVoucherDelta"),
        fee_payer=fee_payer,
        operator=None if operator is None else fields.address(operator, "operator"),
        session_protocol=protocol,
        session_snapshot=snapshot,
    )


def _present(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
