"""The error for each refusal of the planner, with a hint on what to type.

The planner is pure and names a ``Reason``; the facts come from the ``Situation`` that it planned from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ando_cli.errors import Code, InvariantError, OutcomeUnknownError, PaymentError
from ando_cli.money import amount
from ando_cli.mpp.advice import FINAL
from ando_cli.mpp.problem import ProblemCode
from ando_cli.rails.settlement import with_the_gateway
from ando_cli.redact import clean, short
from ando_cli.session.decide.planner import MAX_PAID_ATTEMPTS
from ando_cli.session.decide.policy import max_spend_exceeded
from ando_cli.session.decide.steps import Reason, Refuse

if TYPE_CHECKING:
    from ando_cli.mpp.problem import Problem
    from ando_cli.session.channel import Channel
    from ando_cli.session.decide.situation import Situation

_DELTA_TOO_SMALL = ("session/delta-too-small", "delta-too-small")

_REMEDIES = {
    ProblemCode.MPP_REQUEST_EXCEEDS_VOUCHER_BUCKET: "ask for less: a smaller --max-tokens, or a shorter prompt",
    ProblemCode.MPP_PAYMENT_VERIFICATION_FAILED: (
        "check with `ando session list` that the channel is on this network, and that the wallet is the right one"
    ),
}
"""Hints that are more exact than those of ``mpp.advice``: they name a command or an option."""


def refusal(step: Refuse, situation: Situation) -> PaymentError:
    """Return the error for ``step``, which was planned from ``situation``."""
    error = _error(step.reason, situation)
    if step.outrun and situation.channel is not None:
        return error.with_hint(_outrun(situation, situation.channel))
    return error


def _outrun(situation: Situation, channel: Channel) -> str:
    """What helps where the gateway holds a higher voucher than the record: its amount, if the rejection names one."""
    named, rejection = short(channel.channel_id), situation.rejection
    figure = None if rejection is None else rejection.figure(situation.progress.sent, channel.deposit)
    if figure is not None:
        return f"the gateway names {amount(figure)}; if you authorised as much: ando session recover {named} " + (
            f"--authorised {amount(figure)}"
        )
    return (
        "if more was authorised from this channel, on another machine or before the records were restored, name it: "
        f"ando session recover {named} --authorised AMOUNT; if it is not known: ando session close --force {named}"
    )


def _error(reason: Reason, situation: Situation) -> PaymentError:
    request, rejection = situation.request, situation.rejection
    match reason:
        case Reason.ANSWER_LOST:
            held = "" if situation.channel is None else f", and {with_the_gateway(situation.channel)}"
            return OutcomeUnknownError(
                f"the answer to a paid request was lost: whether it was charged is unknown{held}{_says(rejection)}",
                hint="`ando spend` shows the most that it can have cost; asking again may be charged again",
            )
        case Reason.FINAL:
            return _final(_rejection(situation))
        case Reason.REJECTED:
            return _rejected(_rejection(situation))
        case Reason.TOO_MANY_ATTEMPTS:
            return PaymentError(
                f"the gateway turned down {MAX_PAID_ATTEMPTS} payments for one request{_says(rejection)}",
                hint="nothing more was authorised; try again later",
                code=Code.TOO_MANY_ATTEMPTS,
            )
        case Reason.DELTA_TOO_SMALL:
            price, least = amount(request.amount), amount(request.min_voucher_delta)
            return PaymentError(
                f"the gateway asks for {price} but accepts no raise below {least}",
                hint="nothing was signed; this gateway contradicts itself",
                code=Code.MIN_VOUCHER_DELTA,
            )
        case Reason.MAX_SPEND:
            return max_spend_exceeded(request.amount, situation.caps, situation.committed)
        case Reason.SECOND_RAISE if rejection is not None and rejection.code in _DELTA_TOO_SMALL:
            return PaymentError(
                f"the gateway takes no raise as small as the {amount(request.amount)} that it asked for"
                f"{_says(rejection)}",
                hint="nothing more was authorised; report it to the gateway",
                code=rejection.code,
            )
        case Reason.DEPOSIT_IN_FLIGHT if rejection is not None:
            return PaymentError(
                f"the gateway turned the deposit down, and the chain does not show it{_says(rejection)}",
                hint="nothing else was signed; try again in half a minute",
                code=rejection.code or Code.DEPOSIT_IN_FLIGHT,
                retryable=True,  # the chain is asked about it first
            )
        case Reason.CHANNEL_DISPUTED if situation.channel is not None:
            named = short(situation.channel.channel_id)
            return PaymentError(
                "the gateway says that the channel is gone, but the chain shows it open with its deposit"
                f"{_says(rejection)}",
                hint=f"no other channel was opened; `ando session close --force {named}` gets the deposit back, "
                "and the next request opens another channel",
                code=Code.CHANNEL_DISPUTED,
            )
        case _:
            return _without_facts(reason, _says(rejection))


def gateway_says(problem: Problem) -> str:
    """Return the gateway's own words about a payment that it turned down, with its code where it gave one."""
    code = "" if problem.code is None else f" ({problem.code})"
    return f"the gateway says: {clean(problem.message)}{code}"


