"""Provide the primitives of gateway and chain: Keccak, secp256k1 and hexadecimal."""

from __future__ import annotations

import sha3
from coincurve import PrivateKey, PublicKey

ZERO_ADDRESS = "0x" + "00" * 20
SECP256K1_N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


class SignatureError(ValueError):
    """Signal a signature that is not 65 bytes r‖s‖v with a low s and a v of 27 or 28, or that no key can have made."""


def keccak(data: bytes) -> bytes:
    """Compute the Keccak-256 hash that Ethereum uses (not NIST's SHA3-256)."""
    return bytes(sha3.keccak_256(data).digest())


def to_hex(data: bytes) -> str:
    """Encode bytes as lowercase hexadecimal with the prefix ``0x``."""
    return "0x" + data.hex()


def from_hex(text: object, length: int | None = None) -> bytes:
    """Decode a ``0x`` string.

    Raises:
        ValueError: ``text`` is not such a string, or not ``length`` bytes long.
    """
    if not isinstance(text, str) or text[:2] != "0x":
        raise ValueError("expected 0x-prefixed hexadecimal")
    data = bytes.fromhex(text[2:])
    if 2 * len(data) + 2 != len(text):  # fromhex skips white space
        raise ValueError("expected 0x-prefixed hexadecimal")
    if length is not None and len(data) != length:
        raise ValueError(f"expected {length} bytes, got {len(data)}")
    return data


def address(text: object) -> str:
    """Return an address in lowercase, the only form that the sandbox stores and compares."""
    return to_hex(from_hex(text, 20))


def checksummed(account: str) -> str:
    """Write an address in lowercase as EIP-55 does: the case of its letters is a checksum."""
    digits = account[2:]
    hashed = keccak(digits.encode()).hex()
    return "0x" + "".join(c.upper() if int(h, 16) >= 8 else c for c, h in zip(digits, hashed, strict=False))


def address_of(private_key: bytes) -> str:
    """Return the account that ``private_key`` controls."""
    return _address(PrivateKey(private_key).public_key)


def sign(private_key: bytes, digest: bytes) -> bytes:
    """Sign a 32-byte digest; return 65 bytes r‖s‖v, where v is 27 or 28 and s is low."""
    signature = PrivateKey(private_key).sign_recoverable(digest, hasher=None)
    return signature[:64] + bytes([signature[64] + 27])


def recover(digest: bytes, signature: bytes) -> str:
    """Return the account that signed ``digest``.

    Raises:
        SignatureError: The signature is malformed, malleable (high s) or recovers to no key.
    """
    if len(signature) != 65:
        raise SignatureError(f"a signature has 65 bytes, not {len(signature)}")
    s = int.from_bytes(signature[32:64], "big")
    v = signature[64]
    if s > SECP256K1_N // 2:
        raise SignatureError("s is in the upper half of the order")
    if v not in (27, 28):
        raise SignatureError("v is neither 27 nor 28")
    try:
        key = PublicKey.from_signature_and_message(signature[:64] + bytes([v - 27]), digest, hasher=None)
    except Exception as error:  # coincurve raises a bare Exception or a ValueError, depending on the check that fails
        raise SignatureError("the signature belongs to no key") from error
    return _address(key)


def _address(key: PublicKey) -> str:
    return to_hex(keccak(key.format(compressed=False)[1:])[12:])
