"""Identify channels of session protocol v2 (TIP-1034) by their descriptor (docs/protocol.md, section 4)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ando_cli.sandbox.chain import abi
from ando_cli.sandbox.primitives import ZERO_ADDRESS, address, from_hex, keccak, to_hex

if TYPE_CHECKING:
    from collections.abc import Sequence

DESCRIPTOR = "(address,address,address,address,bytes32,address,bytes32)"
WORDS = 7
UINT96_MAX = 2**96 - 1


@dataclass(frozen=True)
class Descriptor:
    """Describe a v2 channel. The chain does not store these fields: every caller of the escrow sends them."""

    payer: str
    payee: str
    operator: str
    token: str
    salt: bytes
    authorized_signer: str
    expiring_nonce_hash: bytes

    @property
    def signer(self) -> str:
        """Return the account whose vouchers count: the authorized signer, or the payer if no signer is named."""
        return self.payer if self.authorized_signer == ZERO_ADDRESS else self.authorized_signer

    def encode(self) -> bytes:
        """Encode the descriptor as the seven words of the ABI's tuple."""
        before = (self.payer, self.payee, self.operator, self.token)
        signer = abi.account(self.authorized_signer)
        return b"".join((*map(abi.account, before), self.salt, signer, self.expiring_nonce_hash))

    def channel_id(self, escrow: str, chain_id: int) -> bytes:
        """Compute the 32-byte id of the channel."""
        return keccak(self.encode() + abi.account(escrow) + abi.uint(chain_id))

    def to_json(self) -> dict[str, str]:
        """Return the descriptor as payloads and snapshots carry it."""
        values = dataclasses.asdict(self).items()
        return {_NAMES[name]: value if isinstance(value, str) else to_hex(value) for name, value in values}

    @classmethod
    def decode(cls, words: Sequence[bytes]) -> Descriptor:
        """Read the seven words of the tuple.

        Raises:
            AbiError: The word of an address does not hold an address.
        """
        payer, payee, operator, token = map(abi.to_account, words[:4])
        return cls(payer, payee, operator, token, words[4], abi.to_account(words[5]), words[6])

    @classmethod
    def from_json(cls, value: Any) -> Descriptor:
        """Read the ``descriptor`` of a payload.

        Raises:
            ValueError: A member is missing, malformed or unknown.
        """
        if not isinstance(value, dict) or set(value) != set(_NAMES.values()):
            raise ValueError("a descriptor has seven members")
        return cls(
            payer=address(value["payer"]),
            payee=address(value["payee"]),
            operator=address(value["operator"]),
            token=address(value["token"]),
            salt=from_hex(value["salt"], 32),
            authorized_signer=address(value["authorizedSigner"]),
            expiring_nonce_hash=from_hex(value["expiringNonceHash"], 32),
        )


_NAMES = {
    "payer": "payer",
    "payee": "payee",
    "operator": "operator",
    "token": "token",
    "salt": "salt",
    "authorized_signer": "authorizedSigner",
    "expiring_nonce_hash": "expiringNonceHash",
}
