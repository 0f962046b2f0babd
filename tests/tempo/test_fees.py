"""What a transaction may cost: gas by operation, headroom by who pays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ando_cli.tempo.fees import GAS, Operation, choose_fees

GWEI = 10**9
MEASURED = {
    Operation.OPEN: 1_580_000,
    Operation.TOP_UP: 264_000,
    Operation.REQUEST_CLOSE: 50_000,
    Operation.WITHDRAW: 68_000,
}
"""The most gas that each used on a chain at T4 (protocol.md, section 3)."""


@pytest.mark.parametrize("operation", Operation)
def test_the_gas_of_each_operation_is_above_what_was_measured_and_within_what_a_sponsor_takes(
    operation: Operation,
) -> None:
    assert MEASURED[operation] * 5 // 4 <= GAS[operation] <= 2_000_000


@given(st.sampled_from(Operation), st.integers(0, 25 * GWEI))
def test_a_sponsor_with_the_usual_limits_takes_what_is_signed_for_it(operation: Operation, price: int) -> None:
    fees = choose_fees(price, operation, sponsored=True)
    assert fees.gas_limit * fees.max_fee_per_gas <= 5 * 10**16
    assert price <= fees.max_fee_per_gas <= 100 * GWEI
    assert fees.max_priority_fee_per_gas <= 10 * GWEI


def test_above_the_sponsors_limit_the_price_itself_is_signed() -> None:
    assert choose_fees(26 * GWEI, Operation.OPEN, sponsored=True).max_fee_per_gas == 26 * GWEI


def test_a_fifth_of_headroom_where_a_sponsor_pays_and_twice_the_price_where_we_do() -> None:
    assert choose_fees(20 * GWEI, Operation.OPEN, sponsored=True).max_fee_per_gas == 24 * GWEI
    assert choose_fees(20 * GWEI, Operation.OPEN).max_fee_per_gas == 40 * GWEI
