"""Run transactions: check that each is valid, charge its fee, and run its calls (docs/protocol.md, section 3)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ando_cli.sandbox.chain import abi, escrow, ledger, reserve_abi
from ando_cli.sandbox.chain.escrow import Escrow
from ando_cli.sandbox.chain.ledger import FEE_COLLECTOR, Ledger, Revert
from ando_cli.sandbox.chain.reserve import ADDRESS as RESERVE
from ando_cli.sandbox.chain.reserve import Reserve
from ando_cli.sandbox.chain.transaction import EXPIRING_NONCE_KEY, Call, Transaction
from ando_cli.sandbox.primitives import to_hex

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from ando_cli.sandbox.chain.logs import Log

BASE_FEE = 20_000_000_000
"""The base fee before T7, unless it is set (``sandbox_setGasPrice``)."""
MAX_EXPIRY_SECONDS = 300
"""How far ahead ``valid_before`` may be, since T11."""
MAX_NONCE = 2**64 - 1
# A gas price is in 10**-18 of a token, and a token has six decimals.
ATTO_PER_BASE_UNIT = 10**12

INTRINSIC_GAS = 21_000
BYTE_GAS = 16
CALL_GAS = 30_000
# Measured at T4, call data and approval included: a v1 open 1.34 to 1.58 million (here the dearest), a top-up 264,000,
# requestClose 50,000, withdraw 68,000, a transfer 57,000. The others were not measured.
FUNCTION_GAS = {
    abi.selector("approve(address,uint256)"): 46_000,
    abi.selector("transfer(address,uint256)"): 34_900,
    abi.selector("transferFrom(address,address,uint256)"): 60_000,
    abi.selector(escrow.OPEN): 1_509_000,
    abi.selector(escrow.TOP_UP): 194_800,
    abi.selector(escrow.SETTLE): 90_000,
    abi.selector(escrow.CLOSE): 110_000,
    abi.selector("requestClose(bytes32)"): 28_400,
    abi.selector("withdraw(bytes32)"): 46_400,
    abi.selector(reserve_abi.OPEN): 120_000,
    abi.selector(reserve_abi.TOP_UP): 60_000,
    abi.selector(reserve_abi.SETTLE): 70_000,
    abi.selector(reserve_abi.CLOSE): 90_000,
    abi.selector(reserve_abi.REQUEST_CLOSE): 40_000,
    abi.selector(reserve_abi.WITHDRAW): 60_000,
}


class Rejected(Exception):  # noqa: N818 - describes the transaction, not a fault of this code
    """Signal that a transaction is not valid now and is not mined: no fee, no receipt."""


@dataclass(frozen=True)
class World:
    """Hold the chain as a running transaction sees it: storage, identity and the block's time in Unix seconds.

    Attributes:
        expiring_nonce_hash: the hash of the running transaction; ``None`` if it has an ordinary nonce.
        base_fee: the price of one unit of gas, in 10**-18 of a token.
        logs: the events so far.
    """

    connection: sqlite3.Connection
    chain_id: int
    escrow: str
    fee_token: str
    timestamp: int
    expiring_nonce_hash: bytes | None = None
    base_fee: int = BASE_FEE
    logs: list[Log] = field(default_factory=list)

    def run(self, sender: str, call: Call) -> bytes:
        """Run one call and return its return data.

        Raises:
            Revert: The contract refuses, or the arguments do not decode.
        """
        if call.value:
            raise Revert("ValueTransferNotAllowed()")  # Tempo has no native coin
        book = Ledger(self.connection, self.logs)
        try:
            if call.to == self.escrow:
                return escrow.execute(Escrow(book, self.escrow, self.chain_id, self.timestamp), sender, call.data)
            if call.to == RESERVE:
                precompile = Reserve(book, self.chain_id, self.timestamp, self.expiring_nonce_hash)
                return reserve_abi.execute(precompile, sender, call.data)
            if ledger.is_token(call.to):
                return ledger.execute(book, call.to, sender, call.data)
        except abi.AbiError:
            raise Revert("InvalidArguments()") from None
        return b""  # an account without code accepts every call


@dataclass(frozen=True)
class Outcome:
    """Record what a mined transaction did."""

    succeeded: bool
    gas_used: int
    gas_price: int
    fee_token: str
    logs: tuple[Log, ...]


def gas_for(calls: Sequence[Call]) -> int:
    """Compute the gas that a batch of calls uses if it succeeds."""
    return INTRINSIC_GAS + sum(FUNCTION_GAS.get(call.data[:4], CALL_GAS) + BYTE_GAS * len(call.data) for call in calls)


def fee(gas: int, gas_price: int) -> int:
    """Convert gas to base units of the fee token, rounded up."""
    return -(-gas * gas_price // ATTO_PER_BASE_UNIT)


def apply(world: World, transaction: Transaction) -> Outcome:
    """Run a transaction: use up its nonce, charge its fee, then run all of its calls or none of them.

    Raises:
        Rejected: The transaction is not valid now; nothing was changed.
    """
    gas = gas_for(transaction.calls)
    price = _gas_price(world, transaction)
    _check_time(world, transaction)
    if transaction.gas_limit < INTRINSIC_GAS:
        raise Rejected("intrinsic gas too low")
    fee_token = transaction.fee_token or world.fee_token
    book = Ledger(world.connection)
    if not ledger.is_token(fee_token):
        raise Rejected("the fee token is not a TIP-20 token")
    if book.balance(fee_token, transaction.fee_payer) < fee(transaction.gas_limit, price):
        raise Rejected("insufficient funds for gas: the fee payer cannot pay for the gas limit")
    _use_nonce(world, transaction)
    # As on Tempo, the fee is taken in advance, so that the calls cannot spend it; the unused part is refunded.
    book.move(fee_token, transaction.fee_payer, FEE_COLLECTOR, fee(transaction.gas_limit, price))
    world = dataclasses.replace(world, expiring_nonce_hash=transaction.expiring_nonce_hash, logs=[])
    succeeded = transaction.gas_limit >= gas and _run_calls(world, transaction)
    gas_used = min(gas, transaction.gas_limit)
    refund = fee(transaction.gas_limit, price) - fee(gas_used, price)
    book.move(fee_token, FEE_COLLECTOR, transaction.fee_payer, refund)
    return Outcome(succeeded, gas_used, price, fee_token, tuple(world.logs))


def _run_calls(world: World, transaction: Transaction) -> bool:
    world.connection.execute("SAVEPOINT calls")
    try:
        for call in transaction.calls:
            world.run(transaction.sender, call)
    except Revert:
        world.connection.execute("ROLLBACK TO calls")
        world.logs.clear()
        return False
    finally:
        world.connection.execute("RELEASE calls")
    return True


def _gas_price(world: World, transaction: Transaction) -> int:
    if transaction.chain_id != world.chain_id:
        raise Rejected(f"invalid chain id: this is {world.chain_id}")
    if transaction.awaits_fee_payer:
        raise Rejected("the fee payer's signature is missing")
    if transaction.max_priority_fee_per_gas > transaction.max_fee_per_gas:
        raise Rejected("max priority fee per gas higher than max fee per gas")
    if transaction.max_fee_per_gas < world.base_fee:
        raise Rejected("max fee per gas less than block base fee")
    return min(transaction.max_fee_per_gas, world.base_fee + transaction.max_priority_fee_per_gas)


def _check_time(world: World, transaction: Transaction) -> None:
    if transaction.valid_before is not None and world.timestamp >= transaction.valid_before:
        raise Rejected("transaction expired: valid_before has passed")
    if transaction.valid_after is not None and world.timestamp < transaction.valid_after:
        raise Rejected("transaction not valid yet: valid_after is in the future")


def _use_nonce(world: World, transaction: Transaction) -> None:
    """Check and use up the nonce. An expiring one may have any number (TIP-1106); its hash is what counts."""
    if transaction.nonce_key == EXPIRING_NONCE_KEY and transaction.expiring_nonce_hash is not None:
        if transaction.nonce > MAX_NONCE:
            raise Rejected("a nonce has 64 bits")
        if transaction.valid_before is None:
            raise Rejected("an expiring nonce needs valid_before")
        if transaction.valid_before > world.timestamp + MAX_EXPIRY_SECONDS:
            raise Rejected(f"valid_before is more than {MAX_EXPIRY_SECONDS} seconds ahead")
        used = to_hex(transaction.expiring_nonce_hash)
        if world.connection.execute("SELECT 1 FROM expiring_nonces WHERE hash = ?", (used,)).fetchone():
            # Its fee payer and its signature may differ: it is the same transaction of the same sender.
            raise Rejected("already known: the expiring nonce was used")
        world.connection.execute("INSERT INTO expiring_nonces VALUES (?, ?)", (used, transaction.valid_before))
        world.connection.execute("DELETE FROM expiring_nonces WHERE valid_before <= ?", (world.timestamp,))
        return
    expected = nonce(world.connection, transaction.sender, transaction.nonce_key)
    if transaction.nonce != expected:
        raise Rejected(f"nonce too {'low' if transaction.nonce < expected else 'high'}: next is {expected}")
    world.connection.execute(
        "INSERT OR REPLACE INTO nonces VALUES (?, ?, ?)", (transaction.sender, str(transaction.nonce_key), expected + 1)
    )


def nonce(connection: sqlite3.Connection, account: str, nonce_key: int = 0) -> int:
    """Return the next nonce of an account for a nonce key."""
    query = "SELECT nonce FROM nonces WHERE account = ? AND nonce_key = ?"
    row = connection.execute(query, (account, str(nonce_key))).fetchone()
    return int(row[0]) if row else 0
