"""The chain as seen through JSON-RPC."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from eth_abi import decode, encode
from eth_utils import keccak
from pytempo import Call

from ando_cli.sandbox.chain.ledger import FEE_COLLECTOR
from ando_cli.sandbox.chain.node import RpcError
from ando_cli.sandbox.config import CHAIN_ID, ESCROW, TOKEN
from ando_cli.sandbox.server import Sandbox, SandboxConfig
from tests.support.sandbox_payer import MILLION, Payer, selector

if TYPE_CHECKING:
    from pathlib import Path

SOMEBODY = "0x" + "ab" * 20


def transfer(amount: int, to: str = SOMEBODY, token: str = TOKEN) -> Call:
    return Call.create(
        to=token, data=selector("transfer(address,uint256)") + encode(["address", "uint256"], [to, amount])
    )


def send(payer: Payer, *calls: Call, **changes: Any) -> dict[str, Any]:
    return payer.sandbox.rpc("eth_sendRawTransactionSync", payer.transaction(*calls, **changes))


def fee_of(receipt: dict[str, Any]) -> int:
    return -(-int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16) // 10**12)


def test_the_chain_says_who_it_is(sandbox: Sandbox) -> None:
    assert sandbox.rpc("eth_chainId") == hex(CHAIN_ID)
    assert sandbox.rpc("net_version") == str(CHAIN_ID)
    assert "ando" in sandbox.rpc("web3_clientVersion")
    assert int(sandbox.rpc("eth_gasPrice"), 16) == 20_000_000_000
    assert sandbox.rpc("eth_maxPriorityFeePerGas") == "0x1"
    assert len(sandbox.rpc("eth_feeHistory", "0x4", "latest", [50])["baseFeePerGas"]) == 5
    assert sandbox.rpc("eth_getBalance", SOMEBODY, "latest") == "0x0"
    assert sandbox.rpc("eth_getCode", ESCROW, "latest") == sandbox.rpc("eth_getCode", TOKEN, "latest") != "0x"
    assert sandbox.rpc("eth_getCode", SOMEBODY, "latest") == "0x"


def test_a_token_has_a_name_and_six_decimals(sandbox: Sandbox) -> None:
    def read(function: str, kind: str) -> Any:
        result = sandbox.rpc("eth_call", {"to": TOKEN, "data": "0x" + selector(function).hex()}, "latest")
        return decode([kind], bytes.fromhex(result[2:]))[0]

    assert read("decimals()", "uint8") == 6
    assert read("symbol()", "string") == "testUSD"
    assert read("totalSupply()", "uint256") == 1_000 * MILLION


def test_a_transfer_moves_money_and_costs_a_fee(payer: Payer) -> None:
    receipt = send(payer, transfer(7))
    assert receipt["status"] == "0x1"
    assert receipt["from"] == receipt["feePayer"] == payer.address
    assert 0 < fee_of(receipt) < 0.01 * MILLION
    assert payer.balance(SOMEBODY) == 7
    assert payer.balance() == 100 * MILLION - 7 - fee_of(receipt)
    assert payer.balance(FEE_COLLECTOR) == fee_of(receipt)


def test_a_batch_that_fails_is_undone_but_for_its_fee(payer: Payer) -> None:
    receipt = send(payer, transfer(7), transfer(1_000 * MILLION))
    assert receipt["status"] == "0x0"
    assert payer.balance(SOMEBODY) == 0
    assert payer.balance() == 100 * MILLION - fee_of(receipt)


def test_too_little_gas_uses_it_up(payer: Payer) -> None:
    receipt = send(payer, transfer(7), gas_limit=30_000)
    assert (receipt["status"], int(receipt["gasUsed"], 16)) == ("0x0", 30_000)
    assert payer.balance(SOMEBODY) == 0


def test_a_receipt_can_be_looked_up(payer: Payer) -> None:
    raw = payer.transaction(transfer(7))
    found = payer.sandbox.rpc("eth_sendRawTransaction", raw)
    receipt = payer.sandbox.rpc("eth_getTransactionReceipt", found)
    sent = payer.sandbox.rpc("eth_getTransactionByHash", found)
    block = payer.sandbox.rpc("eth_getBlockByNumber", receipt["blockNumber"], False)
    assert receipt["transactionHash"] == sent["hash"] == found
    assert block["transactions"] == [found]
    assert block["hash"] == receipt["blockHash"] == sent["blockHash"]
    assert payer.sandbox.rpc("eth_getBlockByNumber", receipt["blockNumber"], True)["transactions"] == [sent]
    assert payer.sandbox.rpc("eth_blockNumber") == receipt["blockNumber"]
    assert payer.sandbox.rpc("eth_getTransactionReceipt", "0x" + "00" * 32) is None
    assert payer.sandbox.rpc("eth_getTransactionByHash", "0x" + "00" * 32) is None
    assert payer.sandbox.rpc("eth_getBlockByNumber", "0xffff", False) is None


def test_web3_reads_this_chain(payer: Payer) -> None:
    from web3 import Web3

    found = payer.sandbox.rpc("eth_sendRawTransaction", payer.transaction(transfer(7)))
    web3 = Web3(Web3.HTTPProvider(payer.sandbox.rpc_url))
    assert web3.eth.chain_id == CHAIN_ID
    assert web3.eth.get_transaction_receipt(found)["status"] == 1
    assert abs(web3.eth.get_block("latest")["timestamp"] - time.time()) < 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chain_id": 1}, "chain id"),
        ({"valid_before": 1}, "expired"),
        ({"valid_before": None}, "needs valid_before"),
        ({"valid_before": int(time.time()) + 10_000}, "300 seconds"),
        ({"valid_after": 4_000_000_000, "valid_before": None, "nonce_key": 0}, "not valid yet"),
        ({"nonce": 1, "nonce_key": 0}, "nonce too high"),
        ({"max_fee_per_gas": 19_999_999_999}, "base fee"),
        ({"gas_limit": 20_999}, "intrinsic"),
        ({"gas_limit": 10**13}, "insufficient funds"),
        ({"fee_token": "0x20c0000000000000000000000000000000000002"}, "insufficient funds"),
        ({"fee_token": SOMEBODY}, "not a TIP-20"),
    ],
)
def test_a_transaction_is_rejected_and_costs_nothing(payer: Payer, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RpcError, match=message):
        send(payer, transfer(7), **changes)
    assert payer.balance() == 100 * MILLION


def test_a_transaction_is_mined_once(payer: Payer) -> None:
    raw = payer.transaction(transfer(7))
    payer.sandbox.rpc("eth_sendRawTransaction", raw)
    with pytest.raises(RpcError, match="already known"):
        payer.sandbox.rpc("eth_sendRawTransaction", raw)
    assert payer.balance(SOMEBODY) == 7


def test_ordinary_nonces_count_up(payer: Payer) -> None:
    for nonce in (0, 1):
        assert payer.sandbox.rpc("eth_getTransactionCount", payer.address, "latest") == hex(nonce)
        assert send(payer, transfer(1), nonce_key=0, nonce=nonce, valid_before=None)["status"] == "0x1"
    with pytest.raises(RpcError, match="nonce too low: next is 2"):
        send(payer, transfer(2), nonce_key=0, nonce=1, valid_before=None)
    assert send(payer, transfer(1), nonce_key=7, nonce=0, valid_before=None)["status"] == "0x1"


def test_a_placeholder_is_no_signature_of_a_fee_payer(payer: Payer) -> None:
    with pytest.raises(RpcError, match="fee payer's signature is missing"):
        payer.sandbox.rpc("eth_sendRawTransaction", payer.transaction(transfer(7), fee_payer=True))


def test_estimates_cover_the_whole_batch(payer: Payer) -> None:
    calls = [{"to": TOKEN, "data": "0x" + call.data.hex()} for call in (payer.approval(5), transfer(1))]
    both = int(payer.sandbox.rpc("eth_estimateGas", {"from": payer.address, "calls": calls}), 16)
    one = int(payer.sandbox.rpc("eth_estimateGas", {"from": payer.address, **calls[1]}, "latest"), 16)
    receipt = send(payer, payer.approval(5), transfer(1))
    assert both == int(receipt["gasUsed"], 16) > one
    with pytest.raises(RpcError, match="execution reverted") as caught:
        payer.sandbox.rpc("eth_estimateGas", {"from": ESCROW, **calls[1]})
    assert caught.value.code == 3


def test_an_empty_value_is_no_value(payer: Payer) -> None:
    call = {"to": TOKEN, "data": "0x" + transfer(1).data.hex(), "value": "0x"}
    assert int(payer.sandbox.rpc("eth_estimateGas", {"from": payer.address, "calls": [call]}), 16) > 0


def test_a_call_changes_nothing(payer: Payer) -> None:
    call = transfer(7)
    payer.sandbox.rpc("eth_call", {"from": payer.address, "to": TOKEN, "data": "0x" + call.data.hex()}, "latest")
    assert payer.balance(SOMEBODY) == 0


def test_a_channel_is_opened_topped_up_and_read(payer: Payer) -> None:
    assert send(payer, payer.approval(5), payer.open_call(5))["status"] == "0x1"
    assert payer.on_chain() == [False, 0, payer.address, payer.sandbox.payee, TOKEN, payer.address, 5, 0]
    assert send(payer, payer.approval(3), payer.top_up_call(3))["status"] == "0x1"
    assert payer.on_chain()[6] == 8
    assert payer.balance(ESCROW) == 8


def test_the_escrow_computes_the_same_channel_id(payer: Payer) -> None:
    types = ["address", "address", "address", "bytes32", "address"]
    arguments = encode(types, [payer.address, payer.sandbox.payee, TOKEN, payer.salt, payer.signer])
    data = selector("computeChannelId(address,address,address,bytes32,address)") + arguments
    assert payer.sandbox.rpc("eth_call", {"to": ESCROW, "data": "0x" + data.hex()}, "latest") == payer.channel


def test_an_open_needs_an_approval_and_a_payee_and_a_deposit_and_is_unique(payer: Payer) -> None:
    nobody = "0x" + "00" * 20
    assert send(payer, payer.open_call(5))["status"] == "0x0"
    assert send(payer, payer.approval(5), payer.open_call(0))["status"] == "0x0"
    assert send(payer, payer.approval(5), payer.open_call(5, payee=nobody))["status"] == "0x0"
    assert send(payer, payer.approval(5), payer.open_call(5))["status"] == "0x1"
    assert send(payer, payer.approval(5), payer.open_call(5))["status"] == "0x0"


def settlement(payer: Payer, function: str, cumulative: int, signature: str) -> Call:
    types = ["bytes32", "uint128", "bytes"]
    arguments = encode(types, [bytes.fromhex(payer.channel[2:]), cumulative, bytes.fromhex(signature[2:])])
    return Call.create(to=ESCROW, data=selector(f"{function}(bytes32,uint128,bytes)") + arguments)


@pytest.fixture
def pair(tmp_path: Path) -> Any:
    """A payer with an open channel of 100, and the payee, whose key we have."""
    payee_key = "0x" + "42" * 32
    with Sandbox(SandboxConfig(path=tmp_path / "pair.sqlite", payee_key=payee_key)) as sandbox:
        payer, payee = Payer(sandbox), Payer(sandbox, key=payee_key)
        sandbox.fund(payer.address, MILLION)
        assert send(payer, payer.approval(100), payer.open_call(100))["status"] == "0x1"
        yield payer, payee


def test_the_payee_settles_and_closes_with_vouchers(pair: tuple[Payer, Payer]) -> None:
    payer, payee = pair
    assert send(payee, settlement(payer, "settle", 40, payer.voucher(40)))["status"] == "0x1"
    assert payer.on_chain()[7] == 40
    assert send(payee, settlement(payer, "settle", 40, payer.voucher(40)))["status"] == "0x0", "it does not rise"
    before = payer.balance()
    assert send(payee, settlement(payer, "close", 70, payer.voucher(70)))["status"] == "0x1"
    assert payer.on_chain()[0] is True
    assert payer.balance() == before + 30
    assert payer.balance(ESCROW) == 0
    assert send(payee, settlement(payer, "close", 80, payer.voucher(80)))["status"] == "0x0", "it is finalized"
    assert send(payer, payer.approval(1), payer.top_up_call(1))["status"] == "0x0", "it is finalized"


def test_a_close_below_what_was_settled_is_refused(pair: tuple[Payer, Payer]) -> None:
    """As the other stand-in does, the contract in Solidity."""
    payer, payee = pair
    assert send(payee, settlement(payer, "settle", 40, payer.voucher(40)))["status"] == "0x1"
    assert send(payee, settlement(payer, "close", 39, payer.voucher(39)))["status"] == "0x0"
    assert send(payee, settlement(payer, "close", 40, "0x"))["status"] == "0x1", "nothing more needs no voucher"


def test_the_contract_says_what_its_vouchers_are(payer: Payer) -> None:
    """The functions of the deployed contract, as npm's mppx lists them; the digests by eth_account."""

    def read(function: str, *words: bytes) -> str:
        data = selector(function) + b"".join(words)
        return str(payer.sandbox.rpc("eth_call", {"to": ESCROW, "data": "0x" + data.hex()}, "latest"))

    channel = bytes.fromhex(payer.channel[2:])
    types = ["bytes32", "bytes32", "bytes32", "uint256", "address"]
    names = [keccak(text="EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")]
    names += [keccak(text="Tempo Stream Channel"), keccak(text="1")]
    domain = keccak(encode(types, [*names, CHAIN_ID, ESCROW]))
    assert read("domainSeparator()") == "0x" + domain.hex()
    typehash = keccak(text="Voucher(bytes32 channelId,uint128 cumulativeAmount)")
    assert read("VOUCHER_TYPEHASH()") == "0x" + typehash.hex()
    digest = keccak(b"\x19\x01" + domain + keccak(typehash + channel + (5).to_bytes(32, "big")))
    assert read("getVoucherDigest(bytes32,uint128)", channel, (5).to_bytes(32, "big")) == "0x" + digest.hex()
    assert send(payer, payer.approval(5), payer.open_call(5))["status"] == "0x1"
    assert read("channels(bytes32)", channel) == read("getChannel(bytes32)", channel)


