"""Secrets in the OS keyring, through the ``keyring`` package, which is imported at the first call.

All are kept under one service, each as an account of its own: the wallet's key, its address, and the delegated keys.

A backend that only seems to keep secrets does not count: null and fail, a chainer without members, and the plain-text
backends of keyrings.alt unless the user's keyring configuration names one. Whatever a backend raises, and silence too,
becomes a ``WalletError`` that says the ways out.
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
"""The account of the wallet's address, which is no secret: it can be read without touching the key."""

PATIENCE = 120.0
"""Seconds for the keyring to answer: enough to type a password into a desktop's prompt, but not for ever."""

_WAYS_OUT = (
    "unlock or install a keyring, or set ANDO_PRIVATE_KEY, or use an encrypted keystore: "
    "`ando wallet create --keystore` or `ando wallet import --keystore`"
)
_LOCKED = {"KeyringLocked", "LockedException", "PromptDismissedException"}

_T = TypeVar("_T")


def read(account: str = WALLET) -> str | None:
    """What is stored for ``account``, or ``None`` where the keyring holds nothing.

    Raises:
        WalletError: ``keyring_unusable``, there is no keyring or it failed; ``wallet_locked``, it stayed locked or did
            not answer.
    """
    return _with_backends(lambda backends: _read(backends, account))


def write(secret: str, account: str = WALLET) -> None:
    """Store ``secret`` for ``account`` in the preferred backend, over what it holds.

    Raises:
        WalletError: as ``read``.
    """
    _with_backends(lambda backends: backends[0].set_password(SERVICE, account, secret))


def delete(account: str = WALLET) -> None:
    """Delete what is stored for ``account`` from every backend that holds it.

    Raises:
        WalletError: as ``read``.
    """
    _with_backends(lambda backends: _delete(backends, account))


def usable() -> list[str]:
    """The names of the backends that secrets are kept in, the preferred one first.

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

    In a thread of its own, because a backend can wait for ever on a prompt that nobody sees, and in native code, where
    Ctrl-C does not reach it: the main thread waits in Python and can always be interrupted.
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
    # Only the type of a backend's error is shown: its text is free to repeat what it was asked to store.
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
        # It was detected, or the user named it. Detect again without its kind: only one that was named comes back.
        keyring.core.init_backend(lambda candidate: not _is_plain_text(candidate))
        backend = keyring.get_keyring()
    members = backend.backends if isinstance(backend, chainer.ChainerBackend) else [backend]
    useless = (null.Keyring, fail.Keyring)
    return [m for m in members if not isinstance(m, useless) and (named or not _is_plain_text(m))]


def _is_plain_text(backend: KeyringBackend) -> bool:
    kind = type(backend)
    return kind.__module__.startswith("keyrings.alt.") and kind.__name__.startswith("Plaintext")
