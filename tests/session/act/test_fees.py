"""The fees of the wallet's own transactions: on record before they are sent, and what their receipts say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ando_cli.session.act import deposits, fees
from ando_cli.session.channel import State
from ando_cli.session.report.spending import total
from ando_cli.session.report.wallet import Moved, moved
from ando_cli.tempo.receipts import Receipt
from tests.support.session_doubles import FEE, KEY, MILLION, PAYEE, channel, session_request

if TYPE_CHECKING:
    from tests.support.session_bench import Bench


def opened(bench: Bench, *, sponsored: bool = False) -> str:
    """Sign an open; the hash of its transaction."""
    made = deposits.open_channel(bench.session, bench.key, session_request(fee_payer=sponsored))
    assert made.pending is not None
    return fees.hash_of(made.pending.transaction)


def shown(bench: Bench, tx_hash: str, fee: int, payer: str | None = KEY.address) -> None:
    bench.chain.receipts[tx_hash] = Receipt(tx_hash, True, fee, payer, ())


def test_the_fee_of_an_open_is_on_record_with_its_most_before_it_is_sent(bench: Bench) -> None:
    opened(bench)
    [row] = bench.store.ledger()
    assert (row.outcome, row.path, row.spent, row.fee, row.fee_at_most) == ("fee", "open", None, None, FEE)
    assert (total([row]).fees, total([row]).fees_at_most, total([row]).spent, total([row]).requests) == (0, FEE, 0, 0)


def test_a_sponsored_transaction_costs_the_wallet_nothing(bench: Bench) -> None:
    opened(bench, sponsored=True)
    assert bench.store.ledger() == []


@pytest.mark.parametrize(
    ("fee", "payer", "booked"),
    [
        (FEE, KEY.address, FEE), (0, None, 0), (FEE + 1, KEY.address, None), (FEE, PAYEE, 0),
    ],
)  # fmt: skip
def test_a_receipt_says_what_it_was_up_to_what_was_signed_for(
    bench: Bench, fee: int, payer: str | None, booked: int | None
) -> None:
    shown(bench, opened(bench), fee, payer)
    [known] = bench.store.channels()
    bench.chain.show(known)
    assert bench.resolved(known).state is State.OPEN
    [row] = bench.store.ledger()
    assert (row.fee, row.fee_at_most) == (booked, FEE if booked is None else 0)


def test_a_fee_that_was_seen_once_stays(bench: Bench) -> None:
    tx_hash = opened(bench)
    [known] = bench.store.channels()
    for fee in (7, 9):
        shown(bench, tx_hash, fee)
        fees.settle(bench.session, known)
    assert [row.fee for row in bench.store.ledger()] == [7]


def test_what_was_never_mined_costs_nothing(bench: Bench) -> None:
    opened(bench)
    [known] = bench.store.channels()
    bench.store.ended(known.channel_id, State.ABANDONED)
    assert [row.fee_at_most for row in bench.store.ledger()] == [0]


def test_what_our_transactions_moved_is_added_up(bench: Bench) -> None:
    states = [
        channel(1, deposit=5 * MILLION),
        channel(2, deposit=3 * MILLION, state=State.CLOSED, captured=MILLION),
        channel(3, deposit=2 * MILLION, state=State.CLOSED),
        channel(4, deposit=9 * MILLION, state=State.ABANDONED),
    ]
    shown(bench, opened(bench), 5)
    fees.settle(bench.session, bench.store.channels()[0])
    assert moved(states, bench.store.ledger()) == Moved(
        deposited=10 * MILLION, refunded=2 * MILLION, unproven=2 * MILLION, fees=5, fees_at_most=0
    )
    assert moved(states, bench.store.ledger()).net == 8 * MILLION + 5
