"""Issue challenges, and recognise them when they come back.

The gateway stores no challenges. The id is an HMAC over ``realm|method|intent|request|expires|digest|opaque``, so an
echo with the right id was issued here. ``opaque`` carries what else the challenge is bound to, and a random value that
makes each challenge unique, so that it is accepted only once.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ando_cli.sandbox.chain.reserve import ADDRESS as RESERVE
from ando_cli.sandbox.chain.voucher import V1, V2
from ando_cli.sandbox.primitives import ZERO_ADDRESS
from ando_cli.sandbox.problems import Problem
from ando_cli.sandbox.wire import BOUND, decode_json, encode_json, seal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ando_cli.sandbox.gateway.quotes import Quote
    from ando_cli.sandbox.settings import Settings

METHOD = "tempo"
INTENT = "session"
DESCRIPTION = "One chat completion, paid from a voucher bucket"
KNOWN = frozenset((*BOUND, "id", "description", "header"))


@dataclass(frozen=True)
class Network:
    """Define where the gateway takes payments: chain, token, the escrow of each protocol, and its own account."""

    chain_id: int
    token: str
    escrow: str
    payee: str
    reserve: str = RESERVE

    @property
    def escrows(self) -> dict[str, str]:
        """Return the escrow of each session protocol."""
        return {V1: self.escrow, V2: self.reserve}


@dataclass(frozen=True)
class Terms:
    """Hold the terms of a challenge that came back."""

    id: str
    amount: int
    fee_payer: bool
    protocol: str
    operator: str
    expires: float


def body_digest(body: bytes, form: str) -> str:
    """Compute the digest of a body: ``sha-256=<base64>``, or with colons as RFC 9530 writes it."""
    encoded = base64.b64encode(hashlib.sha256(body).digest()).decode()
    return f"sha-256=:{encoded}:" if form == "rfc9530" else f"sha-256={encoded}"


def issue(
    *,
    settings: Settings,
    network: Network,
    quoted: Quote,
    path: str,
    body: bytes,
    now: float,
    protocol: str = V1,
    snapshot: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """Return the parameters of a new challenge for a POST of ``body`` to ``path``, not yet sealed with an id.

    ``snapshot`` is the known state of the payer's channel; only v2 challenges carry it.
    """
    details: dict[str, Any] = {"escrowContract": network.escrows[protocol], "chainId": network.chain_id}
    if settings.fee_payer:
        details["feePayer"] = True
    if settings.min_voucher_delta is not None:
        details["minVoucherDelta"] = str(settings.min_voucher_delta)
    if protocol == V2:
        details["sessionProtocol"] = V2
        if settings.operator is not None:
            details["operator"] = settings.operator
        if snapshot is not None:
            details["sessionSnapshot"] = snapshot
    request: dict[str, Any] = {
        "amount": str(settings.amount),
        "currency": network.token,
        "recipient": network.payee,
        "methodDetails": details,
    }
    if settings.suggested_deposit is not None:
        request["suggestedDeposit"] = str(settings.suggested_deposit)
    parameters = {
        "realm": settings.realm,
        "method": METHOD,
        "intent": INTENT,
        "request": encode_json(request),
        "expires": timestamp(now + settings.expiry_seconds),
    }
    if settings.digest_form != "none" and not quoted.management:
        parameters["digest"] = body_digest(body, settings.digest_form)
    opaque = _binding(settings, quoted, path, body) | {"nonce": secrets.token_hex(16)}
    parameters |= {"description": DESCRIPTION, "opaque": encode_json(opaque)}
    return parameters if settings.credential_header is None else parameters | {"header": settings.credential_header}


def check_echo(
    echo: Mapping[str, str],
    *,
    secret: bytes,
    settings: Settings,
    network: Network,
    quoted: Quote,
    path: str,
    body: bytes,
    now: float,
) -> Terms:
    """Check that a challenge was issued here, for exactly this request, and has not expired.

    Raises:
        Problem: The challenge was not issued here, has expired, or is bound to another request.
    """
    if echo.get("method") != METHOD or echo.get("intent") != INTENT:
        raise Problem("mpp_method_unsupported")
    sealed = seal(secret, {name: echo[name] for name in BOUND if name in echo})
    if not hmac.compare_digest(sealed["id"].encode(), echo.get("id", "").encode()) or set(echo) - KNOWN:
        raise Problem("mpp_invalid_challenge", "The challenge was not issued here, or was changed.")
    try:
        binding = _binding(settings, quoted, path, body)
        if quoted.management:
            if "digest" in echo:
                raise Problem("mpp_invalid_challenge", "The challenge is bound to a body, and none came.")
            # Nothing is bought, so that the challenge of a request that buys something is good, too.
            binding = {"http": binding["http"]}
        return _check_binding(echo, settings, network, binding, now)
    except (ValueError, KeyError, TypeError):
        # Only a challenge that was falsified (faults.lies) can have the right id and be unreadable.
        raise Problem("mpp_invalid_challenge") from None


def timestamp(seconds: float) -> str:
    """Format a time in Unix seconds as RFC 3339."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _check_binding(
    echo: Mapping[str, str], settings: Settings, network: Network, binding: Mapping[str, Any], now: float
) -> Terms:
    # The id does not cover these two parameters, so they are compared with what the gateway always sends.
    if echo.get("description") != DESCRIPTION or echo.get("header") != settings.credential_header:
        raise Problem("mpp_invalid_challenge", "The challenge was not echoed as it was sent.")
    expires = datetime.fromisoformat(echo["expires"]).timestamp()
    if now >= expires:
        raise Problem("mpp_invalid_challenge", "The challenge has expired.")
    opaque = decode_json(echo["opaque"])
    if opaque["body"] != binding.get("body", opaque["body"]):
        raise Problem("mpp_body_digest_mismatch")
    if any(opaque[name] != value for name, value in binding.items()):
        raise Problem("mpp_request_quote_invalid")
    request = decode_json(echo["request"])
    details = request["methodDetails"]
    protocol = details.get("sessionProtocol", V1)
    operator = settings.operator if protocol == V2 else None
    if protocol not in settings.protocols or details.get("operator") != operator:
        raise Problem("mpp_request_quote_invalid", "The challenge names another session protocol or operator.")
    offered = (details["chainId"], request["currency"], details["escrowContract"], request["recipient"])
    if offered != (network.chain_id, network.token, network.escrows[protocol], network.payee):
        raise Problem("mpp_request_quote_invalid", "The challenge names another chain, token, escrow or payee.")
    return Terms(
        id=echo["id"],
        amount=int(request["amount"]),
        fee_payer=bool(details.get("feePayer")),
        protocol=protocol,
        operator=operator or ZERO_ADDRESS,
        expires=expires,
    )


def _binding(settings: Settings, quoted: Quote, path: str, body: bytes) -> dict[str, Any]:
    return {
        "http": f"POST {path}",
        "body": hashlib.sha256(body).hexdigest(),
        "plan": quoted.plan,
        "model": quoted.model,
        "pricing": settings.pricing_snapshot,
        "input": quoted.prompt_tokens,
        "output": quoted.max_tokens,
    }
