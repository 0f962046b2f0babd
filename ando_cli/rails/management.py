"""Requests that manage a channel instead of asking the model: top it up, close it.

The gateway takes them on the route that the channel pays for, as a credential of another kind in answer to an ordinary
challenge, and answers without running the model (docs/protocol.md, section 4). So this is the payment rail with another
middle: the offer is read and checked alike, and everything is recorded before it is sent.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ando_cli.errors import AndoError, Code, NetworkError, PaymentError
from ando_cli.frozen import frozen
from ando_cli.inference.usage import Usage
from ando_cli.mpp.malformed import MalformedError
from ando_cli.mpp.problem import ProblemCode, parse_problem, request_id
from ando_cli.mpp.receipt import parse_receipt
from ando_cli.rails.payment import PaymentAuth
from ando_cli.redact import clean
from ando_cli.session.act import closing
from ando_cli.session.channel import State
from ando_cli.session.record.ledger import Entry, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import ExitStack

    import httpx

    from ando_cli.rails.payment import Offer, Turn
    from ando_cli.session.act.closing import Ended
    from ando_cli.session.act.lifecycle import Lifecycle
    from ando_cli.session.channel import Channel, ChannelKey
    from ando_cli.session.decide.policy import Committed


@frozen
class TopUpBy:
    """Add exactly ``amount`` base units to the deposit."""

    amount: int


@frozen
class Close:
    """Close the channel: the payee takes what was spent, the rest comes back."""


@frozen
class Managed:
    """What came of it: the channel as recorded now, and what a close came to."""

    channel: Channel
    ended: Ended | None = None


class ManagementAuth(PaymentAuth):
    """Carries out one ``TopUpBy`` or ``Close`` on the channel that pays for the request's route.

    ``managed`` is what came of it. Where it is set nothing is left to do, also where the gateway's answer is an error.
    """

    managed: Managed | None = None

    def __init__(
        self,
        lifecycle: Lifecycle,
        action: TopUpBy | Close,
        channel_id: str,
        *,
        gateway_of: Callable[[str], str],
        stage: Callable[[str], None] = lambda _: None,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__(lifecycle, gateway_of=gateway_of, stage=stage, warn=warn)
        self._action = action
        self._channel_id = channel_id

    def _negotiate(
        self, request: httpx.Request, response: httpx.Response, turn: Turn, locks: ExitStack
    ) -> Generator[httpx.Request, httpx.Response, None]:
        lifecycle = self._lifecycle
        self._take_offer(response, turn)
        assert turn.offer is not None  # it was just taken
        key = lifecycle.channel_key(turn.gateway, turn.offer.request)
        locks.enter_context(lifecycle.exclusive(key))
        channel = self._find(key)
        if isinstance(self._action, TopUpBy):
            self._stage("topping up the channel")
            book = partial(self._book_by_hand, turn)
            channel = lifecycle.top_up_by(channel, turn.offer.request, self._action.amount, book)
            response = yield self._paid(request, turn, channel, lifecycle.payload(channel))
            if not response.is_success:
                raise _refused(response)
            try:
                lifecycle.topped_up(channel)
                self.managed = Managed(self._now(channel))
            except AndoError as error:
                raise error.with_retryable(False) from None  # the same command would top up once more
            return
        yield from self._close(request, turn, channel)

    def _close(
        self, request: httpx.Request, turn: Turn, channel: Channel
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """Offer what receipts say was spent. A gateway that counts more, because a receipt was lost, is asked for the
        smallest answer, whose receipt tells; only what that does not mend is offered all that was authorised.

        None of it is above what was signed before: closing authorises nothing new.
        """
        amount, asked = channel.spent, False
        while True:
            self._stage("closing the channel")
            response = yield self._paid(request, turn, channel, self._lifecycle.close_payload(channel, amount))
            if response.is_success:
                ended = closing.confirm(self._lifecycle, channel, amount)
                self.managed = Managed(self._now(channel), replace(ended, transaction=_transaction(response)))
                return
            code = parse_problem(response.status_code, response.content).canonical
            if amount == channel.cumulative_amount or code not in _TOO_LOW:
                self._look_whether_it_is_done(channel)
                raise _refused(response)
            yield from self._challenged(request, turn)
            if not asked:
                asked = True
                channel = yield from self._ask_what_was_spent(request, turn, channel)
            amount = channel.spent if channel.spent > amount else channel.cumulative_amount

    def _ask_what_was_spent(
        self, request: httpx.Request, turn: Turn, channel: Channel
    ) -> Generator[httpx.Request, httpx.Response, Channel]:
        """Pay for this very request, the smallest that there is, with the voucher that the gateway has."""
        self._stage("asking what was spent")
        self._book(turn, channel)
        turn.out = self._paid(request, turn, channel, self._lifecycle.payload(channel))
        response = yield turn.out
        turn.out = None
        if response.is_success:
            self._settle(response, turn, channel)
        else:
            self._finish(turn, Outcome.FAILED, Usage())
        yield from self._challenged(request, turn)
        return self._now(channel)

    def _challenged(self, request: httpx.Request, turn: Turn) -> Generator[httpx.Request, httpx.Response, None]:
        """Fetch the challenge that the next credential answers."""
        response = yield self._unpaid(request, turn)
        if response.status_code != 402:
            raise _refused(response)
        self._take_offer(response, turn)

    def _look_whether_it_is_done(self, channel: Channel) -> None:
        """A gateway refuses to close what is closed: an earlier run may have had its answer lost."""
        with suppress(NetworkError, PaymentError):
            ended = closing.over(self._lifecycle, channel)
            self.managed = None if ended is None else Managed(self._now(channel), ended)

    def _choose(self, offers: list[Offer], turn: Turn) -> Offer:
        """The offer that the channel in question pays for, if there is one."""
        known = self._lifecycle.store.channel(self._channel_id)
        for offer in offers:
            if known is not None and known.key == self._lifecycle.channel_key(turn.gateway, offer.request):
                return offer
        return super()._choose(offers, turn)

    def _find(self, key: ChannelKey) -> Channel:
        """The channel that is meant, as the chain has it if its last transaction's fate is not known."""
        store = self._lifecycle.store
        spare = store.channel(self._channel_id)
        if isinstance(self._action, Close) and spare is not None and (spare.state, spare.key) == (State.SPARE, key):
            return spare  # the gateway may know it, though nothing is paid from it
        channel = store.live(key)
        if channel is not None and channel.pending is not None:
            self._lifecycle.resolve(channel)
            channel = store.live(key)
        if channel is None or channel.channel_id != self._channel_id or channel.state is not State.OPEN:
            raise PaymentError(
                "the gateway is not paid from this channel any more",
                hint="look with `ando session show --chain`",
                code=Code.CHANNEL_NOT_USED,
            )
        if channel.pending is not None:
            raise PaymentError(
                "the last deposit is still under way: the chain does not show it yet",
                hint="nothing was signed; try again in half a minute",
                code=Code.DEPOSIT_IN_FLIGHT,
                retryable=isinstance(self._action, Close),  # the deposit may be the very one that is asked for again
            )
        return channel

    def _book_by_hand(self, turn: Turn, channel: Channel, committed: Committed) -> None:
        entry = Entry(
            channel.channel_id, turn.gateway, channel.network, urlsplit(turn.url).path, deposited=committed.deposited
        )
        self._lifecycle.store.book(None, entry, Outcome.BY_HAND)

    def _now(self, channel: Channel) -> Channel:
        return self._lifecycle.store.channel(channel.channel_id) or channel


_TOO_LOW = (ProblemCode.MPP_PAYMENT_VERIFICATION_FAILED, ProblemCode.MPP_VOUCHER_BUCKET_REFRESH_REQUIRED)
"""What a gateway answers to a close below what it counts as spent: receipts can have been lost."""


def _transaction(response: httpx.Response) -> str | None:
    """The closing transaction, where the gateway's receipt names one. Shown to the user, never relied on."""
    try:
        return parse_receipt(response.headers.get("Payment-Receipt", "")).tx_hash
    except MalformedError:
        return None


def _refused(response: httpx.Response) -> PaymentError:
    problem = parse_problem(response.status_code, response.content)
    return PaymentError(
        f"the gateway refused ({response.status_code}): {clean(problem.message)}",
        hint="the deposit stays safe on the chain",
        code=problem.code or Code.REFUSED,
        request_id=request_id(response.headers),
        body=response.content,
    )
