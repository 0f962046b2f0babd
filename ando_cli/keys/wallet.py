"""The sources of the wallet's key: the environment, the OS keyring, an encrypted keystore file.

The first place that holds a key is the wallet:

1. ``ANDO_PRIVATE_KEY``, then ``TEMPO_PRIVATE_KEY``. An empty variable counts as unset; a malformed one is an error,
   never a reason to pay from another wallet. ``keyring`` is not even imported.
2. The OS keyring (``oskeyring``).
3. The keystore file (``keystore``), with the password from ``ANDO_KEYSTORE_PASSWORD`` or a prompt.

If the keyring is unusable, locked or does not answer, the keystore file is the wallet if it exists; otherwise the error
lists the three alternatives.

A wallet is never overwritten: the key of an open channel is the only way to its deposit.

The keyring also holds the wallet's address, as a separate entry: code that only needs the owner of a channel does not
read the key. That note proves nothing; signing compares the key with it.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import field
from enum import StrEnum
from typing import TYPE_CHECKING, NoReturn

from ando_cli.errors import Code, WalletError, WalletLockedError, WalletMissingError
from ando_cli.frozen import frozen
from ando_cli.keys import keystore, oskeyring
from ando_cli.tempo.keys import PrivateKey

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

KEY_VARIABLES = ("ANDO_PRIVATE_KEY", "TEMPO_PRIVATE_KEY")
PASSWORD_VARIABLE = "ANDO_KEYSTORE_PASSWORD"  # noqa: S105 - the name of the variable, not a password


class Place(StrEnum):
    """The places that can store a wallet."""

    KEYRING = "keyring"
    KEYSTORE = "keystore"


@frozen
class Wallet:
    """A usable key, and its source: the name of a variable, ``keyring`` or ``keystore``."""

    key: PrivateKey = field(repr=False)
    source: str

    @property
    def address(self) -> str:
        """The payer's address, lower-case hex."""
        return self.key.address


