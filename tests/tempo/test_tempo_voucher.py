from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from hypothesis import given, settings
from hypothesis import strategies as st

from ando_cli.tempo.keys import PrivateKey, recover
from ando_cli.tempo.voucher import sign_voucher, voucher_digest

KEY = PrivateKey.parse("0x2690a0505abdf13804242eb2b19ec3a8e3cf8c58bb4473347fd9edee09a9971c")
CHANNEL = "0x656462c14a21dd7b5ad0b18e8c197f85c7094f992529fa270051e7800be10063"
ESCROW = "0x33b901018174ddabe4841042ab76ba85d4e24f25"

addresses = st.binary(min_size=20, max_size=20).map(lambda value: "0x" + value.hex())
channel_ids = st.binary(min_size=32, max_size=32).map(lambda value: "0x" + value.hex())


def typed_data(channel_id: str, cumulative_amount: int, escrow: str, chain_id: int) -> dict[str, Any]:
    return {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            "Voucher": [{"name": "channelId", "type": "bytes32"}, {"name": "cumulativeAmount", "type": "uint128"}],
        },
        "primaryType": "Voucher",
        "domain": {
            "name": "Tempo Stream Channel",
            "version": "1",
            "chainId": chain_id,
            "verifyingContract": escrow,
        },
        "message": {"channelId": bytes.fromhex(channel_id[2:]), "cumulativeAmount": cumulative_amount},
    }


def test_every_reference_voucher_has_its_digest_and_signature(vectors: dict[str, Any]) -> None:
    assert vectors["v1"]
    for vector in vectors["v1"]:
        channel_id, amount = vector["channelId"], int(vector["cumulativeAmount"])
        where = {"escrow": vector["escrow"], "chain_id": vector["chainId"]}
        key = PrivateKey.parse(vector["privateKey"])
        digest = voucher_digest(channel_id, amount, **where)
        assert "0x" + digest.hex() == vector["digest"]
        assert sign_voucher(key, channel_id, amount, **where) == vector["signature"]
        assert recover(digest, bytes.fromhex(vector["signature"][2:])) == key.address


@settings(deadline=None)
@given(
    st.integers(1, 2**255).map(lambda number: number.to_bytes(32, "big")),
    channel_ids,
    st.integers(0, 2**128 - 1),
    addresses,
    st.integers(1, 2**64),
)
def test_a_voucher_is_what_eth_account_signs(secret, channel_id, amount, escrow, chain_id) -> None:
    signed = Account.sign_message(
        encode_typed_data(full_message=typed_data(channel_id, amount, escrow, chain_id)), secret
    )
    assert voucher_digest(channel_id, amount, escrow=escrow, chain_id=chain_id) == bytes(signed.message_hash)
    ours = sign_voucher(PrivateKey(secret), channel_id, amount, escrow=escrow, chain_id=chain_id)
    assert ours == "0x" + bytes(signed.signature).hex()


def test_a_voucher_is_bound_to_its_channel_amount_escrow_and_chain() -> None:
    digests = {
        voucher_digest(CHANNEL, 1, escrow=ESCROW, chain_id=4217),
        voucher_digest("0x" + "00" * 32, 1, escrow=ESCROW, chain_id=4217),
        voucher_digest(CHANNEL, 2, escrow=ESCROW, chain_id=4217),
        voucher_digest(CHANNEL, 1, escrow="0x" + "11" * 20, chain_id=4217),
        voucher_digest(CHANNEL, 1, escrow=ESCROW, chain_id=42431),
    }
    assert len(digests) == 5


@pytest.mark.parametrize("amount", [-1, 2**128, 1.0, "1", True, None])
def test_an_amount_outside_uint128_is_never_signed(amount: Any) -> None:
    with pytest.raises(ValueError, match=r"does not fit uint128|not an integer"):
        sign_voucher(KEY, CHANNEL, amount, escrow=ESCROW, chain_id=4217)


@pytest.mark.parametrize(
    ("channel_id", "escrow", "chain_id"),
    [(CHANNEL[:-1], ESCROW, 1), (CHANNEL[2:], ESCROW, 1), (CHANNEL, ESCROW[:-1], 1), (CHANNEL, ESCROW, -1)],
)
def test_malformed_arguments_are_never_signed(channel_id: str, escrow: str, chain_id: int) -> None:
    with pytest.raises(ValueError, match=r"not a|does not fit"):
        sign_voucher(KEY, channel_id, 1, escrow=escrow, chain_id=chain_id)


def test_signing_a_voucher_loads_nothing_slow() -> None:
    program = f"""
import sys
from ando_cli.tempo import channel, keys, network, voucher
key = keys.PrivateKey.generate()
voucher.sign_voucher(key, {CHANNEL!r}, 1, escrow={ESCROW!r}, chain_id=4217)
channel.ChannelTerms(*[key.address] * 3, {CHANNEL!r}, key.address, {ESCROW!r}, 4217).channel_id
slow = {{"web3", "eth_account", "eth_abi", "eth_utils", "pytempo", "rlp", "pydantic", "rich", "keyring", "httpx"}}
print(sorted(slow & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
