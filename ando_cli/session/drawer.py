"""The channel of a voucher, and what follows from it: digest, signature, and signer. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ando_cli.frozen import frozen
from ando_cli.tempo.voucher import recover_voucher_signer, sign_voucher, voucher_digest

if TYPE_CHECKING:
    from ando_cli.session.channel import Channel
    from ando_cli.tempo.keys import PrivateKey
    from ando_cli.tempo.protocol import Protocol

DOMAIN_VERSION = "1"
"""The version in the EIP-712 domain of both protocols."""


@frozen
class Drawer:
    """The channel that vouchers are drawn on: all that a digest depends on beside the amount. Lower-case hex."""

    channel_id: str
    escrow: str
    chain_id: int
    protocol: Protocol

    @classmethod
    def of(cls, channel: Channel) -> Drawer:
        """Return the drawer of a channel on record."""
        terms = channel.terms
        return cls(channel.channel_id, terms.escrow, terms.chain_id, terms.protocol)

    @property
    def domain(self) -> dict[str, Any]:
        """The EIP-712 domain, named as the standard names its members."""
        return {
            "name": self.protocol.facts.domain_name,
            "version": DOMAIN_VERSION,
            "chainId": self.chain_id,
            "verifyingContract": self.escrow,
        }

    def digest(self, cumulative_amount: int) -> str:
        """Return what a signature signs, as hex.

        Raises:
            ValueError: the amount does not fit the protocol.
        """
        digest = voucher_digest(
            self.channel_id, cumulative_amount, escrow=self.escrow, chain_id=self.chain_id, protocol=self.protocol
        )
        return "0x" + digest.hex()

    def sign(self, key: PrivateKey, cumulative_amount: int) -> str:
        """Return the signature, 65 bytes as hex. It is money: record it first.

        Raises:
            ValueError: the amount does not fit the protocol.
        """
        return sign_voucher(
            key, self.channel_id, cumulative_amount,
            escrow=self.escrow, chain_id=self.chain_id, protocol=self.protocol,
        )  # fmt: skip

    def recover(self, cumulative_amount: int, signature: str) -> str:
        """Return who signed: an address in lower case. Of 65 bytes or, as EIP-2098 has it, of 64.

        Raises:
            ValueError: the signature is malformed, has a high ``s``, or belongs to no key. The message quotes nothing.
        """
        return recover_voucher_signer(
            self.channel_id, cumulative_amount, signature,
            escrow=self.escrow, chain_id=self.chain_id, protocol=self.protocol,
        )  # fmt: skip

    def fault(self, cumulative_amount: int, signature: str, signer: str) -> str | None:
        """Return what is wrong with a voucher that ``signer`` should have signed; ``None`` if it is valid."""
        try:
            found = self.recover(cumulative_amount, signature)
        except ValueError as error:
            return str(error)
        return None if found == signer.lower() else "another account signed it, or it is for another amount or channel"
