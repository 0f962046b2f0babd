"""Every error that a user can see: exit codes, the catalogue of error codes, and the classes that a caller can catch.

An error carries what happened (``message``), what to do about it (``hint``), a stable ``code`` for scripts, and an exit
code. Texts hold nothing secret, one line each. Code that reacts to an error looks at its class, never at its texts.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

from ando_cli.errors.codes import RETRYABLE, Code

if TYPE_CHECKING:
    from typing import Self

__all__ = [
    "RETRYABLE",
    "AndoError",
    "AuthorisedUnknownError",
    "BudgetExceededError",
    "Code",
    "ConsentRequiredError",
    "DeclinedError",
    "ExitCode",
    "InsufficientFundsError",
    "Interrupted",
    "InvariantError",
    "KeyMissingError",
    "KeyringUnusableError",
    "LostAnswerError",
    "NetworkError",
    "OutcomeUnknownError",
    "PaymentDeclinedError",
    "PaymentError",
    "RpcAnswerError",
    "RpcError",
    "RpcRefusedError",
    "RpcTimeoutError",
    "RpcUnreachableError",
    "ServerError",
    "StoreError",
    "UntrustedError",
    "UsageError",
    "WalletError",
    "WalletLockedError",
    "WalletMissingError",
]


class ExitCode(IntEnum):
    """The exit code of the process."""

    OK = 0
    GENERAL = 1
    USAGE = 2
    NETWORK = 3
    PAYMENT = 4
    INTERNAL = 70
    INTERRUPTED = 130


class AndoError(Exception):
    """Base of all errors shown to a user. Immutable: ``with_hint`` and similar methods return another error.

    Args:
        message: one line that says what happened.
        hint: one line that says what to do, or ``None`` if nothing can be done.
        code: a stable identifier in snake case, for scripts that read the JSON form: a ``Code``, or a
            server's own code, unchanged. ``None`` is the class's default.
        retryable: whether the same command can be run again as it is, without the risk of paying twice; ``None``
            derives it from the code.
        retry_after: seconds to wait before that, where known.
        request_id: the id that the gateway gave the request, to quote to its operator.
        body: the body of the server's answer that is the cause, for ``ando request`` to print.
    """

    exit_code = ExitCode.GENERAL
    default_code: str = Code.ERROR

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        code: str | None = None,
        retryable: bool | None = None,
        retry_after: int | None = None,
        request_id: str | None = None,
        body: bytes | None = None,
    ) -> None:
        super().__init__(message)
        self._message = message
        self._hint = hint
        self._code = code or self.default_code
        # Only our own codes decide it: a server may send any code, also one of ours.
        self._retryable = isinstance(self._code, Code) and self._code in RETRYABLE if retryable is None else retryable
        self._retry_after = retry_after
        self._request_id = request_id
        self._body = body

    @property
    def message(self) -> str:
        """What happened, in one line."""
        return self._message

    @property
    def hint(self) -> str | None:
        """What to do about it, in one line."""
        return self._hint

    @property
    def code(self) -> str:
        """The stable identifier, for scripts. Code looks at the class instead."""
        return self._code

    @property
    def retryable(self) -> bool:
        """Whether the same command can be run again as it is, without the risk of paying twice."""
        return self._retryable

    @property
    def retry_after(self) -> int | None:
        """Seconds to wait before the command is run again, where known."""
        return self._retry_after

    @property
    def request_id(self) -> str | None:
        """The id that the gateway gave the request, where known."""
        return self._request_id

    @property
    def body(self) -> bytes | None:
        """The body of the answer that is the cause, where there is one."""
        return self._body

    def with_message(self, message: str) -> Self:
        """Return the same error with another message."""
        return self._but(args=(message,), _message=message)

    def with_hint(self, hint: str | None) -> Self:
        """Return the same error with another hint."""
        return self._but(_hint=hint)

    def with_retryable(self, retryable: bool) -> Self:
        """Return the same error, which says whether the command can be run again."""
        return self._but(_retryable=retryable, _retry_after=self._retry_after if retryable else None)

    def with_answer(self, body: bytes, request_id: str | None) -> Self:
        """Return the same error with the body and the request id of the answer that is its cause."""
        return self._but(_body=body, _request_id=request_id)

    def _but(self, args: tuple[Any, ...] | None = None, **changes: object) -> Self:
        cls = type(self)
        # Not through __init__, whose parameters are each class's own.
        other = cls.__new__(cls, *(self.args if args is None else args))
        other.__dict__.update(self.__dict__, **changes)
        return other


class UsageError(AndoError):
    """The command line, the configuration or the input is wrong. Nothing was sent or signed."""

    exit_code = ExitCode.USAGE
    default_code: str = Code.USAGE


class DeclinedError(AndoError):
    """The user was asked and answered no."""

    default_code: str = Code.DECLINED


class NetworkError(AndoError):
    """A server or an RPC could not be reached, or the connection broke."""

    exit_code = ExitCode.NETWORK
    default_code: str = Code.NETWORK


class RpcError(NetworkError):
    """The chain's RPC endpoint could not be queried, or its answer cannot be used."""

    default_code: str = Code.RPC_ERROR


