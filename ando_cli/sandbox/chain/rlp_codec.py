"""Encode and decode Recursive Length Prefix strictly: a value has exactly one encoding, and nothing may follow it.

The sandbox has its own codec because importing the ``rlp`` package takes longer than starting the rest of the chain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

Item: TypeAlias = "bytes | list[Item]"
Encodable: TypeAlias = "bytes | int | Sequence[Encodable]"

MAX_DEPTH = 8


class RlpError(ValueError):
    """Signal that the bytes are not a canonical RLP encoding."""


def encode(value: Encodable) -> bytes:
    """Encode bytes, unsigned integers and nested sequences of them."""
    if isinstance(value, int):
        value = value.to_bytes((value.bit_length() + 7) // 8, "big")
    if isinstance(value, bytes):
        return value if len(value) == 1 and value[0] < 0x80 else _prefix(len(value), 0x80) + value
    payload = b"".join(encode(item) for item in value)
    return _prefix(len(payload), 0xC0) + payload


def decode(data: bytes) -> Item:
    """Decode one item that fills ``data``.

    Raises:
        RlpError: The input is truncated, has bytes left over, nests too deep or is not canonical.
    """
    item, end = _decode(data, 0, len(data), 0)
    if end != len(data):
        raise RlpError("bytes follow the encoded value")
    return item


def to_int(item: Item) -> int:
    """Decode the unsigned integer that ``item`` encodes.

    Raises:
        RlpError: ``item`` is a list, or has a leading zero byte.
    """
    if not isinstance(item, bytes):
        raise RlpError("expected an integer, got a list")
    if item[:1] == b"\x00":
        raise RlpError("an integer has a leading zero")
    return int.from_bytes(item, "big")


def _prefix(length: int, offset: int) -> bytes:
    if length < 56:
        return bytes([offset + length])
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([offset + 55 + len(size)]) + size


def _decode(data: bytes, at: int, end: int, depth: int) -> tuple[Item, int]:
    if at >= end:
        raise RlpError("the input ends early")
    if depth > MAX_DEPTH:
        raise RlpError("the lists nest too deep")
    first = data[at]
    if first < 0x80:
        return data[at : at + 1], at + 1
    is_list = first >= 0xC0
    start, stop = _span(data, at, end, first - (0xC0 if is_list else 0x80))
    if not is_list:
        payload = data[start:stop]
        if len(payload) == 1 and payload[0] < 0x80:
            raise RlpError("a small byte has a length in front")
        return payload, stop
    items: list[Item] = []
    while start < stop:
        item, start = _decode(data, start, stop, depth + 1)
        items.append(item)
    return items, stop


def _span(data: bytes, at: int, end: int, short: int) -> tuple[int, int]:
    """Return where the payload behind the prefix at ``at`` starts and stops."""
    start = at + 1
    length = short
    if short > 55:
        start += short - 55
        size = data[at + 1 : min(start, end)]
        length = int.from_bytes(size, "big")
        if size[:1] == b"\x00" or length < 56:
            raise RlpError("a length is not written in its shortest form")
    if start + length > end:
        raise RlpError("the input ends early")
    return start, start + length
