"""Fixed-size words of the Solidity ABI: the only encoding that vouchers, channel ids and our calls need.

Each value takes 32 bytes: integers and addresses are padded on the left. Text goes in and out as lower-case hex with
``0x``. Everything here raises :class:`ValueError` for a value that does not fit.
"""

from __future__ import annotations

import re

UINT64_MAX = 2**64 - 1
UINT96_MAX = 2**96 - 1
UINT128_MAX = 2**128 - 1
UINT256_MAX = 2**256 - 1
ZERO_ADDRESS = "0x" + "00" * 20
ZERO_HASH = "0x" + "00" * 32

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_BYTES32 = re.compile(r"0x[0-9a-fA-F]{64}")


def is_address(text: object) -> bool:
    """Return whether ``text`` is ``0x`` and 40 hex digits, in either case. The EIP-55 checksum is not checked."""
    return isinstance(text, str) and _ADDRESS.fullmatch(text) is not None


def normalise_address(text: str) -> str:
    """Return an address in lower case, the only form in which two addresses may be compared."""
    if not is_address(text):
        raise ValueError("not an address: expected 0x and 40 hex digits")
    return text.lower()


def normalise_bytes32(text: str) -> str:
    """Return a 32-byte value (a channel id, a salt) in lower case."""
    if not isinstance(text, str) or _BYTES32.fullmatch(text) is None:
        raise ValueError("not a 32-byte value: expected 0x and 64 hex digits")
    return text.lower()


def address_word(address: str) -> bytes:
    """Encode an ``address``."""
    return bytes(12) + bytes.fromhex(normalise_address(address)[2:])


def bytes32_word(value: str) -> bytes:
    """Encode a ``bytes32``."""
    return bytes.fromhex(normalise_bytes32(value)[2:])


def uint_word(value: int, maximum: int = UINT256_MAX) -> bytes:
    """Encode an unsigned integer of at most ``maximum``. A ``bool`` is no integer here: it would hide a mistake."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"not an integer: {type(value).__name__}")
    if not 0 <= value <= maximum:
        raise ValueError(f"{'negative' if value < 0 else 'too large'}: does not fit uint{maximum.bit_length()}")
    return value.to_bytes(32, "big")
