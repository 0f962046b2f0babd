"""What a transaction may cost at most.

Tempo has no native coin: gas is priced in units of 10**-18 of a token, and paid in a TIP-20 token with 6 decimals.
"""

from __future__ import annotations

from enum import StrEnum

from ando_cli.frozen import frozen

_GAS_PRICE_UNITS_PER_BASE_UNIT = 10**12

_PRIORITY_FEE_PER_GAS = 1
_SPONSOR_LIMIT = 5 * 10**16
"""Gas times the highest price that stock sponsors countersign: 0.05 USD in units of 10**-18."""


class Operation(StrEnum):
    """What a transaction does to a channel; its gas depends on it."""

    OPEN = "open"
    TOP_UP = "topUp"
    REQUEST_CLOSE = "requestClose"
    WITHDRAW = "withdraw"


GAS = {
    Operation.OPEN: 2_000_000,
    Operation.TOP_UP: 600_000,
    Operation.REQUEST_CLOSE: 250_000,
    Operation.WITHDRAW: 300_000,
}
"""The gas limit of each operation. At T4 an open uses up to 1.58 million, a top-up 264,000, a request 50,000 and a
withdrawal 68,000; what is not used is not paid, but has to be in the account."""


@frozen
class Fees:
    """The gas fields of a transaction.

    Attributes:
        gas_limit: units of gas; what is not used is not paid.
        max_fee_per_gas: the highest price of one unit of gas, in 10**-18 of a token.
        max_priority_fee_per_gas: the part of it that is the validator's, in 10**-18 of a token.

    Raises:
        ValueError: no gas, a negative price, or a priority fee above the whole.
    """

    gas_limit: int
    max_fee_per_gas: int
    max_priority_fee_per_gas: int

    def __post_init__(self) -> None:
        if self.gas_limit <= 0:
            raise ValueError("the gas limit must be positive")
        if not 0 <= self.max_priority_fee_per_gas <= self.max_fee_per_gas:
            raise ValueError("fees must satisfy 0 <= max_priority_fee_per_gas <= max_fee_per_gas")


def choose_fees(price: int, operation: Operation, *, sponsored: bool = False) -> Fees:
    """Choose the gas fields of a transaction that does ``operation``, at a gas price of ``price`` now.

    Whoever pays alone allows for a price that doubles. A sponsor refuses a transaction that could cost it more than
    0.05 USD, so that a sponsored one allows for a fifth more, or for what the sponsor's limit leaves.

    Args:
        price: the price of one unit of gas, in 10**-18 of a token.
        operation: what the transaction does.
        sponsored: a fee payer pays.
    """
    gas = GAS[operation]
    ceiling = price * 2
    if sponsored:
        ceiling = max(price, min(price * 6 // 5, _SPONSOR_LIMIT // gas))
    return Fees(gas, ceiling, min(_PRIORITY_FEE_PER_GAS, ceiling))


def max_fee(fees: Fees) -> int:
    """Return the most that a transaction with these fees can cost, in base units of a 6-decimal token, rounded up."""
    return -(-fees.gas_limit * fees.max_fee_per_gas // _GAS_PRICE_UNITS_PER_BASE_UNIT)


def fee_of(gas_used: int, price: int) -> int:
    """Return what a transaction cost, in base units of a 6-decimal token, rounded up.

    Args:
        gas_used: units of gas.
        price: the price of one of them, in 10**-18 of a token.

    Raises:
        ValueError: one of them is negative.
    """
    if gas_used < 0 or price < 0:
        raise ValueError("neither gas nor its price can be negative")
    return -(-gas_used * price // _GAS_PRICE_UNITS_PER_BASE_UNIT)


def forced_close_fee(fees: Fees, *, sponsored: bool = False) -> int:
    """Return the most that a close without the gateway costs the payer, in base units: the request and the withdrawal.

    Args:
        fees: those of another transaction at the same gas price.
        sponsored: a fee payer pays that one, which allows for less of a rise.
    """
    gas = GAS[Operation.REQUEST_CLOSE] + GAS[Operation.WITHDRAW]
    return max_fee(Fees(gas, fees.max_fee_per_gas * (2 if sponsored else 1), 0))
