"""Problems: why a request was not served, from whichever error body the server writes."""

from __future__ import annotations

import json
import re
from dataclasses import field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from ando_cli.frozen import frozen
from ando_cli.mpp import fields
from ando_cli.mpp.malformed import MalformedError
from ando_cli.redact import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LIMIT = 64 * 1024
"""The most bytes of an error body to parse; a longer one is not read as JSON."""

_TYPE_PREFIX = "https://paymentauth.org/problems/"
# Patterns are compiled where they are first used: most runs meet no problem at all.
_CODE = r"[a-z][a-z0-9_./-]{0,63}"
# A credential, a receipt, a signature, a key or an address that the server quotes back at us. No code is that long.
_OPAQUE = r"0x[0-9A-Fa-f]{16,}|[0-9A-Fa-f]{32,}|[0-9A-Za-z_-]{48,}"
_CHALLENGE_ID_LIMIT = 256
# Whole numbers, of digits alone: no part of a word, of an address, of a decimal fraction or of a number with commas.
_FIGURE = r"(?<![\w.,+-])[0-9]{1,39}(?!\w|[.,]\w)"
_FIGURE_MEMBERS = ("spent", "requiredCumulative", "acceptedCumulative", "cumulativeAmount", "settled")

_T = TypeVar("_T")


class ProblemCode(StrEnum):
    """The codes that need their own reaction: the gateway's sixteen, and two of the session specification.

    ``tools/docs.py`` writes the text below each member into ``docs/errors.md``.
    """

    PAYMENT_REQUIRED = "payment_required"
    """The request must be paid. ando pays it; if the gateway repeats the code, see its message."""
    MPP_SESSION_DEPOSIT_BELOW_REQUEST_COST = "mpp_session_deposit_below_request_cost"
    """The deposit is below what the request costs. Compare the channel with ``ando session list``."""
    MPP_MALFORMED_CREDENTIAL = "mpp_malformed_credential"
    """The gateway could not read the payment credential. Update ando, and report it if it stays."""
    MPP_METHOD_UNSUPPORTED = "mpp_method_unsupported"
    """The gateway does not accept this method of payment. Update ando, or use another gateway."""
    MPP_INVALID_CHALLENGE = "mpp_invalid_challenge"
    """The credential answers a challenge that is not valid any more. Try again later."""
    MPP_BODY_DIGEST_MISMATCH = "mpp_body_digest_mismatch"
    """The gateway received another body than the one that it priced. Check for a proxy that changes requests."""
    MPP_REQUEST_QUOTE_INVALID = "mpp_request_quote_invalid"
    """The gateway could not price the request. Check the plan, the model and the messages."""
    MPP_REQUEST_EXCEEDS_VOUCHER_BUCKET = "mpp_request_exceeds_voucher_bucket"
    """The request could cost more than one voucher covers. Ask for less, with a smaller ``--max-tokens``."""
    MPP_PAYMENT_VERIFICATION_FAILED = "mpp_payment_verification_failed"
    """The gateway could not verify the payment. Check the network and the wallet with ``ando session list``."""
    MPP_PAYER_NOT_ALLOWED = "mpp_payer_not_allowed"
    """The gateway does not accept payments from this wallet. Ask its operator, or use another wallet."""
    MPP_VOUCHER_BUCKET_REFRESH_REQUIRED = "mpp_voucher_bucket_refresh_required"
    """The voucher is used up. ando raises it once within the limits; if that is not enough, see the hint."""
    MPP_RESERVATION_FAILED = "mpp_reservation_failed"
    """The gateway could not reserve the payment, and took nothing. Try again later."""
    MPP_COMMIT_FAILED = "mpp_commit_failed"
    """The gateway could not book the payment, and whether it was charged is unknown. Asking again may be charged again.
    """
    MPP_SESSION_CLOSE_UNAVAILABLE = "mpp_session_close_unavailable"
    """The gateway cannot close sessions now. Try again later, or run ``ando session close --force``."""
    MPP_SESSION_CLOSE_FAILED = "mpp_session_close_failed"
    """The gateway failed to close the session. Try again later, or run ``ando session close --force``."""
    MPP_STREAMING_UNAVAILABLE = "mpp_streaming_unavailable"
    """The gateway does not stream paid answers. Leave ``stream`` out of the body."""
    SESSION_CHANNEL_NOT_FOUND = "session/channel-not-found"
    """The gateway does not know the channel. ando asks the chain, and opens another one if the chain agrees."""
    SESSION_CHANNEL_FINALIZED = "session/channel-finalized"
    """The gateway says that the channel is closed. ando asks the chain, and opens another one if the chain agrees."""


