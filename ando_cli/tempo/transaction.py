"""The transactions that a payer signs for a channel: open it, top it up, close it without the payee.

They are those of docs/protocol.md, sections 3 and 4.

All are Tempo transactions (type 0x76). On v1 a deposit is a batch of two calls, ``approve`` and the escrow's own:
either both happen or neither. The v2 precompile needs no approval. The nonce is an expiring one: none has to be
fetched, and a transaction that was not mined by ``valid_before`` never will be.

Opens and top-ups are handed to the gateway, which broadcasts them. ``requestClose`` and ``withdraw`` are for when there
is no gateway any more: :meth:`ando_cli.tempo.rpc.Rpc.broadcast` sends them.

This module loads pytempo, and with it web3: import it where a transaction is made, not before.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import rlp

from ando_cli.tempo.abi import UINT64_MAX, UINT256_MAX, address_word, bytes32_word, uint_word
from ando_cli.tempo.fees import Fees, max_fee
from ando_cli.tempo.keys import keccak256
from ando_cli.tempo.protocol import Protocol
from ando_cli.tempo.recursion import kept_recursion_limit

with kept_recursion_limit():
    from pytempo import Call, TempoTransaction  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from ando_cli.tempo.channel import ChannelTerms
    from ando_cli.tempo.keys import PrivateKey

__all__ = [
    "Fees",
    "SignedOpen",
    "max_fee",
    "open_transaction",
    "request_close_transaction",
    "top_up_transaction",
    "withdraw_transaction",
]


def _selector(signature: str) -> bytes:
    return keccak256(signature.encode())[:4]


_DESCRIPTOR = "(address,address,address,address,bytes32,address,bytes32)"
_APPROVE = _selector("approve(address,uint256)")
_OPEN = {
    Protocol.V1: _selector("open(address,address,uint128,bytes32,address)"),
    Protocol.V2: _selector("open(address,address,address,uint96,bytes32,address)"),
}
_TOP_UP = {
    # The deployed contract takes a uint256 here, although the draft of the specification says uint128.
    Protocol.V1: _selector("topUp(bytes32,uint256)"),
    Protocol.V2: _selector(f"topUp({_DESCRIPTOR},uint96)"),
}
_REQUEST_CLOSE = {
    Protocol.V1: _selector("requestClose(bytes32)"),
    Protocol.V2: _selector(f"requestClose({_DESCRIPTOR})"),
}
_WITHDRAW = {
    Protocol.V1: _selector("withdraw(bytes32)"),
    Protocol.V2: _selector(f"withdraw({_DESCRIPTOR})"),
}

_EXPIRING_NONCE_KEY = UINT256_MAX
# Field 11 of a 0x76 transaction is the fee payer's signature; in the form for the fee payer it is the sender.
_FEE_PAYER_FIELD = 11
_HAND_OFF_TYPE = b"\x78"


@dataclass(frozen=True)
class SignedOpen:
    """An open transaction, and the channel that it opens.

    Attributes:
        transaction: signed, hex with ``0x``.
        terms: those that were asked for; on v2 with the hash that ties them to this very transaction, so that the
            channel has its id.
    """

    transaction: str
    terms: ChannelTerms


def open_transaction(
    terms: ChannelTerms, deposit: int, *, key: PrivateKey, fees: Fees, valid_before: int, fee_payer: bool
) -> SignedOpen:
    """Sign the transaction that opens a channel: v1 ``approve(escrow, deposit)`` and ``open(…)``, v2 ``open(…)``.

    Args:
        terms: the channel; its payer must be the key's account.
        deposit: base units of the token, from 1 to 2**128 - 1, on v2 to 2**96 - 1.
        key: the payer's key.
        fees: what the transaction may cost at most.
        valid_before: Unix time in seconds from which the chain refuses the transaction.
        fee_payer: the gateway pays the fee. The fee token stays empty, and the result is the form to hand to it.

    Raises:
        ValueError: an argument is out of range, or the key is not the payer's.
    """
    amount = uint_word(deposit, terms.protocol.facts.max_amount)
    call = (
        _OPEN[terms.protocol]
        + address_word(terms.payee)
        + (address_word(terms.operator) if terms.protocol is Protocol.V2 else b"")
        + address_word(terms.token)
        + amount
        + bytes32_word(terms.salt)
        + address_word(terms.authorized_signer)
    )
    unsigned = _transaction(terms, call, deposit, fees, valid_before, fee_payer)
    transaction = _sign(unsigned, terms, key)
    if terms.protocol is Protocol.V1:
        return SignedOpen(transaction, terms)
    # TIP-1034 ties the channel to what its sender signs, not to the signature, which a fee payer's would change.
    bound = keccak256(unsigned.encode_for_signing() + bytes.fromhex(terms.payer[2:]))
    return SignedOpen(transaction, replace(terms, expiring_nonce_hash="0x" + bound.hex()))


def top_up_transaction(
    terms: ChannelTerms, additional_deposit: int, *, key: PrivateKey, fees: Fees, valid_before: int, fee_payer: bool
) -> str:
    """Sign the transaction that adds to a channel's deposit: v1 ``approve`` and ``topUp(…)``, v2 ``topUp(…)``.

    Args:
        terms: the open channel; its payer must be the key's account.
        additional_deposit: base units of the token, from 1 to 2**128 - 1, on v2 to 2**96 - 1.
        key, fees, valid_before, fee_payer: as for :func:`open_transaction`.

    Returns:
        The signed transaction as hex with ``0x``.

    Raises:
        ValueError: an argument is out of range, the key is not the payer's, or a v2 channel was never opened.
    """
    amount = uint_word(additional_deposit, terms.protocol.facts.max_amount)
    call = _TOP_UP[terms.protocol] + _reference(terms) + amount
    return _sign(_transaction(terms, call, additional_deposit, fees, valid_before, fee_payer), terms, key)


def request_close_transaction(terms: ChannelTerms, *, key: PrivateKey, fees: Fees, valid_before: int) -> str:
    """Sign the payer's ``requestClose``: it starts the grace period, after which the payer may withdraw.

    Args:
        terms: the open channel; its payer must be the key's account.
        key, fees, valid_before: as for :func:`open_transaction`. The payer pays the fee, in the channel's token.

    Returns:
        The signed transaction as hex with ``0x``.

    Raises:
        ValueError: an argument is out of range, the key is not the payer's, or a v2 channel was never opened.
    """
    call = _REQUEST_CLOSE[terms.protocol] + _reference(terms)
    return _sign(_transaction(terms, call, None, fees, valid_before, fee_payer=False), terms, key)


def withdraw_transaction(terms: ChannelTerms, *, key: PrivateKey, fees: Fees, valid_before: int) -> str:
    """Sign the payer's ``withdraw``: once the grace period is over, it takes back what the payee did not settle.

    Args, Returns, Raises: as for :func:`request_close_transaction`.
    """
    call = _WITHDRAW[terms.protocol] + _reference(terms)
    return _sign(_transaction(terms, call, None, fees, valid_before, fee_payer=False), terms, key)


def _reference(terms: ChannelTerms) -> bytes:
    """How a call names an open channel: v1 by its id, v2 by its descriptor."""
    return terms.descriptor_words if terms.protocol is Protocol.V2 else bytes32_word(terms.channel_id)


def _transaction(
    terms: ChannelTerms, call: bytes, deposit: int | None, fees: Fees, valid_before: int, fee_payer: bool
) -> TempoTransaction:
    """Make ``call`` on the escrow a transaction. What a v1 contract takes as a deposit is approved in the same one."""
    if deposit is not None and deposit <= 0:
        raise ValueError("a deposit must be positive")
    if not 0 < valid_before <= UINT64_MAX:
        raise ValueError("valid_before is not a time in seconds")
    calls = [Call.create(to=terms.escrow, data=call)]
    if deposit is not None and terms.protocol is Protocol.V1:
        approval = _APPROVE + address_word(terms.escrow) + uint_word(deposit)
        calls.insert(0, Call.create(to=terms.token, data=approval))
    return TempoTransaction.create(
        chain_id=terms.chain_id,
        gas_limit=fees.gas_limit,
        max_fee_per_gas=fees.max_fee_per_gas,
        max_priority_fee_per_gas=fees.max_priority_fee_per_gas,
        nonce_key=_EXPIRING_NONCE_KEY,
        nonce=0,
        valid_before=valid_before,
        fee_token=None if fee_payer else terms.token,
        awaiting_fee_payer=fee_payer,
        calls=tuple(calls),
    )


def _sign(transaction: TempoTransaction, terms: ChannelTerms, key: PrivateKey) -> str:
    if key.address != terms.payer:
        raise ValueError("the key is not the payer's")
    encoded: bytes = transaction.sign(key.to_hex()).encode()
    return "0x" + (_hand_off(encoded, terms.payer) if transaction.awaiting_fee_payer else encoded).hex()


def _hand_off(encoded: bytes, sender: str) -> bytes:
    """Return a signed transaction in the form for its fee payer (docs/protocol.md, section 3): type ``0x78``.

    It names the sender where the fee payer's signature goes, and no chain takes it as it is. Every sponsor reads this
    form; the one of the specification's text, ``0x76`` with a placeholder, only some.
    """
    fields = rlp.decode(encoded[1:], strict=True)
    fields[_FEE_PAYER_FIELD] = bytes.fromhex(sender[2:])
    return _HAND_OFF_TYPE + bytes(rlp.encode(fields))
