"""What a transaction's receipt tells: its fee, who paid it, and what it took from a channel that it closed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from eth_utils import keccak

from ando_cli.tempo.fees import fee_of
from ando_cli.tempo.protocol import Protocol
from ando_cli.tempo.receipts import Block
from ando_cli.tempo.rpc import Rpc
from tests.support.tempo_node import BLOCK, Node, refused, word
from tests.tempo.test_history import PAYEE, PAYER, terms

if TYPE_CHECKING:
    from ando_cli.tempo.channel import ChannelTerms

HASH = "0x" + "ab" * 32
DEPOSIT = 5_000_000
SIGNATURES = {
    Protocol.V1: "ChannelClosed(bytes32,address,address,uint256,uint256)",
    Protocol.V2: "ChannelClosed(bytes32,address,address,uint96,uint96)",
}


def topic(signature: str) -> str:
    return "0x" + keccak(text=signature).hex()


def padded(account: str) -> str:
    return "0x" + "00" * 12 + account[2:]


def log(address: str, signature: str, *topics: str, data: str = "0x") -> dict[str, Any]:
    return {"address": address, "topics": [topic(signature), *topics], "data": data}


def closed(of: ChannelTerms, taken: int, back: int) -> dict[str, Any]:
    named = (of.channel_id, padded(of.payer), padded(of.payee))
    return log(of.escrow, SIGNATURES[of.protocol], *named, data=word(taken) + word(back)[2:])


def transfer(of: ChannelTerms, receiver: str, amount: int, sender: str | None = None) -> dict[str, Any]:
    ends = (padded(sender or of.escrow), padded(receiver))
    return log(of.token, "Transfer(address,address,uint256)", *ends, data=word(amount))


def receipt(*logs: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "transactionHash": HASH, "blockNumber": "0x5", "status": "0x1", "gasUsed": hex(50_001),
        "effectiveGasPrice": hex(20_000_000_000), "feePayer": PAYER.upper().replace("0X", "0x"), "logs": list(logs),
    } | changes  # fmt: skip


def captured(node: Node, of: ChannelTerms, *logs: dict[str, Any], **changes: Any) -> int | None:
    node.results["eth_getTransactionReceipt"] = receipt(*logs, **changes)
    with Rpc(node.url) as rpc:
        found = rpc.receipt(HASH)
    assert found is not None
    return found.captured(of, DEPOSIT)


@pytest.mark.parametrize(("gas", "price", "fee"), [(0, 10, 0), (1, 1, 1), (10**6, 10**6, 1), (10**6, 10**6 + 1, 2)])
def test_a_fee_is_rounded_up(gas: int, price: int, fee: int) -> None:
    assert fee_of(gas, price) == fee


def test_the_fee_is_what_the_gas_cost(node: Node) -> None:
    node.results["eth_getTransactionReceipt"] = receipt()
    with Rpc(node.url) as rpc:
        found = rpc.receipt(HASH.upper().replace("0X", "0x"))
    assert found is not None
    assert (found.tx_hash, found.succeeded, found.fee, found.fee_payer) == (HASH, True, 1_001, PAYER)


def test_a_transaction_that_is_not_there_has_no_receipt(node: Node) -> None:
    node.results["eth_getTransactionReceipt"] = None
    with Rpc(node.url) as rpc:
        assert rpc.receipt(HASH) is None
        with pytest.raises(ValueError, match="32-byte"):
            rpc.receipt("0xab")


@pytest.mark.parametrize(
    "lie",
    [
        {"transactionHash": "0x" + "cd" * 32}, {"status": "0x2"}, {"blockNumber": None}, {"gasUsed": "much"},
        {"effectiveGasPrice": "-0x1"}, {"logs": None}, {"logs": [{"address": "0x1"}]}, {"feePayer": "somebody"},
    ],
)  # fmt: skip
def test_a_receipt_that_makes_no_sense_is_none(node: Node, lie: dict[str, Any]) -> None:
    node.results["eth_getTransactionReceipt"] = receipt(**lie)
    with Rpc(node.url) as rpc, refused("rpc_bad_answer"):
        rpc.receipt(HASH)


@pytest.mark.parametrize("protocol", list(Protocol))
def test_the_event_of_the_close_says_what_was_taken(node: Node, protocol: Protocol) -> None:
    mine, other = terms(1, protocol), terms(2, protocol)
    assert captured(node, mine, closed(other, 1, 2), closed(mine, 3_000_000, 2_000_000)) == 3_000_000
    assert captured(node, mine, closed(other, 1, 2)) is None
    assert captured(node, mine, closed(mine, 3_000_000, 2_000_000), status="0x0") is None
    elsewhere = closed(mine, 3_000_000, 2_000_000) | {"address": PAYEE}
    assert captured(node, mine, elsewhere) is None


def test_without_that_event_what_came_back_says_it_where_nothing_else_left_the_escrow(node: Node) -> None:
    mine, other = terms(1), terms(2)
    ended = log(mine.escrow, "ChannelEnded(bytes32)", mine.channel_id)
    back, paid = transfer(mine, PAYER, 2_000_000), transfer(mine, PAYEE, 3_000_000)
    assert captured(node, mine, ended, paid, back) == 3_000_000
    assert captured(node, mine, ended, paid) is None, "nothing came back: it may be a settlement"
    assert captured(node, mine, paid, back) is None, "it may be another channel's"
    assert captured(node, mine, ended, closed(other, 1, 2), paid, back) is None
    assert captured(node, mine, ended, transfer(mine, PAYER, DEPOSIT + 1)) is None
    assert captured(node, mine, ended, transfer(mine, PAYER, 2_000_000, sender=PAYEE)) is None


def test_number_and_time_are_those_of_one_block(node: Node) -> None:
    with Rpc(node.url) as rpc:
        assert rpc.latest_block() == Block(int(BLOCK["number"], 16), int(BLOCK["timestamp"], 16))
    assert node.methods() == ["eth_getBlockByNumber"]


def test_a_channel_is_read_at_the_block_that_is_named(node: Node) -> None:
    for protocol, words in ((Protocol.V1, 8), (Protocol.V2, 3)):
        of = terms(1, protocol)
        node.results["eth_call"] = "0x" + "00" * 32 * words
        with Rpc(node.url) as rpc:
            assert rpc.channel(of.escrow, of.channel_id, protocol, 77) is None
        assert node.asked[-1]["params"][1] == hex(77)
