from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from eth_utils import keccak

from ando_cli.errors import RpcError, RpcRefusedError
from ando_cli.tempo import broadcast
from ando_cli.tempo.rpc import Mined, Rpc
from tests.support.tempo_node import Node, Refusal, refused, unknown_method

if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler

TRANSACTION = "0x76" + "ab" * 100
HASH = "0x" + keccak(hexstr=TRANSACTION).hex()
RECEIPT = {"transactionHash": HASH, "status": "0x1", "blockNumber": "0x7", "extra": {"feePayer": None}}
SYNC, PLAIN, ASK = "eth_sendRawTransactionSync", "eth_sendRawTransaction", "eth_getTransactionReceipt"


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broadcast, "_SECONDS", 0.4)
    monkeypatch.setattr(broadcast, "_POLL_SECONDS", 0.02)


def refuses(message: str, code: int = -32000) -> Any:
    def answer(*_: object) -> None:
        raise Refusal(message, code)

    return answer


def in_turn(*results: Any) -> Any:
    """Answers with one after the other, and with the last again and again."""
    left = list(results)

    def answer(*parameters: object) -> Any:
        result = left.pop(0) if len(left) > 1 else left[0]
        return result(*parameters) if callable(result) else result

    return answer


def test_a_transaction_is_sent_and_its_receipt_read(node: Node) -> None:
    node.results |= {SYNC: RECEIPT, ASK: RECEIPT}
    with Rpc(node.url) as rpc:
        assert rpc.broadcast(TRANSACTION) == Mined(tx_hash=HASH, succeeded=True)
    assert node.methods() == [SYNC, ASK]
    assert [question["params"] for question in node.asked] == [[TRANSACTION], [HASH]]


def test_a_transaction_that_was_undone_is_mined_and_did_not_succeed(node: Node) -> None:
    node.results |= {SYNC: RECEIPT, ASK: {**RECEIPT, "status": "0x0"}}
    with Rpc(node.url) as rpc:
        assert rpc.broadcast(TRANSACTION) == Mined(tx_hash=HASH, succeeded=False)


def test_a_node_without_the_new_method_is_sent_it_the_old_way_and_asked_until_it_is_mined(node: Node) -> None:
    node.results |= {PLAIN: HASH, ASK: in_turn(None, None, RECEIPT)}
    with Rpc(node.url) as rpc:
        assert rpc.broadcast(TRANSACTION).succeeded
    assert node.methods() == [SYNC, PLAIN, ASK, ASK, ASK]


@pytest.mark.parametrize(
    "message",
    [
        "already known",
        "transaction already imported",
        "ALREADY_EXISTS: already known",
        "AlreadyKnown",
        "Known transaction",
        "already in mempool",
    ],
)
def test_a_transaction_that_the_node_has_already_is_only_waited_for(node: Node, message: str) -> None:
    node.results |= {SYNC: refuses(message), ASK: in_turn(None, RECEIPT)}
    with Rpc(node.url) as rpc:
        assert rpc.broadcast(TRANSACTION).succeeded
    assert PLAIN not in node.methods()


def test_what_is_refused_because_it_was_mined_before_is_mined(node: Node) -> None:
    node.results |= {SYNC: refuses("nonce too low"), PLAIN: refuses("nonce too low"), ASK: RECEIPT}
    with Rpc(node.url) as rpc:
        assert rpc.broadcast(TRANSACTION).succeeded


def test_what_is_refused_is_told_with_the_nodes_reason_and_not_waited_for(node: Node) -> None:
    node.results |= {
        SYNC: refuses("insufficient \x1b[31mfunds"),
        PLAIN: refuses("insufficient \x1b[31mfunds"),
        ASK: None,
    }
    with Rpc(node.url) as rpc, refused("rpc_error", "refused to take the transaction: insufficient"):
        rpc.broadcast(TRANSACTION)
    assert node.methods().count(ASK) == 1


