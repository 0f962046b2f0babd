"""What the chain says became of a channel, and what goes on record of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ando_cli.errors import NetworkError, PaymentError
from ando_cli.session.act import settling
from ando_cli.session.act.chain import TRANSACTION_SECONDS
from ando_cli.session.channel import Channel, Pending, State
from tests.support.session_doubles import MILLION, NOW, channel, opening
from tests.support.session_snapshots import TERMS

if TYPE_CHECKING:
    from ando_cli.tempo.channel import ChannelState
    from tests.support.session_bench import Bench

VALID_BEFORE = NOW + TRANSACTION_SECONDS


def test_an_open_that_the_chain_does_not_show_yet_stays_opening(bench: Bench) -> None:
    known = bench.have(opening())
    bench.clock.now = VALID_BEFORE - 1
    assert bench.resolved(known) == known


def test_an_open_is_given_up_when_the_chains_time_has_passed_it(bench: Bench) -> None:
    known = bench.have(opening())
    bench.chain.ahead = TRANSACTION_SECONDS
    assert bench.resolved(known).state is State.ABANDONED
    assert bench.store.live(bench.key) is None


@pytest.mark.parametrize("ahead", [90, 10_000])
def test_our_own_clock_ends_no_open_that_is_under_way(bench: Bench, ahead: int) -> None:
    known = bench.have(opening())
    bench.clock.now, bench.chain.ahead = VALID_BEFORE + ahead, -ahead - 1
    assert bench.resolved(known).state is State.OPENING
    bench.chain.ahead += 1
    assert bench.resolved(known).state is State.ABANDONED


def test_time_and_state_are_those_of_one_block(bench: Bench) -> None:
    asked: list[object] = []
    channel_of = bench.chain.channel

    def state(escrow: str, channel_id: str, protocol: object = None, block: int | None = None) -> ChannelState | None:
        asked.append(block)
        return channel_of(escrow, channel_id, protocol)

    bench.chain.channel = state  # type: ignore[method-assign]
    bench.resolved(bench.have(opening()))
    assert asked == [bench.chain.latest_block().number]


@pytest.mark.parametrize("known", [opening(), channel()], ids=["opening", "open"])
def test_an_absence_is_believed_when_it_is_seen_again_some_seconds_later(bench: Bench, known: Channel) -> None:
    bench.have(known)
    bench.clock.now += 10_000
    sleep = bench.clock.sleep

    def shown_meanwhile(seconds: float) -> None:
        sleep(seconds)
        bench.chain.show(known)

    bench.clock.sleep = shown_meanwhile  # type: ignore[method-assign]
    assert bench.resolved(known).state is State.OPEN
    assert bench.clock.slept == [3.0]
    bench.clock.sleep = sleep  # type: ignore[method-assign]
    bench.chain.channels.clear()
    assert bench.resolved(channel()).state is State.ABANDONED


def test_a_node_that_lags_behind_the_opening_proves_nothing_however_old_our_record_is(bench: Bench) -> None:
    known = bench.have(channel())
    created = known.created_at
    bench.clock.now += 10_000
    bench.chain.ahead = created + TRANSACTION_SECONDS - 1 - bench.clock.now
    with pytest.raises(PaymentError) as caught:
        settling.resolve(bench.session, known)
    assert (caught.value.code, bench.store.channel(known.channel_id)) == ("deposit_in_flight", known)


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
        settling.resolve(bench.session, known)
    assert caught.value.code == "deposit_in_flight"
    assert bench.store.channel(known.channel_id) == known
    bench.clock.now += TRANSACTION_SECONDS
    assert bench.resolved(known).state is State.ABANDONED


def test_an_absence_counts_from_the_second_in_which_the_opening_is_over(bench: Bench) -> None:
    known = bench.have(channel())
    bench.clock.now += TRANSACTION_SECONDS - 1
    with pytest.raises(PaymentError) as caught:
        settling.resolve(bench.session, known)
    assert caught.value.code == "deposit_in_flight"
    bench.clock.now += 1
    assert bench.resolved(known).state is State.ABANDONED


def test_a_pending_transaction_is_over_at_the_very_second_that_the_chain_refuses_it(bench: Bench) -> None:
    known = topping_up(bench)
    bench.chain.show(known, deposit=MILLION)
    bench.chain.ahead = TRANSACTION_SECONDS - 1
    assert bench.resolved(known) == known
    bench.chain.ahead = TRANSACTION_SECONDS
    assert bench.resolved(known).pending is None


def test_a_young_channel_whose_closing_is_among_the_chains_events_is_closed(bench: Bench) -> None:
    known = bench.have(channel(channel_id=TERMS.channel_id, terms=TERMS))
    with pytest.raises(PaymentError) as caught:
        settling.resolve(bench.session, known)
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
        settling.resolve(bench.session, known)
    assert bench.store.channel(known.channel_id) == known


def test_a_top_up_is_waited_for_until_the_chain_shows_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    known = bench.have(channel(deposit=MILLION, pending=Pending("0x76", 2 * MILLION, VALID_BEFORE)))
    bench.chain.show(known)

    sleep = bench.clock.sleep

    def mined_after_three(seconds: float) -> None:
        sleep(seconds)
        if len(bench.clock.slept) == 3:
            bench.chain.show(known, deposit=3 * MILLION)

    monkeypatch.setattr(bench.clock, "sleep", mined_after_three)
    settling.confirm_top_up(bench.session, known)
    found = bench.store.channel(known.channel_id)
    assert found is not None
    assert (found.deposit, found.pending, len(bench.clock.slept)) == (3 * MILLION, None, 3)


def test_a_top_up_of_a_channel_that_is_forgotten_meanwhile_is_not_waited_for(bench: Bench) -> None:
    known = topping_up(bench)
    bench.chain.show(known)
    bench.store.forget(known.channel_id)
    settling.confirm_top_up(bench.session, known)
    assert bench.clock.slept == []


def test_a_top_up_that_the_chain_never_shows_is_not_believed_and_not_forgotten(bench: Bench) -> None:
    known = bench.have(channel(deposit=MILLION, pending=Pending("0x76", 2 * MILLION, VALID_BEFORE)))
    bench.chain.show(known)
    with pytest.raises(PaymentError) as caught:
        settling.confirm_top_up(bench.session, known)
    assert caught.value.code == "deposit_in_flight"
    assert bench.store.channel(known.channel_id) == known


# A close that nobody here asked for


def asks_to_close(bench: Bench, known: Channel, at: int) -> None:
    bench.chain.show(known)
    shown = bench.chain.channels[known.channel_id]
    bench.chain.channels[known.channel_id] = replace(shown, close_requested_at=at)


def lies_once(bench: Bench, known: Channel, lie: ChannelState) -> None:
    """Have the node answer ``lie`` to the next question about ``known``, and the truth from then on."""
    truth, answers = bench.chain.channel, [lie]

    def answer(escrow: str, channel_id: str, protocol: object = None, block: int | None = None) -> ChannelState | None:
        return answers.pop() if answers else truth(escrow, channel_id, protocol, block)

    bench.chain.channel = answer  # type: ignore[method-assign]


@pytest.mark.parametrize("lie", [{"close_requested_at": 1}, {"finalized": True, "deposit": 0}], ids=["asked", "over"])
def test_one_lying_answer_ends_no_channel(bench: Bench, lie: dict[str, int]) -> None:
    known = bench.have(channel())
    bench.chain.show(known)
    lies_once(bench, known, replace(bench.chain.channels[known.channel_id], **lie))
    assert bench.resolved(known).state is State.OPEN


def test_a_request_to_close_that_is_seen_twice_makes_the_channel_closing(bench: Bench) -> None:
    known = bench.have(channel())
    asks_to_close(bench, known, NOW)
    assert bench.resolved(known).state is State.CLOSING


def test_a_channel_that_nobody_asked_to_close_is_open_again_by_the_chains_word(bench: Bench) -> None:
    known = bench.have(channel())
    asks_to_close(bench, known, NOW)
    closing = bench.resolved(known)
    bench.chain.show(known)
    found = bench.resolved(closing)
    assert (found.state, found.closes_at) == (State.OPEN, 0)


def test_a_channel_that_we_asked_to_close_stays_closing_whatever_a_node_shows(bench: Bench) -> None:
    known = bench.have(channel())
    bench.store.closing(known.channel_id, 0)
    bench.store.owe(known.channel_id, "0x" + "1" * 64, "requestClose", 1)
    bench.chain.show(known)
    closing = bench.store.channel(known.channel_id)
    assert closing is not None
    assert bench.resolved(closing).state is State.CLOSING
