"""Delegated keys: each is made for one channel, and signs its vouchers instead of the wallet's key.

A stolen delegated key puts at most its channel's deposit at risk, not the wallet. The OS keyring holds it as a separate
account, until the channel is over.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ando_cli.errors import Code, WalletError, WalletLockedError
from ando_cli.files import make_private_folder
from ando_cli.keys import oskeyring
from ando_cli.tempo.keys import PrivateKey

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_WITHOUT = "open the channel without --delegate (or ANDO_DELEGATE=0)"


class KeyringDelegates:
    """Delegated keys in the OS keyring, the only place for them: a keystore would ask for a password each time."""

    def check(self) -> None:
        """Check that a key can be kept, before the user is asked about a deposit.

        Raises:
            WalletError: no keyring can be used (``delegate_unkept``).
        """
        with _unkept():
            oskeyring.read(oskeyring.ADDRESS)

    def make(self) -> PrivateKey:
        """Create a new key, store it and read it back.

        Raises:
            WalletError: ``delegate_unkept``, the keyring cannot be used, or did not return the stored key.
        """
        key = PrivateKey.generate()
        account = _account(key.address)
        with _unkept():
            oskeyring.write(key.to_hex(), account)
            kept = oskeyring.read(account)
        if kept != key.to_hex():
            raise _not_given_back("the keyring")
        return key

    def find(self, signer: str) -> PrivateKey | None:
        """Return the key of the account ``signer``; ``None`` if it is not here, or is damaged.

        Raises:
            WalletError: ``wallet_locked``, the keyring stayed locked; ``delegate_missing``, there is none.
        """
        try:
            return _parsed(oskeyring.read(_account(signer)), signer)
        except WalletError as error:
            message = f"the key that signs for this channel is in the OS keyring: {error.message}"
            otherwise = "or `ando session close --force` gets the deposit back with the wallet's key alone"
            if isinstance(error, WalletLockedError):
                raise WalletLockedError(message, hint=f"unlock it; {otherwise}") from None
            hint = f"use the machine that has it; {otherwise}"
            raise WalletError(message, hint=hint, code=Code.DELEGATE_MISSING) from None

    def remove(self, signer: str) -> None:
        """Delete the key of the account ``signer``, if there is one.

        Raises:
            WalletError: the keyring cannot be used.
        """
        oskeyring.delete(_account(signer))


class FileDelegates:
    """The sandbox's delegated keys, each in its own file beside the sandbox's wallet. They guard no money.

    Args:
        folder: where the sandbox's wallet is.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def check(self) -> None:
        """Do nothing: a file can always be tried."""

    def make(self) -> PrivateKey:
        """Create a new key, store it and read it back.

        Raises:
            WalletError: ``delegate_unkept``, it cannot be written.
        """
        key = PrivateKey.generate()
        path = self._path(key.address)
        try:
            make_private_folder(path.parent)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(key.to_hex())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise WalletError(
                f"the channel's own key cannot be kept: {error.strerror}",
                hint=f"nothing was signed; {_WITHOUT}",
                code=Code.DELEGATE_UNKEPT,
            ) from None
        if self.find(key.address) is None:
            raise _not_given_back("the file")
        return key

    def find(self, signer: str) -> PrivateKey | None:
        """Return the key of the account ``signer``; ``None`` if it is not here, or is damaged."""
        try:
            return _parsed(self._path(signer).read_text(encoding="utf-8"), signer)
        except (OSError, UnicodeDecodeError):
            return None

    def remove(self, signer: str) -> None:
        """Delete the key of the account ``signer``, if there is one.

        Raises:
            WalletError: it cannot be deleted.
        """
        try:
            self._path(signer).unlink(missing_ok=True)
        except OSError as error:
            raise WalletError(f"the channel's own key cannot be deleted: {error.strerror}") from None

    def _path(self, signer: str) -> Path:
        return self._folder / f"delegate-{signer}.key"


def _account(signer: str) -> str:
    return f"delegate:{signer}"


def _parsed(text: str | None, signer: str) -> PrivateKey | None:
    try:
        key = None if text is None else PrivateKey.parse(text)
    except ValueError:
        return None
    return key if key is not None and key.address == signer else None


@contextmanager
def _unkept() -> Iterator[None]:
    try:
        yield
    except WalletError as error:
        raise WalletError(
            f"a key for this channel alone can only be kept in the OS keyring: {error.message}",
            hint=f"nothing was signed; unlock or install a keyring, or {_WITHOUT}",
            code=Code.DELEGATE_UNKEPT,
        ) from None


def _not_given_back(place: str) -> WalletError:
    return WalletError(
        f"{place} did not return the key that was created for this channel",
        hint=f"nothing was signed; {_WITHOUT}",
        code=Code.DELEGATE_UNKEPT,
    )
