"""What the steps do: recorded before it is handed out, consented to before it is signed, and settled by the chain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ando_cli.errors import AndoError, NetworkError, PaymentError, StoreError
from ando_cli.mpp.credential import OpenPayload, TopUpPayload, VoucherPayload
from ando_cli.session.act import lifecycle as lifecycle_module
from ando_cli.session.act.lifecycle import TRANSACTION_SECONDS, Deposit, Lifecycle
from ando_cli.session.channel import Channel, ChannelKey, Pending, State
from ando_cli.session.decide.policy import Caps, Committed
from ando_cli.session.decide.steps import Voucher
from ando_cli.session.record.store import Store
from ando_cli.tempo.keys import recover
from ando_cli.tempo.voucher import voucher_digest
from tests.support.session_doubles import (
    CHAIN_ID,
    ESCROW,
    FEE,
    GATEWAY,
    KEY,
    MILLION,
    NETWORK,
    NOW,
    PAYEE,
    TOKEN,
    Clock,
    Consent,
    FakeChain,
    channel,
    deposited_by,
    lifecycle,
    opening,
    session_request,
)
from tests.support.session_snapshots import TERMS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ando_cli.tempo.rpc import ChannelState

VALID_BEFORE = NOW + TRANSACTION_SECONDS
SETTLED = 60
"""Seconds after which our own clock may say that a transaction is over, although the chain's does not move."""


