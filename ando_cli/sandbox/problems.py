"""Define the errors of the gateway, of the specification and of stock servers, and three body shapes."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

PROBLEM_BASE = "https://paymentauth.org/problems/"


@dataclass(frozen=True)
class Kind:
    """Describe an error code.

    Attributes:
        status: the HTTP status.
        challenged: whether a fresh challenge is sent with it, so that the client can try again.
        message: the default message.
    """

    status: int
    challenged: bool
    message: str


STABLE_CODES: dict[str, Kind] = {
    "payment_required": Kind(402, True, "Payment is required."),
    "mpp_session_deposit_below_request_cost": Kind(402, True, "The session deposit is below the voucher."),
    "mpp_malformed_credential": Kind(400, False, "The payment credential is malformed."),
    "mpp_method_unsupported": Kind(400, False, "This payment method or intent is not supported."),
    "mpp_invalid_challenge": Kind(402, True, "The challenge is unknown, expired or was already used."),
    "mpp_body_digest_mismatch": Kind(400, False, "The body is not the one that the challenge is bound to."),
    "mpp_request_quote_invalid": Kind(400, False, "The quote in the challenge is no longer valid."),
    "mpp_request_exceeds_voucher_bucket": Kind(400, False, "This request can cost more than one voucher bucket."),
    "mpp_payment_verification_failed": Kind(402, True, "The payment could not be verified."),
    "mpp_payer_not_allowed": Kind(403, False, "This payer is not allowed."),
    "mpp_voucher_bucket_refresh_required": Kind(402, True, "The voucher bucket is exhausted: sign a higher one."),
    "mpp_reservation_failed": Kind(503, False, "The cost could not be reserved; nothing ran."),
    "mpp_commit_failed": Kind(500, False, "The usage could not be committed."),
    "mpp_session_close_unavailable": Kind(503, False, "Closing a session is not available now."),
    "mpp_session_close_failed": Kind(502, False, "The session could not be closed."),
    "mpp_streaming_unavailable": Kind(400, False, "This route is buffered: stream must be false."),
}

SPECIFICATION_CODES: dict[str, Kind] = {
    "session/insufficient-balance": Kind(402, True, "The voucher does not cover this request."),
    "session/amount-exceeds-deposit": Kind(402, True, "The voucher exceeds the deposit of the channel."),
    "session/delta-too-small": Kind(402, True, "The voucher rises by too little."),
    "session/channel-not-found": Kind(410, False, "The channel does not exist."),
    "session/channel-finalized": Kind(410, False, "The channel is finalized or being closed."),
    "session/challenge-not-found": Kind(402, True, "The challenge is unknown or expired."),
    "session/invalid-signature": Kind(402, True, "The voucher signature is invalid."),
    "session/signer-mismatch": Kind(402, True, "The voucher was not signed by the authorized signer."),
    "payment-required": Kind(402, True, "Payment is required."),
    "payment-expired": Kind(402, True, "The challenge has expired."),
    "payment-insufficient": Kind(402, True, "The payment is too small."),
    "invalid-challenge": Kind(402, True, "The challenge is unknown or was already used."),
    "malformed-credential": Kind(402, True, "The credential is malformed."),
    "verification-failed": Kind(402, True, "The payment could not be verified."),
    "method-unsupported": Kind(400, False, "This payment method is not supported."),
}

STOCK_CODES: dict[str, Kind] = {
    # Whether money moved is not known to the client, and a fresh challenge comes with it.
    "internal-payment-error": Kind(500, True, "The payment could not be processed."),
}
"""What stock servers answer beside the codes of the specification (docs/protocol.md, section 1)."""

OTHER_CODES: dict[str, Kind] = {
    "invalid_request": Kind(400, False, "The request body is not valid."),
    "not_found": Kind(404, False, "This route does not exist."),
    "method_not_allowed": Kind(405, False, "This method is disabled here."),
    "wrong_route": Kind(401, False, "This credential does not belong on this route."),
    "missing_api_key": Kind(401, False, "A Virtual Key is required: Authorization: Bearer <key>."),
    "invalid_api_key": Kind(401, False, "The Virtual Key is not valid."),
    "budget_exhausted": Kind(402, False, "The budget of this Virtual Key is exhausted."),
    "model_not_found": Kind(404, False, "The model does not exist, or this key cannot use it."),
    "unsupported_parameter": Kind(400, False, "This route does not support that parameter."),
    "rate_limit_exceeded": Kind(429, False, "Too many requests."),
    "server_error": Kind(500, False, "The sandbox failed."),
}

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    429: "rate_limit_error",
}
"""The ``type`` of an OpenAI-style error, by its status."""

CODES = STABLE_CODES | SPECIFICATION_CODES | STOCK_CODES | OTHER_CODES


def kind_of(code: str, malformed_status: int) -> Kind:
    """Return the kind of a code, where a malformed credential has the status that the settings give it."""
    kind = CODES[code]
    if code != "mpp_malformed_credential":
        return kind
    return dataclasses.replace(kind, status=malformed_status, challenged=malformed_status == 402)


class Problem(Exception):  # noqa: N818 - named as RFC 9457 names it
    """Refuse a request with one of the codes above."""

    def __init__(self, code: str, message: str | None = None, extensions: Mapping[str, Any] | None = None) -> None:
        """Take a code and its message; ``extensions`` are further members of the error body."""
        super().__init__(code)
        self.code = code
        self.message = message or CODES[code].message
        self.extensions = dict(extensions or {})


@dataclass(frozen=True)
class ErrorBody:
    """Hold an error as it is sent."""

    content_type: str
    data: bytes


def render(code: str, message: str, status: int, shape: str, extensions: Mapping[str, Any]) -> ErrorBody:
    """Render an error in one of the three shapes: ``openai``, ``bare`` or ``rfc9457``."""
    if shape == "rfc9457":
        title = code.rpartition("/")[2].replace("-", " ").replace("_", " ").capitalize()
        problem = {"type": PROBLEM_BASE + code, "title": title, "status": status, "detail": message}
        return ErrorBody("application/problem+json", _json(problem | dict(extensions)))
    if shape == "bare":
        return ErrorBody("application/json", _json({"code": code, "message": message, **extensions}))
    kind = TYPES.get(status, "server_error" if status >= 500 else "payment_error")
    return ErrorBody(
        "application/json", _json({"error": {"code": code, "message": message, "type": kind, **extensions}})
    )


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
