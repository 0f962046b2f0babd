"""Virtual Keys: bearer keys of an Ando account, several by profile, in the OS keyring or in ``ANDO_VIRTUAL_KEY``.

A stored key belongs to the gateway that it was checked against, and is never sent to another one: a base URL that is
mistyped, or planted in the environment, must not collect keys.
"""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from dataclasses import field
from typing import TYPE_CHECKING

from ando_cli.errors import Code, KeyMissingError, UsageError, WalletError
from ando_cli.frozen import frozen
from ando_cli.keys import oskeyring
from ando_cli.urls import origin

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

VARIABLE = "ANDO_VIRTUAL_KEY"
DEFAULT_PROFILE = "default"

_INDEX = "virtual-keys"
"""The account that holds the names of the profiles: a keyring cannot list its entries."""

_SHORTEST = 8
_LONGEST = 1024
_WITHOUT_KEYRING = f"set {VARIABLE}, or unlock or install a keyring"


@frozen
class VirtualKey:
    """A key and where it came from.

    ``profile``, and ``gateway``, its origin, are ``None`` if the key is not from the keyring.
    """

    value: str = field(repr=False)
    profile: str | None
    gateway: str | None
    source: str = "keyring"

    @property
    def preview(self) -> str:
        """Enough of a long key to recognise it, and nothing of a short one."""
        return f"{self.value[:3]}…{self.value[-4:]}" if len(self.value) >= 24 else "…"


class VirtualKeys:
    """The keys of this user.

    Args:
        environ: the environment.
        profile: the profile to use if no option names one and the environment has no key.
    """

    def __init__(self, environ: Mapping[str, str], profile: str | None = None) -> None:
        self._environ = environ
        self._profile = profile or DEFAULT_PROFILE

    def find(self, profile: str | None, gateway: str) -> VirtualKey:
        """Return the key to use at ``gateway``: the environment's key, unless a profile is named.

        Raises:
            WalletError: there is none (``key_missing``), it is for another gateway (``key_elsewhere``), or the keyring
                cannot be used.
            UsageError: the value in the environment is not a Virtual Key.
        """
        found = self.look(profile)
        if found is None:
            named = profile or self._profile
            raise KeyMissingError(
                f"there is no Virtual Key{'' if named == DEFAULT_PROFILE else f' in the profile {named!r}'}",
                hint=f"store one with `ando key set`, or set {VARIABLE}; without a key, `--rail mpp` pays per use",
            )
        if found.gateway not in (None, gateway):
            raise WalletError(
                f"the Virtual Key of the profile {found.profile!r} is for {found.gateway}, not for {gateway}",
                hint="nothing was sent; use another --profile, or store a key for this gateway with `ando key set`",
                code=Code.KEY_ELSEWHERE,
            )
        return found

    def look(self, profile: str | None) -> VirtualKey | None:
        """Return the key of ``profile``, or without a name, the key that would be used; ``None`` if there is none.

        Raises:
            WalletError: the keyring cannot be used.
            UsageError: the value in the environment is not a Virtual Key.
        """
        given = self._environ.get(VARIABLE)
        if profile is None and given:
            return VirtualKey(check_key(given, VARIABLE), None, None, VARIABLE)
        return _stored(check_profile(profile or self._profile))

    def check_keyring(self) -> None:
        """Check that a key can be stored, before the user is asked for it.

        Raises:
            WalletError: the keyring cannot be used.
        """
        with _keyring():
            _read_index()

    def store(self, key: VirtualKey) -> None:
        """Store ``key`` under its profile, replacing an earlier one.

        Raises:
            WalletError: the keyring cannot be used.
        """
        assert key.profile is not None
        with _keyring():
            oskeyring.write(json.dumps({"gateway": key.gateway, "key": key.value}), _account(key.profile))
            _write_index({*_read_index(), key.profile})

    def remove(self, profile: str) -> bool:
        """Delete the key of ``profile``; return False if there is none.

        Raises:
            WalletError: the keyring cannot be used.
        """
        with _keyring():
            found = oskeyring.read(_account(profile)) is not None
            if found:
                oskeyring.delete(_account(profile))
            names = _read_index()
            if profile in names:
                _write_index(names - {profile})
        return found

    def all(self) -> list[VirtualKey]:
        """Return the environment's key, if there is one, and the stored keys by profile.

        Raises:
            WalletError: the keyring cannot be used, and the environment has no key either.
        """
        given = self._environ.get(VARIABLE)
        first = [VirtualKey(check_key(given, VARIABLE), None, None, VARIABLE)] if given else []
        try:
            with _keyring():
                names = sorted(_read_index())
        except WalletError:
            if first:
                return first
            raise
        return first + [found for name in names if (found := _stored(name)) is not None]


def check_key(text: str, name: str = "the key") -> str:
    """Return a typed Virtual Key without surrounding white space.

    Raises:
        UsageError: it cannot be a Virtual Key. The message does not repeat it.
    """
    key = text.strip()
    if re.fullmatch(r"(0x)?[0-9A-Fa-f]{64}", key):
        raise UsageError(
            f"{name} looks like a wallet's private key, not like a Virtual Key",
            hint="it was not sent; import a wallet with `ando wallet import`",
        )
    if not _SHORTEST <= len(key) <= _LONGEST or not all("!" <= c <= "~" for c in key):
        raise UsageError(f"{name} is not a Virtual Key", hint="copy the whole key from the connection's page in Ando")
    return key


def check_profile(name: str) -> str:
    """Return ``profile`` if it is a valid name.

    Raises:
        UsageError: it is none.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}", name):
        raise UsageError(
            "a profile's name can only contain letters, digits, dots and dashes", hint="for example: --profile work"
        )
    return name


def _stored(profile: str) -> VirtualKey | None:
    with _keyring():
        text = oskeyring.read(_account(profile))
    if text is None:
        return None
    try:
        kept = json.loads(text)
        return VirtualKey(check_key(kept["key"]), profile, _spelt(str(kept["gateway"])))
    except (ValueError, TypeError, KeyError, AttributeError, UsageError):
        raise WalletError(
            f"the keyring entry of the profile {profile!r} is damaged",
            hint="store the key again with `ando key set`",
            code=Code.KEY_DAMAGED,
        ) from None


def _account(profile: str) -> str:
    return f"virtual-key:{profile}"


def _read_index() -> set[str]:
    try:
        names = json.loads(oskeyring.read(_INDEX) or "[]")
    except ValueError:
        return set()
    return {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()


def _write_index(names: set[str]) -> None:
    oskeyring.write(json.dumps(sorted(names)), _INDEX)


@contextmanager
def _keyring() -> Iterator[None]:
    """Replace a keyring error's hint, which is about wallets, by one for Virtual Keys."""
    try:
        yield
    except WalletError as error:
        raise error.with_hint(_WITHOUT_KEYRING) from None


def _spelt(gateway: str) -> str:
    """A gateway as we spell it today: it may have been stored by a version that had two spellings of one."""
    return origin(gateway) if "://" in gateway else gateway
