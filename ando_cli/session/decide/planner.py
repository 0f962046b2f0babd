"""What to do next, decided purely: from one ``Situation`` to the next ``Step``.

No I/O, no clock, no randomness. The rules, in the order in which they are applied:

1. An answer was lost, and the resent credential was not answered with success: stop. The first one may have run.
2. Four credentials were sent for this request: stop, with what the last answer means where that is final.
3. The gateway rejected the last credential: its code decides (``REACTIONS``), unless other requests explain it.
4. No live channel: open one, unless this request has raised one before it was gone. A channel whose last transaction
   has an unknown fate: find out first.
5. A gateway that charges the full amount for each request, as its receipts have shown: use what is authorised and not
   spent nor claimed by another request, else raise it without waiting to be told.
6. Nothing is left of what was authorised: raise it without waiting to be told.
7. Otherwise: the same cumulative voucher again. It is an authorisation, not a charge.

A raise is the challenge amount, once in a request, opening included; never past the deposit (then: top up first), and
never past the user's caps. One that is larger than what was agreed when the channel was opened is asked for first.
What the gateway claims to have accepted or spent, or to need, is not an input here.

Many requests share one channel: rules 8 to 12, in ``turns``.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from ando_cli.mpp.advice import FINAL
from ando_cli.mpp.problem import ProblemCode
from ando_cli.session.channel import Channel, State
from ando_cli.session.decide.policy import exceeds_max_spend
from ando_cli.session.decide.situation import Phase, Progress, Situation
from ando_cli.session.decide.steps import Agree, Open, Reason, Refresh, Refuse, Resend, Resolve, Step, TopUp, Voucher
from ando_cli.session.decide.turns import in_turn, others_explain

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_PAID_ATTEMPTS = 4
"""How many credentials are sent for one request."""

BACKOFF = (0.5, 1.0, 2.0)
"""Seconds to wait before the retries that follow ``mpp_reservation_failed``."""


class Reaction(Enum):
    """What a rejection leads to, as the documentation describes it."""

    STOP = "stop: the code is final"
    OPEN = "open a channel; stop if this request has raised one"
    OPEN_ONCE = "open a channel; stop if this request has raised one, or has answered a fresh challenge"
    ASK = "ask the chain, once; then go on with what it shows, or send the same transaction again, once"
    ASK_ONCE = "ask the chain, once; then as for other codes; stop if this request has answered a fresh challenge"
    REFRESH = "answer a fresh challenge, once"
    BACK_OFF = "pause and answer a fresh challenge, three times"
    RAISE = "raise the voucher, once; if the deposit is too low for it, top up first, once"
    CHECK_DEPOSIT = "ask the chain, once; then top up what the voucher lacks, once, or send it again"
    CHECK_CHANNEL = "ask the chain, once; stop if it shows the channel"


def _row(none: Reaction, opening: Reaction, opened: Reaction) -> dict[Phase, Reaction]:
    return {Phase.NONE: none, Phase.OPENING: opening, Phase.OPEN: opened}


_STOP = _row(Reaction.STOP, Reaction.STOP, Reaction.STOP)
_REFRESH = _row(Reaction.OPEN_ONCE, Reaction.ASK_ONCE, Reaction.REFRESH)

REACTIONS: dict[ProblemCode | None, dict[Phase, Reaction]] = {
    ProblemCode.PAYMENT_REQUIRED: _REFRESH,
    ProblemCode.MPP_INVALID_CHALLENGE: _REFRESH,
    ProblemCode.MPP_VOUCHER_BUCKET_REFRESH_REQUIRED: _row(Reaction.OPEN, Reaction.ASK, Reaction.RAISE),
    ProblemCode.MPP_SESSION_DEPOSIT_BELOW_REQUEST_COST: _row(Reaction.OPEN, Reaction.ASK, Reaction.CHECK_DEPOSIT),
    ProblemCode.SESSION_CHANNEL_NOT_FOUND: _row(Reaction.OPEN, Reaction.ASK, Reaction.CHECK_CHANNEL),
    ProblemCode.SESSION_CHANNEL_FINALIZED: _row(Reaction.OPEN, Reaction.ASK, Reaction.CHECK_CHANNEL),
    ProblemCode.MPP_RESERVATION_FAILED: _row(Reaction.OPEN, Reaction.ASK, Reaction.BACK_OFF),
    ProblemCode.MPP_PAYMENT_VERIFICATION_FAILED: _STOP,
    ProblemCode.MPP_REQUEST_EXCEEDS_VOUCHER_BUCKET: _STOP,
    ProblemCode.MPP_REQUEST_QUOTE_INVALID: _STOP,
    ProblemCode.MPP_BODY_DIGEST_MISMATCH: _STOP,
    ProblemCode.MPP_MALFORMED_CREDENTIAL: _STOP,
    ProblemCode.MPP_METHOD_UNSUPPORTED: _STOP,
    ProblemCode.MPP_PAYER_NOT_ALLOWED: _STOP,
    ProblemCode.MPP_COMMIT_FAILED: _STOP,
    ProblemCode.MPP_SESSION_CLOSE_UNAVAILABLE: _STOP,
    ProblemCode.MPP_SESSION_CLOSE_FAILED: _STOP,
    ProblemCode.MPP_STREAMING_UNAVAILABLE: _STOP,
    None: _REFRESH,
}
"""What each code leads to in each state of the channel. ``None`` stands for every code that nobody knows."""


def plan(situation: Situation) -> Step:
    """Return the next step towards paying for the request."""
    rejection, progress, channel = situation.rejection, situation.progress, situation.channel
    if rejection is not None and progress.answer_lost:
        return Refuse(Reason.ANSWER_LOST)
    if progress.paid_attempts >= MAX_PAID_ATTEMPTS:
        return Refuse(Reason.FINAL if situation.code in FINAL else Reason.TOO_MANY_ATTEMPTS)
    step = _next_payment(situation) if rejection is None else _after_rejection(situation)
    if channel is None or not isinstance(step, Voucher | TopUp):
        return step
    return in_turn(step, situation, channel)


def reactions_table() -> str:
    """Return ``REACTIONS`` as a table in Markdown, one row for each group of codes that lead to the same."""
    groups: dict[tuple[Reaction, ...], list[str]] = {}
    for code, row in REACTIONS.items():
        name = "any other" if code is None else f"`{code.value}`"
        groups.setdefault(tuple(row[phase] for phase in Phase), []).append(name)
    lines = ["| the gateway's code | " + " | ".join(phase.value for phase in Phase) + " |", "| --- " * 4 + "|"]
    for reactions, codes in groups.items():
        lines.append(f"| {', '.join(codes)} | " + " | ".join(reaction.value for reaction in reactions) + " |")
    return "\n".join(lines) + "\n"


# The steps towards the next credential


def _next_payment(situation: Situation) -> Step:
    channel, progress = situation.channel, situation.progress
    if channel is None:
        return Refuse(Reason.SECOND_RAISE) if progress.raised else Open(situation.request.amount)
    if channel.pending is not None:
        return _settle_pending(progress)
    return _next_voucher(situation, channel)


def _next_voucher(situation: Situation, channel: Channel) -> Step:
    progress, price = situation.progress, situation.request.amount
    if not progress.raised and not progress.reserved:
        if channel.charges_in_full(price):
            unclaimed = channel.cumulative_amount - channel.spent - situation.traffic.claimed
            if unclaimed >= price:
                return Voucher(channel.cumulative_amount, uses=price)
            return _raise(situation, channel)
        if channel.exhausted:
            return _raise(situation, channel)
    return Voucher(channel.cumulative_amount)


def _settle_pending(progress: Progress) -> Step:
    """Find out what became of the pending transaction; where nobody knows, send that one again, once, and no other."""
    if not progress.resolved:
        return Resolve()
    return Refuse(Reason.DEPOSIT_IN_FLIGHT) if progress.resent else Resend()


def _raise(situation: Situation, channel: Channel) -> Step:
    request = situation.request
    if situation.progress.raised:
        return Refuse(Reason.SECOND_RAISE)
    if request.amount < request.min_voucher_delta:
        return Refuse(Reason.DELTA_TOO_SMALL)
    if exceeds_max_spend(request.amount, situation.caps, situation.committed):
        return Refuse(Reason.MAX_SPEND)
    if request.amount > max(_agreed_step(channel), situation.progress.agreed):
        return Agree(request.amount)
    raised = channel.cumulative_amount + request.amount
    if raised <= channel.deposit:
        return Voucher(raised, raised_by=request.amount)
    return _top_up(channel, situation.progress, raised - channel.deposit)


def _agreed_step(channel: Channel) -> int:
    """The largest raise that needs no consent. Of a channel without one on record the next offer is it, once."""
    return channel.step or max(channel.deposit, channel.cumulative_amount)


def _top_up(channel: Channel, progress: Progress, needed: int) -> Step:
    if channel.pending is not None:
        return _settle_pending(progress)
    return Refuse(Reason.DEPOSIT_DISPUTED) if progress.topped_up else TopUp(needed)


# The reactions to a rejection


def _after_rejection(situation: Situation) -> Step:
    channel = situation.channel
    if channel is not None and others_explain(situation, channel):
        # As if it were sent for the first time: what it counts on may have become known meanwhile.
        return _next_voucher(situation, channel)
    reaction = REACTIONS[situation.code][situation.phase]
    if reaction is Reaction.STOP:
        return Refuse(Reason.FINAL, outrun=_outrun(situation))
    if channel is None or situation.phase is Phase.OPENING:
        return _ANEW[reaction](situation)
    return _WITH_CHANNEL[reaction](situation, channel)


def _outrun(situation: Situation) -> bool:
    """Whether the gateway may hold a higher voucher than the record has, which would explain the rejection."""
    code, channel = situation.code, situation.channel
    lower = (ProblemCode.MPP_VOUCHER_BUCKET_REFRESH_REQUIRED, ProblemCode.MPP_PAYMENT_VERIFICATION_FAILED)
    if code not in lower or channel is None or channel.state is not State.OPEN:
        return False
    # What was accepted before and cannot be verified now is below what was accepted since: the record is old.
    return code is ProblemCode.MPP_PAYMENT_VERIFICATION_FAILED or channel.accepted < situation.progress.sent


def _anew(situation: Situation) -> Step:
    return Resolve() if _unresolved(situation) else _next_payment(situation)


def _anew_once(situation: Situation) -> Step:
    if _unresolved(situation):
        return Resolve()
    return Refuse(Reason.REJECTED) if situation.progress.refreshed else _next_payment(situation)


def _unresolved(situation: Situation) -> bool:
    """Whether an open was turned down, and the chain was not asked yet whether it got there all the same."""
    return situation.channel is not None and not situation.progress.resolved


def _refresh(situation: Situation, _: Channel) -> Step:
    return Refuse(Reason.REJECTED) if situation.progress.refreshed else Refresh()


def _back_off(situation: Situation, _: Channel) -> Step:
    failed = situation.progress.reservations_failed
    return Refresh(BACKOFF[failed]) if failed < len(BACKOFF) else Refuse(Reason.REJECTED)


def _raise_once(situation: Situation, channel: Channel) -> Step:
    if situation.progress.raised:
        return Refuse(Reason.SECOND_RAISE, outrun=_outrun(situation))
    return _raise(situation, channel)


def _check_deposit(situation: Situation, channel: Channel) -> Step:
    progress = situation.progress
    if not progress.resolved:
        return Resolve()
    missing = progress.sent - channel.deposit
    if missing > 0:
        return _top_up(channel, progress, missing)
    return Voucher(channel.cumulative_amount)


def _check_channel(situation: Situation, _: Channel) -> Step:
    return Refuse(Reason.CHANNEL_DISPUTED) if situation.progress.resolved else Resolve()


_ANEW: dict[Reaction, Callable[[Situation], Step]] = {
    Reaction.OPEN: _anew,
    Reaction.OPEN_ONCE: _anew_once,
    Reaction.ASK: _anew,
    Reaction.ASK_ONCE: _anew_once,
}
_WITH_CHANNEL: dict[Reaction, Callable[[Situation, Channel], Step]] = {
    Reaction.REFRESH: _refresh,
    Reaction.BACK_OFF: _back_off,
    Reaction.RAISE: _raise_once,
    Reaction.CHECK_DEPOSIT: _check_deposit,
    Reaction.CHECK_CHANNEL: _check_channel,
}
