"""Who pays, and who signs.

Two keys sign. Transactions are always the wallet's. Vouchers are the wallet's too, or those of a key that was made for
the one channel and is named in it (its ``authorized_signer``); then the wallet's key is not read for them.
"""

from __future__ import annotations

import typing
from contextlib import suppress
from typing import TYPE_CHECKING

from ando_cli.errors import AndoError, Code, WalletError
from ando_cli.session.act.locks import once
from ando_cli.tempo.protocol import Protocol
from ando_cli.tempo.voucher import sign_close, sign_voucher

if TYPE_CHECKING:
    from collections.abc import Callable

    from ando_cli.session.channel import Channel
    from ando_cli.tempo.keys import PrivateKey


class Delegates(typing.Protocol):
    """Where the keys of delegated channels are kept (``ando_cli.keys.delegates``). Each can raise ``WalletError``."""

    def check(self) -> None:
        """Check that a key can be kept."""

    def make(self) -> PrivateKey:
        """Make a key and keep it."""

    def find(self, signer: str) -> PrivateKey | None:
        """Find the key of an address."""

    def remove(self, signer: str) -> None:
        """Remove the key of an address."""


class Keys:
    """The keys of one wallet. Each is read when first needed.

    Args:
        wallet: finds the wallet's key.
        address: returns the wallet's address; without it, the address comes from the key.
        delegates: keeps the keys that sign for one channel alone.
        delegate: whether each new channel gets such a key.
    """

    def __init__(
        self,
        wallet: Callable[[], PrivateKey],
        *,
        address: Callable[[], str] | None = None,
        delegates: Delegates | None = None,
        delegate: bool = False,
    ) -> None:
        self._wallet = once(wallet)
        self._address = None if address is None else once(address)
        self._delegates = delegates
        self._delegate = delegate
        self._found: dict[str, PrivateKey] = {}
        """The keys of delegated channels that were found already."""

    def wallet(self) -> PrivateKey:
        """Return the wallet's key.

        Raises:
            WalletError: there is no usable wallet, or its key does not match its noted address.
        """
        key = self._wallet()
        if self._address is not None and self._address() != key.address:
            raise WalletError(
                "the wallet's key does not match the address noted beside it",
                hint="nothing was signed; `ando wallet address` corrects the note",
                code=Code.WALLET_MISMATCH,
            )
        return key

    @property
    def payer(self) -> str:
        """The wallet's address. The key is not read if the address is known otherwise.

        Raises:
            WalletError: there is no usable wallet.
        """
        return self.wallet().address if self._address is None else self._address()

    def holds(self, signer: str) -> bool:
        """Return whether a delegated channel's key is on this machine; an unusable keyring counts as without it."""
        with suppress(WalletError):
            return self._delegates is not None and self._delegates.find(signer) is not None
        return False

    def signer(self, channel: Channel) -> PrivateKey:
        """Return the key that signs the vouchers of ``channel``: the wallet's, or the one that was made for it.

        Raises:
            WalletError: the key is not on this machine. Another key is never used instead.
        """
        terms = channel.terms
        if terms.signer == terms.payer:
            key = self.wallet()
            if key.address != terms.signer:
                raise WalletError(
                    "this channel belongs to another wallet",
                    hint="nothing was signed; use the wallet that opened it; `ando wallet address` shows this one",
                    code=Code.SIGNER_MISMATCH,
                )
            return key
        found = self._found.get(terms.signer)
        if found is None and self._delegates is not None:
            found = self._delegates.find(terms.signer)
        if found is None or found.address != terms.signer:
            raise WalletError(
                "this channel's own signing key is not on this machine",
                hint="`ando session close --force` gets the deposit back with the wallet's key alone",
                code=Code.DELEGATE_MISSING,
            )
        self._found[terms.signer] = found
        return found

    def sign(self, channel: Channel, cumulative_amount: int) -> str:
        """Sign a voucher for ``cumulative_amount`` base units in all. It is money: what it is for is on record before.

        Raises:
            WalletError: the key that signs for ``channel`` is not on this machine.
        """
        terms = channel.terms
        return sign_voucher(
            self.signer(channel), channel.channel_id, cumulative_amount,
            escrow=terms.escrow, chain_id=terms.chain_id, protocol=terms.protocol,
        )  # fmt: skip

    def sign_close(self, channel: Channel, cumulative_amount: int) -> str | None:
        """Sign the authorization of a close at ``cumulative_amount`` base units, which v2 alone has.

        Raises:
            WalletError: the key that signs for ``channel`` is not at hand.
        """
        terms = channel.terms
        if terms.protocol is not Protocol.V2:
            return None
        return sign_close(
            self.signer(channel), channel.channel_id, cumulative_amount, escrow=terms.escrow, chain_id=terms.chain_id
        )

    def check_for_new(self) -> None:
        """Check that a new channel can have its signer: a delegated key must have a place.

        Raises:
            WalletError: it cannot.
        """
        if self._delegate:
            self._keeper().check()

    def signer_for_new(self, payer: str) -> str:
        """Return the address that signs for a new channel of ``payer``; create and store a delegated key.

        Raises:
            WalletError: the key cannot be kept.
        """
        if not self._delegate:
            return payer
        key = self._keeper().make()
        self._found[key.address] = key
        return key.address

    def drop(self, signer: str, payer: str) -> None:
        """Remove the key that signed for a channel that is over. If that fails, the key is worthless."""
        if signer != payer and self._delegates is not None:
            self._found.pop(signer, None)
            with suppress(AndoError):
                self._delegates.remove(signer)

    def _keeper(self) -> Delegates:
        if self._delegates is None:
            raise WalletError(
                "there is no place to keep a key for one channel alone",
                hint="open the channel without --delegate",
                code=Code.DELEGATE_UNKEPT,
            )
        return self._delegates
