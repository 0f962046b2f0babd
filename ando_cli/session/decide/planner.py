"""What to do next, decided purely: (challenge, channel, rejection, progress, caps) -> the next step.

No I/O, no clock, no randomness. The rules, in the order in which they are applied:

1. An answer was lost, and the resent credential was not answered with success: stop. The first one may have run.
2. Four credentials were sent for this request: stop, with what the last answer means where that is final.
3. The gateway rejected the last credential: its code decides (`_STOP` and `_after_rejection`).
4. No live channel: open one, unless this request has raised one before it was gone. A channel whose last transaction
   has an unknown fate: find out first.
5. A gateway that charges the full amount for each request, as its receipts have shown: use what is authorised and not
   spent nor claimed by another request, else raise it without waiting to be told.
6. Nothing is left of what was authorised: raise it without waiting to be told.
7. Otherwise: the same cumulative voucher again. It is an authorisation, not a charge.

A raise is the challenge amount, once in a request, opening included; never past the deposit (then: top up first), and
never past the user's caps. What the gateway claims to have accepted or spent, or to need, is not an input here.

Many requests share one channel, in any number of processes. `Traffic` is what the others are doing. The store lets one
plan at a time, and a plan is recorded in the transaction that made it, so no two requests count on the same amount.
What is sent is always the highest amount on record: it holds every raise so far, so a credential pays for its request
in whichever order they arrive.

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

from ando_cli.errors import Code, OutcomeUnknownError, PaymentError
from ando_cli.frozen import frozen
from ando_cli.money import amount
from ando_cli.mpp.problem import Problem, ProblemCode
from ando_cli.redact import clean, short
from ando_cli.session.channel import Channel, State
from ando_cli.session.decide.policy import Caps, Committed, check_raise
from ando_cli.session.record.claims import Claim, Hold, Traffic

if TYPE_CHECKING:
    from ando_cli.mpp.session import SessionRequest

MAX_PAID_ATTEMPTS = 4
FREE_VOUCHERS = 2
"""How many vouchers a request sends before others have to hold back for it."""

BACKOFF = (0.5, 1.0, 2.0)
"""Seconds to wait before the retries that follow ``mpp_reservation_failed``."""


@frozen
class Open:
    """Open a channel; its first voucher authorises ``cumulative_amount``."""

    cumulative_amount: int


@frozen
class Resolve:
    """Ask the chain what became of the channel or of its pending transaction, then plan again."""


@frozen
class Resend:
    """Send the pending, still valid open transaction once more: same channel id, so it cannot pay twice."""


@frozen
class Voucher:
    """Sign ``cumulative_amount``, which is ``raised_by`` above what was signed before.

    ``uses`` is what it counts on of what was signed before, and ``hold`` what the others are to leave be meanwhile.
    """

    cumulative_amount: int
    raised_by: int = 0
    uses: int = 0
    hold: Hold = Hold.NOTHING

    def claim(self, request: SessionRequest, channel: Channel, progress: Progress) -> Claim:
        """What the others have to know of it while it is in flight."""
        counts = self.raised_by or self.uses or progress.raised or progress.reserved
        return Claim(channel.channel_id, request.amount if counts else 0, sent=True, hold=self.hold)


@frozen
class Wait:
    """Let other requests on this channel go first, and plan again in a moment. ``hold``: ask the others to, too."""

    hold: Hold = Hold.NOTHING

    def claim(self, request: SessionRequest, channel: Channel, progress: Progress) -> Claim:
        """What the others have to know of it meanwhile: what it has raised or reserved stays its own."""
        counts = progress.raised or progress.reserved
        return Claim(channel.channel_id, request.amount if counts else 0, hold=self.hold)


@frozen
class TopUp:
    """Add at least ``needed`` to the deposit, so that the next voucher fits."""

    needed: int

    def claim(self, request: SessionRequest, channel: Channel, progress: Progress) -> Claim:
        """What the others have to know of it meanwhile: the deposit is there for this request's raise."""
        return Wait(Hold.RAISES).claim(request, channel, progress)


