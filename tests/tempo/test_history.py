from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from eth_abi import encode
from eth_utils import keccak

from ando_cli.tempo import history
from ando_cli.tempo.channel import ChannelTerms
from ando_cli.tempo.protocol import Protocol
from ando_cli.tempo.rpc import IncompleteSearchError, Rpc
from tests.support.tempo_node import Node, Refusal, refused

if TYPE_CHECKING:
    from collections.abc import Callable

ESCROW = "0x33b901018174ddabe4841042ab76ba85d4e24f25"
PRECOMPILE = "0x4d50500000000000000000000000000000000000"
PAYER, PAYEE, TOKEN, SIGNER, OPERATOR = ("0x" + f"{i}a" * 20 for i in range(1, 6))
CHAIN_ID = 0x1079
SIGNATURES = {
    Protocol.V1: "ChannelOpened(bytes32,address,address,address,address,bytes32,uint256)",
    Protocol.V2: "ChannelOpened(bytes32,address,address,address,address,address,bytes32,bytes32,uint96)",
}
LAST = 1_000_000


def terms(number: int, protocol: Protocol = Protocol.V1) -> ChannelTerms:
    opened = ChannelTerms(
        payer=PAYER, payee=PAYEE, token=TOKEN, salt=f"0x{number:064x}", authorized_signer=SIGNER,
        escrow=ESCROW, chain_id=CHAIN_ID,
    )  # fmt: skip
    if protocol is Protocol.V1:
        return opened
    return replace(
        opened, escrow=PRECOMPILE, protocol=protocol, operator=OPERATOR, expiring_nonce_hash=f"0x{number + 77:064x}"
    )


def event(opened: ChannelTerms, **changes: Any) -> dict[str, Any]:
    """The event of a channel, as a node tells it."""
    salt = bytes.fromhex(opened.salt[2:])
    if opened.protocol is Protocol.V1:
        data = encode(
            ["address", "address", "bytes32", "uint256"], [opened.token, opened.authorized_signer, salt, 5_000_000]
        )
    else:
        data = encode(
            ["address", "address", "address", "bytes32", "bytes32", "uint96"],
            [
                opened.operator, opened.token, opened.authorized_signer, salt,
                bytes.fromhex(opened.expiring_nonce_hash[2:]), 5_000_000,
            ],
        )  # fmt: skip
    topics = [
        "0x" + keccak(text=SIGNATURES[opened.protocol]).hex(),
        opened.channel_id,
        *("0x" + "00" * 12 + account[2:] for account in (opened.payer, opened.payee)),
    ]
    return {"address": opened.escrow, "topics": topics, "data": "0x" + data.hex(), "blockNumber": "0x1", **changes}


def chain(*events: tuple[int, dict[str, Any]], most: int = LAST + 1) -> Callable[[dict[str, Any]], list[Any]]:
    """A node that serves at most so many blocks of events at once."""

    def logs(asked: dict[str, Any]) -> list[Any]:
        first = int(asked["fromBlock"], 16)
        last = LAST if asked["toBlock"] == "latest" else int(asked["toBlock"], 16)
        if last + 1 - first > most:
            raise Refusal(f"query exceeds max block range {most}", -32602)
        return [log for block, log in events if first <= block <= last]

    return logs


@pytest.fixture
def node(node: Node) -> Node:
    node.results["eth_blockNumber"] = hex(LAST)
    return node


@pytest.mark.parametrize("protocol", list(Protocol))
def test_the_channels_of_a_payer_are_found_the_youngest_first(node: Node, protocol: Protocol) -> None:
    first, second = terms(1, protocol), terms(2, protocol)
    node.results["eth_getLogs"] = chain((5, event(first)), (900_000, event(second)))
    with Rpc(node.url) as rpc:
        assert rpc.opened_channels(first.escrow, PAYER, protocol=protocol) == [second, first]
    [asked] = node.asked[-1]["params"]
    assert asked == {
        "address": first.escrow,
        "topics": ["0x" + keccak(text=SIGNATURES[protocol]).hex(), None, "0x" + "00" * 12 + PAYER[2:]],
        "fromBlock": "0x0",
        "toBlock": "latest",
    }


def test_nothing_opened_is_nothing_found(node: Node) -> None:
    node.results["eth_getLogs"] = []
    with Rpc(node.url) as rpc:
        assert rpc.opened_channels(ESCROW, PAYER, protocol=Protocol.V1) == []


@pytest.mark.parametrize("most", [10_000, 77_777, LAST])
def test_a_node_that_limits_the_range_is_asked_in_pieces_that_leave_nothing_out(node: Node, most: int) -> None:
    blocks = (0, 1, 300_000, 300_001, LAST - 1, LAST)
    node.results["eth_getLogs"] = chain(*((block, event(terms(block))) for block in blocks), most=most)
    with Rpc(node.url) as rpc:
        assert rpc.opened_channels(ESCROW, PAYER, protocol=Protocol.V1) == [terms(block) for block in reversed(blocks)]


