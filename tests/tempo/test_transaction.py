from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

import pytest
import rlp
from eth_abi import encode
from eth_utils import function_signature_to_4byte_selector as selector
from hypothesis import given, settings
from hypothesis import strategies as st

from ando_cli.tempo.abi import ZERO_ADDRESS
from ando_cli.tempo.channel import ChannelTerms
from ando_cli.tempo.fees import Fees, max_fee
from ando_cli.tempo.keys import PrivateKey, keccak256, recover
from ando_cli.tempo.protocol import Protocol
from ando_cli.tempo.transaction import (
    SignedOpen,
    open_transaction,
    request_close_transaction,
    top_up_transaction,
    withdraw_transaction,
)
from tests.support.vectors import charge_vectors

KEY = PrivateKey.parse("0xbcf48ac67d369e1feada9f06446e964d203bf77585774612ee3b5bdae8ea3139")
TERMS = ChannelTerms(
    payer=KEY.address,
    payee="0x59eb88d50ed2674fba4ad58e7858cb1fc3f1e76b",
    token="0x20c0000000000000000000000000000000000001",
    salt="0x8ddcd2b81b70c1f609b9d81281581b82a62623ef4ffffc14bf642e75f02adb81",
    authorized_signer=KEY.address,
    escrow="0x33b901018174ddabe4841042ab76ba85d4e24f25",
    chain_id=42431,
)
UNOPENED_V2 = replace(
    TERMS,
    escrow="0x4d50500000000000000000000000000000000000",
    protocol=Protocol.V2,
    operator="0xf6ab67f2a38b4274a7e4826be4d3ff263edeb4f6",
)
TERMS_V2 = replace(UNOPENED_V2, expiring_nonce_hash="0x" + "5c" * 32)
DESCRIPTOR = "(address,address,address,address,bytes32,address,bytes32)"
FEES = Fees(gas_limit=500_000, max_fee_per_gas=20_000_000_000, max_priority_fee_per_gas=1)
VALID_BEFORE = 1_900_000_000

# The fields of a 0x76 transaction, by their place in the list.
PRIORITY, MAX_FEE, GAS, CALLS, ACCESS, NONCE_KEY, NONCE, BEFORE, AFTER, FEE_TOKEN, FEE_PAYER, AUTH, SIGNATURE = range(
    1, 14
)


def opened(**changes: Any) -> str:
    arguments = {"key": KEY, "fees": FEES, "valid_before": VALID_BEFORE, "fee_payer": False, **changes}
    return signed_open(**arguments).transaction


def signed_open(**changes: Any) -> SignedOpen:
    arguments = {"key": KEY, "fees": FEES, "valid_before": VALID_BEFORE, "fee_payer": False, **changes}
    return open_transaction(arguments.pop("terms", TERMS), arguments.pop("deposit", 5_000_000), **arguments)


def topped_up(**changes: Any) -> str:
    arguments = {"key": KEY, "fees": FEES, "valid_before": VALID_BEFORE, "fee_payer": False, **changes}
    return top_up_transaction(
        arguments.pop("terms", TERMS), arguments.pop("additional_deposit", 5_000_000), **arguments
    )


def fields(transaction: str) -> list[Any]:
    raw = bytes.fromhex(transaction.removeprefix("0x"))
    assert raw[0] in (0x76, 0x78)
    return rlp.decode(raw[1:], strict=True)


def handed_off(serialized: str, key: PrivateKey) -> str:
    """A reference in the form of the specification's text, in the form that sponsors take (section 5 of the facts)."""
    parts = fields(serialized)
    assert parts[FEE_PAYER] == b"\x00"
    return "0x78" + rlp.encode([*parts[:FEE_PAYER], bytes.fromhex(key.address[2:]), *parts[FEE_PAYER + 1 :]]).hex()


def calls(transaction: str) -> list[dict[str, str]]:
    return [
        {"to": "0x" + to.hex(), "data": "0x" + data.hex()}
        for to, value, data in fields(transaction)[CALLS]
        if not value
    ]


