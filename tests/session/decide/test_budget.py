"""Budgets: what counts, when it is there again, and that nothing is signed beyond."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ando_cli.errors import PaymentError
from ando_cli.session.act import deposits
from ando_cli.session.act.vouchers import record_voucher
from ando_cli.session.channel import State
from ando_cli.session.decide.budget import Budget, Budgets, Standing, check, standings, warning
from ando_cli.session.decide.periods import day_of, month_of
from ando_cli.session.record.ledger import Entry, Outcome
from ando_cli.session.record.store import Store
from tests.support.session_doubles import (
    GATEWAY,
    MILLION,
    NETWORK,
    NOW,
    Clock,
    Consent,
    FakeChain,
    channel,
    make_session,
    opening,
    session_request,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ando_cli.session.act.session import Session

DAY = 86_400
DAILY = Budgets(day=2 * MILLION)


def standing(used: int, limit: int = 10 * MILLION) -> Standing:
    return Standing(Budget("budget.total", limit, None), used)


class Bench:
    """A store with a ledger, and sessions that go by budgets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.chain = FakeChain(self.clock)
        self.store = Store(folder / "sessions.db", clock=self.clock)
        self.warnings: list[str] = []

    def session(self, budgets: Budgets | None, **changes: Any) -> Session:
        return make_session(
            self.folder, self.chain, self.clock, store=self.store, budgets=budgets, warn=self.warnings.append, **changes
        )

    def raised(self, by: int, network: str = NETWORK.name, outcome: Outcome = Outcome.ANSWERED) -> None:
        """A row that authorised something, now."""
        self.store.book(None, Entry(None, GATEWAY, network, "/p", authorised=by), outcome)

    def used(self, budgets: Budgets) -> list[int]:
        found = standings(budgets, self.clock(), lambda since: self.store.authorised(NETWORK.name, since))
        return [each.used for each in found]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.store.close()


def exceeded(caught: pytest.ExceptionInfo[PaymentError]) -> str:
    assert caught.value.code == "budget_exceeded"
    assert "nothing was signed" in (caught.value.hint or "")
    return f"{caught.value.message}; {caught.value.hint}"


# What is decided


def test_what_fits_is_allowed_to_the_last_unit() -> None:
    check(10 * MILLION, [standing(0)])
    check(1, [standing(10 * MILLION - 1)])
    with pytest.raises(PaymentError) as caught:
        check(2, [standing(10 * MILLION - 1)])
    assert "budget.total is 10.00, of which 9.999999 is used: this needs 0.000002 more" in exceeded(caught)


def test_the_refusal_names_the_budget_that_is_there_again_last() -> None:
    used = standings(Budgets(MILLION, MILLION, MILLION), NOW, lambda since: [MILLION] * len(since))
    for left, words in ((used, "does not renew"), (used[1:], "budget.month"), (used[2:], "budget.day")):
        with pytest.raises(PaymentError) as caught:
            check(1, left)
        assert words in exceeded(caught)
    assert used[2].renews_at == day_of(NOW).until
    assert used[1].renews_at == month_of(NOW).until


def test_only_what_is_configured_is_a_budget() -> None:
    assert Budgets().at(NOW) == []
    assert [budget.name for budget in Budgets(day=1, total=2).at(NOW)] == ["budget.total", "budget.day"]


@pytest.mark.parametrize(("used", "near"), [(6 * MILLION, False), (7 * MILLION, True), (9 * MILLION, True)])
def test_the_user_is_warned_from_four_fifths_on(used: int, near: bool) -> None:
    told = warning(MILLION, [standing(used), standing(0)])
    assert told == (f"budget.total: {used // MILLION + 1}.00 of 10.00 is used" if near else None)
    assert warning(MILLION - 1, [standing(7 * MILLION)]) is None


