"""The state after earlier blocks, and the blocks themselves."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from eth_abi import encode
from pytempo import Call

from ando_cli.sandbox.chain import blocks
from ando_cli.sandbox.chain.node import RpcError
from ando_cli.sandbox.config import ESCROW, TOKEN
from tests.support.sandbox_payer import MILLION, Payer, selector
from tests.support.sandbox_payer_v2 import RESERVE, PayerV2

if TYPE_CHECKING:
    from ando_cli.sandbox.server import Sandbox

SOMEBODY = "0x" + "ab" * 20
ZEROS = "0x" + "00" * 256


def transfer(amount: int) -> Call:
    data = selector("transfer(address,uint256)") + encode(["address", "uint256"], [SOMEBODY, amount])
    return Call.create(to=TOKEN, data=data)


def send(payer: Payer, *calls: Call) -> str:
    """The number of the block of a transaction."""
    receipt = payer.sandbox.rpc("eth_sendRawTransactionSync", payer.transaction(*calls))
    assert receipt["status"] == "0x1"
    return str(receipt["blockNumber"])


def balance(sandbox: Sandbox, block: Any, account: str = SOMEBODY) -> int:
    data = "0x70a08231" + account[2:].rjust(64, "0")
    return int(sandbox.rpc("eth_call", {"to": TOKEN, "data": data}, block), 16)


def channel(payer: Payer, block: Any) -> str:
    to, function = (RESERVE, "getChannelState") if isinstance(payer, PayerV2) else (ESCROW, "getChannel")
    data = selector(f"{function}(bytes32)").hex() + payer.channel[2:]
    return str(payer.sandbox.rpc("eth_call", {"to": to, "data": "0x" + data}, block))


def before(block: str) -> str:
    return hex(int(block, 16) - 1)


def test_a_call_reads_the_state_after_its_block(payer: Payer) -> None:
    first, second = send(payer, transfer(7)), send(payer, transfer(5))
    found = [balance(payer.sandbox, block) for block in (before(first), first, second, "latest", "earliest")]
    assert found == [0, 7, 12, 12, 0]
    assert balance(payer.sandbox, first) == 7, "reading changes nothing"
    assert balance(payer.sandbox, "latest") == 12


def test_a_block_is_named_by_its_hash_too(payer: Payer) -> None:
    """EIP-1898: state and time of one and the same block."""
    first, _ = send(payer, transfer(7)), send(payer, transfer(5))
    block = payer.sandbox.rpc("eth_getBlockByNumber", first, False)
    assert balance(payer.sandbox, {"blockHash": block["hash"]}) == 7
    assert balance(payer.sandbox, {"blockNumber": first}) == 7
    with pytest.raises(RpcError, match="unknown block"):
        balance(payer.sandbox, {"blockHash": "0x" + "12" * 32})


def test_a_channel_is_not_there_before_its_block(payer: Payer) -> None:
    opened = send(payer, payer.approval(5), payer.open_call(5))
    assert channel(payer, before(opened)) == ZEROS
    assert channel(payer, opened) == channel(payer, "latest") != ZEROS
    topped_up = send(payer, payer.approval(3), payer.top_up_call(3))
    assert int(channel(payer, opened)[2 + 6 * 64 :][:64], 16) == 5
    assert int(channel(payer, topped_up)[2 + 6 * 64 :][:64], 16) == 8


def test_a_v2_channel_that_is_over_is_there_before_its_end(sandbox: Sandbox) -> None:
    payer = PayerV2(sandbox)
    sandbox.fund(payer.address, 100 * MILLION)
    opened = sandbox.rpc("eth_sendRawTransactionSync", payer.open_transaction)["blockNumber"]
    send(payer, payer.channel_call("requestClose"))
    sandbox.rpc("evm_increaseTime", 15 * 60)
    later = int(time.time()) + 15 * 60 + 25
    raw = payer.transaction(payer.channel_call("withdraw"), valid_before=later)
    ended = sandbox.rpc("eth_sendRawTransactionSync", raw)
    assert ended["status"] == "0x1"
    assert int(channel(payer, "latest"), 16) == 0
    assert int(channel(payer, before(ended["blockNumber"]))[66:130], 16) == 5 * MILLION
    assert int(channel(payer, opened)[66:130], 16) == 5 * MILLION
    assert int(channel(payer, before(opened)), 16) == 0


def test_a_call_runs_at_the_time_of_its_block(payer: Payer) -> None:
    """A withdrawal is ready at the end of the grace period, not at a block before it."""
    send(payer, payer.approval(5), payer.open_call(5))
    asked = send(payer, payer.channel_call("requestClose"))
    payer.sandbox.rpc("evm_increaseTime", 15 * 60)
    payer.sandbox.rpc("evm_mine")
    call = {"from": payer.address, "to": ESCROW, "data": "0x" + payer.channel_call("withdraw").data.hex()}
    assert payer.sandbox.rpc("eth_call", call, "latest") == "0x"
    with pytest.raises(RpcError, match="CloseNotReady"):
        payer.sandbox.rpc("eth_call", call, asked)


def test_a_block_that_is_not_there_has_no_state(payer: Payer) -> None:
    ahead = hex(int(payer.sandbox.rpc("eth_blockNumber"), 16) + 50)
    with pytest.raises(RpcError, match="header not found"):
        balance(payer.sandbox, ahead)
    assert payer.sandbox.rpc("eth_getBlockByNumber", ahead, False) is None


def test_old_state_is_pruned(payer: Payer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "HISTORY", 3)
    first = send(payer, transfer(7))
    for _ in range(3):
        payer.sandbox.rpc("evm_mine")
    assert balance(payer.sandbox, first) == 7
    payer.sandbox.rpc("evm_mine")
    with pytest.raises(RpcError, match="pruned"):
        balance(payer.sandbox, first)
    assert balance(payer.sandbox, "latest") == 7


def test_a_nonce_is_counted_at_a_block(payer: Payer) -> None:
    raw = payer.transaction(transfer(1), nonce_key=0, nonce=0, valid_before=None)
    mined = payer.sandbox.rpc("eth_sendRawTransactionSync", raw)["blockNumber"]
    found = [payer.sandbox.rpc("eth_getTransactionCount", payer.address, at) for at in (before(mined), mined)]
    assert found == ["0x0", "0x1"]


def test_blocks_keep_coming_and_never_change(sandbox: Sandbox) -> None:
    """A real chain mines a block every half second: the newest one has the current time, and keeps it."""
    first = sandbox.rpc("eth_getBlockByNumber", "latest", False)
    assert int(first["timestamp"], 16) == pytest.approx(time.time(), abs=1.5)
    time.sleep(1.1)
    second = sandbox.rpc("eth_getBlockByNumber", "latest", False)
    assert int(second["number"], 16) > int(first["number"], 16)
    assert int(second["timestamp"], 16) > int(first["timestamp"], 16)
    assert sandbox.rpc("eth_getBlockByNumber", first["number"], False) == first


def test_a_file_of_an_older_version_is_upgraded(tmp_path: Any) -> None:
    import sqlite3

    from ando_cli.sandbox import database

    path = tmp_path / "old.sqlite"
    old = sqlite3.connect(path)
    old.executescript(database.SCHEMA + database.SECOND)
    old.execute("PRAGMA user_version = 2")
    old.execute("INSERT INTO blocks VALUES (0, '0x00', '0x00', 1)")
    old.commit()
    old.close()
    opened = database.Database(path)
    with opened.transaction() as connection:
        connection.execute("INSERT OR REPLACE INTO balances VALUES ('t', 'a', '5')")
    with opened.transaction() as connection:
        connection.execute("INSERT OR REPLACE INTO balances VALUES ('t', 'a', '6')")
    with opened.snapshot() as connection:
        noted = [row[0] for row in connection.execute("SELECT statement FROM undo ORDER BY number DESC LIMIT 2")]
    assert noted[0].startswith("DELETE FROM balances")
    assert noted[1] == "INSERT INTO balances VALUES ('t', 'a', '5')"
    opened.close()