def test_a_settlement_needs_the_payee_the_signer_and_the_deposit(pair: tuple[Payer, Payer]) -> None:
    payer, payee = pair
    for function in ("settle", "close"):
        assert send(payer, settlement(payer, function, 40, payer.voucher(40)))["status"] == "0x0"
        assert send(payee, settlement(payer, function, 40, payer.voucher(41)))["status"] == "0x0"
        assert send(payee, settlement(payer, function, 101, payer.voucher(101)))["status"] == "0x0"
        assert send(payee, settlement(payer, function, 40, "0x" + "00" * 65))["status"] == "0x0"
        assert send(payee, settlement(payer, function, 40, "0x"))["status"] == "0x0"
    assert payer.on_chain()[7] == 0


def test_only_the_payer_forces_a_close_and_only_after_the_grace_period(pair: tuple[Payer, Payer]) -> None:
    payer, payee = pair
    assert send(payer, payer.channel_call("withdraw"))["status"] == "0x0"
    assert send(payee, payer.channel_call("requestClose"))["status"] == "0x0"
    assert send(payer, payer.channel_call("requestClose"))["status"] == "0x1"
    assert payer.on_chain()[1] > 0
    assert send(payer, payer.channel_call("withdraw"))["status"] == "0x0"
    payer.sandbox.rpc("evm_increaseTime", 15 * 60)
    later = {"valid_before": int(payer.sandbox.rpc("eth_getBlockByNumber", "latest")["timestamp"], 16) + 25}
    assert send(payee, payer.channel_call("withdraw"), **later)["status"] == "0x0"
    before = payer.balance()
    receipt = send(payer, payer.channel_call("withdraw"), **later)
    assert receipt["status"] == "0x1"
    assert payer.on_chain()[0] is True
    assert payer.balance() == before + 100 - fee_of(receipt)