@given(st.lists(st.integers(1, 3 * MILLION), max_size=30), st.integers(1, 20 * MILLION))
@settings(max_examples=60, deadline=None)
def test_whatever_is_asked_for_no_more_than_the_budget_is_allowed(asked: list[int], limit: int) -> None:
    used = 0
    for by in asked:
        try:
            check(by, [standing(used, limit)])
        except PaymentError:
            assert used + by > limit, "nothing is refused that fits"
        else:
            used += by
    assert used <= limit


# What counts


def test_what_counts_is_what_was_authorised_in_the_period(bench: Bench) -> None:
    budgets = Budgets(day=9, month=9, total=9)
    today, month = day_of(NOW), month_of(NOW)
    for at, by in ((month.since - 1, 1), (month.since, 10), (today.since - 1, 100), (today.since, 1000)):
        bench.clock.now = at
        bench.raised(by * MILLION)
        bench.raised(0)
    bench.clock.now = today.until - 1
    assert bench.used(budgets) == [1111 * MILLION, 1110 * MILLION, 1000 * MILLION]
    bench.clock.now = today.until
    assert bench.used(budgets)[2] == 0, "a new day"


def test_another_networks_money_and_what_was_signed_elsewhere_do_not_count(bench: Bench) -> None:
    bench.raised(MILLION, network="tempo-moderato")
    bench.store.adopt(channel(cumulative_amount=3 * MILLION))
    assert bench.used(Budgets(total=1)) == [0]


def test_amounts_beyond_64_bits_are_added_up_exactly(bench: Bench) -> None:
    for _ in range(3):
        bench.raised(2**120 + 1)
    assert bench.used(Budgets(total=1)) == [3 * (2**120 + 1)]


def test_a_channel_that_never_came_to_be_still_counts_because_only_a_node_says_so(bench: Bench) -> None:
    never = opening()
    bench.store.add(never)
    entry = Entry(never.channel_id, GATEWAY, NETWORK.name, "/p", authorised=MILLION)
    bench.store.book(None, entry)
    bench.store.ended(never.channel_id, State.ABANDONED)
    assert bench.used(Budgets(total=1)) == [MILLION]


# What is opened and signed


def open_(session: Session) -> int:
    """Open a channel, as the rail does; returns its deposit."""
    request, store = session_request(), session.store

    def book(opened: Any, committed: Any) -> None:
        store.book(None, Entry(opened.channel_id, GATEWAY, NETWORK.name, "/p", authorised=committed.raised))

    return deposits.open_channel(session, session.channel_key(GATEWAY, request), request, book).deposit


def test_an_open_is_refused_before_the_user_is_asked_and_before_anything_is_signed(bench: Bench) -> None:
    bench.raised(2 * MILLION - 1)
    consent = Consent()
    with pytest.raises(PaymentError) as caught:
        open_(bench.session(DAILY, consent=consent))
    assert "budget.day is 2.00, of which 1.999999 is used: this needs 1.00 more" in exceeded(caught)
    assert (consent.asked, bench.store.channels()) == ([], [])


def test_an_open_counts_and_the_user_is_warned_where_it_uses_up_most(bench: Bench) -> None:
    bench.raised(MILLION)
    assert open_(bench.session(DAILY)) == 5 * MILLION
    assert bench.warnings == ["budget.day: 2.00 of 2.00 is used"]
    assert bench.used(DAILY) == [2 * MILLION]