@frozen
class Refresh:
    """Send the request unpaid once more, after ``delay`` seconds, to be given a fresh challenge."""

    delay: float = 0.0


@frozen
class Refuse:
    """Stop, with the error to show."""

    error: PaymentError


Step = Open | Resolve | Resend | Voucher | Wait | TopUp | Refresh | Refuse


@frozen
class Progress:
    """What was done so far for this one request.

    ``sent`` is the cumulative amount of the last voucher sent; ``raised`` whether this request raised it, ``reserved``
    whether it counts on a part of what was there; ``crowded`` whether others were in flight when it was sent;
    ``resolved`` whether the chain was asked; ``refreshed`` whether an invalid challenge was already replaced once.
    """

    paid_attempts: int = 0
    sent: int = 0
    raised: bool = False
    reserved: bool = False
    crowded: bool = False
    topped_up: bool = False
    resolved: bool = False
    resent: bool = False
    refreshed: bool = False
    reservations_failed: int = 0
    answer_lost: bool = False


def plan(
    request: SessionRequest,
    channel: Channel | None,
    rejection: Problem | None,
    progress: Progress,
    caps: Caps,
    committed: Committed,
    traffic: Traffic = Traffic(),
) -> Step:
    """The next step towards paying ``request``. ``rejection`` is the answer to the last credential, if it was one."""
    if rejection is not None and progress.answer_lost:
        return Refuse(outcome_unknown())
    if progress.paid_attempts >= MAX_PAID_ATTEMPTS:
        return Refuse(_too_many_attempts(rejection))
    if rejection is not None:
        step = _after_rejection(request, channel, rejection, progress, caps, committed, traffic)
    else:
        step = _next_payment(request, channel, progress, caps, committed, traffic)
    if channel is None or not isinstance(step, Voucher | TopUp):
        return step
    told = rejection is not None and rejection.canonical is ProblemCode.MPP_VOUCHER_BUCKET_REFRESH_REQUIRED
    return _in_turn(step, told, channel, channel.charges_in_full(request.amount), progress, traffic)


def _in_turn(
    step: Voucher | TopUp, told: bool, channel: Channel, in_full: bool, progress: Progress, traffic: Traffic
) -> Step:
    """``step`` with what it asks of the others, or a wait where others have to go first (rules 9 to 12)."""
    # What this request has topped up stays there for its raise, however long that takes.
    kept = Hold.RAISES if progress.topped_up and not progress.raised else Hold.NOTHING
    raises = isinstance(step, TopUp) or step.raised_by > 0
    if traffic.hold is Hold.EVERYTHING or (traffic.hold is Hold.RAISES and raises):
        return Wait(kept)
    if isinstance(step, TopUp):
        return step
    if in_full and traffic.loose and (step.raised_by or step.uses):
        return Wait(kept)
    vouchers = progress.paid_attempts - progress.topped_up
    last_resort = vouchers >= FREE_VOUCHERS
    if step.raised_by and not in_full:
        hold, drained = Hold.EVERYTHING, last_resort or not channel.metered
    elif told and (last_resort or progress.raised):
        hold, drained = Hold.EVERYTHING, True
    elif last_resort or (vouchers and not in_full):
        hold, drained = Hold.RAISES, False
    else:
        return step
    if drained and traffic.hold:
        return Wait(kept)
    if drained and traffic.in_flight:
        return Wait(hold)
    return replace(step, hold=hold)


def after(progress: Progress, rejection: Problem) -> Progress:
    """``progress`` after a ``Refresh`` in answer to ``rejection``: what may happen once has happened."""
    if rejection.canonical is ProblemCode.MPP_RESERVATION_FAILED:
        return replace(progress, reservations_failed=progress.reservations_failed + 1)
    return replace(progress, refreshed=True)


