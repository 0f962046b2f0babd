"""A gateway on somebody else's chain: here the chain of another sandbox, reached over HTTP."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ando_cli.sandbox.chain.node import METHOD_NOT_FOUND, RpcError
from ando_cli.sandbox.faults import Fault
from ando_cli.sandbox.gateway.backend import broadcast
from ando_cli.sandbox.server import Sandbox, SandboxConfig, Settings
from tests.support.sandbox_payer import COST, MILLION, Payer, code_of, receipt_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAYEE_KEY = "0x" + "42" * 32


class Abroad:
    """The outside chain with the gateway that stands on it, which looks like one sandbox to the payer."""

    def __init__(self, gateway: Sandbox, chain: Sandbox) -> None:
        self.gateway, self.chain = gateway, chain
        self.base_url, self.payee, self.rpc, self.fund = gateway.base_url, gateway.payee, chain.rpc, chain.fund


@pytest.fixture
def abroad(tmp_path: Path) -> Iterator[Abroad]:
    with Sandbox(SandboxConfig(path=tmp_path / "chain.sqlite")) as chain:
        config = SandboxConfig(
            path=tmp_path / "gateway.sqlite",
            rpc_url=chain.rpc_url,
            payee_key=PAYEE_KEY,
            settings=Settings(fee_payer=False),
        )
        with Sandbox(config) as gateway:
            chain.fund(gateway.payee, MILLION)
            yield Abroad(gateway, chain)


@pytest.fixture
def traveller(abroad: Abroad) -> Payer:
    payer = Payer(abroad)  # type: ignore[arg-type]
    abroad.fund(payer.address, 100 * MILLION)
    return payer


def test_a_whole_session_on_an_outside_chain(abroad: Abroad, traveller: Payer) -> None:
    assert abroad.gateway.rpc_url == abroad.chain.rpc_url
    traveller.opened()
    assert traveller.pay(traveller.voucher_payload(2 * MILLION)).status_code == 200
    assert traveller.pay(traveller.top_up_payload(MILLION)).status_code == 204
    assert traveller.on_chain()[6] == 6 * MILLION
    closed = traveller.pay(traveller.voucher_payload(2 * COST, action="close"))
    assert closed.status_code == 204
    assert traveller.on_chain()[0] is True
    assert traveller.on_chain()[7] == 0, "the contract wipes the record of a channel that is over"
    assert "txHash" in receipt_of(closed)


def test_fees_are_paid_abroad_too(abroad: Abroad, traveller: Payer) -> None:
    origin = abroad.base_url.removesuffix("/v1")
    httpx.post(f"{origin}/sandbox/settings", json={"fee_payer": True}).raise_for_status()
    calls = traveller.approval(5 * MILLION), traveller.open_call(5 * MILLION)
    payload = traveller.open_payload(transaction=traveller.transaction(*calls, fee_payer=True))
    assert traveller.pay(payload).status_code == 200
    assert traveller.balance() == 95 * MILLION
    assert traveller.pay(payload).status_code == 200, "an open that is on chain already is accepted again"


def test_the_chain_is_reached_through_the_gateway_as_well(abroad: Abroad, traveller: Payer) -> None:
    url = abroad.base_url.removesuffix("/v1") + "/rpc"
    assert "result" in httpx.post(url, json={"id": 1, "method": "eth_chainId", "params": []}).json()
    assert httpx.post(url, json={"id": 1, "method": "nope", "params": []}).json()["error"]["code"] == METHOD_NOT_FOUND
    assert httpx.get(abroad.base_url.removesuffix("/v1") + "/sandbox/state").json()["balances"]["payee"] == str(MILLION)


def test_without_the_chain_nothing_runs(abroad: Abroad, traveller: Payer) -> None:
    traveller.opened()
    for fault in (
        Fault(on="rpc", status=503, body_text="busy"),
        Fault(on="rpc", drop="before"),
        Fault(on="rpc", body_text="[]"),
    ):
        # The second drop is for aiohttp, which tries once more on a connection that it was keeping.
        abroad.chain.faults.push(fault, *([fault] if fault.drop else []))
        response = traveller.pay(traveller.voucher_payload())
        assert (response.status_code, code_of(response)) == (503, "mpp_reservation_failed"), response.text
        abroad.chain.faults.clear()
    assert receipt_of(traveller.pay(traveller.voucher_payload()))["spent"] == str(2 * COST)


def test_a_close_that_the_chain_refuses_leaves_the_session_open(abroad: Abroad, traveller: Payer) -> None:
    traveller.opened()
    payee = Payer(abroad, key=PAYEE_KEY)  # type: ignore[arg-type]
    from tests.sandbox.chain.test_chain import send, transfer

    left = int(httpx.get(abroad.base_url.removesuffix("/v1") + "/sandbox/state").json()["balances"]["payee"])
    # Less than a close may cost is left.
    assert send(payee, transfer(left - 30_000), gas_limit=100_000)["status"] == "0x1"
    response = traveller.pay(traveller.voucher_payload(COST, action="close"))
    assert (response.status_code, code_of(response)) == (502, "mpp_session_close_failed")
    assert traveller.pay(traveller.voucher_payload()).status_code == 200


def test_an_escrow_that_is_none_is_noticed(abroad: Abroad, tmp_path: Path) -> None:
    config = SandboxConfig(path=tmp_path / "lost.sqlite", rpc_url=abroad.chain.rpc_url, escrow="0x" + "99" * 20)
    with Sandbox(config) as lost:
        payer = Payer(lost)
        payload = payer.voucher_payload()
        assert code_of(payer.pay(payload)) == "mpp_reservation_failed"
        with pytest.raises(ValueError, match="outside chain"):
            lost.fund(payer.address, 1)


class Pending:
    """A chain without eth_sendRawTransactionSync that needs a moment to mine."""

    def __init__(self) -> None:
        self.asked = 0

    async def rpc(self, method: str, params: list[Any]) -> Any:
        if method == "eth_sendRawTransactionSync":
            raise RpcError(METHOD_NOT_FOUND, "what?")
        if method == "eth_sendRawTransaction":
            return "0xhash"
        self.asked += 1
        return {"status": "0x1", "transactionHash": params[0]} if self.asked == 3 else None

    async def close(self) -> None:
        raise AssertionError


def test_a_chain_that_mines_later_is_waited_for() -> None:
    chain = Pending()
    assert asyncio.run(broadcast(chain, b"raw")) == {"status": "0x1", "transactionHash": "0xhash"}
    assert chain.asked == 3
