"""Faults of the chain's node: it refuses, lags behind, or says what is not so."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from eth_abi import encode

from ando_cli.sandbox.config import ESCROW, TOKEN
from ando_cli.sandbox.faults import Fault
from tests.support.sandbox_payer import MILLION, Payer, selector
from tests.support.sandbox_payer_v2 import RESERVE, PayerV2

if TYPE_CHECKING:
    from ando_cli.sandbox.server import Sandbox


def ask(sandbox: Sandbox, method: str, *params: Any) -> Any:
    """What the node answers over HTTP."""
    return httpx.post(sandbox.rpc_url, json={"id": 1, "method": method, "params": params}).json()


def result(sandbox: Sandbox, method: str, *params: Any) -> Any:
    return ask(sandbox, method, *params)["result"]


def channel_call(payer: Payer) -> dict[str, str]:
    to, function = (RESERVE, "getChannelState") if isinstance(payer, PayerV2) else (ESCROW, "getChannel")
    return {"to": to, "data": "0x" + selector(f"{function}(bytes32)").hex() + payer.channel[2:]}


def words(text: str) -> list[int]:
    return [int(text[at : at + 64], 16) for at in range(2, len(text), 64)]


@pytest.fixture
def v2(sandbox: Sandbox) -> PayerV2:
    wallet = PayerV2(sandbox)
    sandbox.fund(wallet.address, 100 * MILLION)
    sandbox.rpc("eth_sendRawTransactionSync", wallet.open_transaction)
    return wallet


@pytest.fixture
def opened(payer: Payer) -> Payer:
    return payer.opened()


def test_a_rate_limit_says_when_to_come_back(sandbox: Sandbox) -> None:
    error = {"code": -32005, "message": "limit exceeded"}
    sandbox.faults.push(Fault(on="rpc", rpc={"error": error}, status=429, headers={"Retry-After": "2"}))
    response = httpx.post(sandbox.rpc_url, json={"id": 7, "method": "eth_chainId"})
    assert (response.status_code, response.headers["Retry-After"]) == (429, "2")
    assert (response.json()["id"], response.json()["error"]) == (7, error)
    sandbox.faults.push(Fault(on="rpc", rpc={"error": error}))
    response = httpx.post(sandbox.rpc_url, json={"id": 7, "method": "eth_chainId"})
    assert (response.status_code, response.json()["error"]) == (200, error)
    sandbox.faults.push(Fault(on="rpc", status=429, headers={"Retry-After": "3"}))
    response = httpx.post(sandbox.rpc_url, json={"id": 7, "method": "eth_chainId"})
    assert (response.status_code, response.headers["Retry-After"], response.text) == (429, "3", "")
    assert httpx.post(sandbox.rpc_url, json={"id": 7, "method": "eth_chainId"}).status_code == 200


def test_a_fault_is_for_the_methods_that_it_names(sandbox: Sandbox) -> None:
    error = {"code": -32000, "message": "no logs here"}
    sandbox.faults.push(Fault(on="rpc", times=None, rpc={"methods": ["eth_getLogs"], "error": error}))
    assert "result" in ask(sandbox, "eth_chainId")
    assert [ask(sandbox, "eth_getLogs", {})["error"] for _ in range(2)] == [error, error]
    batch = [{"id": 1, "method": "eth_getLogs", "params": [{}]}, {"id": 2, "method": "eth_chainId"}]
    answers = httpx.post(sandbox.rpc_url, json=batch).json()
    assert (answers[0]["error"], "result" in answers[1]) == (error, True)


def test_the_gas_price_is_a_lie(sandbox: Sandbox) -> None:
    sandbox.faults.push(Fault(on="rpc", rpc={"methods": ["eth_gasPrice"], "result": hex(10**15)}))
    assert result(sandbox, "eth_gasPrice") == hex(10**15)
    assert result(sandbox, "eth_gasPrice") == hex(20_000_000_000)


@pytest.mark.parametrize("member", ["lag", "head"])
def test_a_node_that_lags_does_not_know_the_channel(opened: Payer, member: str) -> None:
    sandbox = opened.sandbox
    log = result(sandbox, "eth_getLogs", {"address": ESCROW, "fromBlock": "earliest"})[0]
    mined, newest = int(log["blockNumber"], 16), int(result(sandbox, "eth_blockNumber"), 16)
    behind = {"lag": newest - mined + 1} if member == "lag" else {"head": mined - 1}
    sandbox.faults.push(Fault(on="rpc", times=None, rpc=behind))
    assert words(result(sandbox, "eth_call", channel_call(opened), "latest")) == [0] * 8
    assert int(result(sandbox, "eth_blockNumber"), 16) == mined - 1
    block = result(sandbox, "eth_getBlockByNumber", "latest", False)
    assert int(block["number"], 16) == mined - 1
    assert int(block["timestamp"], 16) <= time.time()
    assert words(result(sandbox, "eth_call", channel_call(opened), block["number"])) == [0] * 8
    assert words(result(sandbox, "eth_call", channel_call(opened), {"blockHash": block["hash"]})) == [0] * 8
    assert ask(sandbox, "eth_call", channel_call(opened), log["blockNumber"])["error"]["message"] == "header not found"
    assert result(sandbox, "eth_getBlockByNumber", log["blockNumber"], False) is None
    assert result(sandbox, "eth_getTransactionReceipt", log["transactionHash"]) is None
    assert result(sandbox, "eth_getTransactionByHash", log["transactionHash"]) is None
    assert result(sandbox, "eth_getLogs", {"address": ESCROW, "fromBlock": "earliest"}) == []
    assert "error" in ask(sandbox, "eth_getLogs", {"blockHash": log["blockHash"]})
    sandbox.faults.clear()
    assert words(result(sandbox, "eth_call", channel_call(opened), "latest"))[6] == 5 * MILLION


def test_a_node_that_lags_takes_transactions(opened: Payer) -> None:
    sandbox = opened.sandbox
    sandbox.faults.push(Fault(on="rpc", times=None, rpc={"head": 0}))
    raw = opened.transaction(opened.channel_call("requestClose"))
    found = result(sandbox, "eth_sendRawTransaction", raw)
    assert result(sandbox, "eth_getTransactionReceipt", found) is None
    assert sandbox.rpc("eth_getTransactionReceipt", found)["status"] == "0x1"


def test_a_node_says_that_there_is_no_channel(opened: Payer, v2: PayerV2) -> None:
    opened.sandbox.faults.push(Fault(on="rpc", times=2, rpc={"methods": ["eth_call"], "channel": "absent"}))
    assert words(result(opened.sandbox, "eth_call", channel_call(opened), "latest")) == [0] * 8
    assert words(result(v2.sandbox, "eth_call", channel_call(v2), "latest")) == [0] * 3
    assert opened.on_chain()[6] == v2.on_chain()[1] == 5 * MILLION, "the gateway's own view is the truth"


def test_a_node_lies_about_a_channel(opened: Payer, v2: PayerV2) -> None:
    lie = {"deposit": 7, "closeRequestedAt": 9, "payee": "0x" + "ab" * 20}
    opened.sandbox.faults.push(Fault(on="rpc", times=None, rpc={"channel": lie}))
    told = words(result(opened.sandbox, "eth_call", channel_call(opened), "latest"))
    assert (told[1], told[3], told[6]) == (9, int("ab" * 20, 16), 7)
    assert told[2] == int(opened.address, 16)
    assert words(result(v2.sandbox, "eth_call", channel_call(v2), "latest")) == [0, 7, 9]
    data = "0x" + (selector("balanceOf(address)") + encode(["address"], [opened.address])).hex()
    assert int(result(opened.sandbox, "eth_call", {"to": TOKEN, "data": data}, "latest"), 16) == opened.balance()


@pytest.mark.parametrize("offset", [-90, 90])
def test_a_node_tells_the_wrong_time(sandbox: Sandbox, offset: int) -> None:
    sandbox.faults.push(Fault(on="rpc", rpc={"time_offset": offset}))
    told = int(result(sandbox, "eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    assert told - time.time() == pytest.approx(offset, abs=3)


def test_a_node_is_slow(sandbox: Sandbox) -> None:
    sandbox.faults.push(Fault(on="rpc", delay=0.5, rpc={"methods": ["eth_blockNumber"]}))
    start = time.monotonic()
    ask(sandbox, "eth_chainId")
    assert time.monotonic() - start < 0.5
    ask(sandbox, "eth_blockNumber")
    assert time.monotonic() - start >= 0.5


@pytest.mark.parametrize(("drop", "mined"), [("before", False), ("after", True)])
def test_a_connection_breaks_before_or_after_a_transaction(payer: Payer, drop: str, mined: bool) -> None:
    payer.sandbox.faults.push(Fault(on="rpc", drop=drop))
    raw = payer.transaction(payer.approval(5))
    with pytest.raises(httpx.HTTPError):
        ask(payer.sandbox, "eth_sendRawTransaction", raw)
    assert ("error" in ask(payer.sandbox, "eth_sendRawTransaction", raw)) is mined


@pytest.mark.parametrize(
    "rpc",
    [
        {"nonsense": 1},
        {"methods": "eth_call"},
        {"error": "x"},
        {"error": {"code": 1}},
        {"lag": -1},
        {"head": True},
        {"time_offset": "1"},
        {"channel": {"owner": 1}},
        {"channel": 7},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(sandbox: Sandbox, rpc: Any) -> None:
    origin = sandbox.base_url.removesuffix("/v1")
    assert httpx.post(f"{origin}/sandbox/faults", json={"on": "rpc", "rpc": rpc}).status_code == 400


def test_only_the_chain_has_a_node(sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="only a fault on rpc"):
        Fault(on="open", rpc={"lag": 1})
