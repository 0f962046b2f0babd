"""The meaning of final codes: what happened, and what to do about it.

A final code ends a request, whether it answers a payment or comes before anything was paid.
"""

from __future__ import annotations

from ando_cli.frozen import frozen
from ando_cli.mpp.problem import ProblemCode


@frozen
class Advice:
    """What a code means: ``happened`` says what the gateway found, ``remedy`` what to do; each is one line."""

    happened: str
    remedy: str


FINAL: dict[ProblemCode, Advice] = {
    ProblemCode.MPP_REQUEST_EXCEEDS_VOUCHER_BUCKET: Advice(
        "the request could cost more than one voucher covers",
        "ask for less: a smaller max_tokens, or a shorter prompt",
    ),
    ProblemCode.MPP_REQUEST_QUOTE_INVALID: Advice(
        "the gateway could not price this request",
        "check the plan, the model and the messages",
    ),
    ProblemCode.MPP_BODY_DIGEST_MISMATCH: Advice(
        "the gateway saw another body than the one that was priced",
        "something between here and the gateway changes requests; try without a proxy",
    ),
    ProblemCode.MPP_MALFORMED_CREDENTIAL: Advice(
        "the gateway could not read the payment credential",
        "this may be a bug: update ando, and report it if it stays",
    ),
    ProblemCode.MPP_METHOD_UNSUPPORTED: Advice(
        "the gateway does not accept this method of payment",
        "update ando, or use another gateway",
    ),
    ProblemCode.MPP_PAYMENT_VERIFICATION_FAILED: Advice(
        "the gateway could not verify the payment",
        "check that the channel is on this network, and that the wallet is the right one",
    ),
    ProblemCode.MPP_PAYER_NOT_ALLOWED: Advice(
        "the gateway does not accept payments from this wallet",
        "ask the gateway's operator, or use another wallet",
    ),
    ProblemCode.MPP_COMMIT_FAILED: Advice(
        "the gateway could not book the payment: whether it was charged is unknown, and there is no receipt",
        "asking again authorises nothing new, but may be charged again",
    ),
    ProblemCode.MPP_SESSION_CLOSE_UNAVAILABLE: Advice(
        "the gateway cannot close sessions now",
        "the deposit stays safe on the chain; try again later",
    ),
    ProblemCode.MPP_SESSION_CLOSE_FAILED: Advice(
        "the gateway failed to close the session",
        "the deposit stays safe on the chain; try again later",
    ),
    ProblemCode.MPP_STREAMING_UNAVAILABLE: Advice(
        "the gateway does not stream paid answers",
        'leave "stream" out of the body, or set it to false',
    ),
}
"""The codes that end a request."""


def remedy(code: ProblemCode | None) -> str | None:
    """Return what to do about a code that is final; ``None`` for any other, and where there is none."""
    return FINAL[code].remedy if code in FINAL else None
