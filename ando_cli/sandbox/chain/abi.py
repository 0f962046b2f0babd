"""Encode and decode the part of the Solidity ABI that the escrows and TIP-20 use: selectors and 32-byte words."""

from __future__ import annotations

from functools import cache

from ando_cli.sandbox.primitives import from_hex, keccak, to_hex


class AbiError(ValueError):
    """Signal that call data or return data does not fit its types."""


@cache
def selector(signature: str) -> bytes:
    """Return the first four bytes of the hash of a function's or an error's signature."""
    return keccak(signature.encode())[:4]


def uint(value: int) -> bytes:
    """Encode an unsigned integer as one word."""
    return value.to_bytes(32, "big")


def account(value: str) -> bytes:
    """Encode an address as one word."""
    return from_hex(value, 20).rjust(32, b"\0")


def dynamic_bytes(value: bytes) -> bytes:
    """Encode the tail of a ``bytes`` argument: its length, then its content, padded to whole words."""
    return uint(len(value)) + value + bytes(-len(value) % 32)


def call(signature: str, *words: bytes) -> bytes:
    """Build call data: the selector of ``signature``, followed by encoded words."""
    return selector(signature) + b"".join(words)


def words(data: bytes, count: int) -> list[bytes]:
    """Return the first ``count`` words of ``data``.

    Raises:
        AbiError: The data has fewer words.
    """
    if len(data) < 32 * count:
        raise AbiError(f"expected {count} words, got {len(data)} bytes")
    return [data[32 * i : 32 * i + 32] for i in range(count)]


def to_uint(word: bytes, bits: int = 256) -> int:
    """Decode the unsigned integer in a word.

    Raises:
        AbiError: The integer needs more than ``bits`` bits.
    """
    value = int.from_bytes(word, "big")
    if value >> bits:
        raise AbiError(f"a value does not fit into {bits} bits")
    return value


def to_account(word: bytes) -> str:
    """Decode the address in a word.

    Raises:
        AbiError: The first twelve bytes are not zero.
    """
    if any(word[:12]):
        raise AbiError("an address has bits set in its padding")
    return to_hex(word[12:])


def to_dynamic_bytes(data: bytes, offset_word: bytes, limit: int = 1024) -> bytes:
    """Decode the ``bytes`` argument that ``offset_word`` points at.

    Raises:
        AbiError: The argument lies outside ``data`` or is longer than ``limit``.
    """
    offset = to_uint(offset_word, 32)
    if offset + 32 > len(data):
        raise AbiError("an offset points outside the call data")
    length = to_uint(data[offset : offset + 32], 32)
    if length > limit or offset + 32 + length > len(data):
        raise AbiError("a byte string ends outside the call data")
    return data[offset + 32 : offset + 32 + length]
