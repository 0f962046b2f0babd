"""Read and check Tempo transactions (type 0x76) of others; write and sign those of the gateway.

The payload is ``0x76 ‖ rlp([chain_id, max_priority_fee, max_fee, gas_limit, calls, access_list, nonce_key, nonce,
valid_before, valid_after, fee_token, fee_payer_signature, authorization_list, sender_signature])``. The sender signs it
without the last field and, if a fee payer is to sign too, with an empty fee token and the placeholder 0x00 as the fee
payer's signature. The fee payer signs ``0x78 ‖ rlp(…)`` with the fee token it pays in and the sender in its own place.

What a sender hands to a fee payer comes in two forms (docs/protocol.md, section 3): ``0x78``, with the sender's
address in place of the fee payer's signature, or ``0x76`` with the placeholder there. Neither can be broadcast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ando_cli.sandbox.chain import rlp_codec as rlp
from ando_cli.sandbox.primitives import SignatureError, from_hex, keccak, recover, sign, to_hex

if TYPE_CHECKING:
    from collections.abc import Sequence

TRANSACTION_TYPE = 0x76
FEE_PAYER_TYPE = 0x78
PLACEHOLDER = b"\x00"
EXPIRING_NONCE_KEY = 2**256 - 1
FIELDS = 14
FEE_TOKEN, FEE_PAYER_SIGNATURE, SENDER_SIGNATURE = 10, 11, 13


class TransactionError(ValueError):
    """Signal that the bytes are not a transaction that this chain can run, or that a signature in it is wrong."""


@dataclass(frozen=True)
class Call:
    """Represent one call of the batch."""

    to: str
    value: int
    data: bytes


@dataclass(frozen=True)
class Transaction:
    """Hold a decoded transaction whose signatures were checked."""

    chain_id: int
    max_priority_fee_per_gas: int
    max_fee_per_gas: int
    gas_limit: int
    calls: tuple[Call, ...]
    nonce_key: int
    nonce: int
    valid_before: int | None
    valid_after: int | None
    fee_token: str | None
    sender: str
    fee_payer: str
    awaits_fee_payer: bool
    expiring_nonce_hash: bytes | None
    raw: bytes

    @property
    def hash(self) -> bytes:
        """Return the transaction hash."""
        return keccak(self.raw)


def decode(raw: bytes) -> Transaction:
    """Decode ``raw`` and recover its signers.

    Raises:
        TransactionError: The bytes are malformed, use a feature that the sandbox lacks, hold an invalid signature, or
            name another sender than the one who signed.
    """
    try:
        return _decode(_normalised(raw))
    except (rlp.RlpError, SignatureError) as error:
        raise TransactionError(str(error)) from error


def _decode(raw: bytes) -> Transaction:
    fields = _fields(raw)
    numbers = [rlp.to_int(fields[i]) for i in (0, 1, 2, 3, 6, 7)]
    if fields[5] or fields[12]:
        raise TransactionError("access lists and authorization lists are not supported by the sandbox")
    fee_token = _optional_account(fields[FEE_TOKEN])
    preimage = _sender_preimage(fields)
    sender = recover(keccak(preimage), _bytes(fields[SENDER_SIGNATURE]))
    handed_off = raw[0] == FEE_PAYER_TYPE
    if handed_off and _optional_account(fields[FEE_PAYER_SIGNATURE]) != sender:
        raise TransactionError("the transaction names another sender than the one who signed it")
    awaits = handed_off or fields[FEE_PAYER_SIGNATURE] == PLACEHOLDER
    fee_payer = sender
    if not awaits and fields[FEE_PAYER_SIGNATURE]:
        fee_payer = recover(_fee_payer_digest(fields, sender), _fee_payer_signature(fields[FEE_PAYER_SIGNATURE]))
    calls = tuple(_call(item) for item in _list(fields[4]))
    if not calls:
        raise TransactionError("a transaction needs at least one call")
    return Transaction(
        chain_id=numbers[0],
        max_priority_fee_per_gas=numbers[1],
        max_fee_per_gas=numbers[2],
        gas_limit=numbers[3],
        calls=calls,
        nonce_key=numbers[4],
        nonce=numbers[5],
        valid_before=rlp.to_int(fields[8]) or None,
        valid_after=rlp.to_int(fields[9]) or None,
        fee_token=fee_token,
        sender=sender,
        fee_payer=fee_payer,
        awaits_fee_payer=awaits,
        # The hash leaves out the fee payer's signature, so a channel has its id before the fee payer signs.
        expiring_nonce_hash=keccak(preimage + from_hex(sender)) if numbers[4] == EXPIRING_NONCE_KEY else None,
        raw=raw,
    )


def build(
    private_key: bytes,
    *,
    chain_id: int,
    calls: Sequence[Call],
    fee_token: str,
    valid_before: int,
    gas_limit: int,
    max_fee_per_gas: int,
) -> bytes:
    """Build a signed transaction with an expiring nonce; ``valid_before`` is in Unix seconds."""
    fields: list[rlp.Encodable] = [
        chain_id,
        1,
        max_fee_per_gas,
        gas_limit,
        [[from_hex(call.to, 20), call.value, call.data] for call in calls],
        [],
        EXPIRING_NONCE_KEY,
        0,
        valid_before,
        b"",
        from_hex(fee_token, 20),
        b"",
        [],
    ]
    signature = sign(private_key, keccak(bytes([TRANSACTION_TYPE]) + rlp.encode(fields)))
    return bytes([TRANSACTION_TYPE]) + rlp.encode([*fields, signature])


def sponsor(raw: bytes, private_key: bytes, fee_token: str) -> bytes:
    """Countersign a transaction that waits for a fee payer, in either form; the fee is paid in ``fee_token``.

    Returns:
        The transaction as it is broadcast, which is of type 0x76 in both cases.

    Raises:
        TransactionError: The transaction does not wait for a fee payer, or is malformed.
    """
    transaction = decode(raw)
    if not transaction.awaits_fee_payer:
        raise TransactionError("the transaction does not wait for a fee payer")
    fields = _fields(raw)
    fields[FEE_TOKEN] = from_hex(fee_token, 20)
    signature = sign(private_key, _fee_payer_digest(fields, transaction.sender))
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    vrs = [signature[64] - 27, r, s]
    return bytes([TRANSACTION_TYPE]) + rlp.encode(
        [*fields[:FEE_PAYER_SIGNATURE], vrs, *fields[FEE_PAYER_SIGNATURE + 1 :]]
    )


def _fields(raw: bytes) -> list[rlp.Item]:
    if raw[:1] not in (bytes([TRANSACTION_TYPE]), bytes([FEE_PAYER_TYPE])):
        raise TransactionError("only transactions of type 0x76 are supported, and of type 0x78 for a fee payer")
    fields = _list(rlp.decode(raw[1:]))
    if len(fields) == FIELDS + 1:
        raise TransactionError("key authorizations are not supported by the sandbox")
    if len(fields) != FIELDS:
        raise TransactionError(f"expected {FIELDS} fields, got {len(fields)}")
    return fields


def _normalised(raw: bytes) -> bytes:
    """Write a sender's ``v`` of 0 or 1 as 27 or 28, as nodes do before they hash a transaction."""
    fields = _fields(raw)
    signature = _bytes(fields[SENDER_SIGNATURE])
    if len(signature) != 65 or signature[64] > 1:
        return raw
    return raw[:1] + rlp.encode([*fields[:SENDER_SIGNATURE], signature[:64] + bytes([signature[64] + 27])])


