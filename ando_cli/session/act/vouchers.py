"""Vouchers by hand, outside any request: what one is for, the guard before one is signed, and how one is checked.

The guard is the one that a paid request passes (rule 1 in ARCHITECTURE.md): what is signed was recorded before,
it only rises, and never above the deposit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ando_cli.errors import Code, PaymentError, StoreError
from ando_cli.frozen import frozen
from ando_cli.money import amount
from ando_cli.session.channel import Channel, State
from ando_cli.session.record.ledger import Entry, Outcome
from ando_cli.tempo.voucher import recover_voucher_signer, sign_voucher, voucher_digest

if TYPE_CHECKING:
    from collections.abc import Callable

    from ando_cli.session.record.store import Store
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
        """The channel on record."""
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
        """What a signature signs, as hex.

        Raises:
            ValueError: the amount does not fit the protocol.
        """
        digest = voucher_digest(
            self.channel_id, cumulative_amount, escrow=self.escrow, chain_id=self.chain_id, protocol=self.protocol
        )
        return "0x" + digest.hex()

    def sign(self, key: PrivateKey, cumulative_amount: int) -> str:
        """The signature, 65 bytes as hex. It is money: what it is for has to be recorded before.

        Raises:
            ValueError: the amount does not fit the protocol.
        """
        return sign_voucher(
            key, self.channel_id, cumulative_amount,
            escrow=self.escrow, chain_id=self.chain_id, protocol=self.protocol,
        )  # fmt: skip

    def recover(self, cumulative_amount: int, signature: str) -> str:
        """Who signed: an address in lower case. Of 65 bytes or, as EIP-2098 has it, of 64.

        Raises:
            ValueError: nobody did, or the signature is malformed or has a high ``s``. The message quotes nothing.
        """
        return recover_voucher_signer(
            self.channel_id, cumulative_amount, signature,
            escrow=self.escrow, chain_id=self.chain_id, protocol=self.protocol,
        )  # fmt: skip

    def fault(self, cumulative_amount: int, signature: str, signer: str) -> str | None:
        """What is wrong with a voucher that ``signer`` should have signed; ``None`` where it is good."""
        try:
            found = self.recover(cumulative_amount, signature)
        except ValueError as error:
            return str(error)
        return None if found == signer.lower() else "another account signed it, or it is for another amount or channel"


def record_voucher(
    store: Store,
    channel: Channel,
    cumulative_amount: int,
    allow: Callable[[int], None],
    check: Callable[[int], object] = lambda _: None,
) -> int:
    """Record that a voucher is about to be signed, where it is for more than any before it.

    Args:
        cumulative_amount: what the payee can take in all with it, in base units.
        allow: asked once before a raise, and told by how much; raises where it may not be.
        check: the same in the transaction that records the raise, as often as that is tried.

    Returns:
        By how much it raised the record: 0 for an amount that was signed for before.

    Raises:
        PaymentError: it is above the deposit, or a raise on a channel that is not open, or one of the two said no.
        StoreError: the record could not be written, or is gone. Nothing may be signed then.
    """
    allowed = False
    while True:
        if cumulative_amount > channel.deposit:
            raise PaymentError(
                f"a voucher for {amount(cumulative_amount)} in all is above the deposit of {amount(channel.deposit)}",
                hint="nothing was signed; the amount is cumulative: it includes all that was signed before",
                code=Code.DEPOSIT_EXCEEDED,
            )
        raised_by = cumulative_amount - channel.cumulative_amount
        if raised_by <= 0:
            return 0
        if channel.state is not State.OPEN:
            raise PaymentError(
                f"the channel is {channel.state}: nothing above the {amount(channel.cumulative_amount)} "
                "signed before is signed any more",
                hint="nothing was signed; `ando session list` shows the channels",
                code=Code.CHANNEL_NOT_OPEN,
            )
        if not allowed:
            # Once is enough: whoever is faster raises the record too, and this raise then comes to less.
            allow(raised_by)
            allowed = True
        with store.transaction():
            check(raised_by)
            if store.raise_cumulative(channel.channel_id, channel.cumulative_amount, cumulative_amount):
                entry = Entry(channel.channel_id, channel.gateway, channel.network, "", authorised=raised_by)
                store.book(None, entry, Outcome.BY_HAND)
                return raised_by
        found = store.channel(channel.channel_id)
        if found is None:
            raise StoreError(
                "the channel's record is gone", hint="nothing was signed; `ando session list`", code=Code.STORE_CONFLICT
            )
        channel = found