def sending(progress: Progress, step: Voucher, traffic: Traffic) -> Progress:
    """``progress`` when ``step`` was recorded: its raise is made, and what it uses is its own."""
    return replace(
        progress,
        raised=progress.raised or step.raised_by > 0,
        reserved=progress.reserved or step.uses > 0,
        crowded=traffic.in_flight > 0,
    )


def outcome_unknown() -> PaymentError:
    """The error for a paid request whose answer never came, or came after the answer to it was lost."""
    return OutcomeUnknownError(
        "the answer to a paid request was lost: whether it was charged is unknown",
        hint="nothing new was authorised; asking again may be charged again",
    )


def _next_payment(
    request: SessionRequest,
    channel: Channel | None,
    progress: Progress,
    caps: Caps,
    committed: Committed,
    traffic: Traffic,
) -> Step:
    if channel is None:
        return Refuse(_second_raise()) if progress.raised else Open(request.amount)
    if channel.pending is not None:
        return _settle_pending(progress)
    return _next_voucher(request, channel, progress, caps, committed, traffic)


def _next_voucher(
    request: SessionRequest,
    channel: Channel,
    progress: Progress,
    caps: Caps,
    committed: Committed,
    traffic: Traffic,
) -> Step:
    if not progress.raised and not progress.reserved:
        if channel.charges_in_full(request.amount):
            unclaimed = channel.cumulative_amount - channel.spent - traffic.claimed
            if unclaimed >= request.amount:
                return Voucher(channel.cumulative_amount, uses=request.amount)
            return _raise(request, channel, progress, caps, committed)
        if channel.exhausted:
            return _raise(request, channel, progress, caps, committed)
    return Voucher(channel.cumulative_amount)


def _settle_pending(progress: Progress) -> Step:
    """Find out what became of the pending transaction; where nobody knows, send that one again, once, and no other."""
    if not progress.resolved:
        return Resolve()
    return Refuse(_in_flight()) if progress.resent else Resend()


def _raise(request: SessionRequest, channel: Channel, progress: Progress, caps: Caps, committed: Committed) -> Step:
    if progress.raised:
        return Refuse(_second_raise())
    if request.amount < request.min_voucher_delta:
        return Refuse(_senseless(request))
    try:
        check_raise(request.amount, caps, committed)
    except PaymentError as error:
        return Refuse(error)
    raised = channel.cumulative_amount + request.amount
    if raised <= channel.deposit:
        return Voucher(raised, raised_by=request.amount)
    return _top_up(channel, progress, raised - channel.deposit)


def _top_up(channel: Channel, progress: Progress, needed: int) -> Step:
    if channel.pending is not None:
        return _settle_pending(progress)
    return Refuse(_deposit_disputed()) if progress.topped_up else TopUp(needed)


def _after_rejection(
    request: SessionRequest,
    channel: Channel | None,
    rejection: Problem,
    progress: Progress,
    caps: Caps,
    committed: Committed,
    traffic: Traffic,
) -> Step:
    code = rejection.canonical
    if channel is not None and _others_explain(code, channel, progress, request.amount):
        # As if it were sent for the first time: what it counts on may have become known meanwhile.
        return _next_voucher(request, channel, progress, caps, committed, traffic)
    if code in _STOP:
        return Refuse(_named_amount(_stop(code, rejection), channel, progress, code))
    if channel is None or channel.state is State.OPENING:
        # An open was turned down: whether it reached the chain is for the chain to say.
        if channel is not None and not progress.resolved:
            return Resolve()
        if code in _RETRY and progress.refreshed:
            return Refuse(_rejected(rejection))
        return _next_payment(request, channel, progress, caps, committed, traffic)
    match code:
        case ProblemCode.MPP_VOUCHER_BUCKET_REFRESH_REQUIRED:
            if progress.raised:
                return Refuse(_named_amount(_second_raise(), channel, progress, code))
            return _raise(request, channel, progress, caps, committed)
        case ProblemCode.MPP_SESSION_DEPOSIT_BELOW_REQUEST_COST:
            return _deposit_claim(channel, progress)
        case ProblemCode.SESSION_CHANNEL_NOT_FOUND | ProblemCode.SESSION_CHANNEL_FINALIZED:
            return Refuse(_forgotten()) if progress.resolved else Resolve()
        case ProblemCode.MPP_RESERVATION_FAILED:
            failed = progress.reservations_failed
            return Refresh(BACKOFF[failed]) if failed < len(BACKOFF) else Refuse(_rejected(rejection))
        case _:
            return Refuse(_rejected(rejection)) if progress.refreshed else Refresh()