def test_a_transaction_that_is_not_mined_in_time_is_told_as_such(node: Node) -> None:
    node.results |= {SYNC: unknown_method, PLAIN: HASH, ASK: None}
    with Rpc(node.url) as rpc, refused("tx_not_mined", "does not show the transaction in a block"):
        rpc.broadcast(TRANSACTION)


def test_a_send_that_gets_no_answer_in_time_may_have_arrived_and_is_looked_for(node: Node) -> None:
    node.results |= {SYNC: lambda *_: time.sleep(0.5), ASK: RECEIPT}
    with Rpc(node.url, timeout=0.2) as rpc:
        assert rpc.broadcast(TRANSACTION).succeeded


def test_a_server_that_stumbles_while_it_is_mined_is_asked_again(node: Node) -> None:
    node.results |= {SYNC: HASH, ASK: in_turn(refuses("header not found"), RECEIPT)}
    with Rpc(node.url) as rpc:
        assert rpc.broadcast(TRANSACTION).succeeded


def test_a_server_that_only_stumbles_is_not_asked_for_ever(node: Node) -> None:
    node.results |= {SYNC: HASH, ASK: refuses("header not found")}
    with Rpc(node.url) as rpc, refused("rpc_error", "receipt: header not found"):
        rpc.broadcast(TRANSACTION)


@pytest.mark.parametrize(
    "receipt",
    [
        "0x1",
        [],
        {},
        {**RECEIPT, "transactionHash": "0x" + "11" * 32},
        {**RECEIPT, "transactionHash": None},
        {**RECEIPT, "blockNumber": None},
        {**RECEIPT, "status": None},
        {**RECEIPT, "status": True},
        {**RECEIPT, "status": ["0x1"]},
        {**RECEIPT, "status": "0x2"},
    ],
    ids=repr,
)
def test_a_receipt_that_is_none_is_no_proof(node: Node, receipt: object) -> None:
    node.results |= {SYNC: RECEIPT, ASK: receipt}
    with Rpc(node.url) as rpc, refused("rpc_bad_answer", "receipt"):
        rpc.broadcast(TRANSACTION)


def test_what_the_send_itself_answers_proves_nothing(node: Node) -> None:
    node.results |= {SYNC: RECEIPT, ASK: None}
    with Rpc(node.url) as rpc, refused("tx_not_mined"):
        rpc.broadcast(TRANSACTION)


def test_an_http_error_is_told_and_no_secret_with_it(node: Node) -> None:
    node.answer_with(b"key-5f3a is over its limit", 429)
    with Rpc(node.with_credentials()) as rpc, refused("rpc_http_error", "HTTP 429"):
        rpc.broadcast(TRANSACTION)


def test_a_connection_that_breaks_off_after_the_send_is_looked_into(node: Node) -> None:
    def break_off(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        node.reply = None

    node.results |= {PLAIN: refuses("already known"), ASK: RECEIPT}
    node.reply = break_off
    with Rpc(node.url) as rpc:
        assert rpc.broadcast(TRANSACTION).succeeded


def test_what_may_be_mined_yet_is_not_to_be_tried_again(node: Node) -> None:
    limited = refuses("busy", -32005)
    for results in ({SYNC: HASH, ASK: limited}, {SYNC: limited, PLAIN: limited, ASK: None}, {SYNC: HASH, ASK: None}):
        node.results |= results
        with Rpc(node.url) as rpc, pytest.raises(RpcError) as caught:
            rpc.broadcast(TRANSACTION)
        assert not caught.value.retryable


def test_that_a_node_knows_the_transaction_is_not_read_out_of_its_address(node: Node) -> None:
    node.results |= {SYNC: refuses("no"), PLAIN: refuses("no"), ASK: in_turn(None, RECEIPT)}
    with Rpc(node.url) as rpc, pytest.raises(RpcRefusedError) as caught:
        rpc.broadcast(TRANSACTION)
    assert (caught.value.rpc_code, caught.value.rpc_message) == (-32000, "no")


def test_what_is_not_hex_is_not_sent(node: Node) -> None:
    with Rpc(node.url) as rpc, pytest.raises(ValueError, match="hex"):
        rpc.broadcast("0xzz")
    assert node.asked == []
