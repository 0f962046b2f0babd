"""The bytes: RLP, signatures, channel ids, vouchers and transactions, held against other people's values."""

from __future__ import annotations

import random
from typing import Any

import pytest
import rlp
from eth_account import Account
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st
from pytempo import Call, TempoTransaction

from ando_cli.sandbox.chain import rlp_codec, transaction
from ando_cli.sandbox.chain.transaction import TransactionError
from ando_cli.sandbox.chain.voucher import channel_id, voucher_digest
from ando_cli.sandbox.config import CHAIN_ID, ESCROW, TOKEN
from ando_cli.sandbox.primitives import SECP256K1_N, SignatureError, address_of, from_hex, recover, sign
from ando_cli.sandbox.wire import decode_json, encode_json
from tests.support.sandbox_payer import EXPIRING_NONCE_KEY
from tests.support.vectors import session_vectors

KEY = keccak(text="a key of these tests")

nested = st.recursive(st.binary(max_size=80), lambda item: st.lists(item, max_size=5), max_leaves=20)


@pytest.fixture(scope="module")
def vectors() -> dict[str, Any]:
    return session_vectors()


def signed(**changes: Any) -> TempoTransaction:
    fields: dict[str, Any] = {
        "chain_id": CHAIN_ID,
        "gas_limit": 300_000,
        "max_fee_per_gas": 20_000_000_000,
        "calls": (Call.create(to=TOKEN, data=b"\x01\x02\x03\x04"),),
        "nonce_key": EXPIRING_NONCE_KEY,
        "valid_before": 1_900_000_000,
        "fee_token": TOKEN,
    }
    return TempoTransaction.create(**(fields | changes)).sign("0x" + KEY.hex())


@given(nested)
def test_rlp_encodes_and_decodes_as_the_reference_package_does(value: Any) -> None:
    encoded = rlp.encode(value)
    assert rlp_codec.encode(value) == encoded
    assert rlp_codec.decode(encoded) == value


@given(st.binary(max_size=60))
def test_rlp_accepts_nothing_that_is_not_canonical(data: bytes) -> None:
    try:
        value = rlp_codec.decode(data)
    except rlp_codec.RlpError:
        return
    assert rlp_codec.encode(value) == data


@pytest.mark.parametrize(
    "data",
    ["", "8100", "817f", "b801", "b800", "c1", "0000", "f80100", "b90001", "c0" * 2, "f9ffff", "d1" * 4],
)
def test_rlp_refuses(data: str) -> None:
    with pytest.raises(rlp_codec.RlpError):
        rlp_codec.decode(bytes.fromhex(data))


def test_rlp_refuses_deep_nesting() -> None:
    value: Any = []
    for _ in range(20):
        value = [value]
    with pytest.raises(rlp_codec.RlpError, match="deep"):
        rlp_codec.decode(rlp_codec.encode(value))


def test_signatures_are_those_of_eth_account() -> None:
    digest = keccak(text="something")
    account = Account.from_key(KEY)
    assert address_of(KEY) == account.address.lower()
    assert sign(KEY, digest) == bytes(account.unsafe_sign_hash(digest).signature)
    assert recover(digest, sign(KEY, digest)) == account.address.lower()


def test_a_malleated_signature_is_refused() -> None:
    digest = keccak(text="something")
    signature = sign(KEY, digest)
    s = SECP256K1_N - int.from_bytes(signature[32:64], "big")
    high = signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]])
    with pytest.raises(SignatureError, match="upper half"):
        recover(digest, high)


@pytest.mark.parametrize("v", [0, 1, 26, 29, 255])
def test_a_signature_has_a_v_of_27_or_28(v: int) -> None:
    digest = keccak(text="something")
    with pytest.raises(SignatureError):
        recover(digest, sign(KEY, digest)[:64] + bytes([v]))


@pytest.mark.parametrize(
    "signature", [b"", bytes(64), bytes(66), bytes(64) + b"\x1b", b"\xff" * 32 + bytes(32) + b"\x1b"]
)
def test_a_signature_of_nobody_is_refused(signature: bytes) -> None:
    with pytest.raises(SignatureError):
        recover(keccak(text="something"), signature)


