"""The rail that pays per request: 402 -> credential -> the same request again, as one ``httpx.Auth``.

``_negotiate`` reads from top to bottom: what the gateway offers is parsed and checked against the policy (``offers``),
the planner chooses the next step, the session records and signs it, the same bytes are sent again with the credential
(``exchange``), and the outcome is recorded (``settlement``). Nothing here decides about money, and nothing is sent
that was not recorded first.
"""

from __future__ import annotations

import math
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx

from ando_cli.errors import Code, InvariantError, NetworkError, PaymentError
from ando_cli.http.extensions import DEPOSITED, DRY_RUN, RESENT
from ando_cli.mpp.problem import ProblemCode, parse_problem, request_id
from ando_cli.rails.exchange import Exchange
from ando_cli.rails.offers import Offers
from ando_cli.rails.pauses import deposit_first
from ando_cli.rails.planning import Planned, Planning, Quoted
from ando_cli.rails.refusals import gateway_says
from ando_cli.rails.settlement import Settlement, proves_unpaid
from ando_cli.rails.turn import Notes, Turn
from ando_cli.session.act import deposits, hints, reuse, settling, signing
from ando_cli.session.act.locks import WAIT_SECONDS, busy
from ando_cli.session.act.session import Rise
from ando_cli.session.decide.planner import BACKOFF
from ando_cli.session.decide.snapshot import from_headers
from ando_cli.session.decide.steps import Agree, Open, Refresh, Refuse, Resend, Resolve, TopUp, Voucher, Wait
from ando_cli.session.record.ledger import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from ando_cli.session.act.session import Session
    from ando_cli.session.channel import Channel, ChannelKey
    from ando_cli.tempo.protocol import Protocol