def test_the_search_ends_at_the_block_that_it_was_told(node: Node) -> None:
    node.results["eth_getLogs"] = chain((49, event(terms(1))), (50, event(terms(2))))
    with Rpc(node.url) as rpc:
        assert rpc.opened_channels(ESCROW, PAYER, protocol=Protocol.V1, from_block=50) == [terms(2)]
        assert rpc.opened_channels(ESCROW, PAYER, protocol=Protocol.V1, from_block=LAST + 1) == []


def test_addresses_may_be_given_in_either_case(node: Node) -> None:
    node.results["eth_getLogs"] = [event(terms(1))]
    with Rpc(node.url) as rpc:
        assert rpc.opened_channels("0x" + ESCROW[2:].upper(), "0x" + PAYER[2:].upper(), protocol=Protocol.V1) == [
            terms(1)
        ]


def test_an_event_told_twice_is_one_channel(node: Node) -> None:
    node.results["eth_getLogs"] = [event(terms(1)), event(terms(1))]
    with Rpc(node.url) as rpc:
        assert rpc.opened_channels(ESCROW, PAYER, protocol=Protocol.V1) == [terms(1)]


STRANGER = replace(terms(1), payer="0x" + "99" * 20)
TOPICS, DATA = event(terms(1))["topics"], event(terms(1))["data"]


@pytest.mark.parametrize(
    "lie",
    [
        event(STRANGER),
        event(replace(terms(1), escrow=PRECOMPILE)),
        event(replace(terms(1), chain_id=1)),
        event(terms(1), topics=[TOPICS[0], terms(2).channel_id, *TOPICS[2:]]),
        event(terms(1), topics=TOPICS[:3]),
        event(terms(1), topics=[*TOPICS, TOPICS[0]]),
        event(terms(1), topics=[TOPICS[0], None, None, None]),
        event(terms(1), topics=[*TOPICS[:3], "0x" + PAYEE[2:]]),
        event(terms(1), topics="0x1234"),
        event(terms(1), data=DATA[:-2]),
        event(terms(1), data=DATA + "00" * 32),
        event(terms(1), data="0x" + "zz" * 128),
        event(terms(1), data="0x" + "ff" * 128),
        event(terms(1), data=None),
        {},
        None,
        "0x",
        ["topics"],
        7,
    ],
    ids=lambda lie: repr(lie)[:30],
)
def test_an_event_that_does_not_add_up_is_left_out_and_the_others_are_found(node: Node, lie: object) -> None:
    node.results["eth_getLogs"] = [event(terms(2)), lie, event(terms(3))]
    with Rpc(node.url) as rpc:
        assert rpc.opened_channels(ESCROW, PAYER, protocol=Protocol.V1) == [terms(3), terms(2)]


def test_a_v2_event_without_its_transactions_hash_is_left_out(node: Node) -> None:
    lie = event(terms(1, Protocol.V2))
    words = lie["data"][2:]
    lie["data"] = "0x" + words[: 4 * 64] + "00" * 32 + words[5 * 64 :]
    node.results["eth_getLogs"] = [lie]
    with Rpc(node.url) as rpc:
        assert rpc.opened_channels(PRECOMPILE, PAYER, protocol=Protocol.V2) == []


@pytest.mark.parametrize("answer", [None, {}, "0x", 1, True])
def test_what_is_no_list_of_events_is_refused(node: Node, answer: object) -> None:
    node.results["eth_getLogs"] = answer
    with Rpc(node.url) as rpc, refused("rpc_bad_answer", "opened"):
        rpc.opened_channels(ESCROW, PAYER, protocol=Protocol.V1)


def test_a_node_that_refuses_every_range_is_told_in_the_end(node: Node) -> None:
    node.results["eth_getLogs"] = chain(most=0)
    with Rpc(node.url) as rpc, refused("rpc_error", "max block range"):
        rpc.opened_channels(ESCROW, PAYER, protocol=Protocol.V1)
    assert len(node.asked) < 30


def test_an_answer_that_is_too_long_is_asked_for_in_pieces(node: Node) -> None:
    everything = chain((5, event(terms(1))))

    def logs(asked: dict[str, Any]) -> list[Any]:
        found = everything(asked)
        return found * 10_000 if asked["toBlock"] == "latest" and asked["fromBlock"] == "0x0" else found

    node.results["eth_getLogs"] = logs
    with Rpc(node.url) as rpc:
        assert rpc.opened_channels(ESCROW, PAYER, protocol=Protocol.V1) == [terms(1)]