class WalletStore:
    """The wallet of one user.

    Args:
        environment: the process's environment, or a test's.
        path: the encrypted keystore file; it need not exist.
        ask_password: shows its argument and reads a line without echo; ``None`` without a terminal.
    """

    def __init__(
        self, environment: Mapping[str, str], path: Path, ask_password: Callable[[str], str] | None = None
    ) -> None:
        self._environment = environment
        self._path = path
        self._ask_password = ask_password

    @property
    def variable(self) -> str | None:
        """The variable whose key overrides every stored wallet, or ``None``."""
        return next((name for name in KEY_VARIABLES if self._environment.get(name)), None)

    def load(self) -> Wallet:
        """Find the wallet. Asks for a password if it is in the keystore.

        Raises:
            WalletError: there is none (``wallet_missing``, ``keyring_unusable``), it cannot be opened
                (``wallet_locked``, ``wallet_password``, ``wallet_unreadable``), or it is not a key
                (``wallet_malformed``).
        """
        if self.variable:
            return Wallet(self._key_in_environment(self.variable), self.variable)
        place, secret = self._find() or self._missing()
        if place is Place.KEYRING:
            return Wallet(_key_in_keyring(secret), place)
        return Wallet(self._open_keystore(keystore.read(self._path)), place)

    def address(self) -> str:
        """Return the wallet's address, from its key, and correct the note in the keyring if it differs.

        A keystore that holds the address in clear text is not decrypted.

        Raises:
            WalletError: as ``load``.
        """
        if self.variable:
            return self._key_in_environment(self.variable).address
        place, secret = self._find() or self._missing()
        if place is Place.KEYRING:
            address = _key_in_keyring(secret).address
            _note(address)
            return address
        _note(None)
        text = keystore.read(self._path)
        return keystore.stated_address(text) or self._open_keystore(text).address

    def noted_address(self) -> str:
        """Return the wallet's address, without reading the key if the keyring has a note of the address.

        A wallet without a note gets one. A note can be wrong if another program changed the keyring, so do not send
        money to it. Before anything is signed, the key itself is compared with it.

        Raises:
            WalletError: as ``load``.
        """
        if not self.variable:
            with suppress(WalletError):  # a keyring error is reported where it matters
                noted = oskeyring.read(oskeyring.ADDRESS)
                if noted is not None and re.fullmatch("0x[0-9a-f]{40}", noted):
                    return noted
        return self.address()

    def place(self) -> Place | None:
        """Return where a wallet is stored, or ``None``. The environment stores nothing, so it does not count.

        Raises:
            WalletError: the keyring does not answer, and there is no keystore file either.
        """
        found = self._find()
        return found[0] if found else None

    def check_free(self, place: Place) -> None:
        """Check that a new wallet may be stored in ``place``.

        Raises:
            WalletError: ``wallet_exists``, one is stored already, here or there; or ``place`` is a keyring that cannot
                be used.
        """
        try:
            found = self.place()
        except WalletError:
            if place is Place.KEYRING:
                raise
            return
        if found:
            raise WalletError(
                f"a wallet exists already in the {found}, and replacing it would put its money out of reach",
                hint="back it up with `ando wallet export -o FILE`, then delete it with `ando wallet remove`",
                code=Code.WALLET_EXISTS,
            )

    def save(self, key: PrivateKey, place: Place) -> None:
        """Store ``key`` in ``place``, read it back and compare.

        Raises:
            WalletError: as ``check_free`` and ``new_password``; ``wallet_unwritable``; ``wallet_unverified``, the key
                that was read back differs.
        """
        self.check_free(place)
        keystore.make_folder(self._path.parent)
        if place is Place.KEYSTORE:
            password = self.new_password("New password of the keystore: ")
            keystore.write_new(self._path, keystore.encrypt(key, password))
            kept: str | None = keystore.decrypt(keystore.read(self._path), password).to_hex()
            _note(None)
        else:
            kept = self._save_in_keyring(key)
        if kept != key.to_hex():
            raise WalletError(
                f"the {place} did not return the key that was stored in it",
                hint="this key was not used: delete it with `ando wallet remove`, and try another place",
                code=Code.WALLET_UNVERIFIED,
            )

    def remove(self) -> Place:
        """Delete the stored wallet and return its place.

        Raises:
            WalletError: nothing is stored, or it cannot be deleted.
        """
        place, _ = self._find() or self._missing()
        _note(None)
        if place is Place.KEYSTORE:
            keystore.delete(self._path)
        else:
            oskeyring.delete()
        return place

    def current_password(self, question: str) -> str:
        """Return the password of an existing keystore: from the environment, else from a prompt.

        Raises:
            WalletError: ``wallet_locked``, the variable is not set and there is no terminal.
        """
        password = self._environment.get(PASSWORD_VARIABLE)
        if password:
            return password
        if self._ask_password is None:
            raise WalletLockedError(
                "a keystore needs a password, and there is no terminal to ask on",
                hint=f"set {PASSWORD_VARIABLE}",
            )
        return self._ask_password(question)

    def new_password(self, question: str) -> str:
        """Return the password for a new keystore: from the environment, else from two prompts.

        Raises:
            WalletError: ``wallet_password``, it is empty or the two entries differ; else as ``current_password``.
        """
        password = self.current_password(question)
        if not password:
            raise WalletError("an empty password protects nothing", hint="choose a password", code=Code.WALLET_PASSWORD)
        if not self._environment.get(PASSWORD_VARIABLE) and self.current_password("Again: ") != password:
            raise WalletError("the two passwords differ", hint="try again", code=Code.WALLET_PASSWORD)
        return password

    def _key_in_environment(self, name: str) -> PrivateKey:
        hint = "a key is 64 hex digits, with or without 0x: correct the variable, or unset it"
        return _parse_key(self._environment[name], name, hint)

    def _open_keystore(self, text: str) -> PrivateKey:
        return keystore.decrypt(text, self.current_password("Password of the keystore: "))

    def _find(self) -> tuple[Place, str] | None:
        """Return the place of the stored wallet, and its secret if the place is the keyring."""
        secret: str | None = None
        trouble: WalletError | None = None
        try:
            secret = oskeyring.read()
        except WalletError as error:
            trouble = error
        if secret is not None:
            return Place.KEYRING, secret
        # A broken keyring does not hide a keystore: on a headless machine the keyring never works.
        if os.path.lexists(self._path):
            return Place.KEYSTORE, ""
        if trouble is not None:
            raise trouble
        return None

    def _missing(self) -> NoReturn:
        if self.variable:
            raise WalletMissingError(f"no wallet is stored: the key comes from {self.variable}", hint="unset it")
        raise WalletMissingError(
            "there is no wallet yet",
            hint="create one with `ando wallet create`, or use your own with `ando wallet import` or ANDO_PRIVATE_KEY",
        )

    def _save_in_keyring(self, key: PrivateKey) -> str | None:
        from filelock import FileLock

        lock = self._path.with_suffix(".lock")
        # Of two `wallet create` at once, the second must find the first one's key: a keyring overwrites silently.
        try:
            with FileLock(lock, mode=0o600):
                self.check_free(Place.KEYRING)
                oskeyring.write(key.to_hex())
                _note(key.address)
                return oskeyring.read()
        except OSError as error:
            raise keystore.io_error("write", lock, error) from None


def _note(address: str | None) -> None:
    """Set or delete the keyring's note of the wallet's address, if the keyring allows it."""
    with suppress(WalletError):
        if oskeyring.read(oskeyring.ADDRESS) == address:
            return
        if address is None:
            oskeyring.delete(oskeyring.ADDRESS)
        else:
            oskeyring.write(address, oskeyring.ADDRESS)


def _key_in_keyring(secret: str) -> PrivateKey:
    return _parse_key(secret, "the OS keyring", "run `ando wallet remove`, then `ando wallet import`")


def _parse_key(text: str, source: str, hint: str) -> PrivateKey:
    try:
        return PrivateKey.parse(text)
    except ValueError:
        raise WalletError(
            f"{source} does not hold a private key",
            hint=hint,
            code=Code.WALLET_MALFORMED,
        ) from None