def _others_explain(code: ProblemCode | None, channel: Channel, progress: Progress, amount: int) -> bool:
    """Whether the last voucher was rejected for what other requests did, so that the highest one may do."""
    if channel.state is not State.OPEN or not progress.sent:
        return False
    outrun = channel.cumulative_amount > progress.sent
    if code is ProblemCode.MPP_PAYMENT_VERIFICATION_FAILED:
        return outrun
    if code is not ProblemCode.MPP_VOUCHER_BUCKET_REFRESH_REQUIRED:
        return False
    if progress.raised:
        return outrun or progress.crowded
    return outrun and progress.paid_attempts == 1 and not channel.charges_in_full(amount)


def _deposit_claim(channel: Channel, progress: Progress) -> Step:
    if not progress.resolved:
        return Resolve()
    missing = progress.sent - channel.deposit
    if missing > 0:
        return _top_up(channel, progress, missing)
    return Voucher(channel.cumulative_amount)


_RETRY = (ProblemCode.MPP_INVALID_CHALLENGE, ProblemCode.PAYMENT_REQUIRED, None)
"""Rejections that a fresh challenge may mend, once."""

_OUTRUN = (ProblemCode.MPP_VOUCHER_BUCKET_REFRESH_REQUIRED, ProblemCode.MPP_PAYMENT_VERIFICATION_FAILED)
"""Rejections that a voucher earns which is lower than the one another process has sent."""

_STOP: dict[ProblemCode, tuple[str, str]] = {
    ProblemCode.MPP_REQUEST_EXCEEDS_VOUCHER_BUCKET: (
        "the request could cost more than one voucher covers",
        "ask for less: a smaller --max-tokens, or a shorter prompt",
    ),
    ProblemCode.MPP_REQUEST_QUOTE_INVALID: (
        "the gateway could not price this request",
        "check the plan, the model and the messages",
    ),
    ProblemCode.MPP_BODY_DIGEST_MISMATCH: (
        "the gateway saw another body than the one that was priced",
        "something between here and the gateway changes requests; try without a proxy",
    ),
    ProblemCode.MPP_MALFORMED_CREDENTIAL: (
        "the gateway could not read the payment credential",
        "this may be a bug: update ando, and report it if it stays",
    ),
    ProblemCode.MPP_METHOD_UNSUPPORTED: (
        "the gateway does not take this method of payment",
        "update ando, or use another gateway",
    ),
    ProblemCode.MPP_PAYMENT_VERIFICATION_FAILED: (
        "the gateway could not verify the payment",
        "check with `ando session list` that the channel is on this network, and that the wallet is the right one",
    ),
    ProblemCode.MPP_PAYER_NOT_ALLOWED: (
        "the gateway does not take payments from this wallet",
        "ask the gateway's operator, or use another wallet",
    ),
    ProblemCode.MPP_COMMIT_FAILED: (
        "the gateway could not book the payment: whether it was charged is unknown, and there is no receipt",
        "nothing new is authorised by asking again, but it may be charged again",
    ),
    ProblemCode.MPP_SESSION_CLOSE_UNAVAILABLE: (
        "the gateway cannot close sessions now",
        "the deposit stays safe on the chain; try again later",
    ),
    ProblemCode.MPP_SESSION_CLOSE_FAILED: (
        "the gateway failed to close the session",
        "the deposit stays safe on the chain; try again later",
    ),
    ProblemCode.MPP_STREAMING_UNAVAILABLE: (
        "the gateway does not stream paid answers",
        'leave "stream" out of the body, or set it to false',
    ),
}


