"""The limits of a payment: whom we trust, and how much. Pure decisions over frozen data.

Caps hold against everybody (rule 3 in ARCHITECTURE.md): what the gateway asks for is a wish, and the smallest
of the user's limits decides. Amounts are base units.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from ando_cli.errors import BudgetExceededError, Code, InsufficientFundsError, PaymentError, UntrustedError
from ando_cli.frozen import frozen
from ando_cli.money import amount
from ando_cli.tempo.protocol import Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from ando_cli.mpp.session import SessionRequest
    from ando_cli.tempo.network import Network


@frozen
class Caps:
    """The user's limits.

    ``max_deposit`` bounds one deposit (opening or topping up). ``max_spend`` bounds two sums of one command: what it
    deposits, and what it newly authorises. ``budget_left`` bounds one deposit that only a budget allows. ``None`` is no
    limit beyond the others.
    """

    max_deposit: int
    max_spend: int | None = None
    budget_left: int | None = None


@frozen
class Committed:
    """What this command has committed so far: moved into channels, and newly authorised."""

    deposited: int = 0
    raised: int = 0


@frozen
class Trust:
    """Whom a payment may go to. ``accepted_payee`` is a fingerprint that the user typed to accept a changed payee."""

    network: Network
    pinned_payee: str | None = None
    accepted_payee: str | None = None


def fingerprint(payee: str) -> str:
    """A short name for a payee's address: safe to print, and too long to be hit by trying addresses."""
    return hashlib.sha256(payee.lower().encode()).hexdigest()[:20]


def check_trust(request: SessionRequest, trust: Trust) -> None:
    """Refuse a request that names another protocol, chain, escrow, token or payee than the ones we trust.

    A request for an amount that its protocol cannot hold is refused too.

    Raises:
        PaymentError: with a code for each of them. Nothing was signed.
    """
    network = trust.network
    if request.session_protocol not in tuple(Protocol):
        raise PaymentError(
            f"the gateway asks for session protocol {request.session_protocol[:16]}, which this version does not speak",
            hint="update ando, or use another gateway",
            code=Code.UNSUPPORTED_SESSION_PROTOCOL,
        )
    if request.chain_id != network.chain_id:
        raise UntrustedError(
            f"the gateway asks for payment on chain {request.chain_id}, not on {network.name} ({network.chain_id})",
            hint="choose the gateway's network with --network, if you trust it",
            code=Code.WRONG_CHAIN,
        )
    protocol = Protocol(request.session_protocol)
    if not network.trusts(request.escrow_contract, protocol):
        raise UntrustedError(
            f"the gateway names an escrow contract that is not trusted on {network.name}",
            hint=f"nothing was signed; if you trust it, add it to escrows of a [networks.NAME] table in config.toml: "
            f"{request.escrow_contract}",
            code=Code.UNTRUSTED_ESCROW,
        )
    if request.currency != network.token:
        raise UntrustedError(
            f"the gateway asks for another token than {network.token_symbol} of {network.name}",
            hint="nothing was signed; to trust a token, add its network to config.toml as [networks.NAME]",
            code=Code.WRONG_TOKEN,
        )
    check_size(max(request.amount, request.suggested_deposit or 0, request.min_voucher_delta), protocol)
    pinned = trust.pinned_payee
    if pinned is not None and pinned != request.recipient and trust.accepted_payee != fingerprint(request.recipient):
        raise UntrustedError(
            "the gateway names a payee other than the one it was first paid at",
            hint=f"if the gateway announced the change, accept it with --accept-payee {fingerprint(request.recipient)}",
            code=Code.PAYEE_CHANGED,
        )


def fitting(request: SessionRequest, trust: Trust) -> int:
    """Count what a request names as ``check_trust`` wants it, in that order, up to the first thing that it does not."""
    network, protocols = trust.network, tuple(Protocol)
    checks: tuple[Callable[[], bool], ...] = (
        lambda: request.session_protocol in protocols,
        lambda: request.chain_id == network.chain_id,
        lambda: network.trusts(request.escrow_contract, Protocol(request.session_protocol)),
        lambda: request.currency == network.token,
        lambda: trust.pinned_payee in (None, request.recipient),
    )
    return next((number for number, check in enumerate(checks) if not check()), len(checks))


def check_size(units: int, protocol: Protocol) -> None:
    """Refuse an amount, of a deposit or of a voucher, that is more than the protocol's integers hold.

    Raises:
        PaymentError: nothing was signed.
    """
    largest = protocol.facts.max_amount
    if units > largest:
        raise PaymentError(
            f"{amount(units)} is more than session protocol {protocol} can hold",
            hint=f"nothing was signed; the most is {amount(largest)}",
            code=Code.AMOUNT_TOO_LARGE,
        )


REQUESTS_AHEAD = 100
"""For how many requests is deposited where the gateway suggests nothing, within the limits."""


def wished_deposit(request: SessionRequest, budget_left: int | None) -> int:
    """Return what to deposit before any limit: what the gateway suggests, or else enough for many requests.

    A deposit for one request would need a transaction for each. What no budget allows to authorise now is not deposited
    unasked either.
    """
    if request.suggested_deposit:
        return request.suggested_deposit
    many = REQUESTS_AHEAD * request.amount
    return many if budget_left is None else min(many, budget_left)


