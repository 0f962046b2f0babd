from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from eth_abi import encode
from eth_utils import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from ando_cli.tempo.channel import ChannelTerms

TERMS = ChannelTerms(
    payer="0x3e100d70951ac919a6cccc1cb5f7a59af7080626",
    payee="0xe87c415061f02709e7cc5957c5cc0a4a3ca941d3",
    token="0x20c0000000000000000000000000000000000000",
    salt="0x82ba4dad9f0c2abc44236a2056b26137ab2650bc44eb25a11cb8afd803ca472f",
    authorized_signer="0x3e100d70951ac919a6cccc1cb5f7a59af7080626",
    escrow="0x851f548776b5a8835b391833d2b8821a012ce688",
    chain_id=42431,
)

addresses = st.binary(min_size=20, max_size=20).map(lambda value: "0x" + value.hex())
words = st.binary(min_size=32, max_size=32).map(lambda value: "0x" + value.hex())


def test_every_reference_channel_has_its_id(vectors: dict[str, Any]) -> None:
    assert vectors["v1"]
    for vector in vectors["v1"]:
        terms = ChannelTerms(
            payer=vector["payer"],
            payee=vector["payee"],
            token=vector["token"],
            salt=vector["salt"],
            authorized_signer=vector["authorizedSigner"],
            escrow=vector["escrow"],
            chain_id=vector["chainId"],
        )
        assert terms.channel_id == vector["channelId"]


@settings(deadline=None)
@given(addresses, addresses, addresses, words, addresses, addresses, st.integers(0, 2**256 - 1))
def test_the_id_is_the_hash_of_the_abi_encoding(payer, payee, token, salt, signer, escrow, chain_id) -> None:
    terms = ChannelTerms(payer, payee, token, salt, signer, escrow, chain_id)
    types = ["address", "address", "address", "bytes32", "address", "address", "uint256"]
    values = [payer, payee, token, bytes.fromhex(salt[2:]), signer, escrow, chain_id]
    assert terms.channel_id == "0x" + keccak(encode(types, values)).hex()


def test_upper_and_lower_case_are_the_same_channel() -> None:
    shouted = {name: "0x" + getattr(TERMS, name)[2:].upper() for name in ("payer", "payee", "token", "salt", "escrow")}
    assert replace(TERMS, **shouted) == TERMS


@pytest.mark.parametrize("field", ["payer", "payee", "token", "authorized_signer", "escrow", "salt"])
@pytest.mark.parametrize("value", ["", "0x", "0x12", "12" * 20, "0x" + "g" * 40, "0x" + "1" * 65, None])
def test_a_malformed_field_is_named(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{field}: not a"):
        replace(TERMS, **{field: value})


@pytest.mark.parametrize("chain_id", [-1, 2**256, True, "1", None])
def test_a_chain_id_is_a_number_that_fits(chain_id: object) -> None:
    with pytest.raises(ValueError, match=r"^chain_id: "):
        replace(TERMS, chain_id=chain_id)


def test_terms_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        TERMS.payee = TERMS.payer  # type: ignore[misc]
