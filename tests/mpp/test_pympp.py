"""Held against pympp, an independent implementation of the same scheme: what one writes, the other reads."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import mpp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpp import BodyDigest, errors
from mpp._did import parse_pkh_source
from mpp._parsing import ParseError

from ando_cli.mpp.challenge import Challenge, parse_challenges
from ando_cli.mpp.credential import ClosePayload, OpenPayload, Payload, TopUpPayload, VoucherPayload, authorization
from ando_cli.mpp.problem import CANONICAL, ProblemCode, parse_problem
from ando_cli.mpp.receipt import parse_receipt
from ando_cli.mpp.session import parse_session_request
from tests.support.mpp_builders import CHANNEL, PAYER, RECEIPT, REQUEST, SIGNATURE, b64_json, challenge
from tests.support.vectors import session_vectors

SECRET = "server-secret"
REALM = "inference.example"
VOUCHER = VoucherPayload(CHANNEL, 1_000_000, SIGNATURE)
PAYLOADS: list[Payload] = [
    OpenPayload(CHANNEL, "0x76ab", PAYER, 1_000_000, SIGNATURE),
    TopUpPayload(CHANNEL, "0x76ab", 5),
    VOUCHER,
    ClosePayload(CHANNEL, 2**128 - 1, SIGNATURE),
]


def issued(**optional: Any) -> mpp.Challenge:
    """A challenge as a pympp server makes it."""
    return mpp.Challenge.create(
        secret_key=SECRET, realm=REALM, method="tempo", intent="session", request=REQUEST, **optional
    )


def received(made: mpp.Challenge) -> Challenge:
    challenges, reasons = parse_challenges([made.to_www_authenticate(REALM)])
    assert reasons == ()
    return challenges[0]


# A header's text: Latin-1, as pympp writes anything beyond it in an escape of its own that RFC 9110 does not have.
WORDS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), min_size=1)
OPTIONAL = st.fixed_dictionaries(
    {},
    optional={
        "expires": st.just("2030-01-01T00:00:00.000Z"),
        "digest": st.binary().map(BodyDigest.compute),
        "description": WORDS,
        "meta": st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
        "header": st.sampled_from(["Payment-Authorization", "X-Pay"]),
    },
)


@given(OPTIONAL)
def test_we_read_what_pympp_formats(optional: dict[str, Any]) -> None:
    made = issued(**optional)
    echo = made.to_echo()
    found = received(made)
    for name in ("id", "realm", "method", "intent", "request", "expires", "digest", "opaque", "description", "header"):
        assert getattr(found, name) == getattr(echo, name)
    assert parse_session_request(found).amount == 1_000_000


@given(OPTIONAL)
def test_pympp_gets_back_the_challenge_that_it_issued(optional: dict[str, Any]) -> None:
    made = issued(**optional)
    header = authorization(received(made), VOUCHER, chain_id=42431, payer=PAYER)
    assert mpp.Credential.from_authorization(header).challenge == made.to_echo()


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: type(payload).__name__)
def test_pympp_reads_the_credential_that_we_format(payload: Payload) -> None:
    parsed = mpp.Credential.from_authorization(authorization(challenge(), payload, chain_id=42431, payer=PAYER))
    assert parsed.payload == payload.to_wire()
    assert parsed.source is not None
    source = parse_pkh_source(parsed.source)
    assert source is not None
    assert (source.chain_id, source.address) == (42431, PAYER)


def test_we_read_the_receipt_that_pympp_formats() -> None:
    base = ("status", "timestamp", "reference", "method")
    made = mpp.Receipt(
        status="success",
        timestamp=datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC),
        reference=CHANNEL,
        extensions={name: value for name, value in RECEIPT.items() if name not in base},
    )
    found = parse_receipt(made.to_payment_receipt())
    assert (found.accepted_cumulative, found.spent, found.channel_id) == (2_000_000, 1_234_567, CHANNEL)
    assert found.timestamp == "2026-01-02T03:04:05.678000Z"


@pytest.mark.parametrize("bad", [{"status": "failed"}, {"timestamp": "soon"}])
def test_pympp_and_we_refuse_the_same_receipts(bad: dict[str, str]) -> None:
    value = b64_json(RECEIPT | bad)
    with pytest.raises(ParseError):
        mpp.Receipt.from_payment_receipt(value)
    with pytest.raises(ValueError, match=next(iter(bad))):
        parse_receipt(value)


@given(st.binary(max_size=100))
def test_a_digest_that_pympp_computes_matches(body: bytes) -> None:
    assert challenge(digest=BodyDigest.compute(body)).digest_matches(body)


def test_the_digests_of_the_vectors_match_in_both_forms() -> None:
    vectors = session_vectors()["bodyDigest"]
    assert vectors
    for vector in vectors:
        body, digest = vector["body"].encode(), vector["mppx"]
        assert BodyDigest.compute(body) == digest
        for written in (digest, digest.replace("=", "=:", 1) + ":"):
            assert challenge(digest=written).digest_matches(body)
            assert not challenge(digest=written).digest_matches(body + b" ")


@pytest.mark.parametrize(
    ("error", "reaction"),
    [
        (errors.PaymentRequiredError("r"), ProblemCode.PAYMENT_REQUIRED),
        (errors.MalformedCredentialError("x"), ProblemCode.MPP_MALFORMED_CREDENTIAL),
        (errors.InvalidPayloadError("x"), ProblemCode.MPP_MALFORMED_CREDENTIAL),
        (errors.InvalidChallengeError("x"), ProblemCode.MPP_INVALID_CHALLENGE),
        (errors.PaymentExpiredError(), ProblemCode.MPP_INVALID_CHALLENGE),
        (errors.VerificationFailedError("x"), ProblemCode.MPP_PAYMENT_VERIFICATION_FAILED),
        (errors.CredentialReplayedError(), ProblemCode.MPP_PAYMENT_VERIFICATION_FAILED),
        (errors.PaymentInsufficientError(), ProblemCode.MPP_VOUCHER_BUCKET_REFRESH_REQUIRED),
        (errors.PaymentMethodUnsupportedError("x"), ProblemCode.MPP_METHOD_UNSUPPORTED),
        (errors.InternalPaymentError(), ProblemCode.MPP_COMMIT_FAILED),
    ],
    ids=lambda value: type(value).__name__,
)
def test_we_know_the_reaction_to_each_problem_that_pympp_states(
    error: errors.PaymentError, reaction: ProblemCode
) -> None:
    body = json.dumps(error.to_problem_details("challenge-1")).encode()
    problem = parse_problem(error.status, body)
    assert problem.canonical is reaction
    assert problem.code in CANONICAL
    assert problem.message == str(error)
    assert problem.challenge_id == "challenge-1"
