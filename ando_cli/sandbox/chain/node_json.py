"""Render receipts, transactions and blocks as JSON-RPC shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ando_cli.sandbox.chain.logs import log_json
from ando_cli.sandbox.chain.transaction import TRANSACTION_TYPE
from ando_cli.sandbox.primitives import ZERO_ADDRESS, to_hex

if TYPE_CHECKING:
    from ando_cli.sandbox.chain.execution import Outcome
    from ando_cli.sandbox.chain.transaction import Transaction

BLOCK_GAS_LIMIT = 500_000_000


def receipt_json(decoded: Transaction, outcome: Outcome, number: int, block_hash: str) -> dict[str, Any]:
    """Render the receipt of a mined transaction."""
    return {
        "transactionHash": to_hex(decoded.hash),
        "transactionIndex": "0x0",
        "blockNumber": hex(number),
        "blockHash": block_hash,
        "from": decoded.sender,
        "to": decoded.calls[0].to,
        "contractAddress": None,
        "status": "0x1" if outcome.succeeded else "0x0",
        "gasUsed": hex(outcome.gas_used),
        "cumulativeGasUsed": hex(outcome.gas_used),
        "effectiveGasPrice": hex(outcome.gas_price),
        "feeToken": outcome.fee_token,
        "feePayer": decoded.fee_payer,
        "logs": [
            log_json(log, index, number, block_hash, to_hex(decoded.hash)) for index, log in enumerate(outcome.logs)
        ],
        "logsBloom": to_hex(bytes(256)),
        "type": hex(TRANSACTION_TYPE),
    }


def transaction_json(decoded: Transaction, receipt: dict[str, Any]) -> dict[str, Any]:
    """Render a mined transaction."""
    calls = [{"to": call.to, "value": hex(call.value), "data": to_hex(call.data)} for call in decoded.calls]
    copied = ("blockNumber", "blockHash", "transactionIndex", "from", "type", "feeToken", "feePayer")
    return {key: receipt[key] for key in copied} | {
        "hash": receipt["transactionHash"],
        "chainId": hex(decoded.chain_id),
        "nonce": hex(decoded.nonce),
        "nonceKey": hex(decoded.nonce_key),
        "gas": hex(decoded.gas_limit),
        "maxFeePerGas": hex(decoded.max_fee_per_gas),
        "maxPriorityFeePerGas": hex(decoded.max_priority_fee_per_gas),
        "validBefore": None if decoded.valid_before is None else hex(decoded.valid_before),
        "validAfter": None if decoded.valid_after is None else hex(decoded.valid_after),
        "calls": calls,
    }


def block_json(
    number: int, block_hash: str, parent: str, timestamp: int, transactions: list[Any], base_fee: int
) -> dict[str, Any]:
    """Render a block."""
    nothing = to_hex(bytes(32))
    return {
        "number": hex(number),
        "hash": block_hash,
        "parentHash": parent,
        "timestamp": hex(timestamp),
        "transactions": transactions,
        "gasLimit": hex(BLOCK_GAS_LIMIT),
        "gasUsed": "0x0",
        "baseFeePerGas": hex(base_fee),
        "miner": ZERO_ADDRESS,
        "difficulty": "0x0",
        "extraData": "0x",
        "logsBloom": to_hex(bytes(256)),
        "mixHash": nothing,
        "nonce": "0x0000000000000000",
        "receiptsRoot": nothing,
        "sha3Uncles": nothing,
        "size": "0x0",
        "stateRoot": nothing,
        "transactionsRoot": nothing,
        "uncles": [],
    }
