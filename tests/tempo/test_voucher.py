from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from hypothesis import given, settings
from hypothesis import strategies as st

from ando_cli.tempo.keys import PrivateKey, recover
from ando_cli.tempo.protocol import Protocol
from ando_cli.tempo.voucher import recover_voucher_signer, sign_close, sign_voucher, voucher_digest
from tests.support.vectors import charge_vectors

KEY = PrivateKey.parse("0x2690a0505abdf13804242eb2b19ec3a8e3cf8c58bb4473347fd9edee09a9971c")
CHANNEL = "0x656462c14a21dd7b5ad0b18e8c197f85c7094f992529fa270051e7800be10063"
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
ESCROW = "0x33b901018174ddabe4841042ab76ba85d4e24f25"

addresses = st.binary(min_size=20, max_size=20).map(lambda value: "0x" + value.hex())
channel_ids = st.binary(min_size=32, max_size=32).map(lambda value: "0x" + value.hex())


def typed_data(
    channel_id: str, cumulative_amount: int, escrow: str, chain_id: int, protocol: Protocol = Protocol.V1
) -> dict[str, Any]:
    name, amount_type = {
        Protocol.V1: ("Tempo Stream Channel", "uint128"),
        Protocol.V2: ("TIP20 Channel Reserve", "uint96"),
    }[protocol]
    return {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            "Voucher": [{"name": "channelId", "type": "bytes32"}, {"name": "cumulativeAmount", "type": amount_type}],
        },
        "primaryType": "Voucher",
        "domain": {
            "name": name,
            "version": "1",
            "chainId": chain_id,
            "verifyingContract": escrow,
        },
        "message": {"channelId": bytes.fromhex(channel_id[2:]), "cumulativeAmount": cumulative_amount},
    }


def compact(signature: str) -> str:
    """The 64 bytes of EIP-2098: the parity of R in the highest bit of s."""
    s = int(signature[66:130], 16) | (int(signature[130:], 16) - 27) << 255
    return signature[:66] + f"{s:064x}"


def signer(amount: int, signature: str, protocol: Protocol = Protocol.V1) -> str:
    return recover_voucher_signer(CHANNEL, amount, signature, escrow=ESCROW, chain_id=4217, protocol=protocol)


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


def test_every_v2_reference_voucher_has_its_digest_and_signature(vectors: dict[str, Any]) -> None:
    assert vectors["v2"]
    for vector in vectors["v2"]:
        channel_id, amount = vector["channelId"], int(vector["cumulativeAmount"])
        key = PrivateKey.parse(vector["privateKey"])
        where: Any = {"escrow": vector["escrow"], "chain_id": vector["chainId"], "protocol": Protocol.V2}
        assert "0x" + voucher_digest(channel_id, amount, **where).hex() == vector["digest"]
        assert sign_voucher(key, channel_id, amount, **where) == vector["signature"]
        assert recover_voucher_signer(channel_id, amount, vector["signature"], **where) == key.address


@settings(deadline=None)
@given(
    st.integers(1, 2**255).map(lambda number: number.to_bytes(32, "big")),
    channel_ids,
    st.integers(0, 2**96 - 1),
    addresses,
    st.integers(1, 2**64),
)
def test_a_v2_voucher_is_what_eth_account_signs(
    secret: bytes, channel_id: str, amount: int, escrow: str, chain_id: int
) -> None:
    message = encode_typed_data(full_message=typed_data(channel_id, amount, escrow, chain_id, Protocol.V2))
    signed = Account.sign_message(message, secret)
    where: Any = {"escrow": escrow, "chain_id": chain_id, "protocol": Protocol.V2}
    assert voucher_digest(channel_id, amount, **where) == bytes(signed.message_hash)
    signature = sign_voucher(PrivateKey(secret), channel_id, amount, **where)
    assert signature == "0x" + bytes(signed.signature).hex()
    signer = Account.from_key(secret).address.lower()
    assert recover_voucher_signer(channel_id, amount, signature, **where) == signer
    assert recover_voucher_signer(channel_id, amount, compact(signature), **where) == signer


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
    assert voucher_digest(CHANNEL, 1, escrow=ESCROW, chain_id=4217, protocol=Protocol.V2) not in digests


@pytest.mark.parametrize("amount", [-1, 2**128, 1.0, "1", True, None])
def test_an_amount_outside_uint128_is_never_signed(amount: Any) -> None:
    with pytest.raises(ValueError, match=r"does not fit uint128|not an integer"):
        sign_voucher(KEY, CHANNEL, amount, escrow=ESCROW, chain_id=4217)


