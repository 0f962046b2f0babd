"""``ando_cli.tempo`` on a real chain: what it signs is mined, and what it reads is there."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from ando_cli.errors import NetworkError
from ando_cli.tempo.abi import ZERO_ADDRESS
from ando_cli.tempo.channel import ChannelTerms
from ando_cli.tempo.fees import Fees, Operation
from ando_cli.tempo.keys import PrivateKey
from ando_cli.tempo.protocol import Protocol
from ando_cli.tempo.rpc import Mined, Rpc
from ando_cli.tempo.transaction import (
    open_transaction,
    request_close_transaction,
    top_up_transaction,
    withdraw_transaction,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.real_chain import Chain, Escrow, FundedKey

pytestmark = pytest.mark.integration

DEPOSIT = 5_000_000
GRACE_PERIOD = 15 * 60
FUNDS = 20 * DEPOSIT
# More than a transaction costs here, less than any amount that is moved.
FEE = 100_000


@dataclass
class Payer:
    """Somebody who opens channels without any gateway."""

    rpc: Rpc
    key: PrivateKey
    payee: str
    escrow: Escrow

    def terms(self) -> ChannelTerms:
        return ChannelTerms(
            payer=self.key.address, payee=self.payee, token=self.escrow.chain.token,
            salt="0x" + os.urandom(32).hex(), authorized_signer=ZERO_ADDRESS,
            escrow=self.escrow.address, chain_id=self.escrow.chain.chain_id,
        )  # fmt: skip

    def in_time(self) -> int:
        return self.rpc.latest_timestamp() + 20

    def fees(self, operation: Operation) -> Fees:
        return self.rpc.fees(operation)

    def signed_open(self, terms: ChannelTerms) -> str:
        return open_transaction(
            terms,
            DEPOSIT,
            key=self.key,
            fees=self.fees(Operation.OPEN),
            valid_before=self.in_time(),
            fee_payer=False,
        ).transaction

    def opened(self) -> ChannelTerms:
        terms = self.terms()
        assert self.rpc.broadcast(self.signed_open(terms)).succeeded
        return terms

    def requests_close(self, terms: ChannelTerms) -> Mined:
        return self.rpc.broadcast(
            request_close_transaction(
                terms, key=self.key, fees=self.fees(Operation.REQUEST_CLOSE), valid_before=self.in_time()
            )
        )

    def withdraws(self, terms: ChannelTerms) -> Mined:
        return self.rpc.broadcast(
            withdraw_transaction(terms, key=self.key, fees=self.fees(Operation.WITHDRAW), valid_before=self.in_time())
        )

    def balance(self) -> int:
        return self.rpc.balance(self.escrow.chain.token, self.key.address)


@pytest.fixture
def payer(anvil: Chain, escrow: Escrow, funded_key: FundedKey) -> Iterator[Payer]:
    account = funded_key(FUNDS)
    with Rpc(anvil.rpc_url) as rpc:
        yield Payer(rpc, PrivateKey(bytes(account.key)), funded_key().address.lower(), escrow)


def test_a_channel_that_was_opened_is_read_back_as_it_was_meant(payer: Payer) -> None:
    terms = payer.opened()
    state = payer.rpc.channel(terms.escrow, terms.channel_id)
    assert state is not None
    assert (state.payer, state.payee, state.token) == (terms.payer, terms.payee, terms.token)
    assert (state.deposit, state.settled, state.close_requested_at, state.finalized) == (DEPOSIT, 0, 0, False)
    assert state.authorized_signer == ZERO_ADDRESS
    assert payer.rpc.channel(terms.escrow, payer.terms().channel_id) is None


def test_the_channels_of_a_payer_are_found_by_the_key_alone(payer: Payer, funded_key: FundedKey) -> None:
    before = payer.rpc.opened_channels(payer.escrow.address, payer.key.address, protocol=Protocol.V1)
    assert before == []
    first, second = payer.opened(), payer.opened()
    other = replace(payer, key=PrivateKey(bytes(funded_key().key)))
    third = other.opened()
    found = payer.rpc.opened_channels(payer.escrow.address, payer.key.address, protocol=Protocol.V1)
    assert found == [second, first]
    assert payer.rpc.opened_channels(payer.escrow.address, other.key.address, protocol=Protocol.V1) == [third]


def test_a_top_up_adds_to_the_deposit(payer: Payer) -> None:
    terms = payer.opened()
    transaction = top_up_transaction(
        terms, 3, key=payer.key, fees=payer.rpc.fees(Operation.TOP_UP), valid_before=payer.in_time(), fee_payer=False
    )
    assert payer.rpc.broadcast(transaction).succeeded
    state = payer.rpc.channel(terms.escrow, terms.channel_id)
    assert state is not None
    assert state.deposit == DEPOSIT + 3


@pytest.mark.usefixtures("rewound")
def test_a_payer_gets_its_money_back_without_the_gateway(payer: Payer, anvil: Chain) -> None:
    assert payer.rpc.close_grace_period(payer.escrow.address, Protocol.V1) == GRACE_PERIOD
    before = payer.balance()
    terms = payer.opened()
    assert payer.requests_close(terms).succeeded
    state = payer.rpc.channel(terms.escrow, terms.channel_id)
    assert state is not None
    assert abs(state.close_requested_at - payer.rpc.latest_timestamp()) <= 1

    assert not payer.withdraws(terms).succeeded
    anvil.travel(GRACE_PERIOD)
    assert payer.withdraws(terms).succeeded
    state = payer.rpc.channel(terms.escrow, terms.channel_id)
    assert state is not None
    assert state.finalized
    assert before - 4 * FEE < payer.balance() < before
    assert payer.rpc.opened_channels(terms.escrow, terms.payer, protocol=Protocol.V1) == [terms]


def test_a_transaction_that_is_sent_again_is_paid_once(payer: Payer) -> None:
    terms = payer.terms()
    transaction = payer.signed_open(terms)
    first = payer.rpc.broadcast(transaction)
    assert payer.rpc.broadcast(transaction) == first
    assert first.succeeded
    assert FUNDS - DEPOSIT - FEE < payer.balance() < FUNDS - DEPOSIT


def test_a_transaction_that_has_expired_is_refused_and_told(payer: Payer) -> None:
    terms = payer.terms()
    transaction = open_transaction(
        terms,
        DEPOSIT,
        key=payer.key,
        fees=payer.rpc.fees(Operation.OPEN),
        valid_before=int(time.time()) - 60,
        fee_payer=False,
    ).transaction
    with pytest.raises(NetworkError, match="refused to take the transaction") as caught:
        payer.rpc.broadcast(transaction)
    assert caught.value.code == "rpc_error"
    assert payer.rpc.channel(terms.escrow, terms.channel_id) is None
    assert payer.balance() == FUNDS