class _DepositLock:
    """The lock for deposits into one channel at a time; ``key`` is the channel's while it is held."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._held = ExitStack()
        self.key: ChannelKey | None = None

    def __enter__(self) -> _DepositLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def acquire(self, key: ChannelKey) -> None:
        """Hold the lock of ``key`` and no other: a fresh challenge can be about another channel."""
        self.release()
        self._held.enter_context(self._session.exclusive(key))
        self.key = key

    def release(self) -> None:
        """Hold no lock."""
        self._held.close()
        self.key = None


class PaymentAuth(httpx.Auth):
    """Pays for requests that are answered with a ``tempo``/``session`` challenge.

    Args:
        session: keeps and signs for the channels.
        gateway_of: names the gateway of a URL.
        accepted_payee: the fingerprint of a changed payee that the user accepts.
        protocol: the session protocol that the user chose, where the gateway offers both.
        stage: called with what is happening, for the spinner and ``-v``.
        warn: called with what the user must know while the request continues.

    What was paid is in the response's extensions, under ``PAID``.
    """

    def __init__(
        self,
        session: Session,
        *,
        gateway_of: Callable[[str], str],
        accepted_payee: str | None = None,
        protocol: Protocol | None = None,
        stage: Callable[[str], None] = lambda _: None,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._session = session
        self._notes = notes = Notes(stage, warn)
        self._offers = Offers(session, accepted_payee=accepted_payee, protocol=protocol)
        self._settlement = Settlement(session, notes)
        self._exchange = Exchange(session, self._offers, self._settlement, gateway_of=gateway_of, notes=notes)
        self._planning = Planning(session, self._offers, self._settlement, notes)

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send ``request``; where it is answered with a challenge, pay and send the same bytes again.

        Raises:
            PaymentError: the challenge is not acceptable, a limit is in the way, or the gateway refuses.
            WalletError, StoreError, NetworkError: from the parts that paying needs.
        """
        yield from self._exchange.flow(request, self._negotiate)

    def _negotiate(self, request: httpx.Request, turn: Turn) -> Generator[httpx.Request, httpx.Response, None]:
        session = self._session
        if DRY_RUN in request.extensions:
            raise Quoted(self._planning.quote(turn))
        with _DepositLock(session) as lock:
            while True:
                key = session.channel_key(turn.asked.gateway, turn.offer.request)
                planned = self._planning.next(turn, key, locked=lock.key == key)
                if planned.refused is not None:
                    raise planned.refused.with_answer(turn.answer.content, request_id(turn.answer.headers))
                if planned.step.frees_lock:
                    lock.release()
                if planned.step.needs_lock and lock.key != key:
                    self._notes.stage("waiting for the channel")
                    lock.acquire(key)
                    continue  # another process may have opened or topped it up while this one waited
                if planned.step.needs_challenge and turn.offer.stale(session.challenge_time()):
                    if not (yield from self._exchange.challenged(request, turn)):
                        self._settlement.finish(turn, Outcome.ANSWERED if turn.answer.is_success else Outcome.FAILED)
                        return
                    continue  # the fresh challenge may ask for something else
                channel = self._carry_out(planned, key, turn)
                if channel is not None and (yield from self._pay(request, turn, channel)):
                    return

    def _carry_out(self, planned: Planned, key: ChannelKey, turn: Turn) -> Channel | None:
        """Do what the step says; returns the channel to pay from, or ``None`` where the next step is to be planned."""
        session, terms, commit = self._session, turn.offer.request, partial(self._settlement.commit, turn)
        match planned.step:
            case Wait():
                self._wait(turn)
                return None
            case Refresh(delay):
                self._refresh(delay, turn)
                return None
            case Resolve():
                self._notes.stage("asking the chain about the channel")
                pending = planned.channel.pending
                with deposit_first("a deposit is under way", pending.amount if pending is not None else 0):
                    self._resolve(turn, planned.channel)
                turn.progress = replace(turn.progress, resolved=True)
                return None
            case Open():
                if self._adopted(turn, key, terms.session_snapshot):
                    return None  # there is a channel already, whose record was lost
                self._notes.stage("looking for a channel of this wallet")
                if not turn.progress.raised and reuse.adopt_open(session, key, terms, turn.asked.route) is not None:
                    self._notes.stage("found a channel that is open already")
                    return None
                self._notes.stage("opening a channel")
                route = turn.asked.route
                channel = deposits.open_channel(session, key, terms, commit, route=route, replaces=turn.offer.replaces)
                turn.progress = replace(turn.progress, raised=True)
                return self._fresh(channel, turn)
            case TopUp(needed):
                self._notes.stage("topping up the channel")
                channel = deposits.top_up(session, planned.channel, terms, needed, commit)
                turn.progress = replace(turn.progress, topped_up=True)
                return self._fresh(channel, turn)
            case Agree(amount):
                self._agree(amount, planned.channel, turn)
                return None
            case Resend():
                turn.progress = replace(turn.progress, resent=True)
                return planned.channel
            case Voucher():
                self._notes.stage("paying")
                return planned.channel
            case Refuse():
                raise InvariantError("a refusal was to be carried out")

    def _fresh(self, channel: Channel, turn: Turn) -> Channel | None:
        """``channel``, unless whoever was asked took their time: what was signed goes with a fresh challenge then."""
        return None if turn.offer.stale(self._session.challenge_time()) else channel

    def _pay(
        self, request: httpx.Request, turn: Turn, channel: Channel
    ) -> Generator[httpx.Request, httpx.Response, bool]:
        """Send the request with a credential for ``channel``; returns whether the answer is that of the request."""
        self._settlement.book(turn, channel)
        turn.out = self._exchange.paid(request, turn, channel, signing.payload(self._session, channel))
        turn.answer = yield turn.out
        if turn.deposited and not turn.answer.is_success:
            turn.answer.extensions[DEPOSITED] = turn.deposited
        if self._answered(turn.answer, turn, channel):
            return True
        turn.out = None
        return False

    def _agree(self, amount: int, channel: Channel, turn: Turn) -> None:
        """Ask the user for a raise that is larger than what was agreed on."""
        session = self._session
        session.user.consent(Rise(amount, channel.step, channel.gateway, session.network.token_symbol))
        turn.progress = replace(turn.progress, agreed=amount)

    def _resolve(self, turn: Turn, channel: Channel) -> None:
        """Ask the chain about ``channel``. Where that fails, what the gateway had said is not lost.

        Raises:
            NetworkError, PaymentError: as ``settling.resolve``.
        """
        try:
            settling.resolve(self._session, channel)
        except (NetworkError, PaymentError) as error:
            if turn.rejection is None:
                raise
            raise error.with_message(f"{error.message}; {gateway_says(turn.rejection)}") from None

    def _wait(self, turn: Turn) -> None:
        """Let other requests go first for a moment.

        Raises:
            StoreError: they did not get done in time.
        """
        if turn.waited >= WAIT_SECONDS or self._session.deadline.over:
            raise busy(turn.waited)
        self._notes.stage("waiting for other requests on this channel")
        pause = min(0.25, max(0.01, turn.waited / 4))
        self._session.clock.sleep(pause)
        turn.waited += pause

    def _refresh(self, delay: float, turn: Turn) -> None:
        if turn.rejection is None:
            raise InvariantError("a fresh challenge was planned without a rejection")
        turn.progress = turn.progress.after_refresh(turn.rejection)
        turn.rejection = None
        if turn.pauses.done_for(turn.answer):
            return
        told = turn.pauses.asked(turn.answer)
        if told is not None and not turn.pauses.fits(told):
            raise PaymentError(
                f"the gateway is busy, and asks to wait {told:.0f} seconds",
                hint="nothing more was authorised; run the command again then",
                code=Code.PAYMENT_REJECTED,
                retryable=True,
                retry_after=math.ceil(told),
            )
        if told:
            turn.pauses.wait(max(told, delay), turn.answer.status_code)
            turn.offer.answered = True
        elif delay:
            self._notes.stage("the gateway is busy, trying again")
            self._session.clock.sleep(delay)
            turn.offer.answered = True  # a challenge that came before the wait is old by now

    # Answers

    def _answered(self, response: httpx.Response, turn: Turn, channel: Channel) -> bool:
        """Take in the answer to a credential; True where it answers the request itself, for good or ill."""
        turn.offer.answered = True
        if response.is_success and channel.tops_up:
            with deposit_first("the gateway took the top-up", channel.pending.amount if channel.pending else 0):
                settling.confirm_top_up(self._session, channel)
            return False
        if response.is_success:
            self._settlement.settle(response, turn, channel)
            return True
        if response.extensions.get(RESENT):
            turn.progress = replace(turn.progress, answer_lost=True)
        problem = parse_problem(response.status_code, response.content)
        if self._settlement.charged(response, turn, channel, problem):
            return True
        lost, tries = turn.progress.answer_lost, turn.progress.reservations_failed
        if problem.canonical is None and not lost and tries < len(BACKOFF) and turn.pauses.after_busy(response):
            # It says that it did not look at the request: the same as where the scheme has a code for it.
            problem = replace(problem, code=ProblemCode.MPP_RESERVATION_FAILED)
        elif not lost and not proves_unpaid(response, problem):
            end = self._settlement.top_up_unknown if channel.tops_up else self._settlement.unknown
            end(response, turn, channel, problem)
            return True
        turn.rejection = problem
        snapshot = from_headers(response.headers)
        if response.status_code == 402 and "www-authenticate" in response.headers:
            # What the rejection means comes first. A challenge that cannot be answered is not taken; where another
            # one is needed it is asked for, and what is wrong with that one is the error.
            with suppress(PaymentError):
                turn.offer = self._offers.take(response, turn.asked, turn.answered)
                snapshot = turn.offer.request.session_snapshot or snapshot
        self._catch_up(turn, channel, snapshot)
        return False

    def _adopted(self, turn: Turn, key: ChannelKey, snapshot: dict[str, Any] | None) -> bool:
        """Whether the gateway's hint led to a channel of ours that the store did not know."""
        if snapshot is None or turn.hinted or turn.progress.raised:
            return False
        turn.hinted = True
        self._notes.stage("looking at the gateway's hint")
        found = hints.adopt(self._session, key, snapshot) is not None
        self._notes.stage("found an open channel" if found else "the gateway's hint was ignored")
        return found

    def _catch_up(self, turn: Turn, channel: Channel, snapshot: dict[str, Any] | None) -> None:
        """Take in what a rejection tells, if it proves that more was signed for this channel than we have on record."""
        if snapshot is None or turn.hinted:
            return
        known = self._session.store.channel(channel.channel_id)
        with suppress(NetworkError, PaymentError):  # the chain cannot be asked: then it is no more than a hint
            if known is not None and hints.catch_up(self._session, known, snapshot):
                turn.hinted = True
                self._notes.stage("more was signed for this channel on another machine")
