"""Whose turn it is: the requests that share a channel, in any number of processes, keep out of each other's way.

``Traffic`` is what the others are doing. The store lets one plan at a time, and a plan is recorded in the transaction
that made it, so no two requests count on the same amount. What is sent is always the highest amount on record: it holds
every raise so far, so a credential pays for its request in whichever order they arrive. The planner's rules go on:

8. A voucher that was outrun (rejected, while another request raised the record) is planned anew at the new height. This
   request's own raise, if it made one, is inside.
9. At a gateway that meters, whoever raises asks the others to hold back until it is answered: the raise is there for
   it. Those who were told meanwhile that nothing is left then use the rest of it, once, and raise it themselves if they
   are told again. Where each request is charged in full, they raise it at once. As long as nobody knows which of the
   two it is, whoever raises waits for those in flight as well; and when it turns out that each is charged in full, for
   those that were sent before, which counted on nothing and may use anything.
10. Told so after one's own raise: that is believed if others were in flight, which may have used it. Wait until they
    are answered, then send the highest amount once more; told again with nobody else there: refuse, as ever.
11. Four credentials are enough, a top-up among them, however many requests there are. From the third voucher on, and
    from the second on where requests are not charged in full, nobody else raises while it is on its way, so it cannot
    be outrun; and where the third is for being told that nothing is left, nobody else sends at all and those in flight
    are waited for, so nobody else uses what there is.
12. While one tops up, nobody else raises: the deposit is there for it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ando_cli.mpp.problem import ProblemCode
from ando_cli.session.channel import State
from ando_cli.session.decide.steps import TopUp, Voucher, Wait
from ando_cli.session.traffic import Hold

if TYPE_CHECKING:
    from ando_cli.session.channel import Channel
    from ando_cli.session.decide.situation import Progress, Situation
    from ando_cli.session.traffic import Traffic

FREE_VOUCHERS = 2
"""How many vouchers a request sends before others have to hold back for it."""


def others_explain(situation: Situation, channel: Channel) -> bool:
    """Return whether other requests explain the rejection of the last voucher, so that the highest one may succeed."""
    code, progress = situation.code, situation.progress
    if channel.state is not State.OPEN or not progress.sent:
        return False
    outrun = channel.cumulative_amount > progress.sent
    if code is ProblemCode.MPP_PAYMENT_VERIFICATION_FAILED:
        return outrun
    if code is not ProblemCode.MPP_VOUCHER_BUCKET_REFRESH_REQUIRED:
        return False
    if progress.raised:
        return outrun or progress.crowded
    return outrun and progress.paid_attempts == 1 and not channel.charges_in_full(situation.request.amount)


def in_turn(step: Voucher | TopUp, situation: Situation, channel: Channel) -> Voucher | TopUp | Wait:
    """Return ``step`` with what it asks of the others, or a wait where others have to go first (rules 9 to 12)."""
    progress, traffic = situation.progress, situation.traffic
    # What this request has topped up stays there for its raise, however long that takes.
    kept = Hold.RAISES if progress.topped_up and not progress.raised else Hold.NOTHING
    raises = isinstance(step, TopUp) or step.raised_by > 0
    if traffic.hold is Hold.EVERYTHING or (traffic.hold is Hold.RAISES and raises):
        return Wait(kept)
    if isinstance(step, TopUp):
        return step
    if channel.charges_in_full(situation.request.amount) and traffic.loose and (step.raised_by or step.uses):
        return Wait(kept)
    told = situation.code is ProblemCode.MPP_VOUCHER_BUCKET_REFRESH_REQUIRED
    hold, drained = _asks(step, told, channel, situation)
    if hold is Hold.NOTHING:
        return step
    return _drained(replace(step, hold=hold), kept, traffic) if drained else replace(step, hold=hold)


def _asks(step: Voucher, told: bool, channel: Channel, situation: Situation) -> tuple[Hold, bool]:
    """What a voucher asks of the others, and whether those in flight have to be answered first."""
    progress: Progress = situation.progress
    in_full = channel.charges_in_full(situation.request.amount)
    vouchers = progress.paid_attempts - progress.topped_up
    last_resort = vouchers >= FREE_VOUCHERS
    if step.raised_by and not in_full:
        return Hold.EVERYTHING, last_resort or not channel.metered
    if told and (last_resort or progress.raised):
        return Hold.EVERYTHING, True
    if last_resort or (vouchers and not in_full):
        return Hold.RAISES, False
    return Hold.NOTHING, False


def _drained(step: Voucher, kept: Hold, traffic: Traffic) -> Voucher | Wait:
    """``step``, once nobody else asks for anything and nobody else is in flight."""
    if traffic.hold:
        return Wait(kept)
    return Wait(step.hold) if traffic.in_flight else step