def test_a_search_that_takes_too_many_questions_tells_what_it_found(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "_MAX_QUERIES", 40)
    node.results["eth_getLogs"] = chain((5, event(terms(1))), (LAST, event(terms(2))), most=1_000)
    with Rpc(node.url) as rpc, pytest.raises(IncompleteSearchError) as caught:
        rpc.opened_channels(ESCROW, PAYER, protocol=Protocol.V1)
    assert caught.value.found == (terms(2),)
    assert 0 < caught.value.searched_from < LAST
    assert caught.value.code == "rpc_search_incomplete"
    assert str(caught.value.searched_from) in caught.value.message


def test_a_search_that_takes_too_long_is_ended(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "_MAX_SECONDS", -1)
    node.results["eth_getLogs"] = []
    with Rpc(node.url) as rpc, pytest.raises(IncompleteSearchError):
        rpc.opened_channels(ESCROW, PAYER, protocol=Protocol.V1)


@pytest.mark.parametrize("head", [None, "0x", "many", -1, hex(2**64)])
def test_a_chain_without_a_height_is_not_searched(node: Node, head: object) -> None:
    node.results["eth_blockNumber"] = head
    with Rpc(node.url) as rpc, refused("rpc_bad_answer", "latest block"):
        rpc.opened_channels(ESCROW, PAYER, protocol=Protocol.V1)


def test_a_malformed_address_is_the_callers_mistake_and_is_not_sent(node: Node) -> None:
    with Rpc(node.url) as rpc, pytest.raises(ValueError, match="address"):
        rpc.opened_channels(ESCROW, "somebody", protocol=Protocol.V1)
    assert "eth_getLogs" not in node.methods()


# What was taken from a channel that is closed


CLOSED = {
    Protocol.V1: "ChannelClosed(bytes32,address,address,uint256,uint256)",
    Protocol.V2: "ChannelClosed(bytes32,address,address,uint96,uint96)",
}


def close(closed: ChannelTerms, taken: int, **changes: Any) -> dict[str, Any]:
    """The event of a close that gave back the rest of five."""
    parties = ("0x" + "00" * 12 + account[2:] for account in (closed.payer, closed.payee))
    topics = ["0x" + keccak(text=CLOSED[closed.protocol]).hex(), closed.channel_id, *parties]
    data = "0x" + encode(["uint256", "uint256"], [taken, 5_000_000 - taken]).hex()
    return {"address": closed.escrow, "topics": topics, "data": data, "blockNumber": "0x1", **changes}


@pytest.mark.parametrize("protocol", list(Protocol))
@pytest.mark.parametrize("block", [5, LAST])
def test_what_was_taken_is_in_the_event_of_the_close(node: Node, protocol: Protocol, block: int) -> None:
    closed = terms(1, protocol)
    node.results["eth_getLogs"] = chain((block, close(closed, 250_000)), most=200_000)
    with Rpc(node.url) as rpc:
        assert rpc.captured(closed.escrow, closed.channel_id, protocol) == 250_000
    [asked] = node.asked[-1]["params"]
    assert asked["topics"] == ["0x" + keccak(text=CLOSED[protocol]).hex(), closed.channel_id]


def test_a_recent_close_takes_one_question(node: Node) -> None:
    closed = terms(1, Protocol.V2)
    node.results["eth_getLogs"] = chain((LAST - 9_000, close(closed, 1)), most=10_000)
    with Rpc(node.url) as rpc:
        assert rpc.captured(closed.escrow, closed.channel_id, Protocol.V2) == 1
    assert [asked["method"] for asked in node.asked].count("eth_getLogs") == 1


def test_an_old_close_is_given_up_where_the_node_serves_little_at_a_time(node: Node) -> None:
    closed = terms(1, Protocol.V2)
    node.results["eth_getLogs"] = chain((5, close(closed, 1)), most=10_000)
    with Rpc(node.url) as rpc:
        assert rpc.captured(closed.escrow, closed.channel_id, Protocol.V2) is None
    assert [asked["method"] for asked in node.asked].count("eth_getLogs") == 24


@pytest.mark.parametrize("bent", [{"data": "0x"}, {"data": 7}, {"topics": []}, {"topics": ["0x", "0x" + "ab" * 32]}])
def test_an_event_that_is_no_close_of_this_channel_tells_nothing(node: Node, bent: dict[str, Any]) -> None:
    closed = terms(1, Protocol.V2)
    node.results["eth_getLogs"] = [close(closed, 1, **bent)]
    with Rpc(node.url) as rpc:
        assert rpc.captured(closed.escrow, closed.channel_id, Protocol.V2) is None
