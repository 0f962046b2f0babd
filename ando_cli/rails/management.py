"""Requests that manage a channel instead of asking the model: top it up, close it.

The gateway takes them on the route that the channel pays for, as a credential of another kind in answer to an ordinary
challenge, and answers without running the model (docs/protocol.md, section 4). So this is made of the same parts as the
payment rail: the offer is read and checked alike, and everything is recorded before it is sent.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from ando_cli.errors import AuthorisedUnknownError, Code, NetworkError, PaymentError
from ando_cli.frozen import frozen
from ando_cli.money import amount as units
from ando_cli.mpp.malformed import MalformedError
from ando_cli.mpp.problem import ProblemCode, parse_problem, request_id
from ando_cli.mpp.receipt import parse_receipt
from ando_cli.rails.exchange import Exchange
from ando_cli.rails.offers import Offers
from ando_cli.rails.pauses import deposit_first
from ando_cli.rails.settlement import Settlement
from ando_cli.rails.turn import Notes
from ando_cli.redact import clean, short
from ando_cli.session.act import closing, deposits, settling, signing
from ando_cli.session.channel import State
from ando_cli.session.record.ledger import Entry, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from ando_cli.rails.turn import Turn
    from ando_cli.session.act.closing import Ended
    from ando_cli.session.act.session import Session
    from ando_cli.session.channel import Channel, ChannelKey
    from ando_cli.session.decide.policy import Committed


def _never(_: int) -> bool:
    """Buy nothing."""
    return False


@frozen
class TopUpBy:
    """Add exactly ``amount`` base units to the deposit."""

    amount: int


@frozen
class Close:
    """Close the channel: the payee takes what was spent, the rest comes back.

    ``may_buy`` is asked where the gateway counts more than receipts show and does not say how much: whether to pay for
    the smallest answer, whose receipt tells, and else to offer all that was authorised, which it is given.
    """

    may_buy: Callable[[int], bool] = _never


@frozen
class Managed:
    """The result: the channel as recorded now, and the outcome of a close."""

    channel: Channel
    ended: Ended | None = None


class ManagementAuth(httpx.Auth):
    """Carries out one ``TopUpBy`` or ``Close`` on the channel that pays for the request's route.

    Args:
        session: keeps and signs for the channels.
        action: what to do.
        channel_id: the channel to act on.
        gateway_of: names the gateway of a URL.
        stage: called with what is happening, for the spinner and ``-v``.
        warn: called with what the user must know while the request continues.

    ``managed`` is the result. Once it is set, nothing is left to do, even if the gateway's answer is an error.
    """

    managed: Managed | None = None

    def __init__(
        self,
        session: Session,
        action: TopUpBy | Close,
        channel_id: str,
        *,
        gateway_of: Callable[[str], str],
        stage: Callable[[str], None] = lambda _: None,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._session = session
        self._action = action
        self._channel_id = channel_id
        self._notes = notes = Notes(stage, warn)
        self._settlement = Settlement(session, notes)
        offers = Offers(session, channel_id=channel_id)
        self._exchange = Exchange(session, offers, self._settlement, gateway_of=gateway_of, notes=notes)

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send ``request``; where it is answered with a challenge, carry out the action in answer to that.

        Raises:
            PaymentError: the challenge is not acceptable, a limit is in the way, or the gateway refuses.
            WalletError, StoreError, NetworkError: from the parts that paying needs.
        """
        yield from self._exchange.flow(request, self._manage)

    def _manage(self, request: httpx.Request, turn: Turn) -> Generator[httpx.Request, httpx.Response, None]:
        session = self._session
        key = session.channel_key(turn.asked.gateway, turn.offer.request)
        with session.exclusive(key):
            channel = self._find(key)
            match self._action:
                case TopUpBy(amount):
                    yield from self._top_up(request, turn, channel, amount)
                case Close(may_buy):
                    yield from self._close(request, turn, channel, may_buy)

    def _top_up(
        self, request: httpx.Request, turn: Turn, channel: Channel, amount: int
    ) -> Generator[httpx.Request, httpx.Response, None]:
        session = self._session
        self._notes.stage("topping up the channel")
        channel = deposits.top_up_by(session, channel, turn.offer.request, amount, partial(self._book_by_hand, turn))
        response = yield self._exchange.paid(request, turn, channel, signing.payload(session, channel))
        if not response.is_success:
            raise _refused(response)
        with deposit_first("the gateway took the top-up", amount):  # the same command would top up once more
            settling.confirm_top_up(session, channel)
            self.managed = Managed(self._now(channel))

    def _close(
        self, request: httpx.Request, turn: Turn, channel: Channel, may_buy: Callable[[int], bool]
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """Offer what receipts report as spent, and more only if the gateway counts more.

        It does where a receipt was lost. Then the amount that its refusal names is offered, once. Where it names none,
        and the user allows it, it is asked for the smallest answer, whose receipt tells; only what that does not mend
        is offered all that was authorised. None of it is above what was signed before: closing authorises nothing new.
        """
        session, amount, named, asked = self._session, channel.spent, False, False
        while True:
            self._notes.stage("closing the channel")
            response = yield self._exchange.paid(
                request, turn, channel, signing.close_payload(session, channel, amount)
            )
            if response.is_success:
                ended = closing.confirm(session, channel, _transaction(response))
                self.managed = Managed(self._now(channel), ended)
                return
            problem = parse_problem(response.status_code, response.content)
            if amount == channel.cumulative_amount or problem.canonical not in _TOO_LOW:
                self._look_whether_it_is_done(channel)
                raise _beyond_record(response, channel) or _refused(response)
            figure = None if named or asked else problem.figure(amount, channel.cumulative_amount)
            if figure is not None:
                named, amount = True, figure
                self._notes.warn(f"the gateway counts {units(figure)} as spent, receipts show {units(channel.spent)}")
                yield from self._challenged(request, turn)
                continue
            if not asked and not may_buy(channel.cumulative_amount):
                self._look_whether_it_is_done(channel)
                raise _not_told(response)
            yield from self._challenged(request, turn)
            if not asked:
                asked = True
                channel = yield from self._ask_what_was_spent(request, turn, channel)
            amount = channel.spent if channel.spent > amount else channel.cumulative_amount

    def _ask_what_was_spent(
        self, request: httpx.Request, turn: Turn, channel: Channel
    ) -> Generator[httpx.Request, httpx.Response, Channel]:
        """Pay for this request, the smallest possible one, with the voucher that the gateway has."""
        self._notes.stage("asking what was spent")
        self._settlement.book(turn, channel)
        turn.out = self._exchange.paid(request, turn, channel, signing.payload(self._session, channel))
        response = yield turn.out
        turn.out = None
        if response.is_success:
            self._settlement.settle(response, turn, channel)
        else:
            self._settlement.unanswered(response, turn, channel)
        yield from self._challenged(request, turn)
        return self._now(channel)

    def _challenged(self, request: httpx.Request, turn: Turn) -> Generator[httpx.Request, httpx.Response, None]:
        """Fetch the challenge that the next credential answers."""
        if not (yield from self._exchange.challenged(request, turn)):
            raise _refused(turn.answer)

    def _look_whether_it_is_done(self, channel: Channel) -> None:
        """Check whether the channel is closed already: an earlier run may have lost the answer to its close."""
        with suppress(NetworkError, PaymentError):
            ended = closing.over(self._session, channel)
            self.managed = None if ended is None else Managed(self._now(channel), ended)

    def _find(self, key: ChannelKey) -> Channel:
        """Return the channel to act on, updated from the chain if the outcome of its last transaction is unknown."""
        store = self._session.store
        spare = store.channel(self._channel_id)
        if isinstance(self._action, Close) and spare is not None and (spare.state, spare.key) == (State.SPARE, key):
            return spare  # the gateway may know it, although nothing is paid from it
        channel = store.live(key)
        if channel is not None and channel.pending is not None:
            settling.resolve(self._session, channel)
            channel = store.live(key)
        if channel is None or channel.channel_id != self._channel_id or channel.state is not State.OPEN:
            raise PaymentError(
                "the gateway is not paid from this channel any more",
                hint="check with `ando session show --chain`",
                code=Code.CHANNEL_NOT_USED,
            )
        if channel.pending is not None:
            raise PaymentError(
                "the last deposit is still under way: the chain does not show it yet",
                hint="nothing was signed; try again in half a minute",
                code=Code.DEPOSIT_IN_FLIGHT,
                retryable=isinstance(self._action, Close),  # the pending deposit may be the one that is requested again
            )
        return channel

    def _book_by_hand(self, turn: Turn, channel: Channel, committed: Committed) -> None:
        entry = Entry(
            channel.channel_id,
            turn.asked.gateway,
            channel.network,
            urlsplit(turn.asked.url).path,
            deposited=committed.deposited,
        )
        self._session.store.book(None, entry, Outcome.BY_HAND)

    def _now(self, channel: Channel) -> Channel:
        return self._session.store.channel(channel.channel_id) or channel


_TOO_LOW = (ProblemCode.MPP_PAYMENT_VERIFICATION_FAILED, ProblemCode.MPP_VOUCHER_BUCKET_REFRESH_REQUIRED)
"""What a gateway answers to a close below what it counts as spent: receipts can have been lost."""


def _transaction(response: httpx.Response) -> str | None:
    """The closing transaction, where the gateway's receipt names one. What it did is for the chain to say."""
    try:
        return parse_receipt(response.headers.get("Payment-Receipt", "")).tx_hash
    except MalformedError:
        return None


def _refused(response: httpx.Response) -> PaymentError:
    # An answer to a request without a credential is not read where it is a success: it streams.
    body = b"" if response.is_success else response.content
    problem = parse_problem(response.status_code, body)
    return PaymentError(
        f"the gateway refused ({response.status_code}): {clean(problem.message)}",
        hint="the deposit stays safe on the chain",
        code=problem.code or Code.REFUSED,
        request_id=request_id(response.headers),
        body=body,
    )


def _not_told(response: httpx.Response) -> PaymentError:
    """The error where the gateway counts more than receipts show, and only a receipt that is bought can tell."""
    return PaymentError(
        "the gateway counts more as spent than receipts show, and does not say how much",
        hint="`--buy-receipt` pays for the smallest answer, whose receipt tells",
        code=Code.SPENT_UNKNOWN,
        request_id=request_id(response.headers),
        body=response.content,
    )


def _beyond_record(response: httpx.Response, channel: Channel) -> PaymentError | None:
    """The error where the gateway holds more than is on record as signed; ``None`` where that is not clear."""
    problem = parse_problem(response.status_code, response.content)
    figure = problem.figure(channel.cumulative_amount, channel.deposit)
    if problem.canonical not in _TOO_LOW or (figure is None and channel.state is not State.SPARE):
        return None
    named = "AMOUNT" if figure is None else units(figure)
    command = f"ando session recover {short(channel.channel_id)} --authorised {named}"
    return AuthorisedUnknownError(
        f"the gateway refused ({response.status_code}): it holds a voucher for more than is on record here",
        hint=f"if you authorised as much, say so: {command}",
        request_id=request_id(response.headers),
        body=response.content,
    )