def _sender_preimage(fields: list[rlp.Item]) -> bytes:
    """Return the bytes that the sender signs, before they are hashed."""
    signed = list(fields[:SENDER_SIGNATURE])
    if signed[FEE_PAYER_SIGNATURE]:
        signed[FEE_TOKEN] = b""
        signed[FEE_PAYER_SIGNATURE] = PLACEHOLDER
    return bytes([TRANSACTION_TYPE]) + rlp.encode(signed)


def _fee_payer_digest(fields: list[rlp.Item], sender: str) -> bytes:
    signed = list(fields[:SENDER_SIGNATURE])
    signed[FEE_PAYER_SIGNATURE] = from_hex(sender, 20)
    return keccak(bytes([FEE_PAYER_TYPE]) + rlp.encode(signed))


def _fee_payer_signature(item: rlp.Item) -> bytes:
    vrs = _list(item)
    if len(vrs) != 3:
        raise TransactionError("a fee payer's signature is [v, r, s]")
    v, r, s = (rlp.to_int(part) for part in vrs)
    if v > 1 or max(r, s) >> 256:
        raise TransactionError("a fee payer's signature is out of range")
    return r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([v + 27])


def _call(item: rlp.Item) -> Call:
    parts = _list(item)
    if len(parts) != 3:
        raise TransactionError("a call is [to, value, data]")
    to = _bytes(parts[0])
    if len(to) != 20:
        raise TransactionError("contracts cannot be deployed in the sandbox")
    return Call(to=to_hex(to), value=rlp.to_int(parts[1]), data=_bytes(parts[2]))


def _optional_account(item: rlp.Item) -> str | None:
    data = _bytes(item)
    if len(data) not in (0, 20):
        raise TransactionError("an address has 20 bytes")
    return to_hex(data) if data else None


def _bytes(item: rlp.Item) -> bytes:
    if not isinstance(item, bytes):
        raise TransactionError("expected bytes, got a list")
    return item


def _list(item: rlp.Item) -> list[rlp.Item]:
    if not isinstance(item, list):
        raise TransactionError("expected a list, got bytes")
    return item
