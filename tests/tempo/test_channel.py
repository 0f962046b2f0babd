from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from eth_abi import encode
from eth_utils import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from ando_cli.tempo.abi import ZERO_ADDRESS, ZERO_HASH
from ando_cli.tempo.channel import ChannelTerms
from ando_cli.tempo.protocol import FACTS, Protocol

TERMS = ChannelTerms(
    payer="0x3e100d70951ac919a6cccc1cb5f7a59af7080626",
    payee="0xe87c415061f02709e7cc5957c5cc0a4a3ca941d3",
    token="0x20c0000000000000000000000000000000000000",
    salt="0x82ba4dad9f0c2abc44236a2056b26137ab2650bc44eb25a11cb8afd803ca472f",
    authorized_signer="0x3e100d70951ac919a6cccc1cb5f7a59af7080626",
    escrow="0x851f548776b5a8835b391833d2b8821a012ce688",
    chain_id=42431,
)

TERMS_V2 = replace(
    TERMS,
    escrow="0x4d50500000000000000000000000000000000000",
    protocol=Protocol.V2,
    operator="0xf6ab67f2a38b4274a7e4826be4d3ff263edeb4f6",
    expiring_nonce_hash="0x0ad6916eab9dca8be0153cf39cbcf4a5eb3ec4e1aa31748ad3174049066d2d29",
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


def test_every_v2_reference_channel_has_its_id_and_its_descriptor(vectors: dict[str, Any]) -> None:
    assert vectors["v2"]
    for vector in vectors["v2"]:
        descriptor = vector["descriptor"]
        terms = ChannelTerms(
            payer=descriptor["payer"],
            payee=descriptor["payee"],
            token=descriptor["token"],
            salt=descriptor["salt"],
            authorized_signer=descriptor["authorizedSigner"],
            escrow=vector["escrow"],
            chain_id=vector["chainId"],
            protocol=Protocol.V2,
            operator=descriptor["operator"],
            expiring_nonce_hash=descriptor["expiringNonceHash"],
        )
        assert terms.channel_id == vector["channelId"]
        assert terms.descriptor == descriptor


@settings(deadline=None)
@given(
    *[addresses] * 4,
    words,
    addresses,
    words.filter(lambda value: value != ZERO_HASH),
    addresses,
    st.integers(0, 2**256 - 1),
)
def test_the_v2_id_is_the_hash_of_the_abi_encoding(
    payer: str, payee: str, operator: str, token: str, salt: str, signer: str, bound: str, escrow: str, chain_id: int
) -> None:
    terms = ChannelTerms(payer, payee, token, salt, signer, escrow, chain_id, Protocol.V2, operator, bound)
    types = ["address", "address", "address", "address", "bytes32", "address", "bytes32"]
    values = [payer, payee, operator, token, bytes.fromhex(salt[2:]), signer, bytes.fromhex(bound[2:])]
    assert terms.descriptor_words == encode(types, values)
    identity = encode([*types, "address", "uint256"], [*values, escrow, chain_id])
    assert terms.channel_id == "0x" + keccak(identity).hex()


def test_the_same_terms_are_another_channel_on_each_protocol() -> None:
    v2 = replace(TERMS, protocol=Protocol.V2, expiring_nonce_hash=TERMS.salt)
    assert v2.channel_id != TERMS.channel_id


def test_each_field_of_a_v2_channel_is_part_of_its_id() -> None:
    others = {
        replace(TERMS_V2, **{field: "0x" + "11" * 20}).channel_id
        for field in ("payer", "payee", "token", "authorized_signer", "escrow", "operator")
    }
    others |= {replace(TERMS_V2, **{field: "0x" + "11" * 32}).channel_id for field in ("salt", "expiring_nonce_hash")}
    others |= {replace(TERMS_V2, chain_id=1).channel_id, TERMS_V2.channel_id}
    assert len(others) == 10


def test_a_v2_channel_has_no_id_before_its_open_transaction_is_made() -> None:
    unopened = replace(TERMS_V2, expiring_nonce_hash=ZERO_HASH)
    for read in ("channel_id", "descriptor", "descriptor_words"):
        with pytest.raises(ValueError, match="before its open transaction is made"):
            getattr(unopened, read)


def test_a_v1_channel_has_no_descriptor() -> None:
    for read in ("descriptor", "descriptor_words"):
        with pytest.raises(ValueError, match="no descriptor"):
            getattr(TERMS, read)


@pytest.mark.parametrize(
    ("field", "value"), [("operator", "0x" + "11" * 20), ("expiring_nonce_hash", "0x" + "11" * 32)]
)
def test_what_only_v2_knows_is_refused_in_a_v1_channel(field: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: a v1 channel has none"):
        replace(TERMS, **{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [("operator", ""), ("operator", ZERO_HASH), ("expiring_nonce_hash", ZERO_ADDRESS), ("expiring_nonce_hash", None)],
)
def test_a_malformed_v2_field_is_named(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{field}: not a"):
        replace(TERMS_V2, **{field: value})


@pytest.mark.parametrize("protocol", ["", "v3", "V2", None, 2])
def test_a_protocol_is_one_of_the_two(protocol: object) -> None:
    with pytest.raises(ValueError, match=r"^protocol: "):
        replace(TERMS_V2, protocol=protocol)


def test_a_protocol_may_be_given_by_its_name() -> None:
    assert replace(TERMS_V2, protocol="v2") == TERMS_V2
    assert replace(TERMS_V2, protocol="v2").protocol is Protocol.V2


def test_a_descriptor_is_in_lower_case() -> None:
    shouted = {name: "0x" + getattr(TERMS_V2, name)[2:].upper() for name in ("operator", "expiring_nonce_hash", "salt")}
    assert replace(TERMS_V2, **shouted).descriptor == TERMS_V2.descriptor
    assert all(value == value.lower() for value in TERMS_V2.descriptor.values())


def test_without_an_authorised_signer_the_payer_signs() -> None:
    assert TERMS.signer == TERMS.authorized_signer
    assert replace(TERMS, authorized_signer=ZERO_ADDRESS, payer="0x" + "AB" * 20).signer == "0x" + "ab" * 20


def test_the_facts_of_the_protocols_cannot_be_changed() -> None:
    assert Protocol.V1.facts.max_amount == 2**128 - 1
    assert Protocol.V2.facts.max_amount == 2**96 - 1
    with pytest.raises(AttributeError):
        Protocol.V2.facts.max_amount = 2**128  # type: ignore[misc]
    with pytest.raises(TypeError):
        FACTS[Protocol.V2] = Protocol.V1.facts  # type: ignore[index]
