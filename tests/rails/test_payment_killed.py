"""A gateway that does anything at all, and a process that is killed anywhere: nobody gets more than was agreed to."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ando_cli.errors import AndoError
from ando_cli.mpp.problem import ProblemCode
from ando_cli.rails.exchange import MAX_UNPAID_REQUESTS
from ando_cli.session.act.session import Deposit
from ando_cli.session.decide.planner import MAX_PAID_ATTEMPTS
from ando_cli.session.decide.policy import Caps
from ando_cli.session.record import claims as traffic
from tests.support.rails_bench import Bench, lost
from tests.support.rails_fuse import FUSE, KilledError, MortalStore
from tests.support.rails_gateway import Seen, drive, refuse
from tests.support.session_doubles import (
    MILLION,
    channel,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx


# A gateway that does anything at all


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_gateway_gets_more_than_was_agreed_to(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), caps=Caps(5 * MILLION, data.draw(st.sampled_from([None, MILLION, 3 * MILLION]))))
        start = data.draw(st.sampled_from([None, channel(), channel(deposit=MILLION), channel(spent=MILLION)]))
        if start is not None:
            bench.have(start)

        def anything(seen: Seen) -> httpx.Response | None:
            bench.gateway.request["amount"] = str(data.draw(st.sampled_from([1, MILLION, 2 * MILLION, 2**100])))
            kind = data.draw(st.sampled_from(["honest", "reject", "answer", "lost", "finalize", "mine"]))
            credential = seen.credential
            assert credential is not None
            channel_id = credential["payload"]["channelId"]
            if kind == "finalize" and channel_id in bench.chain.channels:
                bench.chain.channels[channel_id] = replace(bench.chain.channels[channel_id], finalized=True)
            if kind == "mine" and "transaction" in credential["payload"]:
                bench.chain.broadcast(credential["payload"]["transaction"], channel_id)
            if kind == "answer" and seen.action != "topUp":
                claim = str(data.draw(st.integers(0, 2**128 - 1)))
                bench.gateway.receipt = lambda r: r | {"acceptedCumulative": claim, "spent": claim}
                return bench.gateway.answer(seen)
            if kind == "honest":
                return None
            code = data.draw(st.sampled_from([*ProblemCode, "weather"]))
            status = data.draw(st.sampled_from([402, 410, 500]))
            rejection = bench.gateway.challenge(seen, code) if status == 402 else refuse(code, status)
            return lost(rejection) if kind == "lost" else rejection

        bench.gateway.script = [anything] * 20
        before = {known.channel_id: known.cumulative_amount for known in bench.store.channels()}
        with suppress(AndoError):
            bench.send()
        assert len(bench.gateway.paid_for) <= MAX_PAID_ATTEMPTS
        assert len(bench.gateway.seen) <= MAX_PAID_ATTEMPTS + MAX_UNPAID_REQUESTS
        raised = {key: amount - before.get(key, 0) for key, amount in bench.gateway.highest.items()}
        assert sum(raised.values()) in (0, 1, MILLION, 2 * MILLION)
        assert sum(raised.values()) <= (bench.caps.max_spend or 2 * MILLION)
        deposits = [asked.amount for asked in bench.consent.asked if isinstance(asked, Deposit)]
        assert sum(deposits) <= (bench.caps.max_spend or 10 * MILLION)
        for known in bench.store.channels():
            assert bench.gateway.highest.get(known.channel_id, 0) <= known.cumulative_amount
            assert known.cumulative_amount <= known.deposit
        bench.store.close()


# Killed anywhere


def cold(_: Bench) -> None:
    pass


def refresh(bench: Bench) -> None:
    bench.have(channel(spent=MILLION - 1))


def exhausted(bench: Bench) -> None:
    bench.have(channel(spent=MILLION))


def topping_up(bench: Bench) -> None:
    bench.have(channel(deposit=MILLION, spent=MILLION - 1))


@pytest.mark.parametrize("pause", [0, 100], ids=["at once", "when the transaction is over"])
@pytest.mark.parametrize("prepare", [cold, refresh, exhausted, topping_up])
def test_killed_anywhere_and_run_again_it_ends_where_it_would_have_ended(
    tmp_path: Path, prepare: Callable[[Bench], None], pause: int
) -> None:
    def run(folder: Path, at: int) -> tuple[bool, tuple[int, int, int]]:
        FUSE.at = 0
        bench = Bench(folder, store_class=MortalStore)
        prepare(bench)

        def mortal(request: httpx.Request) -> httpx.Response:
            FUSE.touch()  # the request is on its way and never arrives
            response = bench.gateway(request)
            FUSE.touch()  # it arrived, and nobody is there for the answer
            return response

        FUSE.at, FUSE.touched = at, 0
        killed = False
        try:
            drive(bench.auth, mortal)
        except KilledError:
            killed = True
        FUSE.at = 0
        traffic._names.clear()  # who runs next is somebody else
        bench.store.close()
        bench.clock.now += pause
        bench.start()
        assert bench.send().status_code == 200
        assert bench.live.pending is None
        signed = {key: amount for key, amount in bench.gateway.highest.items() if key in bench.chain.channels}
        assert max(signed.values()) <= bench.live.cumulative_amount
        end = (bench.chain.deposits, sum(signed.values()), bench.live.cumulative_amount)
        bench.store.close()
        return killed, end

    _, uninterrupted = run(tmp_path / "uninterrupted", 0)
    points = 0
    while True:
        killed, end = run(tmp_path / f"killed-{points + 1}", points + 1)
        if not killed:
            break
        points += 1
        assert end == uninterrupted, f"killed at point {points}"
    assert points >= 6