@pytest.mark.parametrize("amount", [-1, 2**96, 2**128 - 1, 1.0, True])
def test_an_amount_outside_uint96_is_never_signed_on_v2(amount: Any) -> None:
    with pytest.raises(ValueError, match=r"does not fit uint96|not an integer"):
        sign_voucher(KEY, CHANNEL, amount, escrow=ESCROW, chain_id=4217, protocol=Protocol.V2)


def test_the_whole_of_uint96_can_be_signed_for_on_v2() -> None:
    assert sign_voucher(KEY, CHANNEL, 2**96 - 1, escrow=ESCROW, chain_id=4217, protocol=Protocol.V2)


@pytest.mark.parametrize("protocol", list(Protocol))
def test_the_signer_of_a_voucher_is_told_from_either_form_of_its_signature(protocol: Protocol) -> None:
    parities = set()
    for amount in range(16):
        signature = sign_voucher(KEY, CHANNEL, amount, escrow=ESCROW, chain_id=4217, protocol=protocol)
        parities.add(signature[-2:])
        for form in (signature, compact(signature), "0x" + signature[2:].upper()):
            assert signer(amount, form, protocol) == KEY.address
    assert parities == {"1b", "1c"}


def test_a_voucher_for_another_amount_or_protocol_has_another_signer() -> None:
    signature = sign_voucher(KEY, CHANNEL, 5, escrow=ESCROW, chain_id=4217)
    for other in (lambda: signer(6, signature), lambda: signer(5, signature, Protocol.V2)):
        with suppress(ValueError):  # there need not be any key at all
            assert other() != KEY.address


def test_a_high_s_is_refused_in_either_form() -> None:
    signature = sign_voucher(KEY, CHANNEL, 5, escrow=ESCROW, chain_id=4217)
    r, s, v = signature[2:66], int(signature[66:130], 16), int(signature[130:], 16)
    with pytest.raises(ValueError, match="high s"):
        signer(5, f"0x{r}{ORDER - s:064x}{55 - v:02x}")
    # The compact form has no room for most high values; what fits is refused as well.
    with pytest.raises(ValueError, match="high s"):
        signer(5, f"0x{r}{ORDER // 2 + 1:064x}")
    assert ORDER // 2 + 1 < 2**255


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "0x",
        "00" * 65,
        "0x" + "00" * 65,
        "0x" + "00" * 64,
        "0x" + "11" * 63,
        "0x" + "11" * 66,
        "0x" + "11" * 64 + "1",
        "0x" + "11" * 64 + "zz",
        " 0x" + "11" * 64,
        "0x" + "11" * 64 + "\n",
        "0x" + "11" * 32 + " " * 64,
        "0x" + "ff" * 32 + "11" * 32 + "1b",
        "0x" + "11" * 32 + "00" * 32 + "1b",
        "0x" + "11" * 64 + "00",
        "0x" + "11" * 64 + "01",
        "0x" + "11" * 64 + "1d",
        b"\x11" * 65,
        None,
    ],
)
def test_what_is_no_signature_has_no_signer(signature: Any) -> None:
    with pytest.raises(ValueError, match="signature"):
        signer(5, signature)


@pytest.mark.parametrize("amount", [-1, 2**96, 1.0, True])
def test_a_voucher_that_cannot_be_has_no_signer(amount: Any) -> None:
    signature = sign_voucher(KEY, CHANNEL, 5, escrow=ESCROW, chain_id=4217)
    with pytest.raises(ValueError, match=r"does not fit|not an integer"):
        signer(amount, signature, Protocol.V2)


@settings(deadline=None)
@given(
    st.text(alphabet="0123456789abcdefABCDEFx ", max_size=140) | st.binary(max_size=70).map(lambda b: "0x" + b.hex())
)
def test_hostile_signatures_raise_one_kind_of_error(signature: str) -> None:
    with suppress(ValueError):
        signer(5, signature)


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


def test_the_authorization_of_a_v2_close_is_signed_byte_for_byte() -> None:
    [vector] = charge_vectors()["v2Close"]
    signed = sign_close(
        PrivateKey.parse(vector["privateKey"]),
        vector["channelId"],
        int(vector["cumulativeAmount"]),
        escrow=vector["escrow"],
        chain_id=vector["chainId"],
    )
    assert signed == vector["closeAuthorization"]["signature"]
