"""Deposits: consented to before they are signed, and recorded before they are handed out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ando_cli.errors import PaymentError, StoreError
from ando_cli.mpp.credential import TopUpPayload
from ando_cli.session.act import deposits, signing
from ando_cli.session.act.chain import TRANSACTION_SECONDS
from ando_cli.session.act.session import Deposit
from ando_cli.session.channel import State
from ando_cli.session.decide.policy import Caps, Committed
from ando_cli.session.decide.steps import Voucher
from ando_cli.session.record.store import Store
from tests.support.session_doubles import FEE, GATEWAY, MILLION, NETWORK, NOW, channel, deposited_by, session_request

if TYPE_CHECKING:
    from tests.support.session_bench import Bench

VALID_BEFORE = NOW + TRANSACTION_SECONDS
CLOSE_FEE = 5_500
"""What a close without the gateway can cost at the price of ``FEES``, in base units."""


def test_an_open_is_recorded_with_its_transaction_when_it_is_handed_out(bench: Bench) -> None:
    opened = deposits.open_channel(bench.session, bench.key, session_request())
    with_another_connection = Store(bench.folder / "sessions.db").live(bench.key)
    assert with_another_connection is not None
    assert with_another_connection.pending == opened.pending
    assert (with_another_connection.state, with_another_connection.channel_id) == (State.OPENING, opened.channel_id)
    assert opened.channel_id == opened.terms.channel_id
    assert opened.pending is not None
    assert opened.pending.valid_before == VALID_BEFORE
    assert deposited_by(opened.pending.transaction) == opened.deposit == 5 * MILLION
    assert opened.cumulative_amount == MILLION
    assert bench.session.tally.committed == Committed(deposited=5 * MILLION, raised=MILLION)


def test_two_channels_of_the_same_parties_have_different_ids(bench: Bench) -> None:
    first = deposits.open_channel(bench.session, bench.key, session_request())
    bench.store.ended(first.channel_id, State.CLOSED)
    assert deposits.open_channel(bench.session, bench.key, session_request()).channel_id != first.channel_id


def test_the_user_is_asked_for_the_very_amount_that_is_deposited(bench: Bench) -> None:
    bench.chain.funds = 3 * MILLION
    opened = deposits.open_channel(bench.session, bench.key, session_request())
    deposit = 3 * MILLION - FEE - CLOSE_FEE
    assert bench.consent.asked == [Deposit(True, deposit, GATEWAY, "TST", step=MILLION)]
    assert opened.step == MILLION
    assert opened.deposit == deposit


def test_where_the_gateway_pays_the_fee_a_close_without_it_can_be_paid_too(bench: Bench) -> None:
    bench.chain.funds = 3 * MILLION
    opened = deposits.open_channel(bench.session, bench.key, session_request(fee_payer=True))
    assert opened.deposit == 3 * MILLION - 2 * CLOSE_FEE


def test_the_question_says_how_many_requests_a_deposit_is_for_that_nobody_suggested(bench: Bench) -> None:
    deposits.open_channel(bench.session, bench.key, session_request(suggested_deposit=None))
    assert bench.consent.asked == [Deposit(True, 5 * MILLION, GATEWAY, "TST", step=MILLION, price=MILLION)]


def test_a_deposit_that_the_user_named_is_what_is_deposited(bench: Bench) -> None:
    assert deposits.open_channel(bench.make(deposit=2 * MILLION), bench.key, session_request()).deposit == 2 * MILLION


def test_an_open_that_is_declined_signs_and_records_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from ando_cli.tempo import transaction

    monkeypatch.setattr(transaction, "open_transaction", None)  # calling it would be an error of another kind
    bench.consent.refusal = PaymentError("no", code="declined")
    with pytest.raises(PaymentError, match="no"):
        deposits.open_channel(bench.session, bench.key, session_request())
    assert bench.store.channels() == []
    assert bench.store.pinned_payee(GATEWAY, NETWORK.name) is None
    assert bench.session.tally.committed == Committed()


def test_a_limit_stops_an_open_before_the_user_is_asked(bench: Bench) -> None:
    for session in (bench.make(Caps(MILLION - 1)), bench.make(Caps(5 * MILLION, MILLION - 1))):
        with pytest.raises(PaymentError):
            deposits.open_channel(session, bench.key, session_request())
    bench.chain.funds = MILLION
    with pytest.raises(PaymentError, match="wallet holds"):
        deposits.open_channel(bench.session, bench.key, session_request())
    assert (bench.consent.asked, bench.store.channels()) == ([], [])


def test_max_spend_holds_over_several_channels_of_one_command(bench: Bench) -> None:
    session = bench.make(Caps(5 * MILLION, 6 * MILLION))
    first = deposits.open_channel(session, bench.key, session_request())
    bench.store.ended(first.channel_id, State.CLOSED)
    assert deposits.open_channel(session, bench.key, session_request()).deposit == MILLION


def test_max_spend_holds_for_what_a_second_channel_authorises_as_for_what_the_first_did(bench: Bench) -> None:
    known = bench.have(channel(cumulative_amount=0))
    at_the_cap, below_it = bench.make(Caps(5 * MILLION, 2 * MILLION)), bench.make(Caps(5 * MILLION, 2 * MILLION))
    assert signing.record_raise(at_the_cap, known, Voucher(MILLION, MILLION))
    assert signing.record_raise(at_the_cap, replace(known, cumulative_amount=MILLION), Voucher(2 * MILLION, MILLION))
    below_it.tally.add(raised=MILLION)
    bench.store.ended(known.channel_id, State.CLOSED)
    with pytest.raises(PaymentError) as caught:
        deposits.open_channel(at_the_cap, bench.key, session_request())
    assert caught.value.code == "max_spend_exceeded"
    assert (bench.consent.asked, bench.store.live(bench.key)) == ([], None)
    deposits.open_channel(below_it, bench.key, session_request())
    assert below_it.tally.committed.raised == 2 * MILLION


def test_a_live_channel_for_the_same_key_is_not_doubled(bench: Bench) -> None:
    deposits.open_channel(bench.session, bench.key, session_request())
    with pytest.raises(StoreError):
        deposits.open_channel(bench.session, bench.key, session_request())
    assert len(bench.store.channels()) == 1


@pytest.mark.parametrize(
    ("chain", "gateway", "allowed_for"),
    [
        (25, None, 25),  # a chain's clock is never behind its last block
        (3600, 0, 3600),
        (-11, -12, -11),
        (-3600, -3600, -3600),
        (-7200, 0, 0),  # a chain that has not moved for a while is no wrong clock
        (0, -3600, 0),  # a gateway's clock can be wrong
        (-7200, 60, 0),
        (-15, None, -15),
        (-16, None, 0),
    ],
)
def test_a_transaction_is_signed_by_the_chains_time(
    bench: Bench, chain: int, gateway: int | None, allowed_for: int
) -> None:
    bench.chain.ahead = chain
    bench.session.tally.gateway_offset = gateway
    opened = deposits.open_channel(bench.session, bench.key, session_request())
    assert opened.pending is not None
    assert opened.pending.valid_before == VALID_BEFORE + allowed_for


@pytest.mark.parametrize(("chain", "gateway"), [(3601, None), (-3601, -3601)])
def test_a_clock_that_is_off_by_more_than_an_hour_signs_nothing(bench: Bench, chain: int, gateway: int | None) -> None:
    bench.chain.ahead = chain
    bench.session.tally.gateway_offset = gateway
    with pytest.raises(PaymentError) as caught:
        deposits.open_channel(bench.session, bench.key, session_request())
    assert caught.value.code == "clock_wrong"
    assert f"3601 s {'behind' if chain > 0 else 'ahead'}" in caught.value.message
    assert (bench.consent.asked, bench.store.channels()) == ([], [])


def test_a_challenge_is_over_by_the_gateways_clock_where_ours_is_ahead(bench: Bench) -> None:
    assert bench.session.challenge_time() == NOW
    bench.session.tally.gateway_offset = -600.0
    assert bench.session.challenge_time() == NOW - 600
    bench.session.tally.gateway_offset = 600.0
    assert bench.session.challenge_time() == NOW


# Topping up


def test_a_top_up_is_recorded_as_pending_when_it_is_handed_out(bench: Bench) -> None:
    known = bench.have(channel(deposit=MILLION))
    topped = deposits.top_up(bench.session, known, session_request(), MILLION)
    found = Store(bench.folder / "sessions.db").channel(known.channel_id)
    assert found is not None
    assert found.pending == topped.pending
    assert found.pending is not None
    assert (found.pending.amount, found.pending.valid_before) == (5 * MILLION, VALID_BEFORE)
    assert deposited_by(found.pending.transaction) == 5 * MILLION
    assert (found.deposit, found.state) == (MILLION, State.OPEN)
    assert bench.consent.asked == [Deposit(False, 5 * MILLION, GATEWAY, "TST")]
    assert bench.session.tally.committed == Committed(deposited=5 * MILLION)
    payload = signing.payload(bench.session, topped)
    assert payload == TopUpPayload(known.channel_id, found.pending.transaction, 5 * MILLION)


def test_a_top_up_by_nothing_is_refused_and_one_by_a_base_unit_is_not(bench: Bench) -> None:
    known = bench.have(channel())
    with pytest.raises(PaymentError) as caught:
        deposits.top_up_by(bench.session, known, session_request(), 0)
    assert (caught.value.code, bench.consent.asked) == ("deposit_too_small", [])
    topped = deposits.top_up_by(bench.session, known, session_request(), 1)
    assert topped.pending is not None
    assert topped.pending.amount == 1


def test_two_equal_top_ups_of_one_second_are_two_transactions(bench: Bench) -> None:
    known = bench.have(channel())
    first = deposits.top_up(bench.session, known, session_request(), 1)
    bench.store.opened(known.channel_id, 10 * MILLION)
    second = deposits.top_up(bench.session, known, session_request(), 1)
    assert first.pending is not None
    assert second.pending is not None
    assert first.pending.valid_before == second.pending.valid_before
    assert first.pending.transaction != second.pending.transaction, "the chain would mine the same one once"


def test_a_top_up_that_is_declined_records_nothing(bench: Bench) -> None:
    known = bench.have(channel(deposit=MILLION))
    bench.consent.refusal = PaymentError("no", code="declined")
    with pytest.raises(PaymentError, match="no"):
        deposits.top_up(bench.session, known, session_request(), MILLION)
    assert bench.store.channel(known.channel_id) == known


def test_a_top_up_beside_another_one_is_refused(bench: Bench) -> None:
    known = bench.have(channel(deposit=MILLION))
    deposits.top_up(bench.session, known, session_request(), MILLION)
    with pytest.raises(StoreError) as caught:
        deposits.top_up(bench.session, known, session_request(), MILLION)
    assert caught.value.code == "store_conflict"
    assert bench.session.tally.committed == Committed(deposited=5 * MILLION)
