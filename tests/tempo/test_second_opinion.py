"""What we sign, on the sandbox's chain: a second implementation of both escrows, which shares no code with this one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from ando_cli.sandbox.chain.node import Chain, RpcError
from ando_cli.sandbox.database import Database
from ando_cli.tempo.channel import ChannelTerms
from ando_cli.tempo.fees import Operation
from ando_cli.tempo.keys import PrivateKey
from ando_cli.tempo.network import SANDBOX
from ando_cli.tempo.protocol import Protocol
from ando_cli.tempo.rpc import Rpc
from ando_cli.tempo.transaction import (
    SignedOpen,
    open_transaction,
    request_close_transaction,
    top_up_transaction,
    withdraw_transaction,
)
from tests.support.tempo_node import Node, Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = PrivateKey(b"\x33" * 32)
FUNDS = 50_000_000
DEPOSIT = 5_000_000


@dataclass
class Payer:
    rpc: Rpc
    chain: Chain
    protocol: Protocol

    @property
    def escrow(self) -> str:
        return (SANDBOX.precompiles if self.protocol is Protocol.V2 else SANDBOX.escrows)[0]

    def usual(self) -> dict[str, Any]:
        return {"key": KEY, "fees": self.rpc.fees(Operation.OPEN), "valid_before": self.rpc.latest_timestamp() + 25}

    def signs_open(self) -> SignedOpen:
        terms = ChannelTerms(
            payer=KEY.address, payee="0x" + "77" * 20, token=SANDBOX.token, salt="0x" + "5a" * 32,
            authorized_signer=KEY.address, escrow=self.escrow, chain_id=SANDBOX.chain_id, protocol=self.protocol,
        )  # fmt: skip
        return open_transaction(terms, DEPOSIT, fee_payer=False, **self.usual())

    def opens(self) -> ChannelTerms:
        signed = self.signs_open()
        assert self.rpc.broadcast(signed.transaction).succeeded
        return signed.terms

    def balance(self) -> int:
        return self.rpc.balance(SANDBOX.token, KEY.address)


@pytest.fixture(params=list(Protocol))
def payer(request: pytest.FixtureRequest, node: Node, tmp_path: Path) -> Iterator[Payer]:
    chain = Chain(
        Database(tmp_path / "chain.db"), chain_id=SANDBOX.chain_id, token=SANDBOX.token, escrow=SANDBOX.escrows[0]
    )
    chain.rpc("sandbox_fund", [KEY.address, FUNDS])

    def answer(question: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"result": chain.rpc(question["method"], question["params"])}
        except RpcError as error:
            return {"error": Refusal(error.message, error.code).error}

    node.members = answer  # type: ignore[method-assign]
    with Rpc(node.url) as rpc:
        yield Payer(rpc, chain, request.param)


def test_a_channel_is_opened_under_the_id_that_was_known_before_it_was_sent(payer: Payer) -> None:
    terms = payer.opens()
    state = payer.rpc.channel(terms.escrow, terms.channel_id, payer.protocol)
    assert state is not None
    assert (state.deposit, state.settled, state.close_requested_at, state.finalized) == (DEPOSIT, 0, 0, False)
    assert payer.rpc.opened_channels(terms.escrow, KEY.address, protocol=payer.protocol) == [terms]


def test_a_channel_is_topped_up(payer: Payer) -> None:
    terms = payer.opens()
    assert payer.rpc.broadcast(top_up_transaction(terms, 11, fee_payer=False, **payer.usual())).succeeded
    state = payer.rpc.channel(terms.escrow, terms.channel_id, payer.protocol)
    assert state is not None
    assert state.deposit == DEPOSIT + 11


def test_a_channel_is_taken_back_after_the_grace_period_and_not_before(payer: Payer) -> None:
    terms = payer.opens()
    grace_period = payer.rpc.close_grace_period(terms.escrow, payer.protocol)
    assert payer.rpc.broadcast(request_close_transaction(terms, **payer.usual())).succeeded
    state = payer.rpc.channel(terms.escrow, terms.channel_id, payer.protocol)
    assert state is not None
    assert state.close_requested_at > 0
    assert not payer.rpc.broadcast(withdraw_transaction(terms, **payer.usual())).succeeded

    payer.chain.rpc("evm_increaseTime", [grace_period])
    before = payer.balance()
    assert payer.rpc.broadcast(withdraw_transaction(terms, **payer.usual())).succeeded
    assert DEPOSIT - 100_000 < payer.balance() - before <= DEPOSIT
    state = payer.rpc.channel(terms.escrow, terms.channel_id, payer.protocol)
    # The precompile forgets what is closed; that there was a channel at all is in the events.
    assert state is None if payer.protocol is Protocol.V2 else state is not None and state.finalized
    assert payer.rpc.opened_channels(terms.escrow, KEY.address, protocol=payer.protocol) == [terms]


def test_an_open_that_is_sent_again_is_paid_once(payer: Payer) -> None:
    transaction = payer.signs_open().transaction
    first = payer.rpc.broadcast(transaction)
    left = payer.balance()
    assert payer.rpc.broadcast(transaction) == first
    assert payer.balance() == left
