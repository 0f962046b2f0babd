"""The ledger beside the records of the channels: what the rows of a channel add up to, whatever happened to it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ando_cli.inference.usage import Usage
from ando_cli.session.act.vouchers import record_voucher
from ando_cli.session.channel import State
from ando_cli.session.record.ledger import Entry, Outcome, Rail, Row
from ando_cli.session.record.store import Store
from tests.support.session_doubles import GATEWAY, MILLION, NETWORK, NOW, Clock, channel, opening

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KNOWN = channel()
KEY_ENTRY = Entry(None, GATEWAY, "", "/v1/responses", "model", rail=Rail.KEY)


def entry(authorised: int = 0, deposited: int = 0, channel_id: str = KNOWN.channel_id) -> Entry:
    return Entry(channel_id, GATEWAY, NETWORK.name, "/p", authorised=authorised, deposited=deposited)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    made = Store(tmp_path / "sessions.db", clock=clock)
    yield made
    made.close()


def opened(store: Store) -> int:
    """A channel that a request has opened; returns the request's row."""
    with store.transaction():
        store.add(KNOWN)
        return store.book(None, entry(KNOWN.cumulative_amount, KNOWN.deposit))


def answered(store: Store, row: int, spent: int) -> None:
    """A receipt that came for the request of ``row``, by which ``spent`` more is spent than before."""
    found = store.channel(KNOWN.channel_id)
    assert found is not None
    store.receipted(KNOWN.channel_id, found.cumulative_amount, found.spent + spent)
    store.finish(row, Outcome.ANSWERED, Usage(spent, 3, 2))


def check(store: Store) -> list[Row]:
    """The rows, which add up to the record."""
    rows, found = store.ledger(), store.channel(KNOWN.channel_id)
    assert found is not None
    own = [row for row in rows if row.channel_id == KNOWN.channel_id]
    assert sum(row.authorised for row in own) == found.cumulative_amount
    assert sum(row.spent or 0 for row in own) == found.spent
    return rows


def test_a_request_that_opened_a_channel_is_read_back_as_it_was_booked(store: Store) -> None:
    answered(store, opened(store), 250_000)
    assert check(store) == [
        Row(
            at=NOW, rail=Rail.MPP, gateway=GATEWAY, network=NETWORK.name, path="/p", model=None, plan=None,
            outcome=Outcome.ANSWERED, authorised=MILLION, deposited=5 * MILLION, spent=250_000, prompt_tokens=3,
            completion_tokens=2, channel_id=KNOWN.channel_id, unspent=750_000,
        )
    ]  # fmt: skip


def test_rows_are_read_from_a_time_on_and_before_another(store: Store, clock: Clock) -> None:
    for _ in range(3):
        store.book(None, KEY_ENTRY)
        clock.now += 10
    assert [row.at for row in store.ledger(NOW, NOW + 20)] == [NOW, NOW + 10]
    assert [row.at for row in store.ledger(NOW + 1)] == [NOW + 10, NOW + 20]


def test_what_was_authorised_adds_up_from_each_of_several_times_on(store: Store, clock: Clock) -> None:
    opened(store)
    store.book(None, entry())
    for _ in range(2):  # equal amounts are two
        clock.now += 10
        store.book(None, entry(authorised=7))
    store.book(None, replace(entry(authorised=MILLION), network="another"))
    store.adopt(replace(KNOWN, cumulative_amount=9 * MILLION))  # was authorised elsewhere, before it came on record
    since = [NOW, NOW + 1, NOW + 10, NOW + 11, NOW + 20, NOW + 21]
    assert store.authorised(NETWORK.name, since) == [MILLION + 14, 14, 14, 7, 7, 0]
    assert store.authorised(NETWORK.name, [NOW + 10]) == [14]
    assert store.authorised("another", [NOW]) == [MILLION]


def test_a_row_is_dated_by_what_it_authorised_last(store: Store, clock: Clock) -> None:
    store.add(KNOWN)
    row = store.book(None, entry(deposited=MILLION))
    clock.now += 10
    store.book(row, entry(authorised=MILLION, deposited=MILLION))
    clock.now += 10
    store.book(row, entry(authorised=MILLION, deposited=2 * MILLION))
    [found] = store.ledger()
    assert (found.at, found.authorised, found.deposited) == (NOW + 10, MILLION, 2 * MILLION)


def test_the_model_that_answered_is_noted_where_none_was_asked_for(store: Store) -> None:
    for asked in (None, "asked"):
        store.finish(store.book(None, replace(KEY_ENTRY, model=asked)), Outcome.ANSWERED, Usage(model="answered"))
    assert [row.model for row in store.ledger()] == ["answered", "asked"]


