"""Call the chain of the gateway, which is the built-in one or an outside RPC endpoint."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any, Protocol

import aiohttp

from ando_cli.sandbox.chain import abi
from ando_cli.sandbox.chain.escrow import GET_CHANNEL
from ando_cli.sandbox.chain.node import METHOD_NOT_FOUND, Chain, RpcError
from ando_cli.sandbox.chain.voucher import Channel
from ando_cli.sandbox.primitives import from_hex, to_hex

RECEIPT_TIMEOUT = 30.0
POLL_SECONDS = 0.1
UNREACHABLE = -32098


class Backend(Protocol):
    """Answer JSON-RPC calls."""

    async def rpc(self, method: str, params: list[Any]) -> Any:
        """Answer one call.

        Raises:
            RpcError: The call failed.
        """

    def behind(self, count: int, head: int | None) -> Backend:
        """Return the same chain as a node answers that lags ``count`` blocks, or knows no block after ``head``.

        Raises:
            RpcError: The chain is an outside one.
        """

    async def close(self) -> None:
        """Release all resources."""


class LocalBackend:
    """Answer from the built-in chain."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    async def rpc(self, method: str, params: list[Any]) -> Any:
        """Answer from the ledger, without leaving the process."""
        return self._chain.rpc(method, params)

    def behind(self, count: int, head: int | None) -> Backend:
        """Answer from an earlier state of the ledger."""
        return LocalBackend(self._chain.behind(count, head=head))

    async def close(self) -> None:
        """Do nothing: the chain belongs to its owner."""


class HttpBackend:
    """Call a chain behind an HTTP JSON-RPC endpoint. Create it inside the event loop that uses it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._ids = itertools.count(1)
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60))

    async def rpc(self, method: str, params: list[Any]) -> Any:
        """Send one call and return its result."""
        request = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        try:
            async with self._session.post(self._url, json=request) as response:
                answer = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise RpcError(UNREACHABLE, "the outside chain cannot be reached") from error
        if not isinstance(answer, dict) or answer.get("error"):
            error_object = answer.get("error") if isinstance(answer, dict) else None
            details = error_object if isinstance(error_object, dict) else {}
            raise RpcError(int(details.get("code", UNREACHABLE)), str(details.get("message", "no answer")))
        return answer.get("result")

    def behind(self, count: int, head: int | None) -> Backend:
        """Refuse: nothing here can make an outside chain lag."""
        raise RpcError(UNREACHABLE, "an outside chain cannot be made to lag")

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()


async def get_channel(backend: Backend, escrow: str, channel: bytes) -> Channel:
    """Read a channel from the chain.

    Raises:
        RpcError: The chain does not answer, or not as an escrow does.
    """
    data = abi.call(GET_CHANNEL, channel)
    result = await backend.rpc("eth_call", [{"to": escrow, "data": to_hex(data)}, "latest"])
    try:
        return Channel.decode(from_hex(result))
    except ValueError as error:
        raise RpcError(UNREACHABLE, "the escrow contract did not answer getChannel") from error


async def broadcast(backend: Backend, raw: bytes) -> dict[str, Any]:
    """Send a transaction and wait until it is mined; return its receipt, whatever its status.

    Raises:
        RpcError: The chain refused the transaction, or did not mine it in time.
    """
    try:
        receipt: dict[str, Any] = await backend.rpc("eth_sendRawTransactionSync", [to_hex(raw)])
    except RpcError as error:
        if error.code != METHOD_NOT_FOUND:
            raise
        receipt = await _wait(backend, await backend.rpc("eth_sendRawTransaction", [to_hex(raw)]))
    return receipt


async def chain_time(backend: Backend) -> int:
    """Return the later of the newest block's time and the clock, from which a transaction's validity is counted."""
    block = await backend.rpc("eth_getBlockByNumber", ["latest", False])
    return max(int(block["timestamp"], 16), int(time.time()))


async def _wait(backend: Backend, transaction_hash: str) -> dict[str, Any]:
    deadline = time.monotonic() + RECEIPT_TIMEOUT
    while time.monotonic() < deadline:
        receipt: dict[str, Any] | None = await backend.rpc("eth_getTransactionReceipt", [transaction_hash])
        if receipt:
            return receipt
        await asyncio.sleep(POLL_SECONDS)
    raise RpcError(UNREACHABLE, "the transaction was not mined in time")
