"""Answer the JSON-RPC calls that the client and the gateway make, from a small ledger.

It looks like a chain from outside: blocks, receipts, type 0x76 transactions, TIP-20 tokens and the escrows of both
session protocols. Every transaction is mined at once, in a block of its own; an empty block is mined when somebody asks
for the newest one and the clock has moved on. All state is in one SQLite file that several processes can share. The
state of the last blocks can be read (``blocks.HISTORY``).
"""

from __future__ import annotations

import json
import sqlite3
import time
from typing import TYPE_CHECKING, Any

from ando_cli.sandbox.chain import blocks, ledger, logs, transaction
from ando_cli.sandbox.chain.blocks import UnknownBlock
from ando_cli.sandbox.chain.execution import BASE_FEE, Rejected, World, apply, gas_for, nonce
from ando_cli.sandbox.chain.ledger import Ledger, Revert
from ando_cli.sandbox.chain.node_json import block_json, receipt_json, transaction_json
from ando_cli.sandbox.chain.reserve import ADDRESS as RESERVE
from ando_cli.sandbox.chain.transaction import Call, TransactionError
from ando_cli.sandbox.primitives import ZERO_ADDRESS, address, from_hex, keccak, to_hex

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ando_cli.sandbox.chain.blocks import Named
    from ando_cli.sandbox.database import Database

CLIENT_VERSION = "ando-sandbox/1"
TRANSACTION_REJECTED = -32000
EXECUTION_REVERTED = 3
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602