def fees_of(vector: dict[str, Any]) -> Fees:
    return Fees(int(vector["gas"]), int(vector["maxFeePerGas"]), int(vector["maxPriorityFeePerGas"]))


def test_every_reference_open_is_signed_byte_for_byte(vectors: dict[str, Any]) -> None:
    opens = [vector for vector in vectors["transactions"] if "serialized" in vector]
    assert {vector["feePayer"] for vector in opens} == {True, False}
    for vector in opens:
        key = PrivateKey.parse(vector["privateKey"])
        terms = ChannelTerms(
            payer=key.address,
            payee=vector["payee"],
            token=vector["token"],
            salt=vector["salt"],
            authorized_signer=vector["authorizedSigner"],
            escrow=vector["escrow"],
            chain_id=vector["chainId"],
        )
        signed = open_transaction(
            terms,
            int(vector["deposit"]),
            key=key,
            fees=fees_of(vector),
            valid_before=vector["validBefore"],
            fee_payer=vector["feePayer"],
        ).transaction
        assert calls(signed) == vector["calls"]
        assert signed == (handed_off(vector["serialized"], key) if vector["feePayer"] else vector["serialized"])
        assert recover(bytes.fromhex(vector["signPayload"][2:]), fields(signed)[SIGNATURE]) == key.address


def test_every_reference_top_up_makes_its_calls(vectors: dict[str, Any]) -> None:
    top_ups = [vector for vector in vectors["transactions"] if "additionalDeposit" in vector]
    assert top_ups
    for vector in top_ups:

        class Named(ChannelTerms):
            """The vector names a channel by its id alone."""

            channel_id = vector["channelId"]

        values = {field.name: getattr(TERMS, field.name) for field in dataclasses.fields(TERMS)}
        terms = Named(**{**values, "token": vector["token"], "escrow": vector["escrow"]})
        signed = topped_up(terms=terms, additional_deposit=int(vector["additionalDeposit"]))
        assert calls(signed) == vector["calls"]


def test_an_open_approves_and_opens_with_the_selectors_of_the_contract() -> None:
    approve, opening = calls(opened(deposit=7))
    assert approve == {
        "to": TERMS.token,
        "data": "0x" + (selector("approve(address,uint256)") + encode(["address", "uint256"], [TERMS.escrow, 7])).hex(),
    }
    types = ["address", "address", "uint128", "bytes32", "address"]
    values = [TERMS.payee, TERMS.token, 7, bytes.fromhex(TERMS.salt[2:]), TERMS.authorized_signer]
    assert opening == {
        "to": TERMS.escrow,
        "data": "0x" + (selector("open(address,address,uint128,bytes32,address)") + encode(types, values)).hex(),
    }


def test_a_top_up_takes_a_uint256_as_the_deployed_contract_does() -> None:
    approve, top_up = calls(topped_up(additional_deposit=9))
    assert approve["data"].endswith(f"{9:064x}")
    assert top_up["data"] == ("0x" + selector("topUp(bytes32,uint256)").hex() + TERMS.channel_id[2:] + f"{9:064x}")


@pytest.mark.parametrize("signed", [opened(), topped_up()], ids=["open", "top up"])
def test_the_payer_pays_the_fee_in_the_channels_token(signed: str) -> None:
    sent = fields(signed)
    assert sent[FEE_TOKEN].hex() == TERMS.token[2:]
    assert sent[FEE_PAYER] == b""


@pytest.mark.parametrize("signed", [opened(fee_payer=True), topped_up(fee_payer=True)], ids=["open", "top up"])
def test_a_sponsored_transaction_leaves_the_fee_token_and_the_signature_to_the_fee_payer(signed: str) -> None:
    assert signed.startswith("0x78")
    sent = fields(signed)
    assert sent[FEE_TOKEN] == b""
    assert sent[FEE_PAYER].hex() == KEY.address[2:]
    # The sender signed the same list as a transaction whose fee payer is still to sign, without its own signature.
    unsigned = [*sent[:FEE_PAYER], b"\x00", *sent[FEE_PAYER + 1 : SIGNATURE]]
    assert recover(keccak256(b"\x76" + rlp.encode(unsigned)), sent[SIGNATURE]) == KEY.address