def test_a_request_that_a_key_pays_belongs_to_no_channel(store: Store) -> None:
    store.add(KNOWN)
    store.book(None, KEY_ENTRY)
    [row] = store.ledger()
    assert (row.rail, row.channel_id, row.unspent, row.uncertain) == (Rail.KEY, None, None, False)
    assert (row.authorised, row.deposited, row.spent) == (0, 0, None)


def test_a_request_without_a_receipt_may_have_cost_what_the_vouchers_leave(store: Store) -> None:
    first = opened(store)
    store.finish(first, Outcome.ANSWERED, Usage(None, 3, 2))
    lost, refused = store.book(None, entry()), store.book(None, entry())
    store.finish(refused, Outcome.FAILED, Usage())
    answered(store, store.book(None, entry()), 100_000)
    assert all(row.is_request for row in check(store))
    assert [(row.uncertain, row.unspent) for row in check(store)] == [
        (True, 900_000), (True, 900_000), (False, 900_000), (False, 900_000),
    ]  # fmt: skip
    store.finish(lost, Outcome.ANSWERED, Usage(0))
    assert [row.uncertain for row in store.ledger()] == [True, False, False, False]
    answered(store, store.book(None, entry()), 900_000)
    assert {row.unspent for row in check(store)} == {0}, "an open channel of which all is spent"


@pytest.mark.parametrize("captured", [0, 250_000, MILLION])
def test_what_a_close_took_beyond_the_receipts_is_a_row_of_its_own(store: Store, captured: int) -> None:
    answered(store, opened(store), 250_000)
    store.ended(KNOWN.channel_id, State.CLOSED, captured)
    rows = check(store)
    beyond = [row.spent for row in rows if row.outcome is Outcome.CLOSED]
    assert beyond == ([captured - 250_000] if captured != 250_000 else [])
    assert {row.unspent for row in rows} == {0}, "nothing more can be taken"
    store.ended(KNOWN.channel_id, State.CLOSED, captured)
    assert check(store) == rows, "told twice, it is the same close"


def test_of_a_channel_that_never_came_to_be_nothing_was_authorised(store: Store) -> None:
    never = opening()
    store.add(never)
    store.book(None, entry(MILLION, 5 * MILLION, never.channel_id))
    store.ended(never.channel_id, State.ABANDONED)
    [row] = store.ledger()
    assert (row.authorised, row.deposited, row.unspent) == (0, 0, 0)


def test_what_was_signed_and_spent_before_a_channel_came_on_record_is_carried_over(store: Store) -> None:
    found = replace(KNOWN, cumulative_amount=2 * MILLION, accepted=MILLION, spent=MILLION)
    store.adopt(found)
    [row] = check(store)
    assert (row.outcome, row.authorised, row.spent) == (Outcome.CARRIED, 2 * MILLION, MILLION)
    answered(store, store.book(None, entry()), 250_000)
    store.adopt(replace(found, cumulative_amount=3 * MILLION))
    assert [row.authorised for row in check(store)] == [2 * MILLION, 0, MILLION]
    store.adopt(found)
    assert len(check(store)) == 3, "nothing falls, and nothing is carried twice"


def test_a_voucher_that_is_signed_by_hand_has_a_row_that_is_no_request(store: Store) -> None:
    opened(store)
    found = store.channel(KNOWN.channel_id)
    assert found is not None
    assert record_voucher(store, found, 3 * MILLION, lambda _: None) == 2 * MILLION
    row = check(store)[-1]
    assert (row.outcome, row.authorised, row.is_request) == (Outcome.BY_HAND, 2 * MILLION, False)


def test_rows_of_a_forgotten_channel_stay_and_belong_to_none(store: Store) -> None:
    opened(store)
    store.forget(KNOWN.channel_id)
    store.add(channel(2))
    [row] = store.ledger()
    assert (row.channel_id, row.unspent, row.uncertain) == (None, None, True)


def test_a_row_that_is_complete_is_never_touched_again(store: Store) -> None:
    row = store.book(None, Entry(None, "https://gateway.example", "", "/p", rail=Rail.KEY))
    store.finish(row, Outcome.ANSWERED, Usage(spent=7, prompt_tokens=3))
    before = store.ledger()
    for outcome in (Outcome.FAILED, Outcome.UNKNOWN, Outcome.ANSWERED):
        store.finish(row, outcome, Usage(spent=9))
    assert store.ledger() == before