CANONICAL: dict[str, ProblemCode] = {
    # The core of the scheme.
    "payment-required": ProblemCode.PAYMENT_REQUIRED,
    # The challenge ran out before it was answered: a fresh one may do.
    "payment-expired": ProblemCode.MPP_INVALID_CHALLENGE,
    "payment-insufficient": ProblemCode.MPP_VOUCHER_BUCKET_REFRESH_REQUIRED,  # in a session: the voucher is too low
    "invalid-challenge": ProblemCode.MPP_INVALID_CHALLENGE,
    "malformed-credential": ProblemCode.MPP_MALFORMED_CREDENTIAL,
    "invalid-payload": ProblemCode.MPP_MALFORMED_CREDENTIAL,
    "verification-failed": ProblemCode.MPP_PAYMENT_VERIFICATION_FAILED,
    "method-unsupported": ProblemCode.MPP_METHOD_UNSUPPORTED,
    "internal-payment-error": ProblemCode.MPP_COMMIT_FAILED,  # the payment may have landed: its outcome is unknown
    # The session intent.
    # A stock server answers a re-used voucher with this.
    "session/insufficient-balance": ProblemCode.MPP_VOUCHER_BUCKET_REFRESH_REQUIRED,
    "session/delta-too-small": ProblemCode.MPP_VOUCHER_BUCKET_REFRESH_REQUIRED,
    "session/amount-exceeds-deposit": ProblemCode.MPP_SESSION_DEPOSIT_BELOW_REQUEST_COST,
    "session/challenge-not-found": ProblemCode.MPP_INVALID_CHALLENGE,
    "session/invalid-signature": ProblemCode.MPP_PAYMENT_VERIFICATION_FAILED,
    "session/signer-mismatch": ProblemCode.MPP_PAYMENT_VERIFICATION_FAILED,
}
"""The codes of the specifications, each with the code that has the same reaction."""

_REACTIONS: dict[str, ProblemCode] = {code.value: code for code in ProblemCode} | CANONICAL
# The session codes are seen without their prefix too.
_REACTIONS |= {name.removeprefix("session/"): code for name, code in _REACTIONS.items()}


@frozen
class Problem:
    """An error answer.

    Attributes:
        code: the error code in lower case as the server wrote it, of either vocabulary or neither; ``None`` if it
            gave none that looks like one.
        message: one line for people: cleaned, bounded, long opaque values masked. Never empty.
        status: the HTTP status.
        required_top_up: base units by which the server says the deposit is short. A claim: never sign on its word.
        channel_id: the channel the server speaks of, lower-case hex.
        challenge_id: the challenge it speaks of.
        figures: the whole numbers that the message and the members about a channel's amounts name. Claims, like all of
            it: use one only where it lies within what is proven and what was signed.
    """

    code: str | None
    message: str
    status: int
    required_top_up: int | None = None
    channel_id: str | None = field(default=None, repr=False)
    challenge_id: str | None = field(default=None, repr=False)
    figures: frozenset[int] = frozenset()

    def figure(self, above: int, up_to: int) -> int | None:
        """Return the one amount that the problem names above ``above`` and up to ``up_to``, in base units.

        ``None`` where it names none there, or more than one.
        """
        found = [figure for figure in self.figures if above < figure <= up_to]
        return found[0] if len(found) == 1 else None

    @property
    def canonical(self) -> ProblemCode | None:
        """The code that decides the reaction to this problem; ``None`` if it is unknown."""
        return None if self.code is None else _REACTIONS.get(self.code)