def _says(rejection: Problem | None) -> str:
    return "" if rejection is None else f"; {gateway_says(rejection)}"


def _without_facts(reason: Reason, says: str) -> PaymentError:
    """The error for a reason that needs no amounts. ``says`` are the gateway's words, if it had any."""
    match reason:
        case Reason.SECOND_RAISE:
            return PaymentError(
                f"the gateway wants a second raise of the voucher for one request{says}",
                hint="one request raises it once; nothing more was authorised",
                code=Code.SECOND_RAISE_REFUSED,
            )
        case Reason.DEPOSIT_DISPUTED:
            return PaymentError(
                f"the gateway still says that the deposit is too low, after it was topped up{says}",
                hint="nothing more was deposited; compare with `ando session list`",
                code=ProblemCode.MPP_SESSION_DEPOSIT_BELOW_REQUEST_COST.value,
            )
        case Reason.DEPOSIT_IN_FLIGHT:
            return PaymentError(
                "the last deposit is still under way: the chain does not show it yet",
                hint="nothing else was signed; try again in half a minute",
                code=Code.DEPOSIT_IN_FLIGHT,
            )
        case _:
            raise InvariantError(f"a payment was refused for no known reason: {reason.name}")


def _final(rejection: Problem) -> PaymentError:
    # The canonical code, whichever vocabulary the gateway spoke: what a code means must not depend on its spelling.
    code = rejection.canonical
    if code not in FINAL:
        raise InvariantError("a code that is not final ended a request")
    advice = FINAL[code]
    cls = OutcomeUnknownError if code is ProblemCode.MPP_COMMIT_FAILED else PaymentError
    return cls(
        f"{advice.happened} ({clean(rejection.message, 160)})",
        hint=_REMEDIES.get(code, advice.remedy),
        code=code.value,
        # A close can be asked for again: it is the same one.
        retryable=code in (ProblemCode.MPP_SESSION_CLOSE_UNAVAILABLE, ProblemCode.MPP_SESSION_CLOSE_FAILED),
    )


def _rejected(rejection: Problem) -> PaymentError:
    return PaymentError(
        f"the gateway turned the payment down ({rejection.status}): {clean(rejection.message)}",
        hint="nothing more was authorised; try again later",
        code=rejection.code or Code.PAYMENT_REJECTED,
        retryable=rejection.canonical is ProblemCode.MPP_RESERVATION_FAILED,  # the gateway is busy, and took nothing
    )


def _rejection(situation: Situation) -> Problem:
    if situation.rejection is None:
        raise InvariantError("a rejection was refused that did not come")
    return situation.rejection
