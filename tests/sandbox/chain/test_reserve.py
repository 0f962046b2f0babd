"""The v2 escrow, part of the chain: as seen through JSON-RPC, and held against other people's values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from eth_abi import decode, encode
from eth_utils import keccak
from pytempo import Call

from ando_cli.sandbox.chain import abi, transaction
from ando_cli.sandbox.chain.descriptor import Descriptor
from ando_cli.sandbox.chain.reserve_abi import OPEN
from ando_cli.sandbox.chain.voucher import V2, voucher_digest
from ando_cli.sandbox.config import CHAIN_ID, TOKEN
from ando_cli.sandbox.primitives import address_of, from_hex, recover, sign
from ando_cli.sandbox.server import Sandbox, SandboxConfig
from tests.sandbox.chain.test_chain import fee_of, send
from tests.support.sandbox_payer import MILLION, Payer, selector
from tests.support.sandbox_payer_v2 import RESERVE, TUPLE, PayerV2, sign_voucher
from tests.support.vectors import session_vectors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAYEE_KEY = "0x" + "42" * 32
OPERATOR_KEY = "0x" + "43" * 32


@pytest.fixture(scope="module")
def vectors() -> list[dict[str, Any]]:
    return session_vectors()["v2"]


def test_the_vectors_descriptors_ids_digests_and_signatures(vectors: list[dict[str, Any]]) -> None:
    assert {vector["feePayer"] for vector in vectors} == {True, False}
    for vector in vectors:
        decoded = transaction.decode(from_hex(vector["serialized"]))
        assert decoded.sender == vector["descriptor"]["payer"]
        assert decoded.awaits_fee_payer is vector["feePayer"]
        assert decoded.expiring_nonce_hash == from_hex(vector["descriptor"]["expiringNonceHash"])
        (call,) = decoded.calls
        assert (call.to, call.data) == (vector["escrow"], from_hex(vector["transaction"]["callData"]))
        assert call.data[:4] == abi.selector(OPEN)

        descriptor = Descriptor.from_json(vector["descriptor"])
        assert descriptor.to_json() == vector["descriptor"]
        channel = descriptor.channel_id(vector["escrow"], vector["chainId"])
        assert channel == from_hex(vector["channelId"])
        amount = int(vector["cumulativeAmount"])
        digest = voucher_digest(channel, amount, escrow=vector["escrow"], chain_id=vector["chainId"], protocol=V2)
        assert digest == from_hex(vector["digest"])
        key = from_hex(vector["privateKey"])
        assert sign(key, digest) == from_hex(vector["signature"])
        assert recover(digest, from_hex(vector["signature"])) == address_of(key) == descriptor.payer


def test_a_fee_payers_signature_does_not_rename_the_channel(vectors: list[dict[str, Any]]) -> None:
    for vector in vectors:
        if vector["feePayer"]:
            waiting = from_hex(vector["serialized"])
            sponsored = transaction.decode(transaction.sponsor(waiting, from_hex(PAYEE_KEY), TOKEN))
            assert sponsored.fee_payer == address_of(from_hex(PAYEE_KEY))
            assert sponsored.expiring_nonce_hash == from_hex(vector["descriptor"]["expiringNonceHash"])


def test_the_payers_own_vouchers_are_those_of_the_vectors(vectors: list[dict[str, Any]]) -> None:
    for vector in vectors:
        descriptor = vector["descriptor"]
        if descriptor["authorizedSigner"] == descriptor["payer"]:
            amount = int(vector["cumulativeAmount"])
            signed = sign_voucher(vector["privateKey"], vector["channelId"], amount, vector["chainId"])
            assert signed == vector["signature"]
            assert sign(from_hex(vector["privateKey"]), from_hex(vector["digest"])) == from_hex(signed)


@pytest.mark.parametrize("change", [{"payer": "0x12"}, {"salt": None}, {"extra": "0x"}, {"operator": 7}])
def test_a_descriptor_that_is_none_is_refused(vectors: list[dict[str, Any]], change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whichever it is
        Descriptor.from_json(vectors[0]["descriptor"] | change)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[PayerV2, Payer]]:
    """A payer with an open channel of 100, and the payee, whose key we have."""
    with Sandbox(SandboxConfig(path=tmp_path / "pair.sqlite", payee_key=PAYEE_KEY)) as sandbox:
        payer = PayerV2(sandbox, operator=address_of(from_hex(OPERATOR_KEY)))
        sandbox.fund(payer.address, MILLION)
        payer.prepare(100)
        assert sandbox.rpc("eth_sendRawTransactionSync", payer.open_transaction)["status"] == "0x1"
        yield payer, Payer(sandbox, key=PAYEE_KEY)


def settlement(payer: PayerV2, cumulative: int, signature: str) -> Call:
    return payer.described("settle", ["uint96", "bytes"], cumulative, bytes.fromhex(signature[2:]))


def closing(payer: PayerV2, cumulative: int, capture: int, signature: str | None = None) -> Call:
    proof = bytes.fromhex((signature or payer.voucher(cumulative))[2:])
    return payer.described("close", ["uint96", "uint96", "bytes"], cumulative, capture, proof)


def read(payer: Payer, data: bytes) -> bytes:
    return bytes.fromhex(payer.sandbox.rpc("eth_call", {"to": RESERVE, "data": "0x" + data.hex()}, "latest")[2:])


def test_a_channel_is_opened_without_an_approval_and_topped_up(pair: tuple[PayerV2, Payer]) -> None:
    payer, _ = pair
    assert payer.on_chain() == [0, 100, 0]
    assert payer.balance(RESERVE) == 100
    assert send(payer, payer.top_up_call(3))["status"] == "0x1"
    assert payer.on_chain() == [0, 103, 0]
    assert payer.balance(RESERVE) == 103


def test_the_escrow_says_what_others_compute(pair: tuple[PayerV2, Payer]) -> None:
    payer, _ = pair
    identity = bytes.fromhex(payer.channel[2:])
    assert read(payer, selector(f"computeChannelId{TUPLE}") + encode([TUPLE], [payer.values])) == identity
    assert int.from_bytes(read(payer, selector("CLOSE_GRACE_PERIOD()"))) == 15 * 60
    assert read(payer, selector("VOUCHER_TYPEHASH()")) == keccak(
        text="Voucher(bytes32 channelId,uint96 cumulativeAmount)"
    )
    digest = read(payer, selector("getVoucherDigest(bytes32,uint96)") + identity + encode(["uint96"], [7]))
    assert recover(digest, from_hex(payer.voucher(7))) == payer.address
    domain_type = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    domain = [keccak(text=domain_type), keccak(text="TIP20 Channel Reserve"), keccak(text="1"), CHAIN_ID, RESERVE]
    assert read(payer, selector("domainSeparator()")) == keccak(
        encode(["bytes32", "bytes32", "bytes32", "uint256", "address"], domain)
    )
    state = "(uint96,uint96,uint32)"
    whole = read(payer, selector(f"getChannel({TUPLE})") + encode([TUPLE], [payer.values]))
    descriptor, found = decode([f"({TUPLE},{state})"], whole)[0]
    assert (descriptor, found) == (payer.values, (0, 100, 0))
    batch = read(payer, selector("getChannelStatesBatch(bytes32[])") + encode(["bytes32[]"], [[bytes(32), identity]]))
    assert decode([f"{state}[]"], batch)[0] == ((0, 0, 0), (0, 100, 0))


def test_an_open_needs_a_payee_a_deposit_money_and_an_expiring_nonce(sandbox: Sandbox) -> None:
    payer = PayerV2(sandbox)
    sandbox.fund(payer.address, MILLION)
    assert send(payer, payer.open_call(0))["status"] == "0x0"
    assert send(payer, payer.open_call(5, payee="0x" + "00" * 20))["status"] == "0x0"
    assert send(payer, payer.open_call(2 * MILLION))["status"] == "0x0"
    assert send(payer, payer.open_call(5, token="0x" + "ab" * 20))["status"] == "0x0"
    assert send(payer, payer.open_call(5), nonce_key=0, valid_before=None)["status"] == "0x0"
    assert send(payer, payer.open_call(5), payer.open_call(5))["status"] == "0x0", "both would be one channel"
    assert send(payer, payer.open_call(5))["status"] == "0x1"


def test_amounts_have_ninety_six_bits(pair: tuple[PayerV2, Payer]) -> None:
    payer, payee = pair
    payer.sandbox.fund(payer.address, 2**100)
    assert send(payer, payer.top_up_call(2**96 - 1))["status"] == "0x0", "the sum would not fit"
    assert send(payer, payer.top_up_call(2**96 - 101))["status"] == "0x1"
    assert payer.on_chain() == [0, 2**96 - 1, 0]
    good = settlement(payer, 2**96 - 1, payer.voucher(2**96 - 1))
    assert send(payee, good)["status"] == "0x1"
    high = good.data[:4] + good.data[4:].replace(b"\0" * 20 + b"\xff" * 12, b"\0" * 19 + b"\x01" + b"\xff" * 12)
    assert send(payee, Call.create(to=RESERVE, data=high))["status"] == "0x0"


def test_the_payee_and_the_operator_settle(pair: tuple[PayerV2, Payer]) -> None:
    payer, payee = pair
    operator = Payer(payer.sandbox, key=OPERATOR_KEY)
    payer.sandbox.fund(operator.address, MILLION)
    before = payee.balance()
    receipt = send(payee, settlement(payer, 40, payer.voucher(40)))
    assert receipt["status"] == "0x1"
    assert send(payee, settlement(payer, 40, payer.voucher(40)))["status"] == "0x0", "it does not rise"
    assert send(operator, settlement(payer, 60, payer.voucher(60)))["status"] == "0x1"
    assert payer.on_chain() == [60, 100, 0]
    assert send(payer, settlement(payer, 70, payer.voucher(70)))["status"] == "0x0", "neither payee nor operator"
    assert payer.balance(RESERVE) == 40
    assert payee.balance() > before + 60 - 3 * fee_of(receipt)


def test_a_close_captures_less_than_the_voucher_and_forgets_the_channel(pair: tuple[PayerV2, Payer]) -> None:
    payer, payee = pair
    before = payer.balance()
    receipt = send(payee, closing(payer, 70, 25))
    assert receipt["status"] == "0x1"
    assert payer.balance() == before + 75
    assert payer.on_chain() == [0, 0, 0]
    assert payer.balance(RESERVE) == 0
    assert send(payee, closing(payer, 80, 30))["status"] == "0x0", "there is no such channel any more"
    assert send(payer, payer.top_up_call(1))["status"] == "0x0"


def test_a_settlement_needs_the_signer_and_the_deposit(pair: tuple[PayerV2, Payer]) -> None:
    payer, payee = pair
    send(payee, settlement(payer, 10, payer.voucher(10)))
    for call in (
        settlement(payer, 40, payer.voucher(41)),
        settlement(payer, 101, payer.voucher(101)),
        settlement(payer, 40, "0x" + "00" * 65),
        settlement(payer, 40, "0x"),
        closing(payer, 40, 41),
        closing(payer, 40, 9),
        closing(payer, 200, 101),
        closing(payer, 40, 40, payer.voucher(41)),
    ):
        assert send(payee, call)["status"] == "0x0"
    assert payer.on_chain() == [10, 100, 0]
    assert send(payee, closing(payer, 10, 10, "0x00"))["status"] == "0x1", "nothing more is captured: no voucher"


def test_only_the_payer_forces_a_close_and_only_after_the_grace_period(pair: tuple[PayerV2, Payer]) -> None:
    payer, payee = pair
    assert send(payer, payer.channel_call("withdraw"))["status"] == "0x0"
    assert send(payee, payer.channel_call("requestClose"))["status"] == "0x0"
    assert send(payer, payer.channel_call("requestClose"))["status"] == "0x1"
    requested = payer.on_chain()[2]
    assert requested > 0
    send(payer, payer.channel_call("requestClose"))
    assert payer.on_chain()[2] == requested, "asking again does not start it anew"
    assert send(payer, payer.channel_call("withdraw"))["status"] == "0x0"
    payer.sandbox.rpc("evm_increaseTime", 15 * 60 + 1)
    later = {"valid_before": int(payer.sandbox.rpc("eth_getBlockByNumber", "latest")["timestamp"], 16) + 25}
    before = payer.balance()
    receipt = send(payer, payer.channel_call("withdraw"), **later)
    assert receipt["status"] == "0x1"
    assert payer.on_chain() == [0, 0, 0]
    assert payer.balance() == before + 100 - fee_of(receipt)


def test_a_top_up_withdraws_the_close_request(pair: tuple[PayerV2, Payer]) -> None:
    payer, _ = pair
    send(payer, payer.channel_call("requestClose"))
    assert send(payer, payer.top_up_call(1))["status"] == "0x1"
    assert payer.on_chain() == [0, 101, 0]


def test_the_escrow_has_code_and_says_no(sandbox: Sandbox) -> None:
    from ando_cli.sandbox.chain.node import RpcError

    assert sandbox.rpc("eth_getCode", RESERVE, "latest") != "0x"
    for data in (b"nope", selector("getChannelState(bytes32)"), selector(f"withdraw({TUPLE})") + b"\xff" * 224):
        with pytest.raises(RpcError):
            sandbox.rpc("eth_call", {"to": RESERVE, "data": "0x" + data.hex()}, "latest")
