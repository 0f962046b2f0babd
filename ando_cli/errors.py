"""Every error a user can meet, with its exit code.

An error carries what happened (``message``), what to do about it (``hint``), a stable machine-readable
``code`` for scripts, and the process exit code. Texts are written for a terminal: nothing secret, one line each.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum


class ExitCode(IntEnum):
    """What the process answers to its caller."""

    OK = 0
    GENERAL = 1
    USAGE = 2
    NETWORK = 3
    PAYMENT = 4
    INTERRUPTED = 130


class Code(StrEnum):
    """The stable, machine-readable names of all errors."""

    ABOVE_DEPOSIT = "above_deposit"
    AMOUNT_TOO_LARGE = "amount_too_large"
    ANSWER_CUT = "answer_cut"
    ANSWER_FAILED = "answer_failed"
    BELOW_SETTLED = "below_settled"
    BUDGET_EXCEEDED = "budget_exceeded"
    CHANNEL_CLOSED = "channel_closed"
    CHANNEL_DISPUTED = "channel_disputed"
    CHANNEL_NOT_DELEGATED = "channel_not_delegated"
    CHANNEL_NOT_OPEN = "channel_not_open"
    CHANNEL_NOT_USED = "channel_not_used"
    CLOCK_WRONG = "clock_wrong"
    CLOSE_NOT_REQUESTED = "close_not_requested"
    CLOSE_UNCONFIRMED = "close_unconfirmed"
    CLOSING = "closing"
    CONFIG_LAYOUT = "config_layout"
    CONFIG_REFUSED = "config_refused"
    CONNECT_FAILED = "connect_failed"
    CONSENT_REQUIRED = "consent_required"
    CONVERSATION_DAMAGED = "conversation_damaged"
    CONVERSATION_TOO_LARGE = "conversation_too_large"
    CONVERSATION_UNWRITABLE = "conversation_unwritable"
    DECLINED = "declined"
    DELEGATE_MISSING = "delegate_missing"
    DELEGATE_UNKEPT = "delegate_unkept"
    DEPOSIT_EXCEEDED = "deposit_exceeded"
    DEPOSIT_IN_FLIGHT = "deposit_in_flight"
    DEPOSIT_TOO_SMALL = "deposit_too_small"
    DIGEST_MISMATCH = "digest_mismatch"
    EDITOR_FAILED = "editor_failed"
    ERROR = "error"
    FEE_TOO_HIGH = "fee_too_high"
    FILE_EXISTS = "file_exists"
    GRACE_PERIOD = "grace_period"
    INSECURE_TRANSPORT = "insecure_transport"
    INSUFFICIENT_BALANCE = "insufficient_balance"
    KEYRING_UNUSABLE = "keyring_unusable"
    KEY_BUDGET_EXHAUSTED = "key_budget_exhausted"
    KEY_DAMAGED = "key_damaged"
    KEY_ELSEWHERE = "key_elsewhere"
    KEY_MISSING = "key_missing"
    KEY_REFUSED = "key_refused"
    MALFORMED_CHALLENGE = "malformed_challenge"
    MAX_DEPOSIT_EXCEEDED = "max_deposit_exceeded"
    MAX_SPEND_EXCEEDED = "max_spend_exceeded"
    MIN_VOUCHER_DELTA = "min_voucher_delta"
    MONEY_IN_CHANNEL = "money_in_channel"
    MPP_COMMIT_FAILED = "mpp_commit_failed"
    MPP_SESSION_DEPOSIT_BELOW_REQUEST_COST = "mpp_session_deposit_below_request_cost"
    NEEDS_YES = "needs_yes"
    NETWORK = "network"
    NETWORK_CONFIG = "network_config"
    NOT_ALL_CLOSED = "not_all_closed"
    NOT_INSPECTABLE = "not_inspectable"
    NOT_SET = "not_set"
    NO_ANSWER = "no_answer"
    NO_CHALLENGE = "no_challenge"
    NO_CHANNEL = "no_channel"
    NO_EDITOR = "no_editor"
    NO_FRESH_CHALLENGE = "no_fresh_challenge"
    OFFLINE = "offline"
    OTHER_PAYER = "other_payer"
    OUTCOME_UNKNOWN = "outcome_unknown"
    PAYEE_CHANGED = "payee_changed"
    PAYMENT = "payment"
    PAYMENT_REJECTED = "payment_rejected"
    PROTOCOL_NOT_OFFERED = "protocol_not_offered"
    RATE_LIMITED = "rate_limited"
    REDIRECT = "redirect"
    REFUSED = "refused"
    RPC_BAD_ANSWER = "rpc_bad_answer"
    RPC_ERROR = "rpc_error"
    RPC_HTTP_ERROR = "rpc_http_error"
    RPC_REVERTED = "rpc_reverted"
    RPC_SEARCH_INCOMPLETE = "rpc_search_incomplete"
    RPC_TIMEOUT = "rpc_timeout"
    RPC_UNREACHABLE = "rpc_unreachable"
    RPC_WRONG_CHAIN = "rpc_wrong_chain"
    SANDBOX_DAMAGED = "sandbox_damaged"
    SANDBOX_MISSING = "sandbox_missing"
    SECOND_RAISE_REFUSED = "second_raise_refused"
    SERVER = "server"
    SIGNER_MISMATCH = "signer_mismatch"
    SPEND_DIFFERS = "spend_differs"
    STORE = "store"
    STORE_BUSY = "store_busy"
    STORE_CONFLICT = "store_conflict"
    STORE_DAMAGED = "store_damaged"
    STORE_NEWER = "store_newer"
    STORE_UNWRITABLE = "store_unwritable"
    TOO_MANY_ATTEMPTS = "too_many_attempts"
    TRANSACTION_FAILED = "transaction_failed"
    TX_NOT_MINED = "tx_not_mined"
    UNEXPECTED_ANSWER = "unexpected_answer"
    UNSUPPORTED_SESSION_PROTOCOL = "unsupported_session_protocol"
    UNTRUSTED_ESCROW = "untrusted_escrow"
    UNWRITABLE = "unwritable"
    USAGE = "usage"
    VOUCHER_INVALID = "voucher_invalid"
    WALLET = "wallet"
    WALLET_EXISTS = "wallet_exists"
    WALLET_LOCKED = "wallet_locked"
    WALLET_MALFORMED = "wallet_malformed"
    WALLET_MISMATCH = "wallet_mismatch"
    WALLET_MISSING = "wallet_missing"
    WALLET_PASSWORD = "wallet_password"  # noqa: S105 - the name of an error
    WALLET_UNREADABLE = "wallet_unreadable"
    WALLET_UNVERIFIED = "wallet_unverified"
    WALLET_UNWRITABLE = "wallet_unwritable"
    WRONG_CHAIN = "wrong_chain"
    WRONG_TOKEN = "wrong_token"  # noqa: S105 - the name of an error


class AndoError(Exception):
    """Base of all errors shown to a user.

    Args:
        message: one line that says what happened.
        hint: one line that says what to do, or ``None`` where nothing can be done.
        code: a stable identifier in snake case, for scripts that read the JSON form.
    """

    exit_code = ExitCode.GENERAL
    default_code: str = Code.ERROR
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
    default_code: str = Code.USAGE


class NetworkError(AndoError):
    """A server or an RPC could not be reached, or broke off."""

    exit_code = ExitCode.NETWORK
    default_code: str = Code.NETWORK


class PaymentError(AndoError):
    """A payment was refused, by us or by the gateway, or its outcome is unknown."""

    exit_code = ExitCode.PAYMENT
    default_code: str = Code.PAYMENT


class WalletError(AndoError):
    """No usable wallet key: absent, locked, wrong password, wrong format."""

    default_code: str = Code.WALLET


class StoreError(AndoError):
    """The session store cannot be opened, read or written."""

    default_code: str = Code.STORE


class ServerError(AndoError):
    """The gateway answered with an error that is not about payment."""

    default_code: str = Code.SERVER


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, when a request that may have been charged was on its way."""
