"""Asking what a request would cost, without paying for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ando_cli.errors import PaymentError
from ando_cli.frozen import frozen
from ando_cli.http.failures import failure
from ando_cli.rails.planning import Quote, Quoted
from ando_cli.session.act.deposits import expected_deposit
from ando_cli.session.decide import policy
from ando_cli.session.decide.steps import Agree, Open, TopUp, Voucher

if TYPE_CHECKING:
    from ando_cli.http.client import AndoClient
    from ando_cli.inference.request import Request
    from ando_cli.session.act.session import Session


@frozen
class Price:
    """What paying for one request would begin with, and come to; amounts in base units.

    Attributes:
        quote: the challenge, the channel and the planner's next step.
        deposit: what that step would deposit.
        raised: by how much it would raise what is authorised.
        at_most: what the request may cost: what is authorised and not known to be spent, and one more raise where the
            limits allow it.
    """

    quote: Quote
    deposit: int
    raised: int
    at_most: int


def ask_price(client: AndoClient, request: Request) -> Quote | None:
    """Ask what ``request`` would cost; ``None`` where it costs nothing.

    Raises:
        AndoError: as ``AndoClient.send``, or the gateway answered with an error.
    """
    try:
        response = client.send(request, dry_run=True)
    except Quoted as quoted:
        return quoted.quote
    if response.is_success:
        return None
    raise failure(response)


def reckon(session: Session, quote: Quote) -> Price:
    """Reckon what a quote comes to within the limits and the balance, as paying would. Nothing is signed.

    Raises:
        PaymentError: the payment would be refused.
        NetworkError: it begins with a deposit, and the chain could not be asked for the balance.
    """
    step, terms = quote.step, quote.request
    if quote.refused is not None:
        raise quote.refused
    deposit = raised = 0
    match step:
        case Open():
            policy.check_raise(terms.amount, session.limits.caps, session.tally.committed)
            deposit, raised = expected_deposit(session, terms), step.cumulative_amount
        case TopUp():
            policy.check_raise(terms.amount, session.limits.caps, session.tally.committed)
            deposit, raised = expected_deposit(session, terms, step.needed), terms.amount
        case Voucher():
            raised = step.raised_by
        case Agree():
            raised = step.amount
    return Price(quote, deposit, raised, _at_most(session, quote, raised))


def _at_most(session: Session, quote: Quote, raised: int) -> int:
    authorised = 0 if quote.channel is None else quote.channel.cumulative_amount - quote.channel.spent
    if raised:
        return authorised + raised
    try:  # a gateway may say that what is authorised is used up, and then it is raised once
        policy.check_raise(quote.request.amount, session.limits.caps, session.tally.committed)
    except PaymentError:
        return authorised
    return authorised + quote.request.amount
