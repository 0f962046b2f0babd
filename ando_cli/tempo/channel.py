"""The identity of a payment channel on the v1 escrow contract (protocol.md section 4)."""

from __future__ import annotations

from dataclasses import dataclass

from ando_cli.tempo.abi import address_word, bytes32_word, normalise_address, normalise_bytes32, uint_word
from ando_cli.tempo.keys import keccak256

_ADDRESSES = ("payer", "payee", "token", "authorized_signer", "escrow")


@dataclass(frozen=True, slots=True)
class ChannelTerms:
    """What a v1 channel is made of. All of it is known before anything is sent, and so is the channel's id.

    Attributes:
        payer: whose deposit it is; gets back what was not spent.
        payee: who may settle vouchers.
        token: the TIP-20 token of the deposit.
        salt: 32 random bytes, so that the same two parties can open another channel.
        authorized_signer: whose vouchers count; the zero address means the payer.
        escrow: the contract that holds the deposit.
        chain_id: the chain that it lives on.

    Addresses and the salt are hex with ``0x``; they are kept in lower case.

    Raises:
        ValueError: a field is malformed; the message names it.
    """

    payer: str
    payee: str
    token: str
    salt: str
    authorized_signer: str
    escrow: str
    chain_id: int

    def __post_init__(self) -> None:
        # A frozen dataclass is normalised the way its own __init__ fills it in.
        for name in _ADDRESSES:
            try:
                object.__setattr__(self, name, normalise_address(getattr(self, name)))
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        try:
            object.__setattr__(self, "salt", normalise_bytes32(self.salt))
        except ValueError as error:
            raise ValueError(f"salt: {error}") from None
        try:
            uint_word(self.chain_id)
        except ValueError as error:
            raise ValueError(f"chain_id: {error}") from None

    @property
    def channel_id(self) -> str:
        """``keccak256(abi.encode(payer, payee, token, salt, authorizedSigner, escrow, chainId))`` as hex."""
        encoded = (
            address_word(self.payer)
            + address_word(self.payee)
            + address_word(self.token)
            + bytes32_word(self.salt)
            + address_word(self.authorized_signer)
            + address_word(self.escrow)
            + uint_word(self.chain_id)
        )
        return "0x" + keccak256(encoded).hex()
