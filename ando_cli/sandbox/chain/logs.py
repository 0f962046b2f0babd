"""Record the events of contracts, and find them again for ``eth_getLogs``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ando_cli.sandbox.primitives import address, from_hex, keccak, to_hex

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

MAX_TOPICS = 4


@dataclass(frozen=True)
class Log:
    """Represent one event of a contract."""

    address: str
    topics: tuple[bytes, ...]
    data: bytes


def event(contract: str, signature: str, indexed: Sequence[bytes], *words: bytes) -> Log:
    """Build the log of a Solidity event: ``indexed`` arguments become topics, the other ``words`` its data."""
    return Log(contract, (keccak(signature.encode()), *indexed), b"".join(words))


def store(connection: sqlite3.Connection, block: int, transaction_hash: str, logs: Sequence[Log]) -> None:
    """Store the logs of the one transaction of a block."""
    for index, log in enumerate(logs):
        topics = [to_hex(topic) for topic in log.topics]
        connection.execute(
            "INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (block, index, transaction_hash, log.address, *topics, *[None] * (MAX_TOPICS - len(topics)), log.data),
        )


def log_json(log: Log, index: int, block: int, block_hash: str, transaction_hash: str) -> dict[str, Any]:
    """Render a log as receipts and ``eth_getLogs`` show it."""
    return {
        "address": log.address,
        "topics": [to_hex(topic) for topic in log.topics],
        "data": to_hex(log.data),
        "blockNumber": hex(block),
        "blockHash": block_hash,
        "transactionHash": transaction_hash,
        "transactionIndex": "0x0",
        "logIndex": hex(index),
        "removed": False,
    }


def find(connection: sqlite3.Connection, wanted: dict[str, Any], first: int, last: int) -> list[dict[str, Any]]:
    """Find the logs of the blocks from ``first`` to ``last`` that match an ``eth_getLogs`` filter, in their order.

    Raises:
        ValueError: The filter is malformed.
    """
    conditions = ["block BETWEEN ? AND ?"]
    values: list[int | str] = [first, last]
    alternatives: list[tuple[str, list[str]]] = []
    if wanted.get("address") is not None:
        alternatives.append(("address", [address(item) for item in _listed(wanted["address"])]))
    topics = wanted.get("topics") or []
    if not isinstance(topics, list) or len(topics) > MAX_TOPICS:
        raise ValueError(f"topics must be a list of at most {MAX_TOPICS}")
    for position, topic in enumerate(topics):
        # A null, or an empty list, matches any topic, but not a log without a topic at this position.
        if topic is None or topic == []:
            conditions.append(f"topic{position} IS NOT NULL")
        else:
            alternatives.append((f"topic{position}", [to_hex(from_hex(item, 32)) for item in _listed(topic)]))
    for column, allowed in alternatives:
        conditions.append(f"{column} IN ({', '.join('?' * len(allowed))})")
        values += allowed
    query = (
        "SELECT logs.address, topic0, topic1, topic2, topic3, data, position, block, hash, transaction_hash "  # noqa: S608
        f"FROM logs JOIN blocks ON number = block WHERE {' AND '.join(conditions)} ORDER BY block, position"
    )
    return [_row_json(row) for row in connection.execute(query, values)]


def _row_json(row: tuple[Any, ...]) -> dict[str, Any]:
    topics = tuple(from_hex(topic) for topic in row[1:5] if topic is not None)
    return log_json(Log(row[0], topics, row[5]), *row[6:])


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]
