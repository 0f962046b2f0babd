"""Receipts: well-formed or malformed, never believed here."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ando_cli.mpp.malformed import MalformedError
from ando_cli.mpp.receipt import Receipt, parse_receipt
from tests.support.mpp_builders import CHANNEL, RECEIPT, b64, b64_json, nested

TX = "0x" + "0f" * 32


def parse(**changes: object) -> Receipt:
    return parse_receipt(b64_json(RECEIPT | changes))


def test_a_receipt_with_everything_is_read() -> None:
    assert parse(units=42, txHash=TX) == Receipt(
        method="tempo",
        intent="session",
        status="success",
        timestamp="2026-01-02T03:04:05.678Z",
        reference=CHANNEL,
        challenge_id="challenge-1",
        channel_id=CHANNEL,
        accepted_cumulative=2_000_000,
        spent=1_234_567,
        units=42,
        tx_hash=TX,
    )


@pytest.mark.parametrize("name", ["units", "txHash"])
def test_what_is_optional_may_be_absent_or_null(name: str) -> None:
    receipt = parse(**{name: None})
    assert receipt == parse()
    assert (receipt.units, receipt.tx_hash) == (None, None)


def test_no_units_at_all_are_a_count_too() -> None:
    assert parse(units=0).units == 0


def test_unknown_members_are_ignored() -> None:
    assert parse(extra={"a": 1}, externalId="x") == parse()


@pytest.mark.parametrize("name", sorted(RECEIPT))
def test_every_other_member_is_required(name: str) -> None:
    with pytest.raises(MalformedError, match=name):
        parse_receipt(b64_json({key: value for key, value in RECEIPT.items() if key != name}))
    with pytest.raises(MalformedError, match=name):
        parse(**{name: None})


@pytest.mark.parametrize("status", ["failed", "Success", "", True, 1, ["success"]])
def test_only_success_has_a_receipt(status: object) -> None:
    with pytest.raises(MalformedError, match="status"):
        parse(status=status)


def test_the_receipt_of_another_intent_is_refused() -> None:
    with pytest.raises(MalformedError, match="intent"):
        parse(intent="charge")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("method", ""),
        ("method", 1),
        ("timestamp", "yesterday"),
        ("timestamp", 1_700_000_000),
        ("timestamp", "2026-01-02T03:04:05"),
        ("reference", ""),
        ("reference", {}),
        ("challengeId", ""),
        ("challengeId", 7),
        ("channelId", "0x1234"),
        ("channelId", CHANNEL[2:]),
        ("acceptedCumulative", 2_000_000),
        ("acceptedCumulative", "-1"),
        ("acceptedCumulative", "1.5"),
        ("acceptedCumulative", str(2**128)),
        ("spent", 1),
        ("spent", "1e3"),
        ("spent", ""),
        ("units", -1),
        ("units", "1"),
        ("units", True),
        ("units", 1.5),
        ("txHash", "0x"),
        ("txHash", 1),
    ],
)
def test_a_member_of_the_wrong_form_is_refused(name: str, value: object) -> None:
    with pytest.raises(MalformedError, match=name):
        parse(**{name: value})


def test_hex_becomes_lower_case() -> None:
    receipt = parse(channelId="0x" + CHANNEL[2:].upper(), txHash="0x" + TX[2:].upper())
    assert (receipt.channel_id, receipt.tx_hash) == (CHANNEL, TX)


def test_a_claim_beyond_what_was_accepted_is_still_well_formed() -> None:
    receipt = parse(spent=str(2**128 - 1), acceptedCumulative="0")
    assert (receipt.spent, receipt.accepted_cumulative) == (2**128 - 1, 0)


@pytest.mark.parametrize("value", ["", "!", b64(b"[]"), b64(nested(5000)), b64_json(RECEIPT) + "=", "A" * 16_388])
def test_what_is_no_encoded_object_is_refused(value: str) -> None:
    with pytest.raises(MalformedError):
        parse_receipt(value)


def test_the_repr_shows_no_identifier() -> None:
    receipt = parse(reference="reference-1", txHash=TX)
    assert "1234567" in repr(receipt)
    for identifier in ("reference-1", "challenge-1", CHANNEL, TX):
        assert identifier not in repr(receipt)


def test_messages_do_not_quote_the_receipt() -> None:
    for name in [*RECEIPT, "units", "txHash"]:
        if name not in ("method", "reference", "challengeId"):
            with pytest.raises(MalformedError) as caught:
                parse(**{name: "secret"})
            assert "secret" not in str(caught.value)


@given(
    st.dictionaries(st.sampled_from([*RECEIPT, "units", "txHash"]), st.none() | st.integers() | st.text() | st.just([]))
)
def test_no_receipt_raises_anything_but_malformed(changes: dict[str, object]) -> None:
    with contextlib.suppress(MalformedError):
        assert parse(**changes).status == "success"


@given(st.text())
def test_no_header_value_raises_anything_but_malformed(value: str) -> None:
    with pytest.raises(MalformedError):
        parse_receipt(value)