@pytest.mark.parametrize("signed", [opened(), topped_up()], ids=["open", "top up"])
def test_a_transaction_expires_and_needs_no_nonce(signed: str) -> None:
    sent = fields(signed)
    assert int.from_bytes(sent[0], "big") == TERMS.chain_id
    assert int.from_bytes(sent[NONCE_KEY], "big") == 2**256 - 1
    assert sent[NONCE] == b""
    assert int.from_bytes(sent[BEFORE], "big") == VALID_BEFORE
    assert sent[AFTER] == b""
    assert sent[AUTH] == sent[ACCESS] == []
    assert [int.from_bytes(sent[i], "big") for i in (PRIORITY, MAX_FEE, GAS)] == [1, 20_000_000_000, 500_000]


@pytest.mark.parametrize("deposit", [0, -1, 2**128, 1.5, "1", True])
def test_a_deposit_is_a_positive_uint128(deposit: Any) -> None:
    with pytest.raises(ValueError, match=r"positive|does not fit uint128|not an integer"):
        opened(deposit=deposit)
    with pytest.raises(ValueError, match=r"positive|does not fit uint128|not an integer"):
        topped_up(additional_deposit=deposit)


def test_the_whole_of_uint128_can_be_deposited() -> None:
    assert calls(opened(deposit=2**128 - 1))[0]["data"].endswith("f" * 32)


def test_a_channel_of_somebody_else_is_not_opened() -> None:
    with pytest.raises(ValueError, match="not the payer's"):
        opened(terms=replace(TERMS, payer="0x" + "11" * 20))


@pytest.mark.parametrize("valid_before", [0, -1, 2**64])
def test_an_expiry_is_a_time(valid_before: int) -> None:
    with pytest.raises(ValueError, match="valid_before"):
        opened(valid_before=valid_before)


@pytest.mark.parametrize(
    ("fees", "cost"),
    [
        (Fees(2_000_000, 20_000_000_000, 1), 40_000),
        (Fees(1, 1, 0), 1),
        (Fees(1, 10**12, 0), 1),
        (Fees(1, 10**12 + 1, 0), 2),
        (Fees(1, 0, 0), 0),
    ],
)
def test_the_highest_fee_is_in_base_units_and_rounded_up(fees: Fees, cost: int) -> None:
    assert max_fee(fees) == cost


@settings(deadline=None)
@given(st.integers(1, 10**9), st.integers(0, 10**18))
def test_the_highest_fee_covers_the_gas_and_not_one_unit_more(gas: int, price: int) -> None:
    cost = max_fee(Fees(gas, price, 0))
    assert (cost - 1) * 10**12 < gas * price <= cost * 10**12


@pytest.mark.parametrize("fees", [(0, 1, 1), (-1, 1, 1), (1, -1, -1), (1, 1, 2), (1, 1, -1)])
def test_fees_that_no_chain_would_take_cannot_be_made(fees: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"gas limit|fees must"):
        Fees(*fees)


# v2


def test_every_v2_reference_open_is_signed_byte_for_byte_and_names_its_channel(vectors: dict[str, Any]) -> None:
    assert {vector["feePayer"] for vector in vectors["v2"]} == {True, False}
    for vector in vectors["v2"]:
        key, descriptor = PrivateKey.parse(vector["privateKey"]), vector["descriptor"]
        terms = ChannelTerms(
            payer=key.address,
            payee=descriptor["payee"],
            token=descriptor["token"],
            salt=descriptor["salt"],
            authorized_signer=descriptor["authorizedSigner"],
            escrow=vector["escrow"],
            chain_id=vector["chainId"],
            protocol=Protocol.V2,
            operator=descriptor["operator"],
        )
        signed = open_transaction(
            terms,
            int(vector["deposit"]),
            key=key,
            fees=fees_of(vector["transaction"]),
            valid_before=vector["transaction"]["validBefore"],
            fee_payer=vector["feePayer"],
        )
        assert calls(signed.transaction) == [{"to": vector["escrow"], "data": vector["transaction"]["callData"]}]
        serialized = vector["serialized"]
        assert signed.transaction == (handed_off(serialized, key) if vector["feePayer"] else serialized)
        assert signed.terms.descriptor == descriptor
        assert signed.terms.channel_id == vector["channelId"]
        # What the sender signs is what the id is made of.
        signing = rlp.encode(fields(serialized)[:SIGNATURE])
        assert "0x76" + signing.hex() == vector["encodeForSigning"]
        assert recover(bytes.fromhex(vector["signPayload"][2:]), fields(signed.transaction)[SIGNATURE]) == key.address


