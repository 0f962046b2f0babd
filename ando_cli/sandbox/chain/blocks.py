"""Find blocks by their number, place or hash, and go back to the state that the chain had after one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from ando_cli.sandbox.primitives import from_hex, to_hex

if TYPE_CHECKING:
    import sqlite3

HISTORY = 1_000
"""The number of blocks whose state can be read, beside the newest one."""
TAGS = ("latest", "pending", "safe", "finalized")
"""The names of the newest block: nothing is ever pending here, nor undone."""

Named: TypeAlias = "str | dict[str, Any]"


class UnknownBlock(Exception):  # noqa: N818 - the state of the node, not a fault of this code
    """Signal that a block, or its state, is not known to this node."""


def height(connection: sqlite3.Connection) -> int:
    """Return the number of the newest block."""
    return int(connection.execute("SELECT max(number) FROM blocks").fetchone()[0])


def newest_time(connection: sqlite3.Connection) -> int:
    """Return the time of the newest block, in Unix seconds."""
    return int(connection.execute("SELECT timestamp FROM blocks ORDER BY number DESC LIMIT 1").fetchone()[0])


def quantity(value: str | int) -> int:
    """Read a JSON-RPC quantity.

    Raises:
        ValueError: The value is not a number, or negative.
    """
    number = int(value, 16) if isinstance(value, str) and value.startswith("0x") else int(value)
    if number < 0:
        raise ValueError("a quantity cannot be negative")
    return number


def number_of(connection: sqlite3.Connection, block: Named, tip: int) -> int:
    """Return the number of a block that is named by its number, its place, or an object as in EIP-1898.

    Args:
        connection: the chain.
        block: a quantity, a tag, or ``{"blockNumber": …}`` or ``{"blockHash": …}``.
        tip: the newest block that the node knows.

    Raises:
        UnknownBlock: There is no block with that hash.
        ValueError: The name is malformed.
    """
    if isinstance(block, dict) and block.get("blockHash") is not None:
        key = (to_hex(from_hex(block["blockHash"], 32)),)
        row = connection.execute("SELECT number FROM blocks WHERE hash = ?", key).fetchone()
        if row is None or row[0] > tip:
            raise UnknownBlock("unknown block")
        return int(row[0])
    name = block["blockNumber"] if isinstance(block, dict) else block
    if name in TAGS:
        return tip
    return 0 if name == "earliest" else quantity(name)


def go_back(connection: sqlite3.Connection, block: Named, tip: int) -> int | None:
    """Make the state that of a block, in a connection whose changes are undone later.

    Returns:
        The time of the block in Unix seconds, or ``None`` if it is the newest of the chain: then nothing changes.

    Raises:
        UnknownBlock: The block is not known, or older than the history.
        ValueError: The name is malformed.
    """
    at, newest = number_of(connection, block, tip), height(connection)
    if at > tip:
        raise UnknownBlock("header not found")
    if at == newest:
        return None
    if at < newest - HISTORY:
        raise UnknownBlock(f"the state of block {at} is not available: it was pruned")
    query = "SELECT statement FROM undo WHERE block > ? ORDER BY number DESC"
    for (statement,) in connection.execute(query, (at,)).fetchall():
        connection.execute(statement)
    return int(connection.execute("SELECT timestamp FROM blocks WHERE number = ?", (at,)).fetchone()[0])


def forget(connection: sqlite3.Connection, newest: int) -> None:
    """Drop what is needed only for the state of blocks before the history of ``newest``."""
    connection.execute("DELETE FROM undo WHERE block <= ?", (newest - HISTORY,))
