"""Events: in receipts, and found by ``eth_getLogs``."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
from eth_abi import decode
from eth_utils import keccak

from ando_cli.sandbox.chain.node import RpcError
from ando_cli.sandbox.config import ESCROW, TOKEN
from ando_cli.sandbox.server import Sandbox, SandboxConfig
from tests.sandbox.chain.test_chain import send, settlement
from tests.sandbox.chain.test_reserve import closing
from tests.sandbox.chain.test_reserve import settlement as settlement_v2
from tests.support.sandbox_payer import MILLION, Payer
from tests.support.sandbox_payer_v2 import RESERVE, ZERO, PayerV2

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAYEE_KEY = "0x" + "42" * 32
OPENED = "ChannelOpened(bytes32,address,address,address,address,bytes32,uint256)"
OPENED_V2 = "ChannelOpened(bytes32,address,address,address,address,address,bytes32,bytes32,uint96)"


def word(account: str) -> str:
    return "0x" + account[2:].rjust(64, "0")


def topic(signature: str) -> str:
    return "0x" + keccak(text=signature).hex()


def values(log: dict[str, Any], *types: str) -> tuple[Any, ...]:
    return decode(types, bytes.fromhex(log["data"][2:]))


def logged(receipt: dict[str, Any], contract: str) -> list[dict[str, Any]]:
    """What one contract logged in a transaction."""
    return [log for log in receipt["logs"] if log["address"] == contract]


def search(payer: Payer, **wanted: Any) -> list[dict[str, Any]]:
    return payer.sandbox.rpc("eth_getLogs", {"fromBlock": "earliest", **wanted})


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Sandbox]:
    with Sandbox(SandboxConfig(path=tmp_path / "logs.sqlite", payee_key=PAYEE_KEY)) as sandbox:
        yield sandbox


@pytest.fixture
def payer(world: Sandbox) -> Payer:
    payer = Payer(world)
    world.fund(payer.address, MILLION)
    return payer


@pytest.fixture
def payer_v2(world: Sandbox) -> PayerV2:
    payer = PayerV2(world)
    world.fund(payer.address, MILLION)
    payer.prepare(100)
    return payer


def test_the_life_of_a_v1_channel_is_logged(payer: Payer) -> None:
    payee = Payer(payer.sandbox, key=PAYEE_KEY)
    parties = [payer.channel, word(payer.address), word(payee.address)]

    receipt = send(payer, payer.approval(100), payer.open_call(100))
    (opened,) = logged(receipt, ESCROW)
    assert opened["topics"] == [topic(OPENED), *parties]
    assert values(opened, "address", "address", "bytes32", "uint256") == (TOKEN, payer.address, payer.salt, 100)
    assert opened["transactionHash"] == receipt["transactionHash"]
    assert (opened["blockNumber"], opened["blockHash"]) == (receipt["blockNumber"], receipt["blockHash"])
    moved = logged(receipt, TOKEN)
    assert [log["topics"][0] for log in moved] == [
        topic("Approval(address,address,uint256)"),
        topic("Transfer(address,address,uint256)"),
    ]
    assert moved[1]["topics"][1:] == [word(payer.address), word(ESCROW)]
    assert [log["logIndex"] for log in receipt["logs"]] == ["0x0", "0x1", "0x2"]

    (requested,) = logged(send(payer, payer.channel_call("requestClose")), ESCROW)
    assert requested["topics"] == [topic("CloseRequested(bytes32,address,address,uint256)"), *parties]
    assert values(requested, "uint256") == (payer.on_chain()[1] + 15 * 60,)

    cancelled, topped_up = logged(send(payer, payer.approval(7), payer.top_up_call(7)), ESCROW)
    assert cancelled["topics"] == [topic("CloseRequestCancelled(bytes32,address,address)"), *parties]
    assert topped_up["topics"] == [topic("TopUp(bytes32,address,address,uint256,uint256)"), *parties]
    assert values(topped_up, "uint256", "uint256") == (7, 107)

    send(payee, settlement(payer, "settle", 10, payer.voucher(10)))
    (settled,) = logged(send(payee, settlement(payer, "settle", 40, payer.voucher(40))), ESCROW)
    assert settled["topics"] == [topic("Settled(bytes32,address,address,uint256,uint256,uint256)"), *parties]
    assert values(settled, "uint256", "uint256", "uint256") == (40, 30, 40)

    (closed,) = logged(send(payee, settlement(payer, "close", 70, payer.voucher(70))), ESCROW)
    assert closed["topics"] == [topic("ChannelClosed(bytes32,address,address,uint256,uint256)"), *parties]
    assert values(closed, "uint256", "uint256") == (70, 37)
    assert len(search(payer, address=ESCROW, topics=[None, payer.channel])) == 7


def test_a_withdrawal_is_logged(payer: Payer) -> None:
    send(payer, payer.approval(100), payer.open_call(100))
    send(payer, payer.channel_call("requestClose"))
    payer.sandbox.rpc("evm_increaseTime", 15 * 60)
    later = {"valid_before": int(payer.sandbox.rpc("eth_getBlockByNumber", "latest")["timestamp"], 16) + 25}
    expired, closed = logged(send(payer, payer.channel_call("withdraw"), **later), ESCROW)
    assert expired["topics"][0] == topic("ChannelExpired(bytes32,address,address)")
    assert values(closed, "uint256", "uint256") == (0, 100)


def test_the_life_of_a_v2_channel_is_logged(payer_v2: PayerV2) -> None:
    payer, payee = payer_v2, Payer(payer_v2.sandbox, key=PAYEE_KEY)
    parties = [payer.channel, word(payer.address), word(payee.address)]

    (opened,) = logged(payer.sandbox.rpc("eth_sendRawTransactionSync", payer.open_transaction), RESERVE)
    assert opened["topics"] == [topic(OPENED_V2), *parties]
    types = "address", "address", "address", "bytes32", "bytes32", "uint96"
    assert values(opened, *types) == (ZERO, TOKEN, payer.address, payer.salt, payer.nonce_hash, 100)

    (requested,) = logged(send(payer, payer.channel_call("requestClose")), RESERVE)
    assert requested["topics"] == [topic("CloseRequested(bytes32,address,address,uint256)"), *parties]
    assert values(requested, "uint256") == (payer.on_chain()[2] + 15 * 60,)

    topped_up, cancelled = logged(send(payer, payer.top_up_call(7)), RESERVE)
    assert topped_up["topics"] == [topic("TopUp(bytes32,address,address,uint96,uint96)"), *parties]
    assert values(topped_up, "uint96", "uint96") == (7, 107)
    assert cancelled["topics"] == [topic("CloseRequestCancelled(bytes32,address,address)"), *parties]

    (settled,) = logged(send(payee, settlement_v2(payer, 40, payer.voucher(40))), RESERVE)
    assert settled["topics"] == [topic("Settled(bytes32,address,address,uint96,uint96,uint96)"), *parties]
    assert values(settled, "uint96", "uint96", "uint96") == (40, 40, 40)

    (closed,) = logged(send(payee, closing(payer, 70, 60)), RESERVE)
    assert closed["topics"] == [topic("ChannelClosed(bytes32,address,address,uint96,uint96)"), *parties]
    assert values(closed, "uint96", "uint96") == (60, 47)


def test_a_payer_finds_its_own_channels(payer: Payer, payer_v2: PayerV2) -> None:
    other = Payer(payer.sandbox)
    payer.sandbox.fund(other.address, MILLION)
    second = Payer(payer.sandbox, key=payer.key)
    for opener in (payer, other, second):
        send(opener, opener.approval(5), opener.open_call(5))
    payer.sandbox.rpc("eth_sendRawTransactionSync", payer_v2.open_transaction)

    def channels(*accounts: str, **wanted: Any) -> list[str]:
        topics = [[topic(OPENED), topic(OPENED_V2)], None, [word(account) for account in accounts]]
        return [log["topics"][1] for log in search(payer, topics=topics, **wanted)]

    assert channels(payer.address) == [payer.channel, second.channel]
    assert channels(payer.address, address=ESCROW) == [payer.channel, second.channel]
    assert channels(payer.address, address=RESERVE) == []
    assert channels(payer_v2.address, address=[ESCROW, RESERVE]) == [payer_v2.channel]
    assert channels(payer.address, other.address) == [payer.channel, other.channel, second.channel]
    assert channels() == [payer.channel, other.channel, second.channel, payer_v2.channel], "no topics mean any"
    last = search(payer, topics=[topic(OPENED), None, word(payer.address)])[-1]
    assert channels(payer.address, fromBlock=last["blockNumber"]) == [second.channel]
    assert channels(payer.address, toBlock=hex(int(last["blockNumber"], 16) - 1)) == [payer.channel]
    assert search(payer, fromBlock=None, blockHash=last["blockHash"], address=ESCROW) == [last]
    assert payer.sandbox.rpc("eth_getLogs", {"address": ESCROW}) == [], "without a range it is the newest block"


def test_web3_decodes_the_events(payer: Payer) -> None:
    from web3 import Web3

    send(payer, payer.approval(5), payer.open_call(5))
    web3 = Web3(Web3.HTTPProvider(payer.sandbox.rpc_url))
    (log,) = web3.eth.get_logs({"fromBlock": 0, "address": Web3.to_checksum_address(ESCROW)})
    assert log["topics"][1].hex() == payer.channel[2:]
    assert log["logIndex"] == 1, "the approval was logged before it"


def test_a_range_can_be_too_long(payer: Payer) -> None:
    for _ in range(3):
        payer.sandbox.rpc("evm_mine")
    send(payer, payer.approval(5), payer.open_call(5))
    height = int(payer.sandbox.rpc("eth_blockNumber"), 16)
    payer.sandbox.rpc("sandbox_limitLogs", 3)
    with pytest.raises(RpcError, match="max block range 3"):
        search(payer, address=ESCROW)
    assert len(search(payer, address=ESCROW, fromBlock=hex(height - 2))) == 1
    payer.sandbox.rpc("sandbox_limitLogs", None)
    assert len(search(payer, address=ESCROW)) == 1


def test_what_was_undone_is_not_logged(payer: Payer) -> None:
    receipt = send(payer, payer.approval(5), payer.open_call(6))
    assert (receipt["status"], receipt["logs"]) == ("0x0", [])
    assert search(payer) == []


@pytest.mark.parametrize(
    "wanted",
    [
        {"address": "0x12"},
        {"topics": ["0x12"]},
        {"topics": [None] * 5},
        {"topics": "0x12"},
        {"fromBlock": "0x2", "toBlock": "0x1"},
        {"fromBlock": "yesterday"},
        {"blockHash": "0x" + "00" * 32},
    ],
)
def test_a_filter_that_makes_no_sense_is_an_error(payer: Payer, wanted: dict[str, Any]) -> None:
    with pytest.raises(RpcError):
        search(payer, **wanted)


def test_a_file_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    from ando_cli.sandbox.database import SCHEMA

    with sqlite3.connect(path) as old:
        old.executescript(SCHEMA + "PRAGMA user_version = 1;")
        old.execute("INSERT INTO sessions VALUES ('0xab', '7', '5', 1, 1, 0)")
    old.close()
    with Sandbox(SandboxConfig(path=path)) as sandbox:
        payer = Payer(sandbox)
        sandbox.fund(payer.address, MILLION)
        send(payer, payer.approval(5), payer.open_call(5))
        assert len(search(payer, address=ESCROW)) == 1
    with sqlite3.connect(path) as new:
        assert new.execute("SELECT accepted, protocol FROM sessions").fetchall() == [("7", "v1")]
    new.close()
