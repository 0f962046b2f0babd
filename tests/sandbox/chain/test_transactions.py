"""Transactions as the chain takes them: hand-off forms, expiring nonces, gas and its price."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
import rlp
from eth_abi import encode
from pytempo import Call

from ando_cli.sandbox.chain.node import RpcError
from ando_cli.sandbox.chain.transaction import Call as SandboxCall
from ando_cli.sandbox.chain.transaction import TransactionError, build, decode, sponsor
from ando_cli.sandbox.config import CHAIN_ID, TOKEN
from ando_cli.sandbox.primitives import keccak, to_hex
from ando_cli.sandbox.server import Sandbox, SandboxConfig
from tests.support.sandbox_payer import MILLION, Payer, selector
from tests.support.vectors import charge_vectors

if TYPE_CHECKING:
    from pathlib import Path

VECTORS = charge_vectors()
HAND_OFFS = VECTORS["feePayerHandOff"]
SPONSORED = VECTORS["sponsorFinal"][0]
SOMEBODY = "0x" + "ab" * 20


def raw(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def transfer(amount: int) -> Call:
    data = selector("transfer(address,uint256)") + encode(["address", "uint256"], [SOMEBODY, amount])
    return Call.create(to=TOKEN, data=data)


def send(payer: Payer, *calls: Call, **changes: Any) -> dict[str, Any]:
    return payer.sandbox.rpc("eth_sendRawTransactionSync", payer.transaction(*calls, **changes))


@pytest.mark.parametrize("case", HAND_OFFS, ids=lambda case: case["what"])
@pytest.mark.parametrize("form", ["serialized78", "serialized76"])
def test_both_forms_for_a_fee_payer_are_read(case: dict[str, Any], form: str) -> None:
    """protocol-charge-sse.md, section 5: the sender signs the same in both."""
    found = decode(raw(case[form]))
    assert found.awaits_fee_payer
    assert (found.sender, found.fee_token) == (case["payer"], None)
    assert (found.gas_limit, found.max_fee_per_gas) == (
        int(case["transaction"]["gas"]),
        int(case["transaction"]["maxFeePerGas"]),
    )
    assert found.expiring_nonce_hash == keccak(raw(case["encodeForSigning"]) + raw(case["payer"]))


@pytest.mark.parametrize("case", HAND_OFFS, ids=lambda case: case["what"])
def test_sponsoring_either_form_gives_the_same_transaction(case: dict[str, Any]) -> None:
    key, token = raw(SPONSORED["sponsorPrivateKey"]), SPONSORED["feeToken"]
    signed = [sponsor(raw(case[form]), key, token) for form in ("serialized78", "serialized76")]
    assert signed[0] == signed[1]
    final, handed = decode(signed[0]), decode(raw(case["serialized78"]))
    assert (final.fee_payer, final.fee_token, final.awaits_fee_payer) == (SPONSORED["sponsor"], token, False)
    assert final.expiring_nonce_hash == handed.expiring_nonce_hash, "the channel keeps its id"


def test_the_sponsor_completes_the_vector_byte_for_byte() -> None:
    final = sponsor(raw(SPONSORED["from"]), raw(SPONSORED["sponsorPrivateKey"]), SPONSORED["feeToken"])
    assert to_hex(final) == SPONSORED["serialized"]
    found = decode(final)
    assert to_hex(found.hash) == SPONSORED["hash"]
    assert (found.sender, found.fee_payer) == (SPONSORED["sender"], SPONSORED["sponsor"])


def test_a_hand_off_names_the_sender_who_signed_it() -> None:
    fields = rlp.decode(raw(HAND_OFFS[0]["serialized78"])[1:])
    fields[11] = raw(SOMEBODY)
    with pytest.raises(TransactionError, match="another sender"):
        decode(b"\x78" + rlp.encode(fields))
    fields[11] = b""
    with pytest.raises(TransactionError, match="another sender"):
        decode(b"\x78" + rlp.encode(fields))


def test_a_key_authorization_is_called_by_its_name() -> None:
    fields = rlp.decode(raw(HAND_OFFS[0]["serialized78"])[1:])
    with pytest.raises(TransactionError, match="key authorization"):
        decode(b"\x78" + rlp.encode([*fields[:13], b"\x01", fields[13]]))


def test_a_sponsored_transaction_is_sponsored_once() -> None:
    final = sponsor(raw(SPONSORED["from"]), raw(SPONSORED["sponsorPrivateKey"]), SPONSORED["feeToken"])
    with pytest.raises(TransactionError, match="does not wait"):
        sponsor(final, raw(SPONSORED["sponsorPrivateKey"]), SPONSORED["feeToken"])


def hand_off(payer: Payer, *calls: Call) -> str:
    fields = rlp.decode(raw(payer.transaction(*calls, fee_payer=True))[1:])
    fields[11] = raw(payer.address)
    return "0x78" + rlp.encode(fields).hex()


def test_a_hand_off_cannot_be_broadcast(payer: Payer) -> None:
    """protocol-charge-sse.md, section 5."""
    with pytest.raises(RpcError, match="fee payer's signature is missing"):
        payer.sandbox.rpc("eth_sendRawTransaction", hand_off(payer, transfer(7)))


def test_an_expiring_nonce_counts_by_what_the_sender_signed(payer: Payer) -> None:
    """Another fee payer, or another fee token, does not make it another transaction."""
    handed = raw(hand_off(payer, transfer(7)))
    sponsors = [Payer(payer.sandbox), Payer(payer.sandbox)]
    for each in sponsors:
        payer.sandbox.fund(each.address, MILLION)
    first, second = (to_hex(sponsor(handed, raw(each.key), TOKEN)) for each in sponsors)
    assert first != second
    assert payer.sandbox.rpc("eth_sendRawTransactionSync", first)["status"] == "0x1"
    with pytest.raises(RpcError, match="already known"):
        payer.sandbox.rpc("eth_sendRawTransactionSync", second)
    assert payer.balance(SOMEBODY) == 7


def test_an_expiring_nonce_may_have_any_number_of_64_bits(payer: Payer) -> None:
    """protocol.md, section 3: TIP-1106; viem 2.57 signs random ones."""
    before = int(time.time()) + 200
    for nonce in (0, 1, 281_474_976_710_655, 2**64 - 1):
        assert send(payer, transfer(1), nonce=nonce, valid_before=before)["status"] == "0x1"
    assert payer.balance(SOMEBODY) == 4, "each is another transaction, in any order"


@pytest.mark.parametrize(("ahead", "taken"), [(295, True), (310, False)])
def test_an_expiring_nonce_is_good_for_300_seconds(payer: Payer, ahead: int, taken: bool) -> None:
    """protocol.md, section 3: since T11."""
    changes = {"valid_before": int(time.time()) + ahead}
    if taken:
        assert send(payer, transfer(1), **changes)["status"] == "0x1"
    else:
        with pytest.raises(RpcError, match="300 seconds"):
            send(payer, transfer(1), **changes)


def test_a_node_normalises_v(payer: Payer) -> None:
    """protocol-charge-sse.md, section 3: nodes write a ``v`` of 0 or 1 as 27 or 28 before they hash."""
    text = payer.transaction(transfer(7))
    signed = raw(text)
    receipt = payer.sandbox.rpc("eth_sendRawTransactionSync", to_hex(signed[:-1] + bytes([signed[-1] - 27])))
    assert receipt["transactionHash"] == to_hex(keccak(signed))


def test_gas_is_what_was_measured(payer: Payer) -> None:
    """protocol.md, section 3, "Gas": at T4."""

    def gas(*calls: Call, **changes: Any) -> int:
        receipt = send(payer, *calls, **changes)
        assert receipt["status"] == "0x1"
        return int(receipt["gasUsed"], 16)

    assert gas(payer.approval(5), payer.open_call(5)) == pytest.approx(1_580_000, rel=0.005)
    assert gas(payer.approval(5), payer.top_up_call(5)) == pytest.approx(264_000, rel=0.005)
    assert gas(transfer(1)) == pytest.approx(57_000, rel=0.005)
    assert gas(payer.channel_call("requestClose")) == pytest.approx(50_000, rel=0.005)
    payer.sandbox.rpc("evm_increaseTime", 15 * 60)
    later = int(time.time()) + 15 * 60 + 25
    assert gas(payer.channel_call("withdraw"), valid_before=later) == pytest.approx(68_000, rel=0.005)


def test_an_open_runs_out_of_gas_as_on_the_chain(payer: Payer) -> None:
    receipt = send(payer, payer.approval(5), payer.open_call(5), gas_limit=1_500_000)
    assert (receipt["status"], receipt["gasUsed"]) == ("0x0", hex(1_500_000))
    assert payer.on_chain()[6] == 0


def test_the_gas_price_is_set(payer: Payer) -> None:
    def prices() -> set[int]:
        history = payer.sandbox.rpc("eth_feeHistory", "0x1", "latest", [])["baseFeePerGas"]
        block = payer.sandbox.rpc("eth_getBlockByNumber", "latest", False)["baseFeePerGas"]
        return {int(text, 16) for text in (payer.sandbox.rpc("eth_gasPrice"), block, *history)}

    assert prices() == {20_000_000_000}
    payer.sandbox.rpc("sandbox_setGasPrice", 50_000_000_000)
    assert prices() == {50_000_000_000}
    with pytest.raises(RpcError, match="base fee"):
        send(payer, transfer(1), max_fee_per_gas=49_999_999_999)
    receipt = send(payer, transfer(1), max_fee_per_gas=60_000_000_000)
    assert int(receipt["effectiveGasPrice"], 16) == 50_000_000_001
    payer.sandbox.rpc("sandbox_setGasPrice", None)
    assert prices() == {20_000_000_000}


def test_a_sandbox_starts_with_a_gas_price(tmp_path: Path) -> None:
    with Sandbox(SandboxConfig(path=tmp_path / "a.sqlite", gas_price=12_000_000_000)) as sandbox:
        assert int(sandbox.rpc("eth_gasPrice"), 16) == 12_000_000_000


def test_a_priority_fee_is_part_of_the_whole(payer: Payer) -> None:
    payer.sandbox.rpc("sandbox_setGasPrice", 0)
    call = SandboxCall(TOKEN, 0, bytes(transfer(1).data))
    signed = build(
        raw(payer.key), chain_id=CHAIN_ID, calls=[call], fee_token=TOKEN, valid_before=int(time.time()) + 25,
        gas_limit=100_000, max_fee_per_gas=0,
    )  # fmt: skip
    with pytest.raises(RpcError, match="priority fee per gas higher"):
        payer.sandbox.rpc("eth_sendRawTransaction", to_hex(signed))