class RpcError(Exception):
    """Represent a JSON-RPC error answer."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


class Chain:
    """Serve the chain in ``database``, as a node sees it that knows no block after ``head``, if that is given.

    Raises:
        ValueError: The file holds a chain with another id, token or escrow.
    """

    def __init__(self, database: Database, *, chain_id: int, token: str, escrow: str, head: int | None = None) -> None:
        self.database = database
        self.chain_id = chain_id
        self.token = address(token)
        self.escrow = address(escrow)
        identity = f"{chain_id}/{self.token}/{self.escrow}"
        if database.remember("chain", identity) != identity:
            raise ValueError("this sandbox file belongs to a chain with another id, token or escrow")
        with database.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO blocks VALUES (0, ?, ?, ?)",
                (to_hex(keccak(identity.encode())), to_hex(bytes(32)), int(time.time())),
            )
        self._head = head
        self._methods: dict[str, Callable[..., Any]] = {
            "web3_clientVersion": lambda: CLIENT_VERSION,
            "net_version": lambda: str(self.chain_id),
            "eth_chainId": lambda: hex(self.chain_id),
            "eth_blockNumber": self._block_number,
            "eth_gasPrice": lambda: hex(self._base_fee()),
            "eth_maxPriorityFeePerGas": lambda: "0x1",
            "eth_feeHistory": self._fee_history,
            "eth_getBlockByNumber": self._block,
            "eth_getBalance": lambda account, block="latest": "0x0",
            "eth_getCode": self._code,
            "eth_call": self._call,
            "eth_estimateGas": self._estimate_gas,
            "eth_getTransactionCount": self._transaction_count,
            "eth_sendRawTransaction": lambda raw: self._send(raw)["transactionHash"],
            # The second parameter is how long to wait for the block, which is always there at once here.
            "eth_sendRawTransactionSync": lambda raw, timeout=None: self._send(raw),
            "eth_getLogs": self._logs,
            "eth_getTransactionReceipt": self._receipt,
            "eth_getTransactionByHash": self._transaction,
            "evm_increaseTime": self._increase_time,
            "evm_mine": lambda *_: self._mine(),
            "sandbox_fund": self._fund,
            "sandbox_limitLogs": self._limit_logs,
            "sandbox_setGasPrice": self._set_gas_price,
        }

    def behind(self, count: int = 0, *, head: int | None = None) -> Chain:
        """Return this chain as a node sees it that lags ``count`` blocks behind, or knows no block after ``head``."""
        with self.database.snapshot() as connection:
            newest = blocks.height(connection)
        last = max(min(newest - count, newest if head is None else head), 0)
        return Chain(self.database, chain_id=self.chain_id, token=self.token, escrow=self.escrow, head=last)

    def rpc(self, method: str, params: list[Any]) -> Any:
        """Answer one JSON-RPC call.

        Raises:
            RpcError: The method is unknown, its parameters are wrong, or the chain refuses.
        """
        function = self._methods.get(method)
        if function is None:
            raise RpcError(METHOD_NOT_FOUND, f"the method {method} does not exist")
        try:
            return function(*params)
        except UnknownBlock as error:
            raise RpcError(TRANSACTION_REJECTED, str(error)) from error
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise RpcError(INVALID_PARAMS, f"invalid parameters: {error}") from error

    def now(self, connection: sqlite3.Connection) -> int:
        """Return the chain's time in Unix seconds: the real clock plus what ``evm_increaseTime`` added."""
        row = connection.execute("SELECT value FROM meta WHERE key = 'time_offset'").fetchone()
        return int(time.time()) + (int(row[0]) if row else 0)

    def _world(
        self, connection: sqlite3.Connection, nonce_hash: bytes | None = None, timestamp: int | None = None
    ) -> World:
        now = self.now(connection) if timestamp is None else timestamp
        base_fee = _gas_price(connection)
        return World(connection, self.chain_id, self.escrow, self.token, now, nonce_hash, base_fee)

    def _tip(self, connection: sqlite3.Connection) -> int:
        """Return the number of the newest block that this node knows."""
        newest = blocks.height(connection)
        return newest if self._head is None else min(self._head, newest)

    def _base_fee(self) -> int:
        with self.database.snapshot() as connection:
            return _gas_price(connection)

    def _set_gas_price(self, price: str | int | None) -> None:
        """Set the base fee, in 10**-18 of a token; ``None`` is the usual one."""
        with self.database.transaction() as connection:
            connection.execute("DELETE FROM meta WHERE key = 'gas_price'")
            if price is not None:
                connection.execute("INSERT INTO meta VALUES ('gas_price', ?)", (str(blocks.quantity(price)),))

    def _block_number(self) -> str:
        with self.database.snapshot() as connection:
            return hex(self._tip(connection))

    def _fee_history(self, count: str | int, newest: str = "latest", percentiles: list[float] | None = None) -> Any:
        length = min(blocks.quantity(count), 1024)
        history: dict[str, Any] = {
            "oldestBlock": "0x0",
            "baseFeePerGas": [hex(self._base_fee())] * (length + 1),
            "gasUsedRatio": [0.0] * length,
        }
        if percentiles:
            history["reward"] = [["0x1"] * len(percentiles)] * length
        return history

    def _block(self, number: str, full: bool = False) -> Any:
        if number in blocks.TAGS:
            self._keep_up()
        with self.database.snapshot() as connection:
            tip = self._tip(connection)
            at = blocks.number_of(connection, number, tip)
            row = connection.execute("SELECT hash, parent, timestamp FROM blocks WHERE number = ?", (at,)).fetchone()
            if row is None or at > tip:
                return None
            hashes = connection.execute("SELECT hash FROM transactions WHERE block = ?", (at,)).fetchall()
            base_fee = _gas_price(connection)
        transactions = [self._transaction(found) if full else found for (found,) in hashes]
        return block_json(at, row[0], row[1], row[2], transactions, base_fee)

    def _keep_up(self) -> None:
        """Mine an empty block if the newest one is not of this second: a real chain mines one every half second."""
        with self.database.snapshot() as connection:
            stale = self._head is None and blocks.newest_time(connection) != self.now(connection)
        if stale:
            with self.database.transaction() as connection:
                if blocks.newest_time(connection) != self.now(connection):
                    self._add_block(connection, b"")

    def _code(self, account: str, block: str = "latest") -> str:
        account = address(account)
        return "0xef" if account in (self.escrow, RESERVE) or ledger.is_token(account) else "0x"

    def _call(self, request: dict[str, Any], block: Named = "latest", overrides: object = None) -> str:
        outputs = self._simulate(request, block)
        return to_hex(outputs[-1])

    def _estimate_gas(self, request: dict[str, Any], block: Named = "latest", overrides: object = None) -> str:
        self._simulate(request, block)
        return hex(gas_for(_calls(request)))

    def _simulate(self, request: dict[str, Any], block: Named) -> list[bytes]:
        """Run the calls of a request on the state after a block, and undo them; return the return data of each."""
        sender = address(request.get("from") or ZERO_ADDRESS)
        calls = _calls(request)
        try:
            return self._try(sender, calls, block, immediate=False)
        except sqlite3.OperationalError:  # another process wrote between the read and the write
            return self._try(sender, calls, block, immediate=True)

    def _try(self, sender: str, calls: Sequence[Call], block: Named, immediate: bool) -> list[bytes]:
        with self.database.scratch(immediate) as connection:
            timestamp = blocks.go_back(connection, block, self._tip(connection))
            # The v2 escrow opens no channel without a nonce hash, and a simulation has no transaction to hash.
            world = self._world(connection, bytes(32), timestamp)
            try:
                return [world.run(sender, call) for call in calls]
            except Revert as error:
                message = f"execution reverted: {error}"
                raise RpcError(EXECUTION_REVERTED, message, to_hex(error.data)) from error

    def _transaction_count(self, account: str, block: Named = "latest") -> str:
        with self.database.scratch(immediate=True) as connection:
            blocks.go_back(connection, block, self._tip(connection))
            return hex(nonce(connection, address(account)))

    def _send(self, raw: str) -> dict[str, Any]:
        """Check, run and mine a transaction; return its receipt."""
        try:
            decoded = transaction.decode(from_hex(raw))
        except TransactionError as error:
            raise RpcError(TRANSACTION_REJECTED, f"invalid transaction: {error}") from error
        with self.database.transaction() as connection:
            known = connection.execute("SELECT 1 FROM transactions WHERE hash = ?", (to_hex(decoded.hash),)).fetchone()
            if known:
                raise RpcError(TRANSACTION_REJECTED, "already known")
            try:
                outcome = apply(self._world(connection), decoded)
            except Rejected as error:
                raise RpcError(TRANSACTION_REJECTED, str(error)) from error
            number, block_hash = self._add_block(connection, decoded.hash)
            receipt = receipt_json(decoded, outcome, number, block_hash)
            connection.execute(
                "INSERT INTO transactions VALUES (?, ?, ?, ?)",
                (to_hex(decoded.hash), number, decoded.raw, json.dumps(receipt)),
            )
            logs.store(connection, number, to_hex(decoded.hash), outcome.logs)
        return receipt

    def _logs(self, wanted: dict[str, Any]) -> list[dict[str, Any]]:
        with self.database.snapshot() as connection:
            tip = self._tip(connection)
            if wanted.get("blockHash") is not None:
                at = blocks.number_of(connection, {"blockHash": wanted["blockHash"]}, tip)
                return logs.find(connection, wanted, at, at)
            names = (wanted.get(name) or "latest" for name in ("fromBlock", "toBlock"))
            first, last = (blocks.number_of(connection, name, tip) for name in names)
            last = min(last, tip)
            if first > last:
                raise RpcError(INVALID_PARAMS, "invalid block range params")
            limit = connection.execute("SELECT value FROM meta WHERE key = 'max_log_blocks'").fetchone()
            if limit is not None and last - first >= int(limit[0]):
                raise RpcError(INVALID_PARAMS, f"query exceeds max block range {limit[0]}")
            return logs.find(connection, wanted, first, last)

    def _limit_logs(self, count: int | None) -> None:
        """Limit how many blocks eth_getLogs answers for, as public endpoints do; ``None`` removes the limit."""
        with self.database.transaction() as connection:
            connection.execute("DELETE FROM meta WHERE key = 'max_log_blocks'")
            if count is not None:
                connection.execute("INSERT INTO meta VALUES ('max_log_blocks', ?)", (str(blocks.quantity(count)),))

    def _receipt(self, transaction_hash: str) -> Any:
        row = self._stored("receipt", transaction_hash)
        receipt = json.loads(row) if row else None
        if receipt is not None and self._head is not None and int(receipt["blockNumber"], 16) > self._head:
            return None
        return receipt

    def _transaction(self, transaction_hash: str) -> Any:
        receipt = self._receipt(transaction_hash)
        if receipt is None:
            return None
        return transaction_json(transaction.decode(self._stored("raw", transaction_hash)), receipt)

    def _stored(self, column: str, transaction_hash: str) -> Any:
        key = to_hex(from_hex(transaction_hash, 32))
        with self.database.snapshot() as connection:
            query = f"SELECT {column} FROM transactions WHERE hash = ?"  # noqa: S608 - the two columns named above
            row = connection.execute(query, (key,)).fetchone()
        return row[0] if row else None

    def _increase_time(self, seconds: str | int) -> int:
        with self.database.transaction() as connection:
            # A number, unlike a quantity, may be negative: then the chain's clock lags.
            change = seconds if isinstance(seconds, int) else blocks.quantity(seconds)
            offset = self.now(connection) - int(time.time()) + change
            connection.execute("INSERT OR REPLACE INTO meta VALUES ('time_offset', ?)", (str(offset),))
        return offset

    def _mine(self) -> str:
        with self.database.transaction() as connection:
            self._add_block(connection, b"")
        return "0x0"

    def _fund(self, account: str, amount: str | int, token: str | None = None) -> str:
        with self.database.transaction() as connection:
            book = Ledger(connection)
            currency = address(token or self.token)
            try:
                book.mint(currency, address(account), blocks.quantity(amount))
            except Revert as error:
                raise RpcError(EXECUTION_REVERTED, f"execution reverted: {error}") from error
            return hex(book.balance(currency, address(account)))

    def _add_block(self, connection: sqlite3.Connection, content: bytes) -> tuple[int, str]:
        number = blocks.height(connection) + 1
        parent = connection.execute("SELECT hash FROM blocks WHERE number = ?", (number - 1,)).fetchone()[0]
        block_hash = to_hex(keccak(from_hex(parent) + number.to_bytes(8, "big") + content))
        connection.execute("INSERT INTO blocks VALUES (?, ?, ?, ?)", (number, block_hash, parent, self.now(connection)))
        blocks.forget(connection, number)
        return number, block_hash


def _gas_price(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT value FROM meta WHERE key = 'gas_price'").fetchone()
    return int(row[0]) if row else BASE_FEE


def _calls(request: dict[str, Any]) -> tuple[Call, ...]:
    """Read the calls of an eth_call or eth_estimateGas request: Tempo's ``calls``, or the one call of other chains."""
    return tuple(
        Call(
            to=address(item["to"]),
            # Tempo has no native coin to send; its clients write an empty value.
            value=0 if item.get("value") in (None, "0x") else blocks.quantity(item["value"]),
            data=from_hex(item.get("data") or item.get("input") or "0x"),
        )
        for item in request.get("calls") or [request]
    )
