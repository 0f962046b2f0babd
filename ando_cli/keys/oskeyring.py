"""Secrets in the OS keyring, through the ``keyring`` package, which is imported at the first call.

All are accounts of one service: the wallet's key, its address, and the delegated keys.

Backends that keep no secrets do not count: null and fail, a chainer without members, and the plain-text backends of
keyrings.alt unless the user's keyring configuration names one. Any error of a backend, and a missing answer, becomes a
``WalletError`` whose hint lists the alternatives.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

from ando_cli.errors import KeyringUnusableError, WalletError, WalletLockedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from keyring.backend import KeyringBackend

SERVICE = "ando-cli"
WALLET = "wallet"
"""The account of the wallet's key."""

ADDRESS = "address"
"""The account of the wallet's address, which is no secret and can be read without reading the key."""

PATIENCE = 120.0
"""Seconds to wait for the keyring: enough to type a password into a desktop's prompt."""

_WAYS_OUT = (
    "unlock or install a keyring, or set ANDO_PRIVATE_KEY, or use an encrypted keystore: "
    "`ando wallet create --keystore` or `ando wallet import --keystore`"
)
_LOCKED = {"KeyringLocked", "LockedException", "PromptDismissedException"}

_T = TypeVar("_T")


def read(account: str = WALLET) -> str | None:
    """Return the secret of ``account``, or ``None`` if the keyring holds none.

    Raises:
        WalletError: ``keyring_unusable``, there is no keyring or it failed; ``wallet_locked``, it stayed locked or did
            not answer.
    """
    return _with_backends(lambda backends: _read(backends, account))


def write(secret: str, account: str = WALLET) -> None:
    """Store ``secret`` for ``account`` in the preferred backend, replacing an earlier one.

    Raises:
        WalletError: as ``read``.
    """
    _with_backends(lambda backends: backends[0].set_password(SERVICE, account, secret))


def delete(account: str = WALLET) -> None:
    """Delete the secret of ``account`` from every backend that holds it.

    Raises:
        WalletError: as ``read``.
    """
    _with_backends(lambda backends: _delete(backends, account))


def usable() -> list[str]:
    """Return the names of the backends that keep secrets, the preferred one first.

    Raises:
        WalletError: as ``read``.
    """
    return _with_backends(lambda backends: [str(backend.name) for backend in backends])


def _read(backends: Sequence[KeyringBackend], account: str) -> str | None:
    found = (backend.get_password(SERVICE, account) for backend in backends)
    return next((secret for secret in found if secret is not None), None)


def _delete(backends: Sequence[KeyringBackend], account: str) -> None:
    for backend in backends:
        if backend.get_password(SERVICE, account) is not None:
            backend.delete_password(SERVICE, account)


def _with_backends(use: Callable[[Sequence[KeyringBackend]], _T]) -> _T:
    """Call ``use`` with the usable keyring backends, the preferred one first, and give up after ``PATIENCE``.

    It runs in its own thread, because a backend can wait forever in native code for a prompt that nobody sees, where
    Ctrl-C does not reach it. The main thread waits in Python, where Ctrl-C works.
    """
    results: list[_T] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            backends = _usable_backends()
            if not backends:
                raise KeyringUnusableError("no usable keyring on this machine", hint=_WAYS_OUT)
            results.append(use(backends))
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="keyring", daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if results:
        return results[0]
    if not errors:
        message = f"the OS keyring did not answer within {PATIENCE:.0f} seconds"
        raise WalletLockedError(message, hint=_WAYS_OUT)
    # Show only the type of a backend's error: its text may repeat the secret.
    name = type(errors[0]).__name__
    if isinstance(errors[0], WalletError):
        raise errors[0]
    if name in _LOCKED:
        raise WalletLockedError("the OS keyring is locked", hint=_WAYS_OUT)
    raise KeyringUnusableError(f"the OS keyring cannot be used ({name})", hint=_WAYS_OUT)


def _usable_backends() -> list[KeyringBackend]:
    import keyring.core
    from keyring.backends import chainer, fail, null

    backend = keyring.get_keyring()
    named = _is_plain_text(backend)
    if named:
        # The backend was detected, or the user named it. Detection without its kind returns it only if it was named.
        keyring.core.init_backend(lambda candidate: not _is_plain_text(candidate))
        backend = keyring.get_keyring()
    members = backend.backends if isinstance(backend, chainer.ChainerBackend) else [backend]
    useless = (null.Keyring, fail.Keyring)
    return [m for m in members if not isinstance(m, useless) and (named or not _is_plain_text(m))]


def _is_plain_text(backend: KeyringBackend) -> bool:
    kind = type(backend)
    return kind.__module__.startswith("keyrings.alt.") and kind.__name__.startswith("Plaintext")