def test_every_reference_hand_off_is_signed_byte_for_byte() -> None:
    opens = [vector for vector in charge_vectors()["feePayerHandOff"] if vector["what"].endswith("open")]
    assert {vector["what"] for vector in opens} == {"v1 open", "v2 open"}
    for vector in opens:
        key, given = PrivateKey.parse(vector["privateKey"]), vector["transaction"]
        descriptor = vector.get("descriptor", vector)
        terms = ChannelTerms(
            payer=key.address,
            payee=descriptor["payee"],
            token=descriptor["token"],
            salt=descriptor["salt"],
            authorized_signer=descriptor["authorizedSigner"],
            escrow=vector["escrow"],
            chain_id=vector["chainId"],
            protocol=Protocol.V2 if "descriptor" in vector else Protocol.V1,
            operator=descriptor.get("operator", ZERO_ADDRESS),
        )
        fees = Fees(int(given["gas"]), int(given["maxFeePerGas"]), int(given["maxPriorityFeePerGas"]))
        signed = open_transaction(
            terms, int(vector["deposit"]), key=key, fees=fees, valid_before=given["validBefore"], fee_payer=True
        )
        assert signed.transaction == vector["serialized78"]
        assert signed.terms.channel_id == vector["channelId"]


def test_a_v1_open_leaves_the_terms_as_they_are() -> None:
    assert signed_open().terms == TERMS


def test_a_v2_open_is_one_call_without_an_approval() -> None:
    [opening] = calls(opened(terms=UNOPENED_V2, deposit=7))
    types = ["address", "address", "address", "uint96", "bytes32", "address"]
    values = [TERMS.payee, UNOPENED_V2.operator, TERMS.token, 7, bytes.fromhex(TERMS.salt[2:]), TERMS.authorized_signer]
    assert opening == {
        "to": UNOPENED_V2.escrow,
        "data": "0x" + (selector("open(address,address,address,uint96,bytes32,address)") + encode(types, values)).hex(),
    }


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 2**96 - 1), st.integers(1, 2**64 - 1), st.booleans())
def test_a_v2_channel_is_bound_to_the_one_transaction_that_opens_it(
    deposit: int, valid_before: int, fee_payer: bool
) -> None:
    signed = signed_open(terms=UNOPENED_V2, deposit=deposit, valid_before=valid_before, fee_payer=fee_payer)
    preimage = fields(signed.transaction)[:SIGNATURE]
    if fee_payer:
        preimage[FEE_PAYER] = b"\x00"
    bound = keccak256(b"\x76" + rlp.encode(preimage) + bytes.fromhex(KEY.address[2:]))
    assert signed.terms == replace(UNOPENED_V2, expiring_nonce_hash="0x" + bound.hex())


def test_what_the_terms_said_of_an_earlier_transaction_is_not_kept() -> None:
    assert signed_open(terms=TERMS_V2) == signed_open(terms=UNOPENED_V2)


def test_two_v2_opens_are_two_channels_even_with_one_salt() -> None:
    first, second = (signed_open(terms=UNOPENED_V2, valid_before=VALID_BEFORE + i) for i in (0, 1))
    assert first.terms.channel_id != second.terms.channel_id


