"""What is planned and recorded together: others at work on the same channel, and the limits of the user."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ando_cli.errors import PaymentError
from ando_cli.rails.planning import Quoted
from ando_cli.session.channel import Pending
from ando_cli.session.decide.budget import Budgets
from ando_cli.session.decide.policy import Caps
from ando_cli.session.traffic import Claim, Hold, Traffic
from tests.support.rails_bench import Bench, paid
from tests.support.rails_gateway import Seen, outgoing, refuse
from tests.support.session_doubles import (
    MILLION,
    NOW,
    channel,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    import httpx


# Others at work on the same channel


def test_a_voucher_that_another_process_outran_is_followed_by_the_higher_one(bench: Bench) -> None:
    known = bench.have(channel())

    def outrun(seen: Seen) -> httpx.Response:
        assert bench.store.raise_cumulative(known.channel_id, MILLION, 2 * MILLION)
        bench.gateway.accepted[known.channel_id] = 2 * MILLION
        return bench.gateway.paid(seen)

    bench.gateway.script = [outrun]
    response = bench.send()
    assert [seen.cumulative for seen in bench.gateway.paid_for] == [MILLION, 2 * MILLION]
    assert paid(response).raised == 0


def test_a_voucher_is_sent_as_such_while_another_process_tops_the_channel_up(bench: Bench) -> None:
    known = bench.have(channel())

    def outrun(seen: Seen) -> httpx.Response:
        assert bench.store.raise_cumulative(known.channel_id, MILLION, 2 * MILLION)
        assert bench.store.topping_up(known.channel_id, Pending("0x76dd", MILLION, NOW + 25))
        bench.gateway.accepted[known.channel_id] = 2 * MILLION
        return bench.gateway.paid(seen)

    bench.gateway.script = [outrun]
    assert bench.send().status_code == 200
    assert bench.gateway.actions == [None, "voucher", "voucher"]
    assert bench.live.pending == Pending("0x76dd", MILLION, NOW + 25)


def test_a_raise_that_another_process_made_first_is_not_made_twice(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = bench.have(channel(spent=MILLION))
    real = bench.store.transaction

    def raced() -> AbstractContextManager[None]:
        monkeypatch.setattr(bench.store, "transaction", real)
        assert bench.store.raise_cumulative(known.channel_id, MILLION, 2 * MILLION)
        return real()

    monkeypatch.setattr(bench.store, "transaction", raced)
    response = bench.send()
    assert paid(response).raised == 0
    assert bench.gateway.highest == {known.channel_id: 2 * MILLION}


def test_a_channel_that_others_keep_to_themselves_is_waited_for_and_not_for_ever(bench: Bench) -> None:
    known = bench.have(channel())
    bench.store.claim(None, Claim(known.channel_id, hold=Hold.EVERYTHING))
    assert bench.fails() == "store_busy"
    assert 120 <= sum(bench.clock.slept) < 121
    assert not bench.gateway.paid_for


def test_a_request_that_fails_claims_nothing_any_more(bench: Bench) -> None:
    known = bench.have(channel(spent=MILLION))
    bench.gateway.script = [lambda _: refuse("mpp_payer_not_allowed")]
    assert bench.fails() == "mpp_payer_not_allowed"
    assert bench.store.traffic(known.channel_id, None) == Traffic()


def test_a_request_that_is_abandoned_claims_nothing_any_more(bench: Bench) -> None:
    known = bench.have(channel(spent=MILLION))
    flow = bench.auth.sync_auth_flow(outgoing())
    credential = flow.send(bench.gateway(next(flow)))
    assert "Authorization" in credential.headers
    assert bench.store.traffic(known.channel_id, None).in_flight == 1
    flow.close()
    assert bench.store.traffic(known.channel_id, None) == Traffic()


# Caps


def test_a_budget_bounds_what_is_raised_over_all_commands_until_it_renews(tmp_path: Path) -> None:
    bench = Bench(tmp_path, budgets=Budgets(day=2 * MILLION))
    bench.gateway.price = MILLION
    bench.send()
    assert bench.warnings == []
    bench.start()
    bench.send()
    assert bench.warnings == ["budget.day: 2.00 of 2.00 is used"]
    records = bench.store.channels(), bench.ledger()
    bench.start()
    assert bench.fails() == "budget_exceeded"
    with pytest.raises(Quoted) as dry:
        bench.send(outgoing(dry_run=True))
    assert dry.value.quote.refused is not None
    assert dry.value.quote.refused.code == "budget_exceeded"
    assert (bench.store.channels(), bench.ledger()) == records
    assert sum(bench.gateway.highest.values()) == 2 * MILLION
    bench.clock.now += 86_400
    assert bench.send().status_code == 200


def test_a_budget_is_asked_before_a_top_up_for_a_raise_that_it_does_not_allow(tmp_path: Path) -> None:
    bench = Bench(tmp_path, budgets=Budgets(total=MILLION // 2))
    bench.have(channel(cumulative_amount=5 * MILLION, spent=5 * MILLION))
    assert bench.fails() == "budget_exceeded"
    assert (bench.chain.deposits, bench.consent.asked, bench.gateway.paid_for) == (5 * MILLION, [], [])


def test_a_request_that_raises_nothing_needs_no_budget(tmp_path: Path) -> None:
    bench = Bench(tmp_path, budgets=Budgets(day=1))
    bench.have(channel(spent=MILLION // 4))
    assert bench.send().status_code == 200
    assert bench.warnings == []


def test_max_spend_bounds_what_is_deposited_and_what_is_raised_over_all_requests_of_a_command(tmp_path: Path) -> None:
    bench = Bench(tmp_path, caps=Caps(5 * MILLION, max_spend=2 * MILLION))
    bench.gateway.price = MILLION
    bench.send()
    bench.send()
    assert bench.fails() == "max_spend_exceeded"
    assert bench.chain.deposits == 2 * MILLION
    assert sum(bench.gateway.highest.values()) == 2 * MILLION


def test_a_deposit_that_is_declined_leaves_nothing_behind(bench: Bench) -> None:
    bench.consent.refusal = PaymentError("no", code="declined")
    assert bench.fails() == "declined"
    assert (bench.store.channels(), bench.ledger(), bench.gateway.paid_for) == ([], [], [])
