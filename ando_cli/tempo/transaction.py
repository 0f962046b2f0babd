"""The two transactions that a payer signs for a v1 channel: open it, top it up (protocol.md sections 3 and 4).

Both are Tempo transactions (type 0x76) of two calls, ``approve`` and the escrow's own: either both happen or neither.
The nonce is an expiring one: none has to be fetched, and a transaction that was not mined by ``valid_before`` never
will be. We only sign; it is the gateway that broadcasts.

This module loads pytempo, and with it web3: import it where a transaction is made, not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import rlp

from ando_cli.tempo.abi import (
    UINT64_MAX,
    UINT128_MAX,
    UINT256_MAX,
    address_word,
    bytes32_word,
    normalise_address,
    uint_word,
)
from ando_cli.tempo.fees import Fees, max_fee
from ando_cli.tempo.keys import keccak256
from ando_cli.tempo.recursion import kept_recursion_limit

with kept_recursion_limit():
    from pytempo import Call, TempoTransaction  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from ando_cli.tempo.channel import ChannelTerms
    from ando_cli.tempo.keys import PrivateKey

__all__ = ["Fees", "max_fee", "open_transaction", "top_up_transaction"]


def _selector(signature: str) -> bytes:
    return keccak256(signature.encode())[:4]


_APPROVE = _selector("approve(address,uint256)")
_OPEN = _selector("open(address,address,uint128,bytes32,address)")
# The deployed contract takes a uint256 here, although the draft of the specification says uint128.
_TOP_UP = _selector("topUp(bytes32,uint256)")

_EXPIRING_NONCE_KEY = UINT256_MAX
# Field 11 of a 0x76 transaction is the fee payer's signature; this stands there until the fee payer has signed.
_FEE_PAYER_FIELD = 11
_FEE_PAYER_PLACEHOLDER = b"\x00"


def open_transaction(
    terms: ChannelTerms, deposit: int, *, key: PrivateKey, fees: Fees, valid_before: int, fee_payer: bool
) -> str:
    """Sign the transaction that opens a channel: ``approve(escrow, deposit)``, then ``open(…)``.

    Args:
        terms: the channel; its payer must be the key's account.
        deposit: base units of the token, from 1 to 2**128 - 1.
        key: the payer's key.
        fees: what the transaction may cost at most.
        valid_before: Unix time in seconds from which the chain refuses the transaction.
        fee_payer: the gateway pays the fee. The fee token stays empty and its signature is left open for it.

    Returns:
        The signed transaction as hex with ``0x``.

    Raises:
        ValueError: an argument is out of range, or the key is not the payer's.
    """
    if key.address != terms.payer:
        raise ValueError("the key is not the payer's")
    call = (
        _OPEN
        + address_word(terms.payee)
        + address_word(terms.token)
        + uint_word(deposit, UINT128_MAX)
        + bytes32_word(terms.salt)
        + address_word(terms.authorized_signer)
    )
    return _sign(
        call,
        deposit,
        token=terms.token,
        escrow=terms.escrow,
        chain_id=terms.chain_id,
        key=key,
        fees=fees,
        valid_before=valid_before,
        fee_payer=fee_payer,
    )


def top_up_transaction(
    channel_id: str,
    additional_deposit: int,
    *,
    token: str,
    escrow: str,
    chain_id: int,
    key: PrivateKey,
    fees: Fees,
    valid_before: int,
    fee_payer: bool,
) -> str:
    """Sign the transaction that adds to a channel's deposit: ``approve(escrow, additional)``, then ``topUp(…)``.

    Args:
        channel_id: the open channel, hex with ``0x``.
        additional_deposit: base units of the token, from 1 to 2**128 - 1.
        token: the channel's token.
        escrow: the contract that holds the channel.
        chain_id: the chain that it lives on.
        key: the payer's key.
        fees: what the transaction may cost at most.
        valid_before: Unix time in seconds from which the chain refuses the transaction.
        fee_payer: the gateway pays the fee. The fee token stays empty and its signature is left open for it.

    Returns:
        The signed transaction as hex with ``0x``.

    Raises:
        ValueError: an argument is malformed or out of range.
    """
    return _sign(
        _TOP_UP + bytes32_word(channel_id) + uint_word(additional_deposit, UINT128_MAX),
        additional_deposit,
        token=token,
        escrow=escrow,
        chain_id=chain_id,
        key=key,
        fees=fees,
        valid_before=valid_before,
        fee_payer=fee_payer,
    )


def _sign(
    call: bytes,
    amount: int,
    *,
    token: str,
    escrow: str,
    chain_id: int,
    key: PrivateKey,
    fees: Fees,
    valid_before: int,
    fee_payer: bool,
) -> str:
    """Sign ``approve(escrow, amount)`` on the token and ``call`` on the escrow as one transaction."""
    if amount <= 0:
        raise ValueError("a deposit must be positive")
    if not 0 < valid_before <= UINT64_MAX:
        raise ValueError("valid_before is not a time in seconds")
    token = normalise_address(token)
    transaction = TempoTransaction.create(
        chain_id=chain_id,
        gas_limit=fees.gas_limit,
        max_fee_per_gas=fees.max_fee_per_gas,
        max_priority_fee_per_gas=fees.max_priority_fee_per_gas,
        nonce_key=_EXPIRING_NONCE_KEY,
        nonce=0,
        valid_before=valid_before,
        fee_token=None if fee_payer else token,
        awaiting_fee_payer=fee_payer,
        calls=(
            Call.create(to=token, data=_APPROVE + address_word(escrow) + uint_word(amount)),
            Call.create(to=escrow, data=call),
        ),
    )
    encoded: bytes = transaction.sign(key.to_hex()).encode()
    return "0x" + (_with_placeholder(encoded) if fee_payer else encoded).hex()


def _with_placeholder(encoded: bytes) -> bytes:
    """Write the placeholder for the fee payer's signature into a signed transaction.

    The sender signs over a ``0x00`` in this field, and the specification and the other implementations also send it;
    pytempo's ``encode()`` leaves the field empty (``0x80``), which says that there is no fee payer at all.
    """
    fields = rlp.decode(encoded[1:], strict=True)
    fields[_FEE_PAYER_FIELD] = _FEE_PAYER_PLACEHOLDER
    return encoded[:1] + bytes(rlp.encode(fields))
