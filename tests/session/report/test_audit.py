"""Whether ledger, record and chain agree: what is a difference, what explains one, and that none goes unseen."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ando_cli.session.channel import State
from ando_cli.session.decide.comparison import Comparison
from ando_cli.session.record.ledger import Outcome, Rail, Row
from ando_cli.session.report.audit import Account, Audit, accounts, audit, orphans
from tests.support.session_doubles import GATEWAY, MILLION, NETWORK, NOW, FakeChain, channel

if TYPE_CHECKING:
    from ando_cli.session.channel import Channel
    from ando_cli.tempo.channel import ChannelState

QUARTER = MILLION // 4
OPEN = channel(spent=QUARTER)
CLOSED = replace(OPEN, state=State.CLOSED, captured=QUARTER)
PAID = Row(
    at=NOW, rail=Rail.MPP, gateway=GATEWAY, network=NETWORK.name, path="/p", model=None, plan=None,
    outcome=Outcome.ANSWERED, authorised=MILLION, deposited=0, spent=QUARTER, prompt_tokens=3, completion_tokens=2,
    channel_id=OPEN.channel_id, unspent=0,
)  # fmt: skip
LOST = replace(PAID, outcome=Outcome.UNKNOWN, authorised=0, spent=None)


def at_close(beyond: int) -> Row:
    return replace(PAID, outcome=Outcome.CLOSED, authorised=0, spent=beyond)


def carried(authorised: int, spent: int) -> Row:
    return replace(PAID, outcome=Outcome.CARRIED, authorised=authorised, spent=spent)


def on_chain(known: Channel, *differences: str, **changes: Any) -> Comparison:
    """The chain shows ``known``, with ``changes``."""
    chain = FakeChain(lambda: NOW)
    chain.show(known, finalized=known.state is State.CLOSED)
    state: ChannelState = replace(chain.channels[known.channel_id], **changes)
    return Comparison(state, differences)


def audited(known: Channel, rows: list[Row], compared: Comparison | None = None, captured: int | None = None) -> Audit:
    [account] = accounts([known], rows)
    return audit(account, compared, captured)


def codes(result: Audit) -> list[tuple[str, int, bool]]:
    return [(finding.code, finding.amount, finding.explained) for finding in result.findings]


@pytest.mark.parametrize("settled", [0, QUARTER])
def test_an_open_channel_of_which_no_more_is_settled_than_receipts_said_agrees(settled: int) -> None:
    result = audited(OPEN, [PAID], on_chain(OPEN, settled=settled))
    assert (result.agrees, result.taken, result.findings) == (True, settled, ())


def test_a_closed_channel_of_which_the_chain_says_the_same_agrees() -> None:
    assert audited(CLOSED, [PAID], on_chain(CLOSED, settled=QUARTER)).findings == ()


def test_a_close_of_which_nothing_proves_what_it_took_never_agrees() -> None:
    unproven = replace(CLOSED, captured=None)
    wiped = on_chain(CLOSED, finalized=True, deposit=0, settled=0)
    for compared in (None, wiped, Comparison(None, ())):
        result = audited(unproven, [PAID], compared)
        assert (codes(result), result.taken) == ([("close_unproven", MILLION, False)], None)
        assert "ando session sync" in result.findings[0].message
    assert codes(audited(unproven, [PAID], wiped, QUARTER)) == [("settled", 0, False)]
    assert audited(CLOSED, [PAID], wiped, QUARTER).findings == ()
    assert audited(CLOSED, [PAID], wiped).findings == (), "what was proven once stays proven"


def test_without_the_chain_the_books_are_compared_alone() -> None:
    result = audited(CLOSED, [PAID])
    assert (result.findings, result.taken) == ((), None)


def test_a_missing_row_is_a_difference() -> None:
    assert codes(audited(OPEN, [replace(PAID, spent=None, outcome=Outcome.FAILED)])) == [("ledger", QUARTER, False)]
    assert codes(audited(OPEN, [])) == [("ledger", QUARTER, False), ("authorised", MILLION, False)]


def test_what_was_signed_and_is_in_no_row_is_a_difference() -> None:
    raised = replace(OPEN, cumulative_amount=2 * MILLION)
    assert codes(audited(raised, [PAID])) == [("authorised", MILLION, False)]


def test_what_came_from_another_machine_is_in_a_row_and_so_no_difference() -> None:
    recovered = replace(OPEN, spent=2 * QUARTER, cumulative_amount=3 * MILLION)
    result = audited(recovered, [carried(2 * MILLION, QUARTER), PAID], on_chain(recovered, settled=QUARTER))
    assert (result.findings, result.account.booked, result.account.carried) == ((), QUARTER, QUARTER)


def test_a_gateway_that_took_more_than_it_gave_receipts_for_is_found_out() -> None:
    taken = replace(CLOSED, spent=MILLION)
    rows = [PAID, at_close(3 * QUARTER)]
    assert codes(audited(taken, rows, on_chain(taken, settled=MILLION))) == [("close", 3 * QUARTER, False)]


def test_requests_without_a_receipt_explain_what_was_taken_for_them() -> None:
    taken = replace(CLOSED, spent=MILLION)
    result = audited(taken, [PAID, LOST, LOST, at_close(3 * QUARTER)], on_chain(taken, settled=MILLION))
    assert codes(result) == [("close", 3 * QUARTER, True)]
    assert "for 2 requests without a receipt" in result.findings[0].message
    assert (result.agrees, result.account.at_most) == (True, 0)


def test_a_gateway_that_took_less_than_it_gave_receipts_for_is_no_reason_to_worry() -> None:
    untaken = replace(CLOSED, spent=0)
    result = audited(untaken, [PAID, at_close(-QUARTER)], on_chain(untaken, settled=0))
    assert (codes(result), result.agrees) == ([("close", -QUARTER, True)], True)


@pytest.mark.parametrize(("rows", "explained"), [([PAID], False), ([PAID, LOST], True)])
def test_what_is_settled_beyond_receipts_needs_a_request_without_one(rows: list[Row], explained: bool) -> None:
    assert codes(audited(OPEN, rows, on_chain(OPEN, settled=2 * QUARTER))) == [("settled", QUARTER, explained)]


def test_more_than_was_signed_for_is_never_explained() -> None:
    assert codes(audited(OPEN, [PAID, LOST], on_chain(OPEN, settled=MILLION + 1))) == [("above_authorised", 1, False)]
    beyond = replace(CLOSED, spent=MILLION + 1)
    assert ("above_authorised", 1, False) in codes(audited(beyond, [PAID, LOST, at_close(3 * QUARTER + 1)]))


def test_a_record_that_the_chain_contradicts_is_a_difference() -> None:
    assert codes(audited(CLOSED, [PAID, LOST], on_chain(CLOSED, settled=0))) == [("settled", -QUARTER, False)]
    shown = on_chain(OPEN, "state", "deposit", finalized=True, deposit=3 * MILLION)
    assert codes(audited(OPEN, [PAID], shown)) == [("state", 0, False), ("deposit", -2 * MILLION, False)]
    assert codes(audited(OPEN, [PAID], Comparison(None, ("state",)))) == [("state", 0, False)]


def test_a_close_that_did_not_reach_the_chain_is_a_step_that_is_left_and_no_missing_money() -> None:
    closing = replace(OPEN, state=State.CLOSING)
    [finding] = audited(closing, [PAID], on_chain(closing, "state", close_requested_at=0)).findings
    assert (finding.code, finding.amount, finding.explained) == ("state", 0, True)
    assert "ando session close --force" in finding.message
    assert audited(closing, [PAID], on_chain(closing, close_requested_at=NOW)).findings == ()
    [finding] = audited(closing, [PAID], on_chain(closing, "state", close_requested_at=NOW, finalized=True)).findings
    assert (finding.explained, "session sync" in finding.message) == (False, True)


def test_of_a_closed_channel_that_is_gone_the_event_of_its_closing_tells_what_was_taken() -> None:
    gone = Comparison(None, ())
    assert audited(CLOSED, [PAID], gone, QUARTER).findings == ()
    assert codes(audited(CLOSED, [PAID], gone, MILLION)) == [("settled", 3 * QUARTER, False)]
    assert audited(CLOSED, [PAID], gone).taken is None


def test_a_channel_that_never_came_to_be_needs_no_row_for_what_was_signed() -> None:
    never = replace(OPEN, state=State.ABANDONED, spent=0)
    assert audited(never, [replace(PAID, authorised=0, spent=None, outcome=Outcome.FAILED)]).findings == ()


def test_lost_requests_on_an_open_channel_are_bounded_by_its_vouchers() -> None:
    assert audited(OPEN, [PAID, LOST]).account.at_most == MILLION - QUARTER
    assert audited(OPEN, [PAID]).account.at_most == 0


def test_rows_of_forgotten_channels_are_told_apart() -> None:
    forgotten = replace(PAID, channel_id=None, unspent=None)
    by_key = replace(forgotten, rail=Rail.KEY, spent=None)
    assert accounts([OPEN], [forgotten, by_key]) == [Account(OPEN)]
    found = orphans([forgotten, replace(forgotten, outcome=Outcome.CARRIED), by_key, PAID])
    assert (found.requests, found.spent) == (1, QUARTER)


@given(
    st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=8), st.integers(0, 5), st.integers(-3, 3)
)  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_a_base_unit_that_is_off_anywhere_is_seen(answers: list[tuple[int, bool]], before: int, off: int) -> None:
    """Receipts that came or were lost, then a close that takes all of it, and one side that is off."""
    rows, unbooked = [carried(before, before)], 0
    for cost, receipted in answers:
        booked = cost + unbooked if receipted else None
        unbooked = 0 if receipted else unbooked + cost
        rows.append(replace(PAID if receipted else LOST, authorised=cost, spent=booked))
    whole = before + sum(cost for cost, _ in answers)
    if unbooked:
        rows.append(at_close(unbooked))
    closed = replace(CLOSED, cumulative_amount=whole, spent=whole)
    assert audited(closed, rows, on_chain(closed, settled=whole)).agrees
    if off and whole + off >= 0:
        assert not audited(closed, rows, on_chain(closed, settled=whole + off)).agrees
        assert not audited(replace(closed, spent=whole + off), rows, on_chain(closed, settled=whole)).agrees
        assert not audited(closed, [*rows, replace(PAID, authorised=0, spent=off)]).agrees
