"""Refuse to pay the fee of a transaction that a stock sponsor does not countersign.

The limits are those that mppx, mpp and pympp share (docs/protocol.md, section 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ando_cli.sandbox.chain import abi
from ando_cli.sandbox.chain.transaction import EXPIRING_NONCE_KEY
from ando_cli.sandbox.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ando_cli.sandbox.chain.transaction import Call, Transaction
    from ando_cli.sandbox.gateway.challenges import Network, Terms

GWEI = 10**9
MAX_GAS = 2_000_000
MAX_FEE_PER_GAS = 100 * GWEI
MAX_PRIORITY_FEE_PER_GAS = 10 * GWEI
MAX_PRIORITY_FEE_PER_GAS_TEST = 50 * GWEI
MAX_COST = 5 * 10**16
MAX_VALIDITY_SECONDS = 15 * 60
MAX_AFTER_CHALLENGE_SECONDS = 60
MIN_LEFT_SECONDS = 15
MAINNET = 4217
PATH_USD = "0x20c0000000000000000000000000000000000000"
APPROVE = "approve(address,uint256)"


@dataclass(frozen=True)
class Form:
    """Describe a call that a sponsor expects: the contract, the function, its argument words, and which is the amount.

    Attributes:
        approved: whether an approval of exactly the amount comes before the call.
    """

    to: str
    function: str
    words: int
    amount: int
    approved: bool


def check(transaction: Transaction, form: Form, network: Network, terms: Terms, now: float) -> None:
    """Check a transaction that waits for its fee payer against the policy of stock sponsors.

    Raises:
        Problem: The transaction is outside the policy; nothing was broadcast.
    """
    for reason in _reasons(transaction, form, network, terms, now):
        raise Problem("internal-payment-error", f"The fee payer does not sign: {reason}.")


def _reasons(transaction: Transaction, form: Form, network: Network, terms: Terms, now: float) -> Iterator[str]:
    price, priority = transaction.max_fee_per_gas, transaction.max_priority_fee_per_gas
    highest = MAX_PRIORITY_FEE_PER_GAS if network.chain_id == MAINNET else MAX_PRIORITY_FEE_PER_GAS_TEST
    if transaction.gas_limit > MAX_GAS:
        yield f"the gas limit is above {MAX_GAS}"
    if price > MAX_FEE_PER_GAS:
        yield f"the price of the gas is above {MAX_FEE_PER_GAS}"
    if priority > min(highest, price):
        yield f"the priority fee is above {min(highest, price)}"
    if transaction.gas_limit * price > MAX_COST:
        yield f"gas times price is above {MAX_COST}"
    if transaction.nonce_key != EXPIRING_NONCE_KEY or transaction.valid_before is None:
        yield "the nonce does not expire"
    elif transaction.valid_before > min(now + MAX_VALIDITY_SECONDS, terms.expires + MAX_AFTER_CHALLENGE_SECONDS):
        yield "the transaction is valid for too long"
    elif transaction.valid_before < now + MIN_LEFT_SECONDS:
        yield f"the transaction is valid for less than {MIN_LEFT_SECONDS} seconds"
    if transaction.fee_token not in (None, PATH_USD, network.token):
        yield "the fee token is not one that the fee payer holds"
    if not _is_expected(transaction.calls, form, network.token):
        yield "the calls are not exactly those of the payment"


def _is_expected(calls: Sequence[Call], form: Form, token: str) -> bool:
    """Tell whether the calls are exactly the expected one, behind its approval where one is due, and move no value."""
    expected = [(form.to, abi.selector(form.function), 32 * form.words)]
    if form.approved:
        expected.insert(0, (token, abi.selector(APPROVE), 64))
    found = [(call.to, call.data[:4], len(call.data) - 4) for call in calls]
    if found != expected or any(call.value for call in calls):
        return False
    if not form.approved:
        return True
    amount = calls[-1].data[4 + 32 * form.amount :][:32]
    return calls[0].data[4:] == abi.account(form.to) + amount