def parse_problem(status: int, body: bytes) -> Problem:
    """Read an error body; whatever it holds, the result is a ``Problem`` and never an exception.

    It reads ``{"error": {"code", "message"}}``, ``{"code"}``, ``{"error": "code"}``, ``{"detail"}`` (a text or
    an object), ``{"message"}``, and RFC 9457 Problem Details whose ``type`` is under ``paymentauth.org/problems``.
    If several members name a code, one that ``ProblemCode`` or ``CANONICAL`` knows comes first.
    Anything else (not JSON, not UTF-8, longer than ``LIMIT``) has no code and a neutral message.
    """
    root = _json_object(body)
    layers = [layer for layer in (root.get("error"), root.get("detail"), root) if isinstance(layer, dict)]
    details = [layer["details"] for layer in layers if isinstance(layer.get("details"), dict)]
    return Problem(
        code=_code(layers),
        message=_message(layers) or f"The server answered {status} and gave no readable reason.",
        status=status,
        required_top_up=_first([*layers, *details], "requiredTopUp", _top_up),
        channel_id=_first([*layers, *details], "channelId", fields.hash32),
        challenge_id=_first([*layers, *details], "challengeId", _challenge_id),
        figures=_figures(layers, details),
    )


def request_id(headers: Mapping[str, str]) -> str | None:
    """Read the id that the gateway gave a request (``x-request-id``), to quote to its operator.

    ``None`` where there is none, or one that is not made of letters, digits, dots, dashes and underscores.
    """
    value = headers.get("x-request-id", "")
    return value[:64] if re.fullmatch("[A-Za-z0-9._-]+", value) else None


def _json_object(body: bytes) -> dict[str, Any]:
    if len(body) > LIMIT:
        return {}
    try:
        value = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _code(layers: list[dict[str, Any]]) -> str | None:
    """Choose the code: the first that is known, else the first that stands where only a code can stand."""
    named = [code for layer in layers for code in (*_token(layer.get("code")), *_problem_type(layer.get("type")))]
    named += [code for layer in layers for code in _token(layer.get("error"))]
    hinted = [code for layer in layers for name in ("type", "detail", "message") for code in _token(layer.get(name))]
    known = [code for code in (*named, *hinted) if code in _REACTIONS]
    return next(iter(known or named), None)


def _problem_type(value: object) -> list[str]:
    """Return what a Problem Details ``type`` can name: its path under the registry, and the last segment of that."""
    if not isinstance(value, str) or not value.startswith(_TYPE_PREFIX):
        return []
    path = value[len(_TYPE_PREFIX) :].strip("/")
    return [*_token(path), *_token(path.rpartition("/")[2])]


def _token(value: object) -> list[str]:
    if isinstance(value, str) and re.fullmatch(_CODE, code := value.strip().lower()):
        return [code]
    return []


def _message(layers: list[dict[str, Any]]) -> str | None:
    for name in ("message", "detail", "title", "error"):
        for layer in layers:
            value = layer.get(name)
            if isinstance(value, str) and (line := clean(re.sub(_OPAQUE, "…", clean(value, 1200)))):
                return line
    return None


def _first(layers: list[dict[str, Any]], name: str, read: Callable[[object, str], _T]) -> _T | None:
    for layer in layers:
        try:
            return read(layer[name], name)
        except (KeyError, MalformedError):
            continue
    return None


def _figures(layers: list[dict[str, Any]], details: list[dict[str, Any]]) -> frozenset[int]:
    texts = [layer.get(name) for layer in layers for name in ("message", "detail")]
    members = [layer.get(name) for layer in (*layers, *details) for name in _FIGURE_MEMBERS]
    found = {int(match) for text in texts if isinstance(text, str) for match in re.findall(_FIGURE, clean(text, 1200))}
    for value in members:
        if isinstance(value, str) and re.fullmatch("[0-9]{1,39}", value):
            found.add(int(value))
    return frozenset(found)


def _top_up(value: object, name: str) -> int:
    return fields.amount(str(value) if isinstance(value, int) else value, name)


def _challenge_id(value: object, name: str) -> str:
    identifier = fields.text(value, name)
    if len(identifier) > _CHALLENGE_ID_LIMIT or not identifier.isprintable():
        raise MalformedError(f"{name} is not an identifier")
    return identifier
