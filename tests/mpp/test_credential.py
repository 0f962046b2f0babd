"""Credentials: what goes into the Authorization header, and what no repr shows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ando_cli.mpp.base64url import decode
from ando_cli.mpp.challenge import Challenge
from ando_cli.mpp.credential import (
    ClosePayload,
    OpenPayload,
    Payload,
    TopUpPayload,
    VoucherPayload,
    authorization,
)
from tests.support.mpp_builders import CHANNEL, PARAMS, PAYER, SIGNATURE, b64, challenge

TRANSACTION = "0x76f901b082a5bf01"
OPEN = OpenPayload(CHANNEL, TRANSACTION, PAYER, 1_000_000, SIGNATURE)
TOP_UP = TopUpPayload(CHANNEL, TRANSACTION, 2_500_000)
VOUCHER = VoucherPayload(CHANNEL, 2**128 - 1, SIGNATURE)
CLOSE = ClosePayload(CHANNEL, 0, SIGNATURE)
ALL: list[Payload] = [OPEN, TOP_UP, VOUCHER, CLOSE]


def credential(header: str) -> dict[str, Any]:
    scheme, _, value = header.partition(" ")
    assert scheme == "Payment"
    document: dict[str, Any] = json.loads(decode(value, limit=10**6))
    return document


def test_an_open_carries_the_transaction_and_the_first_voucher() -> None:
    assert OPEN.to_wire() == {
        "action": "open",
        "type": "transaction",
        "channelId": CHANNEL,
        "transaction": TRANSACTION,
        "authorizedSigner": PAYER,
        "cumulativeAmount": "1000000",
        "signature": SIGNATURE,
    }


@pytest.mark.parametrize("payload", ALL)
def test_what_names_a_v2_channel_is_in_every_payload_and_in_none_of_a_v1_channel(payload: Payload) -> None:
    descriptor = {"payer": PAYER, "salt": "0x01"}
    v1 = authorization(challenge(), payload, chain_id=1, payer=PAYER)
    v2 = authorization(challenge(), payload, chain_id=1, payer=PAYER, descriptor=descriptor)
    assert credential(v1)["payload"] == payload.to_wire()
    assert credential(v2)["payload"] == {**payload.to_wire(), "descriptor": descriptor}


def test_a_top_up_carries_a_transaction_and_no_voucher() -> None:
    assert TOP_UP.to_wire() == {
        "action": "topUp",
        "type": "transaction",
        "channelId": CHANNEL,
        "transaction": TRANSACTION,
        "additionalDeposit": "2500000",
    }


@pytest.mark.parametrize(
    ("payload", "action", "amount"), [(VOUCHER, "voucher", str(2**128 - 1)), (CLOSE, "close", "0")]
)
def test_a_voucher_and_a_close_carry_the_same_members(payload: Payload, action: str, amount: str) -> None:
    assert payload.to_wire() == {
        "action": action,
        "channelId": CHANNEL,
        "cumulativeAmount": amount,
        "signature": SIGNATURE,
    }


def test_hex_goes_out_in_lower_case() -> None:
    def upper(text: str) -> str:
        return "0x" + text[2:].upper()

    loud = OpenPayload(upper(CHANNEL), upper(TRANSACTION), upper(PAYER), 1_000_000, upper(SIGNATURE))
    assert loud.to_wire() == OPEN.to_wire()
    assert TopUpPayload(upper(CHANNEL), upper(TRANSACTION), 2_500_000).to_wire() == TOP_UP.to_wire()
    assert VoucherPayload(upper(CHANNEL), 2**128 - 1, upper(SIGNATURE)).to_wire() == VOUCHER.to_wire()
    assert ClosePayload(upper(CHANNEL), 0, upper(SIGNATURE)).to_wire() == CLOSE.to_wire()


@pytest.mark.parametrize("payload", ALL, ids=lambda payload: type(payload).__name__)
def test_no_repr_shows_what_could_be_submitted(payload: Payload) -> None:
    assert "Payload(" in repr(payload)
    for secret in (SIGNATURE, TRANSACTION, CHANNEL, PAYER):
        assert secret not in repr(payload)


@pytest.mark.parametrize("payload", ALL, ids=lambda payload: type(payload).__name__)
def test_a_credential_is_the_echo_the_payload_and_the_source(payload: Payload) -> None:
    asked = challenge(expires="2030-01-01T00:00:00Z", opaque=b64(b'{ "b":1 }'))
    header = authorization(asked, payload, chain_id=42431, payer=PAYER)
    assert credential(header) == {
        "challenge": PARAMS | {"expires": "2030-01-01T00:00:00Z", "opaque": b64(b'{ "b":1 }')},
        "payload": payload.to_wire(),
        "source": f"did:pkh:eip155:42431:{PAYER}",
    }


def test_the_source_names_the_payer_in_lower_case() -> None:
    header = authorization(challenge(), VOUCHER, chain_id=1, payer="0x" + PAYER[2:].upper())
    assert credential(header)["source"] == f"did:pkh:eip155:1:{PAYER}"


@given(st.dictionaries(st.sampled_from([*PARAMS, "expires", "digest", "opaque", "description", "header"]), st.text()))
def test_any_challenge_makes_a_header_value_that_is_ascii_and_echoes_it(changes: dict[str, str]) -> None:
    asked = Challenge(**(PARAMS | changes))
    header = authorization(asked, VOUCHER, chain_id=1, payer=PAYER)
    assert header.isascii()
    assert header.isprintable()
    assert "=" not in header
    assert credential(header)["challenge"] == PARAMS | changes


def test_half_a_surrogate_pair_in_a_challenge_does_not_break_the_credential() -> None:
    assert credential(authorization(challenge(realm="\ud800"), VOUCHER, chain_id=1, payer=PAYER))
