"""What each step says that it needs, and what it tells the other requests on its channel."""

from __future__ import annotations

from typing import get_args

import pytest

from ando_cli.session.decide.situation import Progress
from ando_cli.session.decide.steps import Agree, Open, Refresh, Refuse, Resend, Resolve, Step, TopUp, Voucher, Wait
from ando_cli.session.traffic import Claim, Hold, Traffic
from tests.support.session_doubles import MILLION, channel, session_request


def test_what_makes_or_looks_up_a_deposit_needs_the_lock_and_what_waits_for_others_frees_it() -> None:
    steps = set(get_args(Step))
    assert {step for step in steps if step.needs_lock} == {Open, Resolve, Resend, TopUp}
    assert {step for step in steps if step.frees_lock} == {Agree, Voucher, Wait}


def test_what_sends_a_credential_needs_a_fresh_challenge() -> None:
    assert {step for step in get_args(Step) if step.needs_challenge} == {Open, Resend, TopUp, Voucher}
    assert not Refresh.needs_lock
    assert not Refuse.needs_challenge


@pytest.mark.parametrize(
    ("step", "progress", "amount"),
    [
        (Voucher(MILLION), Progress(), 0),
        (Voucher(MILLION, raised_by=MILLION), Progress(), MILLION),
        (Voucher(MILLION, uses=MILLION), Progress(), MILLION),
        (Voucher(MILLION), Progress(raised=True), MILLION),
        (Voucher(MILLION), Progress(reserved=True), MILLION),
        (Wait(), Progress(), 0),
        (Wait(), Progress(raised=True), MILLION),
        (Wait(), Progress(reserved=True), MILLION),
        (TopUp(1), Progress(), 0),
    ],
)
def test_a_claim_is_for_what_a_request_has_raised_or_counts_on(
    step: Voucher | Wait | TopUp, progress: Progress, amount: int
) -> None:
    claim = step.claim(session_request(), channel(), progress)
    hold = Hold.RAISES if isinstance(step, TopUp) else Hold.NOTHING
    assert claim == Claim(channel().channel_id, amount, sent=isinstance(step, Voucher), hold=hold)


def test_a_voucher_that_was_recorded_has_made_its_raise_and_keeps_what_it_uses() -> None:
    assert Voucher(MILLION, raised_by=1).recorded(Progress(), Traffic()) == Progress(raised=True)
    assert Voucher(MILLION, uses=1).recorded(Progress(), Traffic(in_flight=1)) == Progress(reserved=True, crowded=True)
    before = Progress(raised=True, reserved=True, crowded=True)
    assert Voucher(MILLION).recorded(before, Traffic()) == Progress(raised=True, reserved=True)
