"""Problems: every shape of error body, every code, and nothing that could raise."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ando_cli.mpp.problem import CANONICAL, LIMIT, Problem, ProblemCode, parse_problem
from ando_cli.sandbox.problems import CODES, SPECIFICATION_CODES, STABLE_CODES, render
from ando_cli.sandbox.settings import ERROR_SHAPES
from tests.support.mpp_builders import CHANNEL, PAYER, SIGNATURE, b64, nested
from tests.support.vectors import VECTORS

GATEWAY = [code for code in ProblemCode if not code.startswith("session/")]
NEUTRAL = "The server answered 402 and gave no readable reason."
CODE = "mpp_invalid_challenge"
REGISTRY = "https://paymentauth.org/problems/"


def parse(body: object, status: int = 402) -> Problem:
    return parse_problem(status, json.dumps(body).encode())


# The shapes


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"code": CODE, "message": "No.", "type": "invalid_request_error"}},
        {"error": {"code": CODE, "detail": "No."}},
        {"error": CODE, "message": "No."},
        {"code": CODE, "message": "No."},
        {"code": CODE, "detail": "No."},
        {"code": CODE, "title": "No."},
        {"detail": {"code": CODE, "message": "No."}},
        {"type": REGISTRY + CODE, "title": "Invalid", "status": 402, "detail": "No."},
        {"type": REGISTRY + "ando/" + CODE + "/", "detail": "No."},
        {"type": "about:blank", "code": CODE, "detail": "No."},
        {"error": {"type": CODE, "code": 402, "message": "No."}},
        {"error": {"type": REGISTRY + CODE, "message": "No."}},
    ],
    ids=json.dumps,
)
def test_every_shape_of_body_gives_its_code_and_message(body: dict[str, Any]) -> None:
    problem = parse(body, 418)
    assert (problem.code, problem.message, problem.status) == (CODE, "No.", 418)
    assert problem.canonical is ProblemCode.MPP_INVALID_CHALLENGE


@pytest.mark.parametrize("shape", ERROR_SHAPES)
@pytest.mark.parametrize("code", STABLE_CODES | SPECIFICATION_CODES)
def test_every_code_that_the_sandbox_can_answer_with_is_read_in_every_shape(code: str, shape: str) -> None:
    kind, extensions = CODES[code], {"channelId": CHANNEL, "requiredTopUp": "7"}
    body = render(code, kind.message, kind.status, shape, extensions)
    problem = parse_problem(kind.status, body.data)
    assert (problem.code, problem.message, problem.status) == (code, kind.message, kind.status)
    assert problem.canonical is (CANONICAL.get(code) or ProblemCode(code))
    assert (problem.channel_id, problem.required_top_up) == (CHANNEL, 7)


@pytest.mark.parametrize(
    ("name", "message"), [("code", NEUTRAL), ("type", NEUTRAL), ("error", CODE), ("detail", CODE), ("message", CODE)]
)
def test_a_bare_code_is_enough(name: str, message: str) -> None:
    assert parse({name: CODE}) == Problem(CODE, message, 402)


@pytest.mark.parametrize("name", ["detail", "message", "title"])
def test_a_bare_message_has_no_code(name: str) -> None:
    assert parse({name: "Unauthorized"}) == Problem(None, "Unauthorized", 402)


def test_an_error_that_is_a_sentence_is_a_message() -> None:
    assert parse({"error": "The key is wrong."}) == Problem(None, "The key is wrong.", 402)


def test_a_code_of_no_known_vocabulary_is_kept() -> None:
    problem = parse({"error": {"code": "invalid_api_key", "message": "No."}}, 401)
    assert (problem.code, problem.canonical) == ("invalid_api_key", None)


def test_a_known_code_goes_before_an_unknown_one() -> None:
    assert parse({"error": {"code": "payment_error", "type": REGISTRY + CODE}}).code == CODE
    assert parse({"code": "error", "detail": CODE}).code == CODE


def test_the_specific_message_goes_before_the_title() -> None:
    assert parse({"title": "Title", "detail": "Detail"}).message == "Detail"
    assert parse({"message": "outer", "error": {"message": "inner"}}).message == "inner"


# Codes


def test_the_gateway_has_sixteen_codes() -> None:
    assert len(GATEWAY) == 16


def test_the_codes_are_those_of_the_providers_documentation() -> None:
    listed = (VECTORS / "gateway-codes.txt").read_text(encoding="utf-8").split()
    assert sorted(listed) == sorted(code.value for code in GATEWAY)


@pytest.mark.parametrize("code", ProblemCode)
def test_every_code_is_its_own_reaction(code: ProblemCode) -> None:
    assert parse({"error": {"code": code.value}}).canonical is code
    assert parse({"type": REGISTRY + code.value}).canonical is code


@pytest.mark.parametrize(
    ("spec", "reaction"),
    [
        ("payment-required", "payment_required"),
        ("payment-expired", "mpp_invalid_challenge"),
        ("payment-insufficient", "mpp_voucher_bucket_refresh_required"),
        ("invalid-challenge", "mpp_invalid_challenge"),
        ("malformed-credential", "mpp_malformed_credential"),
        ("invalid-payload", "mpp_malformed_credential"),
        ("verification-failed", "mpp_payment_verification_failed"),
        ("method-unsupported", "mpp_method_unsupported"),
        ("internal-payment-error", "mpp_commit_failed"),
        ("session/insufficient-balance", "mpp_voucher_bucket_refresh_required"),
        ("session/delta-too-small", "mpp_voucher_bucket_refresh_required"),
        ("session/amount-exceeds-deposit", "mpp_session_deposit_below_request_cost"),
        ("session/challenge-not-found", "mpp_invalid_challenge"),
        ("session/invalid-signature", "mpp_payment_verification_failed"),
        ("session/signer-mismatch", "mpp_payment_verification_failed"),
        ("session/channel-not-found", "session/channel-not-found"),
        ("session/channel-finalized", "session/channel-finalized"),
    ],
)
def test_a_code_of_the_specification_asks_for_a_known_reaction(spec: str, reaction: str) -> None:
    for written in {spec, spec.removeprefix("session/"), spec.upper()}:
        assert parse({"code": written}).canonical == reaction
        assert parse({"type": REGISTRY + written}).canonical == reaction
    assert parse({"type": REGISTRY + spec}).code == spec
    assert CANONICAL.get(spec, spec) == reaction


@pytest.mark.parametrize("written", ["MPP_INVALID_CHALLENGE", " mpp_invalid_challenge\n", "Mpp_Invalid_Challenge"])
def test_a_code_is_normalised(written: str) -> None:
    assert parse({"code": written}).code == CODE


@pytest.mark.parametrize(
    "code",
    ["", " ", "402", 402, None, True, [], {}, "not a code", "a" * 65, "é", "-a", "a\nb", "a\x1b[31m", "a:b"],
    ids=repr,
)
def test_what_does_not_look_like_a_code_is_none(code: object) -> None:
    problem = parse({"code": code, "message": "No."})
    assert (problem.code, problem.canonical, problem.message) == (None, None, "No.")


@pytest.mark.parametrize(
    "uri",
    ["about:blank", "https://example.com/problems/a", "http://paymentauth.org/problems/a", REGISTRY, REGISTRY + "a b"],
)
def test_a_type_outside_the_registry_is_no_code(uri: str) -> None:
    assert parse({"type": uri, "title": "No."}).code is None


# Extensions


def test_the_extensions_are_read() -> None:
    problem = parse({"requiredTopUp": "500000", "channelId": "0x" + CHANNEL[2:].upper(), "challengeId": "challenge-1"})
    assert (problem.required_top_up, problem.channel_id, problem.challenge_id) == (500_000, CHANNEL, "challenge-1")


@pytest.mark.parametrize(
    "wrap", [lambda x: {"error": x}, lambda x: {"detail": x}, lambda x: {"details": x}, lambda x: x]
)
def test_the_extensions_are_found_wherever_the_error_stands(wrap: Any) -> None:
    assert parse(wrap({"requiredTopUp": 7})).required_top_up == 7


@pytest.mark.parametrize("value", ["-1", "1.5", "", None, True, -1, 1.5, 2**128, str(2**128), [], "x"], ids=repr)
def test_a_top_up_that_is_no_amount_is_none(value: object) -> None:
    assert parse({"requiredTopUp": value}).required_top_up is None


@pytest.mark.parametrize("value", ["", "0x12", 5, None, CHANNEL + "00"], ids=repr)
def test_a_channel_id_that_is_none_is_none(value: object) -> None:
    assert parse({"channelId": value}).channel_id is None


def test_a_challenge_id_may_be_as_long_as_256_characters() -> None:
    assert parse({"challengeId": "x" * 256}).challenge_id == "x" * 256
    assert parse({"challengeId": "x" * 257}).challenge_id is None


@pytest.mark.parametrize("value", ["", 5, None, "a" * 257, "a\x1b[31m", "a\nb"], ids=repr)
def test_a_challenge_id_that_cannot_be_one_is_none(value: object) -> None:
    assert parse({"challengeId": value}).challenge_id is None


# Hostile bodies


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>402 Payment Required</body></html>",
        b"upstream error",
        b"\xff\xfe\x00",
        b'{"code":"mpp_commit_failed"',
        b'{"code":"\xff"}',
        b"[]",
        b'"mpp_commit_failed"',
        b"null",
        b"{}",
        b'{"error":null}',
        b'{"error":[{"code":"mpp_commit_failed"}]}',
        b'{"message":""}',
        b'{"message":"\\u001b\\u0007"}',
        b'{"code":' + b"9" * 5000 + b"}",
        nested(30_000),
        b'{"error":' * 5000,
        b'{"code":"mpp_commit_failed","x":"' + b"x" * LIMIT + b'"}',
        b'{"code":"mpp_commit_failed"}' + b" " * LIMIT,
    ],
    ids=lambda body: repr(body[:40]),
)
def test_a_body_that_says_nothing_readable_has_no_code_and_a_neutral_message(body: bytes) -> None:
    assert parse_problem(402, body) == Problem(None, NEUTRAL, 402)


def test_a_body_up_to_the_limit_is_read() -> None:
    body = b'{"code":"mpp_commit_failed"}'
    assert parse_problem(402, body + b" " * (LIMIT - len(body))).code == "mpp_commit_failed"


def test_a_byte_order_mark_does_not_hide_the_code() -> None:
    assert parse_problem(402, b'\xef\xbb\xbf{"code":"mpp_commit_failed"}').code == "mpp_commit_failed"


class Body(bytes):
    """A body that must not be decoded."""

    def decode(self, *_: object, **__: object) -> str:
        raise AssertionError("a huge body was decoded")


def test_a_huge_body_is_not_even_decoded() -> None:
    assert parse_problem(402, Body(b" " * (LIMIT + 1))).message == NEUTRAL


def test_terminal_escapes_and_line_breaks_do_not_reach_the_message() -> None:
    message = parse({"message": "a\x1b[31mred\r\nb\u202e\ud800 \x9bc"}).message
    assert message.isprintable()
    assert message.startswith("a[31mred b")


def test_a_long_message_is_cut() -> None:
    message = parse({"message": "word " * 10_000}).message
    assert len(message) <= 300
    assert message.endswith("…")


@pytest.mark.parametrize(
    "secret",
    [SIGNATURE, PAYER, CHANNEL, CHANNEL[2:], b64(b'{"challenge":{"id":"a"},"payload":{"signature":"0xabcdef"}}')],
)
@pytest.mark.parametrize("text", ["{}", "bad {} here", "Payment {}", "({}).", "\x07{}\x07", "x " * 140 + "{}"])
def test_what_identifies_or_pays_is_masked_in_messages(secret: str, text: str) -> None:
    problem = parse({"message": text.format(secret)})
    assert secret[:12] not in problem.message
    assert "…" in problem.message


def test_control_characters_do_not_hide_a_secret_from_the_mask() -> None:
    message = parse({"message": "bad " + "\x00".join(SIGNATURE)}).message
    assert message == "bad …"


def test_codes_and_links_are_not_masked() -> None:
    text = (
        "mpp_session_deposit_below_request_cost: https://mpp.dev/tools/wallet.md (8b1c2d3e-0000-4000-8000-0123456789ab)"
    )
    assert parse({"message": text}).message == text


def test_the_repr_shows_neither_channel_nor_challenge() -> None:
    shown = repr(parse({"channelId": CHANNEL, "challengeId": "challenge-1", "code": CODE}))
    assert CODE in shown
    assert CHANNEL not in shown
    assert "challenge-1" not in shown


NAMES = st.sampled_from(
    ["error", "code", "type", "detail", "details", "message", "title", "requiredTopUp", "channelId", "challengeId"]
)
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(list(CANONICAL))
)
BODIES = st.recursive(
    LEAVES, lambda inner: st.dictionaries(NAMES, inner, max_size=6) | st.lists(inner, max_size=3), max_leaves=15
)


@given(st.integers(), st.binary(max_size=80) | BODIES.map(lambda body: json.dumps(body).encode()))
def test_no_body_raises(status: int, body: bytes) -> None:
    problem = parse_problem(status, body)
    assert 0 < len(problem.message) <= 300
    assert problem.message.isprintable()
    assert problem.code is None or (problem.code == problem.code.lower() and 0 < len(problem.code) <= 64)
    assert problem.canonical in {None, *ProblemCode}


@pytest.mark.parametrize(
    ("body", "figure"),
    [
        ({"error": {"code": "x", "message": "must be >= 2000000 (spent)"}}, 2_000_000),
        ({"detail": "2000000. Try again"}, 2_000_000),
        ({"code": "x", "spent": "150"}, 150),
        ({"code": "x", "message": "100 is below 150"}, 150),  # what was offered is no answer
        ({"code": "x", "message": "150 or 151"}, None),
        ({"code": "x", "message": "150 is what 150 is"}, 150),
        ({"code": "x", "message": "100"}, None),
        ({"code": "x", "message": "3000001"}, None),
        ({"code": "x", "message": "1.5 and 2,000 and 0x200 and -200 and 200x"}, None),
        ({"code": "x", "message": "٢٠٠"}, None),
        ({"code": "x", "message": "9" * 40}, None),
        ({"code": "x", "spent": 150}, None),
        ({"code": "x", "spent": "0150x"}, None),
    ],
)
def test_an_amount_is_taken_from_a_refusal_only_where_it_names_one_in_range(body: object, figure: int | None) -> None:
    assert parse_problem(402, json.dumps(body).encode()).figure(100, 3_000_000) == figure