def test_a_v2_top_up_is_one_call_that_names_the_channel_by_its_descriptor() -> None:
    [top_up] = calls(topped_up(terms=TERMS_V2, additional_deposit=9))
    assert top_up == {
        "to": TERMS_V2.escrow,
        "data": "0x" + selector(f"topUp({DESCRIPTOR},uint96)").hex() + descriptor_of(TERMS_V2).hex() + f"{9:064x}",
    }


def descriptor_of(terms: ChannelTerms) -> bytes:
    values = [
        terms.payer, terms.payee, terms.operator, terms.token, bytes.fromhex(terms.salt[2:]), terms.authorized_signer,
        bytes.fromhex(terms.expiring_nonce_hash[2:]),
    ]  # fmt: skip
    return encode([DESCRIPTOR], [tuple(values)])


@pytest.mark.parametrize("deposit", [0, -1, 2**96, 2**128 - 1, 1.5, "1", True])
def test_a_v2_deposit_is_a_positive_uint96(deposit: Any) -> None:
    for sign in (
        lambda: opened(terms=UNOPENED_V2, deposit=deposit),
        lambda: topped_up(terms=TERMS_V2, additional_deposit=deposit),
    ):
        with pytest.raises(ValueError, match=r"positive|does not fit uint96|not an integer"):
            sign()


def test_the_whole_of_uint96_can_be_deposited_on_v2() -> None:
    assert calls(topped_up(terms=TERMS_V2, additional_deposit=2**96 - 1))[0]["data"].endswith("00" + "f" * 24)


# Without the gateway

CLOSING = {"requestClose": request_close_transaction, "withdraw": withdraw_transaction}


@pytest.mark.parametrize("function", CLOSING)
def test_a_channel_is_closed_by_its_payer_with_one_call(function: str) -> None:
    v1, v2 = (CLOSING[function](terms, key=KEY, fees=FEES, valid_before=VALID_BEFORE) for terms in (TERMS, TERMS_V2))
    assert calls(v1) == [
        {"to": TERMS.escrow, "data": "0x" + selector(f"{function}(bytes32)").hex() + TERMS.channel_id[2:]}
    ]
    assert calls(v2) == [
        {
            "to": TERMS_V2.escrow,
            "data": "0x" + selector(f"{function}({DESCRIPTOR})").hex() + descriptor_of(TERMS_V2).hex(),
        }
    ]
    for signed in (v1, v2):
        sent = fields(signed)
        assert sent[FEE_TOKEN].hex() == TERMS.token[2:]
        assert sent[FEE_PAYER] == b""
        assert int.from_bytes(sent[BEFORE], "big") == VALID_BEFORE
        assert recover(keccak256(b"\x76" + rlp.encode(sent[:SIGNATURE])), sent[SIGNATURE]) == KEY.address


@pytest.mark.parametrize("terms", [TERMS, TERMS_V2], ids=["v1", "v2"])
def test_nobody_but_the_payer_signs_for_a_channel(terms: ChannelTerms) -> None:
    other: Any = {"key": PrivateKey(b"\x22" * 32), "fees": FEES, "valid_before": VALID_BEFORE}
    for sign in (
        lambda: open_transaction(terms, 1, fee_payer=False, **other),
        lambda: top_up_transaction(terms, 1, fee_payer=False, **other),
        lambda: request_close_transaction(terms, **other),
        lambda: withdraw_transaction(terms, **other),
    ):
        with pytest.raises(ValueError, match="not the payer's"):
            sign()


def test_a_v2_channel_that_was_not_opened_is_neither_topped_up_nor_closed() -> None:
    usual: Any = {"key": KEY, "fees": FEES, "valid_before": VALID_BEFORE}
    for sign in (
        lambda: top_up_transaction(UNOPENED_V2, 1, fee_payer=False, **usual),
        lambda: request_close_transaction(UNOPENED_V2, **usual),
        lambda: withdraw_transaction(UNOPENED_V2, **usual),
    ):
        with pytest.raises(ValueError, match="before its open transaction"):
            sign()