def advice(code: ProblemCode | None) -> str | None:
    """What to do about a rejection that ends a request, also where the gateway says so before it is paid."""
    return _STOP[code][1] if code in _STOP else None


def _stop(code: ProblemCode, rejection: Problem) -> PaymentError:
    # The canonical code, whichever vocabulary the gateway spoke: what a code means must not depend on its spelling.
    message, hint = _STOP[code]
    cls = OutcomeUnknownError if code is ProblemCode.MPP_COMMIT_FAILED else PaymentError
    # A close can be asked for again: it is the same one.
    again = code in (ProblemCode.MPP_SESSION_CLOSE_UNAVAILABLE, ProblemCode.MPP_SESSION_CLOSE_FAILED)
    return cls(f"{message} ({clean(rejection.message, 160)})", hint=hint, code=code.value, retryable=again)


def _named_amount(
    error: PaymentError, channel: Channel | None, progress: Progress, code: ProblemCode | None
) -> PaymentError:
    """``error``, and what to do about it where the gateway may hold a higher voucher than we know of.

    No receipt has shown that it accepts as little as was sent: a channel that was recovered, or a store that was
    copied. What it holds is for the user to say, not for the gateway.
    """
    if code in _OUTRUN and channel is not None and channel.state is State.OPEN and channel.accepted < progress.sent:
        return error.with_hint(
            "if more was authorised from this channel on another machine, name it: "
            f"ando session recover {short(channel.channel_id)} --authorised AMOUNT"
        )
    return error


def _too_many_attempts(rejection: Problem | None) -> PaymentError:
    if rejection is not None and rejection.canonical in _STOP:
        return _stop(rejection.canonical, rejection)
    reason = "" if rejection is None else f"; it says: {clean(rejection.message)}"
    return PaymentError(
        f"the gateway turned down {MAX_PAID_ATTEMPTS} payments for one request{reason}",
        hint="nothing more was authorised; try again later",
        code=Code.TOO_MANY_ATTEMPTS,
    )


def _second_raise() -> PaymentError:
    return PaymentError(
        "the gateway wants a second raise of the voucher for one request",
        hint="one request raises it once; nothing more was authorised",
        code=Code.SECOND_RAISE_REFUSED,
    )


def _rejected(rejection: Problem) -> PaymentError:
    return PaymentError(
        f"the gateway turned the payment down ({rejection.status}): {clean(rejection.message)}",
        hint="nothing more was authorised; try again later",
        code=rejection.code or Code.PAYMENT_REJECTED,
        retryable=rejection.canonical is ProblemCode.MPP_RESERVATION_FAILED,  # the gateway is busy, and took nothing
    )


def _senseless(request: SessionRequest) -> PaymentError:
    return PaymentError(
        f"the gateway asks for {amount(request.amount)} but takes no raise below {amount(request.min_voucher_delta)}",
        hint="nothing was signed; this gateway contradicts itself",
        code=Code.MIN_VOUCHER_DELTA,
    )


def _deposit_disputed() -> PaymentError:
    return PaymentError(
        "the gateway still says that the deposit is too low, after it was topped up",
        hint="nothing more was deposited; compare with `ando session list`",
        code=ProblemCode.MPP_SESSION_DEPOSIT_BELOW_REQUEST_COST.value,
    )


def _forgotten() -> PaymentError:
    return PaymentError(
        "the gateway says that the channel is gone, but the chain shows it open with its deposit",
        hint="no other channel was opened; ask the gateway's operator, and see `ando session list`",
        code=Code.CHANNEL_DISPUTED,
    )


def _in_flight() -> PaymentError:
    return PaymentError(
        "the last deposit is still under way: the chain does not show it yet",
        hint="nothing else was signed; try again in half a minute",
        code=Code.DEPOSIT_IN_FLIGHT,
    )