def test_channel_ids_digests_and_signatures_agree_with_the_vectors(vectors: dict[str, Any]) -> None:
    assert vectors["v1"]
    for vector in vectors["v1"]:
        identity = channel_id(
            payer=vector["payer"],
            payee=vector["payee"],
            token=vector["token"],
            salt=from_hex(vector["salt"]),
            authorized_signer=vector["authorizedSigner"],
            escrow=vector["escrow"],
            chain_id=vector["chainId"],
        )
        assert identity == from_hex(vector["channelId"])
        amount = int(vector["cumulativeAmount"])
        digest = voucher_digest(identity, amount, escrow=vector["escrow"], chain_id=vector["chainId"])
        assert digest == from_hex(vector["digest"])
        key = from_hex(vector["privateKey"])
        assert sign(key, digest) == from_hex(vector["signature"])
        assert recover(digest, from_hex(vector["signature"])) == address_of(key)


def test_transactions_of_the_vectors_decode_with_the_right_sender(vectors: dict[str, Any]) -> None:
    seen = [vector for vector in vectors["transactions"] if "serialized" in vector]
    assert {vector["feePayer"] for vector in seen} == {True, False}
    for vector in seen:
        decoded = transaction.decode(from_hex(vector["serialized"]))
        assert decoded.sender == address_of(from_hex(vector["privateKey"]))
        assert decoded.awaits_fee_payer is vector["feePayer"]
        assert decoded.fee_token == vector["feeToken"]
        assert decoded.chain_id == vector["chainId"]
        assert decoded.gas_limit == int(vector["gas"])
        assert decoded.valid_before == vector["validBefore"]
        assert decoded.nonce_key == EXPIRING_NONCE_KEY
        assert [(call.to, call.data) for call in decoded.calls] == [
            (call["to"], from_hex(call["data"])) for call in vector["calls"]
        ]


def test_a_countersigned_transaction_is_what_pytempo_makes_of_it() -> None:
    payer_key = keccak(text="the fee payer")
    waiting = signed(awaiting_fee_payer=True, fee_token=None)
    raw = waiting.encode().replace(b"\x80\x80\xc0\xb8\x41", b"\x80\x00\xc0\xb8\x41")

    sponsored = transaction.sponsor(raw, payer_key, TOKEN)

    import attrs

    with_token = attrs.evolve(waiting, fee_token=bytes.fromhex(TOKEN[2:]))
    assert sponsored == with_token.sign("0x" + payer_key.hex(), for_fee_payer=True).encode()
    decoded = transaction.decode(sponsored)
    assert decoded.sender == address_of(KEY)
    assert decoded.fee_payer == address_of(payer_key)
    assert decoded.fee_token == TOKEN


def test_the_gateways_own_transactions_are_those_of_pytempo() -> None:
    call = transaction.Call(ESCROW, 0, b"data")
    raw = transaction.build(
        KEY,
        chain_id=CHAIN_ID,
        calls=[call],
        fee_token=TOKEN,
        valid_before=1_900_000_000,
        gas_limit=2_000_000,
        max_fee_per_gas=40_000_000_000,
    )
    expected = signed(
        gas_limit=2_000_000,
        max_fee_per_gas=40_000_000_000,
        max_priority_fee_per_gas=1,
        calls=(Call.create(to=ESCROW, data=b"data"),),
    )
    assert raw == expected.encode()


def test_a_changed_transaction_is_somebody_elses_or_nobodys() -> None:
    raw = signed().encode()
    chance = random.Random(7)  # noqa: S311 - a repeatable test
    for _ in range(300):
        changed = bytearray(raw)
        changed[chance.randrange(1, len(raw))] ^= 1 << chance.randrange(8)
        try:
            decoded = transaction.decode(bytes(changed))
        except TransactionError:
            continue
        assert decoded.sender != address_of(KEY)


@pytest.mark.parametrize("raw", [b"", b"\x76", b"\x02\xc0", b"\x76\xc0", b"\x76\x80", b"\x76\xce" + b"\x80" * 14])
def test_what_is_no_transaction_is_refused(raw: bytes) -> None:
    with pytest.raises(TransactionError):
        transaction.decode(raw)


def test_a_transaction_that_waits_for_a_fee_payer_needs_the_placeholder() -> None:
    without = transaction.decode(signed(awaiting_fee_payer=True, fee_token=None).encode())
    assert without.sender != address_of(KEY), "0x80 is no placeholder: the sender signed 0x00"


def test_base64url_is_strict() -> None:
    good = encode_json({"a": "é"})
    assert decode_json(good) == {"a": "é"}
    for bad in (good + "=", good + "\n", " " + good, good[:-1] + "+", "W10", "bnVsbA", "e30x", "A", "_" * 20_000):
        with pytest.raises(ValueError):  # noqa: PT011 - whichever it is
            decode_json(bad)
