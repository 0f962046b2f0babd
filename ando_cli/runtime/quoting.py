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
    """The first step of paying for a request, and the most it may cost; amounts in base units.

    Attributes:
        quote: the challenge, the channel and the planner's next step.
        deposit: how much that step would deposit.
        raised: how much more that step would authorise.
        at_most: the most that the request may cost: what is authorised and not known to be spent, and one more raise if
            the limits allow it.
    """

    quote: Quote
    deposit: int
    raised: int
    at_most: int


def ask_price(client: AndoClient, request: Request) -> Quote | None:
    """Ask what ``request`` would cost; ``None`` if it costs nothing.

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
    """Compute a quote within the limits and the balance, as paying would. Nothing is signed.

    Raises:
        PaymentError: the payment would be refused.
        NetworkError: a deposit is needed, and the chain could not be queried for the balance.
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
    try:  # the gateway may report that the authorised amount is used up; one raise then follows
        policy.check_raise(quote.request.amount, session.limits.caps, session.tally.committed)
    except PaymentError:
        return authorised
    return authorised + quote.request.amount
