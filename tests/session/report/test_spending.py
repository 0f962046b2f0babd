"""What was spent: that rows add up exactly whatever they are grouped by, and what counts for what."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ando_cli.session.record.ledger import REQUESTS, Outcome, Rail, Row
from ando_cli.session.report.spending import FORGOTTEN, By, Group, group, of_network, total
from tests.support.session_doubles import GATEWAY, MILLION, NETWORK, NOW

USUAL = Row(
    at=NOW, rail=Rail.MPP, gateway=GATEWAY, network=NETWORK.name, path="/p", model=None, plan="Starter",
    outcome=Outcome.ANSWERED, authorised=0, deposited=0, spent=250_000, prompt_tokens=3, completion_tokens=2,
    channel_id="0x01", unspent=750_000,
)  # fmt: skip
LOST = replace(USUAL, outcome=Outcome.UNKNOWN, spent=None, prompt_tokens=None, completion_tokens=None)
BY_KEY = replace(
    USUAL, rail=Rail.KEY, network="", model="m", plan=None, spent=None, channel_id=None, unspent=None
)  # fmt: skip

amounts = st.integers(0, 2**128)
names = st.sampled_from([None, "a", "b"])
sessions = st.sampled_from([(None, None), ("0x01", 5), ("0x02", 2**100)])


@st.composite
def rows(draw: st.DrawFn) -> Row:
    """A row as the ledger can hold it."""
    outcome = draw(st.sampled_from(Outcome))
    channel_id, unspent = draw(sessions)
    spent = draw(st.none() | amounts) if outcome in REQUESTS else draw(st.integers(-(2**100), 2**100))
    return Row(
        at=draw(st.integers(0, 2_000_000_000)), rail=draw(st.sampled_from(Rail)), gateway=draw(st.text(max_size=3)),
        network=draw(st.sampled_from(["", "local"])), path="/p", model=draw(names), plan=draw(names), outcome=outcome,
        authorised=draw(amounts), deposited=draw(amounts), spent=spent, prompt_tokens=draw(st.none() | st.just(7)),
        completion_tokens=draw(st.none() | st.just(9)), channel_id=channel_id, unspent=unspent,
    )  # fmt: skip


def sums(groups: list[Group]) -> dict[str, int]:
    """The groups added up, but for what can only be told of all of them together."""
    added = ("requests", "answered", "failed", "unknown", "uncertain", "prompt_tokens", "completion_tokens")
    money = ("spent", "carried", "authorised", "deposited")
    return {name: sum(getattr(each.totals, name) for each in groups) for name in (*added, *money)}


@given(st.lists(rows(), max_size=30), st.sampled_from(By))
@settings(max_examples=60, deadline=None)
def test_every_base_unit_is_in_one_group_and_the_groups_add_up_to_the_total(listed: list[Row], by: By) -> None:
    groups, whole = group(listed, by), total(listed)
    assert sums(groups) == {name: getattr(whole, name) for name in sums(groups)}
    assert whole.spent + whole.carried == sum(row.spent or 0 for row in listed)
    assert len({each.key for each in groups}) == len(groups)


@given(st.lists(rows(), max_size=30))
@settings(max_examples=30, deadline=None)
def test_what_is_unknown_is_bounded_by_what_the_vouchers_leave(listed: list[Row]) -> None:
    whole = total(listed)
    open_to = {row.channel_id: row.unspent for row in listed if row.uncertain}
    if None in open_to.values():
        assert whole.at_most is None
    else:
        assert whole.at_most == sum(unspent or 0 for unspent in open_to.values())
    assert whole.answered + whole.failed + whole.unknown == whole.requests == sum(row.is_request for row in listed)


def test_a_lost_answer_is_counted_with_the_most_that_it_can_have_cost() -> None:
    whole = total([USUAL, LOST, LOST])
    assert (whole.requests, whole.unknown, whole.spent, whole.uncertain) == (3, 2, 250_000, 2)
    assert whole.at_most == 750_000, "both of them together"


def test_a_lost_answer_of_a_forgotten_channel_has_no_bound() -> None:
    assert total([replace(LOST, channel_id=None, unspent=None)]).at_most is None


def test_a_virtual_keys_requests_are_counted_and_their_cost_is_its_accounts_to_know() -> None:
    whole = total([BY_KEY, replace(BY_KEY, outcome=Outcome.UNKNOWN)])
    assert (whole.requests, whole.unknown, whole.uncertain, whole.at_most, whole.spent) == (2, 1, 0, 0, 0)


def test_what_was_spent_before_a_channel_was_recovered_is_told_apart() -> None:
    carried = replace(USUAL, outcome=Outcome.CARRIED, authorised=MILLION, spent=MILLION, prompt_tokens=None)
    whole = total([carried, USUAL])
    assert (whole.requests, whole.spent, whole.carried, whole.authorised) == (1, 250_000, MILLION, 0)


def test_what_a_close_took_beyond_the_receipts_is_spent_but_no_request() -> None:
    closed = replace(LOST, outcome=Outcome.CLOSED, spent=100)
    assert (total([USUAL, closed]).spent, total([USUAL, closed]).requests) == (250_100, 1)


@pytest.mark.parametrize(
    ("by", "row", "key"),
    [
        (By.MODEL, USUAL, None),
        (By.MODEL, BY_KEY, "m"),
        (By.PLAN, USUAL, "Starter"),
        (By.RAIL, BY_KEY, "key"),
        (By.GATEWAY, USUAL, GATEWAY),
        (By.SESSION, USUAL, "0x01"),
        (By.SESSION, BY_KEY, None),
        (By.SESSION, replace(USUAL, channel_id=None), FORGOTTEN),
    ],
)
def test_the_key_of_a_group(by: By, row: Row, key: str | None) -> None:
    [only] = group([row], by)
    assert only.key == key


def test_days_are_in_their_order_and_the_rest_by_what_was_spent() -> None:
    day = 86_400
    listed = [replace(USUAL, at=NOW + day), replace(USUAL, spent=1), replace(BY_KEY, at=NOW - day)]
    days = [each.key for each in group(listed, By.DAY)]
    assert days == sorted(days, key=str)
    assert [each.key for each in group(listed, By.RAIL)] == ["mpp", "key"]


def test_another_networks_money_is_another_money() -> None:
    elsewhere = replace(USUAL, network="tempo-moderato")
    assert of_network([USUAL, elsewhere, BY_KEY], NETWORK.name) == ([USUAL, BY_KEY], [elsewhere])


def test_a_hundred_thousand_rows_are_added_up_in_a_moment() -> None:
    listed: list[Any] = [USUAL] * 100_000
    assert total(listed).spent == 25_000 * MILLION
    assert sum(each.totals.requests for each in group(listed, By.DAY)) == 100_000