def test_a_top_up_withdraws_the_close_request(pair: tuple[Payer, Payer]) -> None:
    payer, _ = pair
    send(payer, payer.channel_call("requestClose"))
    assert send(payer, payer.approval(1), payer.top_up_call(1))["status"] == "0x1"
    assert payer.on_chain()[1] == 0


def test_time_can_be_moved_forward(sandbox: Sandbox) -> None:
    before = int(sandbox.rpc("eth_blockNumber"), 16)
    sandbox.rpc("evm_increaseTime", "0x384")
    sandbox.rpc("evm_mine")
    block = sandbox.rpc("eth_getBlockByNumber", "latest", False)
    assert int(block["number"], 16) == before + 1
    assert int(block["timestamp"], 16) - time.time() == pytest.approx(900, abs=3)


def test_the_chain_can_lag_behind(payer: Payer) -> None:
    payer.sandbox.rpc("evm_increaseTime", -3600)
    timestamp = int(payer.sandbox.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    assert timestamp - time.time() == pytest.approx(-3600, abs=3)
    with pytest.raises(RpcError, match="300 seconds ahead"):
        send(payer, transfer(7))
    assert send(payer, transfer(7), valid_before=timestamp + 20)["status"] == "0x1"


def test_json_rpc_over_http(sandbox: Sandbox) -> None:
    def call(content: Any) -> Any:
        return httpx.post(sandbox.rpc_url, json=content).json()

    assert call({"jsonrpc": "2.0", "id": 7, "method": "eth_chainId"})["result"] == hex(CHAIN_ID)
    batch = call([{"id": 1, "method": "eth_chainId", "params": []}, {"id": 2, "method": "eth_sign", "params": []}])
    assert [answer["id"] for answer in batch] == [1, 2]
    assert batch[1]["error"]["code"] == -32601
    assert call({"id": 1, "method": "eth_getCode", "params": ["0x12"]})["error"]["code"] == -32602
    assert call({"id": 1, "method": "eth_getCode", "params": [1, 2, 3, 4]})["error"]["code"] == -32602
    assert call({"id": 1, "method": "eth_getCode", "params": {}})["error"]["code"] == -32600
    assert call([])["error"]["code"] == call({"id": 1})["error"]["code"] == call("x")["error"]["code"] == -32600
    assert httpx.post(sandbox.rpc_url, content=b"{").json()["error"]["code"] == -32700
    revert = call({"id": 1, "method": "eth_call", "params": [{"to": ESCROW, "data": "0x00000000"}, "latest"]})
    assert revert["error"]["code"] == 3
    assert revert["error"]["data"].startswith("0x")


@pytest.mark.parametrize("amount", ["-1", "x", -5])
def test_the_faucet_gives_amounts_only(sandbox: Sandbox, amount: Any) -> None:
    with pytest.raises(RpcError):
        sandbox.rpc("sandbox_fund", SOMEBODY, amount)
