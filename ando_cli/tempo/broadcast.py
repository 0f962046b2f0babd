"""Sends a transaction to the chain without the gateway, and waits until it is mined."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from ando_cli.errors import Code, NetworkError, RpcAnswerError, RpcError, RpcRefusedError, RpcTimeoutError
from ando_cli.frozen import frozen
from ando_cli.tempo.endpoint import WrongAnswerError
from ando_cli.tempo.keys import keccak256

if TYPE_CHECKING:
    from ando_cli.tempo.endpoint import Endpoint

# The first answers once the transaction is in a block; not every node knows it.
_METHODS = ("eth_sendRawTransactionSync", "eth_sendRawTransaction")

# Errors of nodes that have the transaction already: then only wait for it.
_KNOWN = re.compile(r"already (?:known|imported|in|exists)|alreadyknown|known transaction", re.IGNORECASE)

# A transaction of ours is void after 25 seconds: one that is not in a block by then never will be.
_SECONDS = 40.0
_POLL_SECONDS = 0.25


@frozen
class Mined:
    """The outcome of a transaction that is in a block.

    Attributes:
        tx_hash: lower-case hex with ``0x``.
        succeeded: False if it was reverted. The fee is paid either way.
    """

    tx_hash: str
    succeeded: bool


def broadcast(endpoint: Endpoint, transaction: str) -> Mined:
    """Send a signed transaction and wait until it is mined. To send the same one again changes nothing.

    Args:
        endpoint: the server.
        transaction: hex with ``0x``, with no signature missing.

    Raises:
        NetworkError: it is not known to be mined. The node refused it (``rpc_error``), or does not show it in time
            (``tx_not_mined``), or cannot be asked. It may be mined all the same, until its ``valid_before``: ask for
            what it was to change.
        ValueError: not hex.
    """
    tx_hash = "0x" + keccak256(bytes.fromhex(transaction.removeprefix("0x"))).hex()
    refusal = _send(endpoint, transaction)
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            mined = _receipt(endpoint, tx_hash)
        except NetworkError as error:
            # Once it is sent, a node that stumbles for a moment is asked again; one that makes things up is not.
            if refusal is None and (isinstance(error, RpcAnswerError) or time.monotonic() > deadline):
                raise error.with_retryable(False) from None  # it is sent, and may be mined yet
            mined = None
        if mined is not None:
            return mined
        # Looked for even so: what is refused the second time is often what was mined the first time.
        if refusal is not None:
            raise refusal.with_retryable(False)  # it may have arrived all the same
        if time.monotonic() > deadline:
            raise RpcError(
                f"{endpoint.host} does not show the transaction in a block",
                hint="check the network's rpc_url or try again later",
                code=Code.TX_NOT_MINED,
            )
        time.sleep(_POLL_SECONDS)


def _send(endpoint: Endpoint, transaction: str) -> NetworkError | None:
    """Send it one way or the other; why not, if neither way is known to have worked."""
    refusal = None
    for method in _METHODS:
        try:
            with endpoint.asking("the transaction", act="take"):
                endpoint.request(method, transaction)
        except RpcTimeoutError:
            return None
        except NetworkError as error:
            if isinstance(error, RpcRefusedError) and _KNOWN.search(error.rpc_message or ""):
                return None
            refusal = error
        else:
            return None
    return refusal


def _receipt(endpoint: Endpoint, tx_hash: str) -> Mined | None:
    with endpoint.asking("the transaction's receipt"):
        receipt = endpoint.request("eth_getTransactionReceipt", tx_hash)
        if receipt is None:
            return None
        if not isinstance(receipt, dict) or str(receipt.get("transactionHash")).lower() != tx_hash:
            raise WrongAnswerError("it is not this transaction's receipt")
        # A receipt without a block would be one of a transaction that is still waiting.
        if receipt.get("status") not in ("0x0", "0x1") or not isinstance(receipt.get("blockNumber"), str):
            raise WrongAnswerError("it does not say what became of the transaction")
        return Mined(tx_hash=tx_hash, succeeded=receipt["status"] == "0x1")
