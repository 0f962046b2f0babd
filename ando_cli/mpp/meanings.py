"""What a gateway's rejections that end a request mean, in words for people."""

from __future__ import annotations

from ando_cli.mpp.problem import ProblemCode

MEANINGS: dict[ProblemCode, tuple[str, str]] = {
    ProblemCode.MPP_REQUEST_EXCEEDS_VOUCHER_BUCKET: (
        "the request could cost more than one voucher covers",
        "ask for less: a smaller --max-tokens, or a shorter prompt",
    ),
    ProblemCode.MPP_REQUEST_QUOTE_INVALID: (
        "the gateway could not price this request",
        "check the plan, the model and the messages",
    ),
    ProblemCode.MPP_BODY_DIGEST_MISMATCH: (
        "the gateway saw another body than the one that was priced",
        "something between here and the gateway changes requests; try without a proxy",
    ),
    ProblemCode.MPP_MALFORMED_CREDENTIAL: (
        "the gateway could not read the payment credential",
        "this may be a bug: update ando, and report it if it stays",
    ),
    ProblemCode.MPP_METHOD_UNSUPPORTED: (
        "the gateway does not take this method of payment",
        "update ando, or use another gateway",
    ),
    ProblemCode.MPP_PAYMENT_VERIFICATION_FAILED: (
        "the gateway could not verify the payment",
        "check with `ando session list` that the channel is on this network, and that the wallet is the right one",
    ),
    ProblemCode.MPP_PAYER_NOT_ALLOWED: (
        "the gateway does not take payments from this wallet",
        "ask the gateway's operator, or use another wallet",
    ),
    ProblemCode.MPP_COMMIT_FAILED: (
        "the gateway could not book the payment: whether it was charged is unknown, and there is no receipt",
        "nothing new is authorised by asking again, but it may be charged again",
    ),
    ProblemCode.MPP_SESSION_CLOSE_UNAVAILABLE: (
        "the gateway cannot close sessions now",
        "the deposit stays safe on the chain; try again later",
    ),
    ProblemCode.MPP_SESSION_CLOSE_FAILED: (
        "the gateway failed to close the session",
        "the deposit stays safe on the chain; try again later",
    ),
    ProblemCode.MPP_STREAMING_UNAVAILABLE: (
        "the gateway does not stream paid answers",
        'leave "stream" out of the body, or set it to false',
    ),
}
"""A line on what happened, and one on what to do about it."""


def advice(code: ProblemCode | None) -> str | None:
    """Say what to do about a rejection, also where the gateway gives it before it is paid; ``None`` if not known."""
    return MEANINGS[code][1] if code in MEANINGS else None
