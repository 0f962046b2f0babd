"""What a transaction may cost at most.

Tempo has no native coin: gas is priced in units of 10**-18 of a token, and paid in a TIP-20 token with 6 decimals.
"""

from __future__ import annotations

from ando_cli.frozen import frozen

_GAS_PRICE_UNITS_PER_BASE_UNIT = 10**12


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


def max_fee(fees: Fees) -> int:
    """Return the most that a transaction with these fees can cost, in base units of a 6-decimal token, rounded up."""
    return -(-fees.gas_limit * fees.max_fee_per_gas // _GAS_PRICE_UNITS_PER_BASE_UNIT)