class Bench:
    """A lifecycle with its store, a chain and a clock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.chain = FakeChain(self.clock)
        self.consent = Consent()
        self.store = Store(folder / "sessions.db", clock=self.clock)
        self.session = self.make()
        self.key = self.session.channel_key(GATEWAY, session_request())

    def make(self, caps: Caps | None = None, deposit: int | None = None) -> Lifecycle:
        return lifecycle(
            self.folder, self.chain, self.clock, caps=caps, consent=self.consent, store=self.store, deposit=deposit
        )

    def have(self, known: Channel) -> Channel:
        self.store.add(known)
        found = self.store.channel(known.channel_id)
        assert found is not None
        return found

    def resolved(self, known: Channel) -> Channel:
        self.session.resolve(known)
        found = self.store.channel(known.channel_id)
        assert found is not None
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.store.close()


def test_a_channel_is_for_one_gateway_network_chain_escrow_token_payee_and_payer(bench: Bench) -> None:
    assert bench.key == ChannelKey(GATEWAY, NETWORK.name, CHAIN_ID, ESCROW, TOKEN, PAYEE, KEY.address)


# Opening


def test_an_open_is_recorded_with_its_transaction_when_it_is_handed_out(bench: Bench) -> None:
    opened = bench.session.open(bench.key, session_request())
    with_another_connection = Store(bench.folder / "sessions.db").live(bench.key)
    assert with_another_connection is not None
    assert with_another_connection.pending == opened.pending
    assert (with_another_connection.state, with_another_connection.channel_id) == (State.OPENING, opened.channel_id)
    assert opened.channel_id == opened.terms.channel_id
    assert opened.pending is not None
    assert opened.pending.valid_before == VALID_BEFORE
    assert deposited_by(opened.pending.transaction) == opened.deposit == 5 * MILLION
    assert opened.cumulative_amount == MILLION
    assert bench.session.committed == Committed(deposited=5 * MILLION, raised=MILLION)


def test_the_payload_of_an_open_carries_the_recorded_transaction_and_a_voucher_for_the_recorded_amount(
    bench: Bench,
) -> None:
    opened = bench.session.open(bench.key, session_request())
    payload = bench.session.payload(opened)
    assert isinstance(payload, OpenPayload)
    assert opened.pending is not None
    assert payload.transaction == opened.pending.transaction
    digest = voucher_digest(opened.channel_id, MILLION, escrow=ESCROW, chain_id=CHAIN_ID)
    assert recover(digest, bytes.fromhex(payload.signature[2:])) == KEY.address


def test_two_channels_of_the_same_parties_have_different_ids(bench: Bench) -> None:
    first = bench.session.open(bench.key, session_request())
    bench.store.ended(first.channel_id, State.CLOSED)
    assert bench.session.open(bench.key, session_request()).channel_id != first.channel_id


def test_the_user_is_asked_for_the_very_amount_that_is_deposited(bench: Bench) -> None:
    bench.chain.funds = 3 * MILLION
    opened = bench.session.open(bench.key, session_request())
    assert bench.consent.asked == [Deposit(True, 3 * MILLION - FEE, GATEWAY, "TST")]
    assert opened.deposit == 3 * MILLION - FEE


def test_a_gateway_that_pays_the_fee_leaves_the_whole_balance_for_the_deposit(bench: Bench) -> None:
    bench.chain.funds = 3 * MILLION
    assert bench.session.open(bench.key, session_request(fee_payer=True)).deposit == 3 * MILLION


def test_a_deposit_that_the_user_named_is_what_is_deposited(bench: Bench) -> None:
    assert bench.make(deposit=2 * MILLION).open(bench.key, session_request()).deposit == 2 * MILLION


def test_an_open_that_is_declined_signs_and_records_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from ando_cli.tempo import transaction

    monkeypatch.setattr(transaction, "open_transaction", None)  # calling it would be an error of another kind
    bench.consent.refusal = PaymentError("no", code="declined")
    with pytest.raises(PaymentError, match="no"):
        bench.session.open(bench.key, session_request())
    assert bench.store.channels() == []
    assert bench.store.pinned_payee(GATEWAY, NETWORK.name) is None
    assert bench.session.committed == Committed()


def test_a_limit_stops_an_open_before_the_user_is_asked(bench: Bench) -> None:
    for session in (bench.make(Caps(MILLION - 1)), bench.make(Caps(5 * MILLION, MILLION - 1))):
        with pytest.raises(PaymentError):
            session.open(bench.key, session_request())
    bench.chain.funds = MILLION
    with pytest.raises(PaymentError, match="wallet holds"):
        bench.session.open(bench.key, session_request())
    assert (bench.consent.asked, bench.store.channels()) == ([], [])


def test_max_spend_holds_over_several_channels_of_one_command(bench: Bench) -> None:
    session = bench.make(Caps(5 * MILLION, 6 * MILLION))
    first = session.open(bench.key, session_request())
    bench.store.ended(first.channel_id, State.CLOSED)
    assert session.open(bench.key, session_request()).deposit == MILLION


def test_a_live_channel_for_the_same_key_is_not_doubled(bench: Bench) -> None:
    bench.session.open(bench.key, session_request())
    with pytest.raises(StoreError):
        bench.session.open(bench.key, session_request())
    assert len(bench.store.channels()) == 1


def test_an_rpc_of_another_chain_is_not_asked_for_more(bench: Bench) -> None:
    bench.chain.id = 1
    for act in (
        lambda: bench.session.open(bench.key, session_request()),
        lambda: bench.session.top_up(channel(), session_request(), 1),
        lambda: bench.session.resolve(opening()),
    ):
        with pytest.raises(PaymentError) as caught:
            act()
        assert caught.value.code == "wrong_chain"
    assert (bench.consent.asked, bench.store.channels()) == ([], [])


def test_a_clock_behind_the_chains_signs_nothing(bench: Bench) -> None:
    bench.chain.ahead = TRANSACTION_SECONDS
    with pytest.raises(PaymentError) as caught:
        bench.session.open(bench.key, session_request())
    assert caught.value.code == "clock_wrong"
    bench.chain.ahead = -3600  # a chain that has not moved for a while is no wrong clock
    bench.session.open(bench.key, session_request())


def test_a_clock_ahead_of_the_gateways_and_the_chains_signs_nothing(bench: Bench) -> None:
    bench.chain.ahead = -3600
    bench.session.gateway_time = bench.clock() - 3600
    with pytest.raises(PaymentError) as caught:
        bench.session.open(bench.key, session_request())
    assert caught.value.code == "clock_wrong"
    assert "3600 seconds ahead" in caught.value.message
    assert (bench.consent.asked, bench.store.channels()) == ([], [])


def test_a_gateway_whose_clock_is_wrong_is_not_believed_alone(bench: Bench) -> None:
    bench.session.gateway_time = bench.clock() - 3600
    bench.session.open(bench.key, session_request())


# Topping up


def test_a_top_up_is_recorded_as_pending_when_it_is_handed_out(bench: Bench) -> None:
    known = bench.have(channel(deposit=MILLION))
    topped = bench.session.top_up(known, session_request(), MILLION)
    found = Store(bench.folder / "sessions.db").channel(known.channel_id)
    assert found is not None
    assert found.pending == topped.pending
    assert found.pending is not None
    assert (found.pending.amount, found.pending.valid_before) == (5 * MILLION, VALID_BEFORE)
    assert deposited_by(found.pending.transaction) == 5 * MILLION
    assert (found.deposit, found.state) == (MILLION, State.OPEN)
    assert bench.consent.asked == [Deposit(False, 5 * MILLION, GATEWAY, "TST")]
    assert bench.session.committed == Committed(deposited=5 * MILLION)
    payload = bench.session.payload(topped)
    assert payload == TopUpPayload(known.channel_id, found.pending.transaction, 5 * MILLION)


def test_two_equal_top_ups_of_one_second_are_two_transactions(bench: Bench) -> None:
    known = bench.have(channel())
    first = bench.session.top_up(known, session_request(), 1)
    bench.store.opened(known.channel_id, 10 * MILLION)
    second = bench.session.top_up(known, session_request(), 1)
    assert first.pending is not None
    assert second.pending is not None
    assert first.pending.valid_before == second.pending.valid_before
    assert first.pending.transaction != second.pending.transaction, "the chain would mine the same one once"


def test_a_top_up_that_is_declined_records_nothing(bench: Bench) -> None:
    known = bench.have(channel(deposit=MILLION))
    bench.consent.refusal = PaymentError("no", code="declined")
    with pytest.raises(PaymentError, match="no"):
        bench.session.top_up(known, session_request(), MILLION)
    assert bench.store.channel(known.channel_id) == known


def test_a_top_up_beside_another_one_is_refused(bench: Bench) -> None:
    known = bench.have(channel(deposit=MILLION))
    bench.session.top_up(known, session_request(), MILLION)
    with pytest.raises(StoreError) as caught:
        bench.session.top_up(known, session_request(), MILLION)
    assert caught.value.code == "store_conflict"
    assert bench.session.committed == Committed(deposited=5 * MILLION)


def test_a_top_up_is_waited_for_until_the_chain_shows_it(bench: Bench) -> None:
    known = bench.have(channel(deposit=MILLION, pending=Pending("0x76", 2 * MILLION, VALID_BEFORE)))
    bench.chain.show(known)

    def mined_after_three(seconds: float) -> None:
        bench.clock.sleep(seconds)
        if len(bench.clock.slept) == 3:
            bench.chain.show(known, deposit=3 * MILLION)

    bench.session.sleep = mined_after_three
    bench.session.topped_up(known)
    found = bench.store.channel(known.channel_id)
    assert found is not None
    assert (found.deposit, found.pending, len(bench.clock.slept)) == (3 * MILLION, None, 3)


def test_a_top_up_that_the_chain_never_shows_is_not_believed_and_not_forgotten(bench: Bench) -> None:
    known = bench.have(channel(deposit=MILLION, pending=Pending("0x76", 2 * MILLION, VALID_BEFORE)))
    bench.chain.show(known)
    with pytest.raises(PaymentError) as caught:
        bench.session.topped_up(known)
    assert caught.value.code == "deposit_in_flight"
    assert bench.store.channel(known.channel_id) == known


# Vouchers


def test_a_raise_is_recorded_and_counted_once(bench: Bench) -> None:
    known = bench.have(channel())
    assert bench.session.voucher(known, Voucher(2 * MILLION, MILLION))
    assert not bench.session.voucher(known, Voucher(2 * MILLION, MILLION))
    assert bench.session.committed == Committed(raised=MILLION)
    found = bench.store.channel(known.channel_id)
    assert found is not None
    assert found.cumulative_amount == 2 * MILLION


def test_the_same_voucher_again_writes_nothing(bench: Bench) -> None:
    known = bench.have(channel())
    bench.clock.now += 5
    assert bench.session.voucher(known, Voucher(MILLION))
    assert bench.store.channel(known.channel_id) == known
    payload = bench.session.payload(known)
    assert isinstance(payload, VoucherPayload)
    assert payload.cumulative_amount == MILLION


# What the chain says


def test_an_open_that_the_chain_does_not_show_yet_stays_opening(bench: Bench) -> None:
    known = bench.have(opening())
    bench.clock.now = VALID_BEFORE - 1
    assert bench.resolved(known) == known


def test_an_open_is_given_up_when_the_chains_time_has_passed_it(bench: Bench) -> None:
    known = bench.have(opening())
    bench.chain.ahead = TRANSACTION_SECONDS
    assert bench.resolved(known).state is State.ABANDONED
    assert bench.store.live(bench.key) is None


def test_an_open_is_given_up_by_our_own_clock_only_after_a_grace(bench: Bench) -> None:
    known = bench.have(opening())
    bench.clock.now, bench.chain.ahead = VALID_BEFORE + SETTLED - 1, -10_000
    assert bench.resolved(known).state is State.OPENING
    bench.clock.now += 1
    assert bench.resolved(known).state is State.ABANDONED


def test_the_time_is_read_before_the_state_so_that_nothing_is_mined_between_them(bench: Bench) -> None:
    order: list[str] = []
    time_of, channel_of = bench.chain.latest_timestamp, bench.chain.channel

    def time() -> int:
        order.append("time")
        return time_of()

    def state(*of: Any) -> ChannelState | None:
        order.append("state")
        return channel_of(*of)

    bench.chain.latest_timestamp = time  # type: ignore[method-assign]
    bench.chain.channel = state  # type: ignore[method-assign]
    bench.resolved(bench.have(opening()))
    assert order == ["time", "state"]


@pytest.mark.parametrize("late", [0, 1000])
def test_an_open_that_the_chain_shows_is_open_with_the_chains_deposit(bench: Bench, late: int) -> None:
    known = bench.have(opening())
    bench.chain.show(known, deposit=4 * MILLION)
    bench.clock.now += late
    found = bench.resolved(known)
    assert (found.state, found.deposit, found.pending) == (State.OPEN, 4 * MILLION, None)
    assert found.cumulative_amount == MILLION


@pytest.mark.parametrize("known", [opening(), channel()], ids=["opening", "open"])
def test_a_channel_that_the_chain_shows_finalized_is_closed(bench: Bench, known: Channel) -> None:
    bench.chain.show(bench.have(known), finalized=True)
    assert bench.resolved(known).state is State.CLOSED
    assert bench.store.live(bench.key) is None


def topping_up(bench: Bench) -> Channel:
    return bench.have(channel(deposit=MILLION, pending=Pending("0x76", 2 * MILLION, VALID_BEFORE)))


def test_a_top_up_that_the_chain_shows_raises_the_deposit(bench: Bench) -> None:
    known = topping_up(bench)
    bench.chain.show(known, deposit=3 * MILLION)
    found = bench.resolved(known)
    assert (found.deposit, found.pending) == (3 * MILLION, None)


def test_a_top_up_that_the_chain_does_not_show_yet_stays_pending(bench: Bench) -> None:
    known = topping_up(bench)
    bench.chain.show(known, deposit=3 * MILLION - 1)
    assert bench.resolved(known) == known


def test_a_top_up_that_is_over_is_forgotten_and_the_chains_deposit_taken(bench: Bench) -> None:
    known = topping_up(bench)
    bench.chain.show(known, deposit=MILLION)
    bench.chain.ahead = TRANSACTION_SECONDS
    found = bench.resolved(known)
    assert (found.state, found.deposit, found.pending) == (State.OPEN, MILLION, None)


def test_a_young_channel_that_the_chain_does_not_show_is_not_given_up(bench: Bench) -> None:
    known = bench.have(channel())
    with pytest.raises(PaymentError) as caught:
        bench.session.resolve(known)
    assert caught.value.code == "deposit_in_flight"
    assert bench.store.channel(known.channel_id) == known
    bench.clock.now += TRANSACTION_SECONDS + SETTLED
    assert bench.resolved(known).state is State.ABANDONED


def test_a_young_channel_whose_closing_is_among_the_chains_events_is_closed(bench: Bench) -> None:
    known = bench.have(channel(channel_id=TERMS.channel_id, terms=TERMS))
    with pytest.raises(PaymentError) as caught:
        bench.session.resolve(known)
    assert caught.value.code == "deposit_in_flight"
    bench.chain.taken[known.channel_id] = 7
    found = bench.resolved(known)
    assert (found.state, found.spent) == (State.CLOSED, 7)


def test_a_chain_that_cannot_be_asked_changes_nothing(bench: Bench) -> None:
    known = bench.have(opening())

    def silent(*_: object) -> None:
        raise NetworkError("no answer")

    bench.chain.channel = silent  # type: ignore[assignment,method-assign]
    bench.clock.now += 10_000
    with pytest.raises(NetworkError):
        bench.session.resolve(known)
    assert bench.store.channel(known.channel_id) == known


# The lock


def test_a_lock_that_another_holds_is_waited_for_and_then_an_error(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle_module, "WAIT_SECONDS", 0.1)
    with bench.session.exclusive(bench.key), pytest.raises(StoreError) as caught, bench.make().exclusive(bench.key):
        pass
    assert caught.value.code == "store_busy"
    with bench.make().exclusive(bench.key):
        pass


def test_a_lock_is_released_when_what_it_guarded_fails(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle_module, "WAIT_SECONDS", 0.1)
    with pytest.raises(KeyboardInterrupt), bench.session.exclusive(bench.key):
        raise KeyboardInterrupt
    with bench.make().exclusive(bench.key):
        pass


def test_locks_of_different_channels_do_not_meet(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle_module, "WAIT_SECONDS", 0.1)
    other = bench.session.channel_key("https://other.example", session_request())
    with bench.session.exclusive(bench.key), bench.make().exclusive(other):
        pass


def test_a_lock_file_names_nobody_and_is_the_users_alone(bench: Bench) -> None:
    with bench.session.exclusive(bench.key):
        (path,) = (bench.folder / "locks").iterdir()
        assert path.stat().st_mode & 0o777 == 0o600
        assert (bench.folder / "locks").stat().st_mode & 0o777 == 0o700
        assert "gateway" not in path.name
        assert PAYEE[2:] not in path.name


def test_a_lock_that_cannot_be_made_is_an_error_that_says_where(bench: Bench) -> None:
    (bench.folder / "locks").write_text("a file where the folder should be")
    with pytest.raises(AndoError) as caught, bench.session.exclusive(bench.key):
        pass
    assert caught.value.code == "store_unwritable"
    assert str(bench.folder / "locks") in (caught.value.hint or "")