def test_a_deposit_that_nobody_but_a_budget_allows_is_bounded_by_what_is_left_of_it(bench: Bench) -> None:
    bench.raised(MILLION // 2)
    budgets = Budgets(day=9 * MILLION, total=2 * MILLION)
    assert open_(bench.session(budgets, by_budget=lambda: True)) == 1_500_000
    known, session = replace(channel(2), deposit=MILLION), bench.session(budgets, by_budget=lambda: True)
    with pytest.raises(PaymentError) as caught:
        deposits.top_up_by(session, known, session_request(), MILLION)
    assert "the budget leaves 0.50, and the channel needs a deposit of 1.00" in exceeded(caught)


def test_a_deposit_that_somebody_allows_may_be_more_than_a_budget_leaves(bench: Bench) -> None:
    assert open_(bench.session(Budgets(total=MILLION))) == 5 * MILLION


def test_a_voucher_by_hand_counts_as_any_raise(bench: Bench) -> None:
    known, session = channel(), bench.session(DAILY)
    bench.store.add(known)
    assert record_voucher(bench.store, known, 3 * MILLION, lambda _: None, session.check_budgets) == 2 * MILLION
    found = bench.store.channels()[0]
    with pytest.raises(PaymentError) as caught:
        record_voucher(bench.store, found, 3 * MILLION + 1, lambda _: None, session.check_budgets)
    assert exceeded(caught)
    assert bench.store.channels()[0].cumulative_amount == 3 * MILLION


def test_without_a_budget_the_ledger_is_not_asked(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.store, "authorised", None)
    session = bench.session(None)
    assert session.check_budgets(10**30) is None
    assert open_(session) == 5 * MILLION


def test_threads_that_open_at_once_do_not_pass_it_together(bench: Bench) -> None:
    """Each has a channel of its own, so that nothing but the store stands between them."""
    barrier, outcomes = threading.Barrier(6), list[str]()

    def one(number: int) -> None:
        session = bench.session(DAILY)
        request = session_request(recipient=f"0x{number:040x}")
        key = session.channel_key(f"https://{number}.example", request)

        def book(opened: Any, committed: Any) -> None:
            entry = Entry(opened.channel_id, GATEWAY, NETWORK.name, "/p", authorised=committed.raised)
            bench.store.book(None, entry)

        barrier.wait()
        try:
            deposits.open_channel(session, key, request, book)
        except PaymentError as error:
            outcomes.append(error.code)
        else:
            outcomes.append("opened")

    threads = [threading.Thread(target=one, args=(number,)) for number in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["budget_exceeded"] * 4 + ["opened"] * 2
    assert len(bench.store.channels()) == 2


def test_a_channel_whose_open_cannot_be_booked_is_not_recorded_either(bench: Bench) -> None:
    session = bench.session(DAILY)
    request = session_request()

    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deposits.open_channel(session, session.channel_key(GATEWAY, request), request, broken)
    assert (bench.store.channels(), bench.store.ledger(), bench.used(DAILY)) == ([], [], [0])


def test_what_a_close_proves_to_be_free_is_given_back_to_the_day_on_which_it_was_authorised(bench: Bench) -> None:
    known = channel()
    bench.store.add(known)
    entry = Entry(known.channel_id, GATEWAY, NETWORK.name, "/p", authorised=MILLION)
    bench.store.book(None, entry)
    bench.clock.now += DAY
    bench.store.book(None, entry)
    every = Budgets(day=1, total=1)
    assert bench.used(every) == [2 * MILLION, MILLION]
    bench.store.ended(known.channel_id, State.CLOSED, MILLION + MILLION // 4)
    assert bench.used(every) == [MILLION + MILLION // 4, MILLION // 4]
    bench.store.ended(known.channel_id, State.CLOSED, MILLION // 4)  # it was reported wrongly before
    assert bench.used(every) == [MILLION // 4, 0]


def test_a_close_whose_amount_is_not_known_gives_nothing_back(bench: Bench) -> None:
    known = channel()
    bench.store.add(known)
    bench.store.book(None, Entry(known.channel_id, GATEWAY, NETWORK.name, "/p", authorised=MILLION))
    bench.store.ended(known.channel_id, State.CLOSED)
    assert bench.used(Budgets(total=1)) == [MILLION]


def test_what_was_signed_for_a_channel_that_never_came_to_be_counts_for_a_day_more(bench: Bench) -> None:
    never = opening()
    bench.store.add(never)
    bench.store.book(None, Entry(never.channel_id, GATEWAY, NETWORK.name, "/p", authorised=MILLION))
    bench.store.ended(never.channel_id, State.ABANDONED)
    bench.clock.now += DAY
    assert bench.used(Budgets(total=1)) == [MILLION]
    bench.clock.now += 1
    assert bench.used(Budgets(total=1)) == [0]
