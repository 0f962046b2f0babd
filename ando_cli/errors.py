"""Every error a user can meet, with its exit code.

An error carries what happened (``message``), what to do about it (``hint``), a stable machine-readable
``code`` for scripts, and the process exit code. Texts are written for a terminal: nothing secret, one line each.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process answers to its caller."""

    OK = 0
    GENERAL = 1
    USAGE = 2
    NETWORK = 3
    PAYMENT = 4
    INTERRUPTED = 130


class AndoError(Exception):
    """Base of all errors shown to a user.

    Args:
        message: one line that says what happened.
        hint: one line that says what to do, or ``None`` where nothing can be done.
        code: a stable identifier in snake case, for scripts that read the JSON form.
    """

    exit_code = ExitCode.GENERAL
    default_code = "error"
    body: bytes | None = None
    """The answer's body where a server's answer is the cause, for ``ando request`` to print."""

    def __init__(self, message: str, *, hint: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code or self.default_code


class UsageError(AndoError):
    """The command line, the configuration or the input is wrong. Nothing was sent or signed."""

    exit_code = ExitCode.USAGE
    default_code = "usage"


class NetworkError(AndoError):
    """A server or an RPC could not be reached, or broke off."""

    exit_code = ExitCode.NETWORK
    default_code = "network"


class PaymentError(AndoError):
    """A payment was refused, by us or by the gateway, or its outcome is unknown."""

    exit_code = ExitCode.PAYMENT
    default_code = "payment"


class WalletError(AndoError):
    """No usable wallet key: absent, locked, wrong password, wrong format."""

    default_code = "wallet"


class StoreError(AndoError):
    """The session store cannot be opened, read or written."""

    default_code = "store"


class ServerError(AndoError):
    """The gateway answered with an error that is not about payment."""

    default_code = "server"


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, when a request that may have been charged was on its way."""
