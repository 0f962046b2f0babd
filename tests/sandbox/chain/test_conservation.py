"""Whatever is done to the chain, no money appears and none is lost."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from eth_utils import keccak
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ando_cli.sandbox.chain import abi, execution, reserve_abi
from ando_cli.sandbox.chain.descriptor import Descriptor
from ando_cli.sandbox.chain.escrow import CLOSE, OPEN, SETTLE, TOP_UP
from ando_cli.sandbox.chain.ledger import FEE_COLLECTOR
from ando_cli.sandbox.chain.node import Chain, RpcError
from ando_cli.sandbox.chain.reserve import ADDRESS as RESERVE
from ando_cli.sandbox.chain.reserve import NO_STATE, State
from ando_cli.sandbox.chain.transaction import Call, build
from ando_cli.sandbox.chain.voucher import V2, channel_id, voucher_digest
from ando_cli.sandbox.config import CHAIN_ID, ESCROW, TOKEN
from ando_cli.sandbox.database import Database
from ando_cli.sandbox.primitives import address_of, from_hex, sign, to_hex

KEYS = [keccak(text=f"walker {number}") for number in range(3)]
ACCOUNTS = [address_of(key) for key in KEYS]

people = st.integers(0, 2)
amounts = st.one_of(st.integers(0, 3_000), st.just(2**128 - 1), st.just(2**64))


class Chaos(RuleBasedStateMachine):
    """Three accounts that open, pay, close, and transfer to each other as they please."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.database = Database(Path(self.folder.name) / "chain.sqlite")
        self.chain = Chain(self.database, chain_id=CHAIN_ID, token=TOKEN, escrow=ESCROW)
        self.channels: list[tuple[bytes, int, int]] = []
        self.described: list[tuple[Descriptor, int, int]] = []
        self.minted = 0
        self.fees = 0
        self.counter = 0
        for account in ACCOUNTS:
            self.mint(account, 100_000)

    def teardown(self) -> None:
        self.database.close()
        self.folder.cleanup()

    def mint(self, account: str, amount: int) -> None:
        try:
            self.chain.rpc("sandbox_fund", [account, hex(amount)])
            self.minted += amount
        except RpcError:
            pass  # more than the supply may be

    def send(self, person: int, *calls: Call) -> bool:
        self.counter += 1
        with self.database.snapshot() as connection:
            now = self.chain.now(connection)
        raw = build(
            KEYS[person],
            chain_id=CHAIN_ID,
            calls=calls,
            fee_token=TOKEN,
            valid_before=now + 20,
            gas_limit=400_000 + self.counter,
            max_fee_per_gas=execution.BASE_FEE,
        )
        try:
            receipt: dict[str, Any] = self.chain.rpc("eth_sendRawTransactionSync", [to_hex(raw)])
        except RpcError:
            return False
        self.logs = receipt["logs"]
        self.fees += execution.fee(int(receipt["gasUsed"], 16), int(receipt["effectiveGasPrice"], 16))
        return receipt["status"] == "0x1"

    def approval(self, amount: int) -> Call:
        return Call(TOKEN, 0, abi.call("approve(address,uint256)", abi.account(ESCROW), abi.uint(amount)))

    def settlement(self, function: str, channel: tuple[bytes, int, int], amount: int) -> Call:
        identity, payer, _ = channel
        signature = sign(KEYS[payer], voucher_digest(identity, amount, escrow=ESCROW, chain_id=CHAIN_ID))
        words = identity, abi.uint(amount), abi.uint(96), abi.dynamic_bytes(signature)
        return Call(ESCROW, 0, abi.call(function, *words))

    @rule(person=people, amount=amounts)
    def fund(self, person: int, amount: int) -> None:
        self.mint(ACCOUNTS[person], amount)

    @rule(person=people, to=people, amount=amounts)
    def transfer(self, person: int, to: int, amount: int) -> None:
        arguments = abi.account(ACCOUNTS[to]), abi.uint(amount)
        self.send(person, Call(TOKEN, 0, abi.call("transfer(address,uint256)", *arguments)))

    @rule(payer=people, payee=people, amount=amounts)
    def open(self, payer: int, payee: int, amount: int) -> None:
        salt = keccak(text=f"salt {self.counter}")
        arguments = abi.account(ACCOUNTS[payee]), abi.account(TOKEN), abi.uint(amount), salt, abi.uint(0)
        if self.send(payer, self.approval(amount), Call(ESCROW, 0, abi.call(OPEN, *arguments))):
            identity = channel_id(
                payer=ACCOUNTS[payer],
                payee=ACCOUNTS[payee],
                token=TOKEN,
                salt=salt,
                authorized_signer="0x" + "00" * 20,
                escrow=ESCROW,
                chain_id=CHAIN_ID,
            )
            self.channels.append((identity, payer, payee))

    @rule(which=st.integers(0, 9), by=st.booleans(), amount=amounts, function=st.sampled_from([SETTLE, CLOSE]))
    def settle(self, which: int, by: bool, amount: int, function: str) -> None:
        if self.channels:
            channel = self.channels[which % len(self.channels)]
            self.send(channel[1 + by], self.settlement(function, channel, amount))

    @rule(which=st.integers(0, 9), amount=amounts)
    def top_up(self, which: int, amount: int) -> None:
        if self.channels:
            identity, payer, _ = self.channels[which % len(self.channels)]
            self.send(payer, self.approval(amount), Call(ESCROW, 0, abi.call(TOP_UP, identity, abi.uint(amount))))

    @rule(which=st.integers(0, 9), function=st.sampled_from(["requestClose(bytes32)", "withdraw(bytes32)"]))
    def force_close(self, which: int, function: str) -> None:
        if self.channels:
            identity, payer, _ = self.channels[which % len(self.channels)]
            self.send(payer, Call(ESCROW, 0, abi.call(function, identity)))

    @rule(payer=people, payee=people, operator=people, amount=amounts)
    def open_v2(self, payer: int, payee: int, operator: int, amount: int) -> None:
        salt = keccak(text=f"salt {self.counter}")
        parties = abi.account(ACCOUNTS[payee]), abi.account(ACCOUNTS[operator]), abi.account(TOKEN)
        call = abi.call(reserve_abi.OPEN, *parties, abi.uint(amount), salt, abi.uint(0))
        if amount < 2**96 and self.send(payer, Call(RESERVE, 0, call)):
            (log,) = (log for log in self.logs if log["address"] == RESERVE)
            nonce_hash = from_hex(log["data"])[-64:-32]
            accounts = ACCOUNTS[payer], ACCOUNTS[payee], ACCOUNTS[operator], TOKEN
            descriptor = Descriptor(*accounts, salt, "0x" + "00" * 20, nonce_hash)
            assert log["topics"][1] == to_hex(descriptor.channel_id(RESERVE, CHAIN_ID))
            self.described.append((descriptor, payer, payee))

    @rule(which=st.integers(0, 9), rightly=st.booleans(), cumulative=amounts, percent=st.integers(0, 110))
    def close_v2(self, which: int, rightly: bool, cumulative: int, percent: int) -> None:
        self.settle_v2(which, rightly, cumulative, percent)

    @rule(which=st.integers(0, 9), rightly=st.booleans(), cumulative=amounts)
    def settle_v2(self, which: int, rightly: bool, cumulative: int, percent: int | None = None) -> None:
        if self.described and cumulative < 2**95:
            descriptor, payer, payee = self.described[which % len(self.described)]
            by, close, capture = payee if rightly else payer, percent is not None, cumulative * (percent or 0) // 100
            channel = descriptor.channel_id(RESERVE, CHAIN_ID)
            digest = voucher_digest(channel, cumulative, escrow=RESERVE, chain_id=CHAIN_ID, protocol=V2)
            words = [abi.uint(cumulative), *([abi.uint(capture)] if close else [])]
            offset = abi.uint(32 * (8 + len(words)))
            proof = abi.dynamic_bytes(sign(KEYS[payer], digest))
            function = reserve_abi.CLOSE if close else reserve_abi.SETTLE
            self.send(by, Call(RESERVE, 0, abi.call(function, descriptor.encode(), *words, offset, proof)))

    @rule(which=st.integers(0, 9), amount=amounts)
    def top_up_v2(self, which: int, amount: int) -> None:
        if self.described and amount < 2**96:
            descriptor, payer, _ = self.described[which % len(self.described)]
            self.send(payer, Call(RESERVE, 0, abi.call(reserve_abi.TOP_UP, descriptor.encode(), abi.uint(amount))))

    @rule(which=st.integers(0, 9), function=st.sampled_from([reserve_abi.REQUEST_CLOSE, reserve_abi.WITHDRAW]))
    def force_close_v2(self, which: int, function: str) -> None:
        if self.described:
            descriptor, payer, _ = self.described[which % len(self.described)]
            self.send(payer, Call(RESERVE, 0, abi.call(function, descriptor.encode())))

    @rule(person=people, amount=amounts)
    def fail_in_the_middle(self, person: int, amount: int) -> None:
        theft = abi.call("transfer(address,uint256)", abi.account(FEE_COLLECTOR), abi.uint(1))
        assert not self.send(person, Call(TOKEN, 0, theft), Call(ESCROW, 0, b"nope"))

    @rule(seconds=st.integers(0, 1_000))
    def wait(self, seconds: int) -> None:
        self.chain.rpc("evm_increaseTime", [seconds])

    @invariant()
    def nothing_is_made_or_lost(self) -> None:
        with self.database.snapshot() as connection:
            rows = connection.execute("SELECT account, amount FROM balances WHERE token = ?", (TOKEN,)).fetchall()
            channels = connection.execute("SELECT deposit, settled FROM channels WHERE NOT finalized").fetchall()
            rows_v2 = connection.execute("SELECT settled, deposit, close_requested_at FROM reserves").fetchall()
        balances = {account: int(amount) for account, amount in rows}
        assert all(amount >= 0 for amount in balances.values())
        assert sum(balances.values()) == self.minted
        assert balances.get(FEE_COLLECTOR, 0) == self.fees
        assert balances.get(ESCROW, 0) == sum(int(deposit) - int(settled) for deposit, settled in channels)
        assert all(int(settled) <= int(deposit) for deposit, settled in channels)
        states = [State(int(settled), int(deposit), requested) for settled, deposit, requested in rows_v2]
        assert balances.get(RESERVE, 0) == sum(state.deposit - state.settled for state in states)
        assert all(state.settled <= state.deposit < 2**96 for state in states)
        assert NO_STATE not in states


TestChaos = Chaos.TestCase
TestChaos.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