class RpcTimeoutError(RpcError):
    """The RPC endpoint did not answer in time."""

    default_code: str = Code.RPC_TIMEOUT


class RpcUnreachableError(RpcError):
    """The RPC endpoint cannot be reached."""

    default_code: str = Code.RPC_UNREACHABLE


class RpcAnswerError(RpcError):
    """The RPC endpoint's answer is wrong or makes no sense."""

    default_code: str = Code.RPC_BAD_ANSWER


class RpcRefusedError(RpcError):
    """The RPC endpoint answered with a JSON-RPC error.

    Args:
        message: one line that says what happened.
        hint: one line that says what to do.
        retryable: as in ``AndoError``.
        rpc_code: the JSON-RPC error's code, where it has one.
        rpc_message: its message, cleaned; ``None`` where it has none, or quotes a secret.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        retryable: bool | None = None,
        rpc_code: int | None = None,
        rpc_message: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint, retryable=retryable)
        self._rpc_code = rpc_code
        self._rpc_message = rpc_message

    @property
    def rpc_code(self) -> int | None:
        """The JSON-RPC error's code, where it has one."""
        return self._rpc_code

    @property
    def rpc_message(self) -> str | None:
        """The JSON-RPC error's message, where it can be shown."""
        return self._rpc_message


class PaymentError(AndoError):
    """A payment was refused, by us or by the gateway, or its outcome is unknown."""

    exit_code = ExitCode.PAYMENT
    default_code: str = Code.PAYMENT


class OutcomeUnknownError(PaymentError):
    """Nobody knows whether a request was charged. Asking again may be charged again."""

    default_code: str = Code.OUTCOME_UNKNOWN


class LostAnswerError(NetworkError, OutcomeUnknownError):
    """The answer to a request that may have been charged did not arrive, or not all of it."""

    default_code: str = Code.OUTCOME_UNKNOWN


class BudgetExceededError(PaymentError):
    """A limit that the user set is in the way: a budget, ``max_spend``, ``max_deposit``, or a Virtual Key's budget."""

    default_code: str = Code.BUDGET_EXCEEDED


class UntrustedError(PaymentError):
    """The other side is not who or what the user trusts: its payee, escrow, token, chain, transport or challenge."""


class ConsentRequiredError(PaymentError):
    """The user must agree to a payment, and there is no terminal to ask on."""

    default_code: str = Code.CONSENT_REQUIRED


class PaymentDeclinedError(PaymentError, DeclinedError):
    """The user was asked for a payment and answered no. Nothing was signed."""

    default_code: str = Code.DECLINED


class InsufficientFundsError(PaymentError):
    """The wallet does not hold enough for a deposit or for a transaction's fee."""

    default_code: str = Code.INSUFFICIENT_BALANCE


class AuthorisedUnknownError(PaymentError):
    """The gateway holds a voucher for more than is on record as authorised."""

    default_code: str = Code.AUTHORISED_UNKNOWN


class WalletError(AndoError):
    """The wallet's key or a Virtual Key cannot be used: absent, locked, wrong password, or wrong format."""

    default_code: str = Code.WALLET


class WalletMissingError(WalletError):
    """There is no wallet."""

    default_code: str = Code.WALLET_MISSING


class WalletLockedError(WalletError):
    """The keyring or the keystore is locked."""

    default_code: str = Code.WALLET_LOCKED


class KeyringUnusableError(WalletError):
    """This machine has no usable keyring."""

    default_code: str = Code.KEYRING_UNUSABLE


class KeyMissingError(WalletError):
    """There is no Virtual Key."""

    default_code: str = Code.KEY_MISSING


class StoreError(AndoError):
    """The session store cannot be opened, read or written."""

    default_code: str = Code.STORE


class ServerError(AndoError):
    """The gateway answered with an error that is not about payment."""

    default_code: str = Code.SERVER


class InvariantError(AndoError):
    """A rule of the money would be broken, which is a fault of ``ando``. Nothing more is signed or sent.

    Args:
        message: one line that says which rule.
    """

    exit_code = ExitCode.INTERNAL
    default_code: str = Code.INVARIANT

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="nothing more was signed or sent; this is a bug: update ando, and report it")


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while a request that may be charged was under way."""
