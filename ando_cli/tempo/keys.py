"""secp256k1 keys and Keccak-256: sign a digest, tell who signed one.

libsecp256k1 (coincurve) and a C Keccak are all that is imported, because this runs for every paid request.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import NoReturn

import coincurve
import sha3

_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_HALF_ORDER = _ORDER // 2
# What Ethereum adds to the parity of R's y coordinate; the only two values that the escrow accepts are 27 and 28.
_V_OFFSET = 27


def keccak256(data: bytes) -> bytes:
    """Return the Keccak-256 hash of ``data``: Ethereum's, not the later SHA3-256."""
    digest: bytes = sha3.keccak_256(data).digest()
    return digest


@dataclass(frozen=True)
class PrivateKey:
    """A secp256k1 private key. It never shows in a ``repr``, a message or a pickle.

    Args:
        secret: 32 bytes, big-endian, from 1 to the order of the curve minus 1.

    Raises:
        ValueError: not such a number. The message does not repeat it.
    """

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != 32 or not 0 < int.from_bytes(self.secret, "big") < _ORDER:
            raise ValueError("not a private key: expected 32 bytes within the order of secp256k1")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a private key is not pickled or copied")

    @classmethod
    def parse(cls, text: str) -> PrivateKey:
        """Read a key written as 64 hex digits, with or without ``0x``; white space around it is ignored.

        Raises:
            ValueError: not a key. The message does not repeat the text.
        """
        digits = text.strip().removeprefix("0x").removeprefix("0X")
        try:
            # fromhex skips white space, so the count of characters and the count of bytes must both be right.
            secret = bytes.fromhex(digits) if len(digits) == 64 else b""
        except ValueError:
            secret = b""
        if len(secret) != 32:
            raise ValueError("not a private key: expected 64 hex digits")
        return cls(secret)

    @classmethod
    def generate(cls) -> PrivateKey:
        """Make a new key from the operating system's randomness."""
        while True:
            secret = os.urandom(32)
            if 0 < int.from_bytes(secret, "big") < _ORDER:
                return cls(secret)

    @cached_property
    def address(self) -> str:
        """The account of this key, lower-case hex with ``0x``."""
        return _address(self._signer.public_key)

    def sign(self, digest: bytes) -> bytes:
        """Sign a 32-byte digest: ``r ‖ s ‖ v``, 65 bytes, low ``s``, ``v`` 27 or 28. Deterministic (RFC 6979).

        Raises:
            ValueError: the digest is not 32 bytes long.
        """
        signature = self._signer.sign_recoverable(digest, hasher=None)
        return signature[:64] + bytes((signature[64] + _V_OFFSET,))

    def to_hex(self) -> str:
        """Return the secret itself as ``0x`` and 64 hex digits. For key stores only: never print or log it."""
        return "0x" + self.secret.hex()

    @cached_property
    def _signer(self) -> coincurve.PrivateKey:
        return coincurve.PrivateKey(self.secret)


def recover(digest: bytes, signature: bytes) -> str:
    """Return the address whose key signed ``digest``.

    Args:
        digest: 32 bytes.
        signature: ``r ‖ s ‖ v``, 65 bytes, ``v`` 27 or 28. A high ``s`` is refused: it is the second spelling of a
            signature that anybody can derive, and the escrow contract refuses it too.

    Raises:
        ValueError: the signature is malformed, or no key could have made it.
    """
    if len(digest) != 32:
        raise ValueError("a digest is 32 bytes long")
    if len(signature) != 65:
        raise ValueError("a signature is 65 bytes long")
    if signature[64] not in (_V_OFFSET, _V_OFFSET + 1):
        raise ValueError("the last byte of a signature is 27 or 28")
    if int.from_bytes(signature[32:64], "big") > _HALF_ORDER:
        raise ValueError("the signature has a high s")
    try:
        key = coincurve.PublicKey.from_signature_and_message(
            signature[:64] + bytes((signature[64] - _V_OFFSET,)), digest, hasher=None
        )
    except Exception:  # coincurve raises a bare Exception where no point fits
        raise ValueError("the signature is not valid for any key") from None
    return _address(key)


def _address(key: coincurve.PublicKey) -> str:
    # The uncompressed point without its leading 0x04 byte.
    return "0x" + keccak256(key.format(compressed=False)[1:])[-20:].hex()