def opening_deposit(
    request: SessionRequest, wished: int, caps: Caps, committed: Committed, balance: int, fee_reserve: int
) -> int:
    """The deposit of a new channel: the least of what is wished, allowed, and there.

    Args:
        request: what the gateway asks for.
        wished: as ``wished_deposit`` has it.
        caps: the user's limits.
        committed: what this command has committed so far.
        balance: what the wallet holds of the token.
        fee_reserve: what of it has to stay there for fees: those of the opening transaction unless a fee payer pays,
            and those of a close without the gateway.

    Raises:
        PaymentError: the least of them does not cover one challenge amount; the message names it.
    """
    return _least(request.amount, max(wished, request.amount), caps, committed, balance, fee_reserve)


def top_up_amount(wished: int, caps: Caps, committed: Committed, needed: int, balance: int, fee_reserve: int) -> int:
    """What to add to a channel that lacks ``needed``: as much as is wished, within the same limits as a new one.

    Raises:
        PaymentError: a limit does not cover ``needed``; the message names it.
    """
    return _least(needed, max(wished, needed), caps, committed, balance, fee_reserve)


def explicit_deposit(wanted: int, needed: int, caps: Caps, committed: Committed, balance: int, fee_reserve: int) -> int:
    """Return the deposit that the user gave. If a limit does not cover it, it is an error, not a smaller deposit.

    Raises:
        PaymentError: it is below ``needed``, or above a limit.
    """
    if wanted < needed:
        raise PaymentError(
            f"a deposit of {amount(wanted)} does not cover the gateway's {amount(needed)}",
            hint=f"use --deposit {amount(needed)} or more",
            code=Code.DEPOSIT_TOO_SMALL,
        )
    if balance - fee_reserve < wanted <= balance:
        raise InsufficientFundsError(
            f"the wallet holds {amount(balance)}, and a deposit of {amount(wanted)} leaves too little for the fees",
            hint=f"deposit {amount(max(0, balance - fee_reserve))} or less: the rest pays this transaction and a close "
            "without the gateway",
        )
    return _least(wanted, wanted, caps, committed, balance, fee_reserve)


def exceeds_max_spend(by: int, caps: Caps, committed: Committed) -> bool:
    """Return whether authorising ``by`` more than before exceeds ``--max-spend``."""
    return caps.max_spend is not None and committed.raised + by > caps.max_spend


def check_raise(by: int, caps: Caps, committed: Committed) -> None:
    """Refuse to authorise ``by`` more than before if it exceeds ``--max-spend``.

    Raises:
        PaymentError: nothing was signed.
    """
    if exceeds_max_spend(by, caps, committed):
        raise max_spend_exceeded(by, caps, committed)


def max_spend_exceeded(by: int, caps: Caps, committed: Committed) -> PaymentError:
    """Return the error for a raise by ``by`` that exceeds ``--max-spend``."""
    return BudgetExceededError(
        f"the gateway asks for a voucher of {amount(by)} more, above the {amount(caps.max_spend or 0)} of --max-spend",
        hint=f"nothing was signed; allow it with --max-spend {amount(committed.raised + by)}",
        code=Code.MAX_SPEND_EXCEEDED,
    )


def _least(needed: int, wanted: int, caps: Caps, committed: Committed, balance: int, fee_reserve: int) -> int:
    limits = [(wanted, "wish"), (caps.max_deposit, "max_deposit"), (max(0, balance - fee_reserve), "balance")]
    if caps.max_spend is not None:
        limits.append((max(0, caps.max_spend - committed.deposited), "max_spend"))
    if caps.budget_left is not None:
        limits.append((caps.budget_left, "budget"))
    least, which = min(limits)
    if least >= needed:
        return least
    short, price = amount(least), amount(needed)
    if which == "balance":
        fee = f" (with {amount(fee_reserve)} kept for fees)" if fee_reserve else ""
        raise InsufficientFundsError(
            f"the wallet holds {amount(balance)}{fee}, and the channel needs {price}",
            hint="send funds to the address that `ando wallet address` shows",
        )
    if which == "budget":
        raise BudgetExceededError(
            f"the budget leaves {short}, and the channel needs a deposit of {price}",
            hint="nothing was signed; `ando spend` shows what is used, and --yes allows a deposit beyond it",
        )
    if which == "max_spend":
        raise BudgetExceededError(
            f"--max-spend leaves {short}, and the channel needs a deposit of {price}",
            hint=f"nothing was signed; allow it with --max-spend {amount(needed + committed.deposited)}",
            code=Code.MAX_SPEND_EXCEEDED,
        )
    raise BudgetExceededError(
        f"max_deposit is {short}, and the channel needs a deposit of {price}",
        hint=f'nothing was signed; allow it with max_deposit = "{price}" in config.toml, or ANDO_MAX_DEPOSIT={price}',
        code=Code.MAX_DEPOSIT_EXCEEDED,
    )
