"""The rail that pays per request: 402 -> credential -> the same request again, as one ``httpx.Auth``.

``_negotiate`` reads from top to bottom: what the gateway offers is parsed and checked against the policy, the planner
names the next step, the lifecycle records and signs it, and the same bytes go out again with the credential.
Nothing here decides about money, and nothing is sent that was not recorded first.
"""

from __future__ import annotations

import uuid
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from ando_cli.errors import (
    AndoError,
    Code,
    KeyringUnusableError,
    NetworkError,
    OutcomeUnknownError,
    PaymentError,
    StoreError,
    UntrustedError,
    WalletMissingError,
)
from ando_cli.frozen import frozen
from ando_cli.inference.usage import Usage, named, read_usage
from ando_cli.money import amount
from ando_cli.mpp.challenge import Challenge, parse_challenges
from ando_cli.mpp.credential import TopUpPayload, authorization
from ando_cli.mpp.malformed import MalformedError
from ando_cli.mpp.problem import Problem, parse_problem, request_id
from ando_cli.mpp.receipt import Receipt, parse_receipt
from ando_cli.mpp.session import SessionRequest, parse_session_request
from ando_cli.redact import clean
from ando_cli.session.act import hints
from ando_cli.session.act.lifecycle import WAIT_SECONDS, busy
from ando_cli.session.decide import planner, policy
from ando_cli.session.decide.planner import Open, Progress, Refresh, Refuse, Resend, Resolve, Step, TopUp, Voucher, Wait
from ando_cli.session.decide.policy import Committed
from ando_cli.session.decide.snapshot import from_headers
from ando_cli.session.record.ledger import Entry, Outcome
from ando_cli.tempo.protocol import Protocol
from ando_cli.urls import may_carry_credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from ando_cli.mpp.credential import Payload
    from ando_cli.session.act.lifecycle import Lifecycle
    from ando_cli.session.channel import Channel, ChannelKey

DRY_RUN = "ando.dry_run"
"""Request extension: stop before anything is signed, with ``Quoted``."""

CREDENTIAL = "ando.credential"
"""Request extension: the request carries a credential, so no answer to it may be lost."""

UNSENT = "ando.unsent"
"""Request extension: there was no connection to send it over."""

RESENT = "ando.resent"
"""Response extension: no answer came at first, and the same request was sent once more."""

PAID = "ando.paid"
"""Response extension: the ``Paid`` of a request that was paid."""

MAX_UNPAID_REQUESTS = 4
"""How often one request may be sent unpaid, to be given a challenge."""

# What frames a message or is read on the way: a challenge cannot have its credential put there, nor into any header
# that the request already carries.
_TAKEN_HEADERS = {
    "host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "expect", "keep-alive",
    "proxy-connection", "proxy-authorization", "cookie",
}  # fmt: skip


@dataclass(slots=True)
class Offer:
    """A challenge that passed every check, with the request that it carries.

    It is planned with until the next one comes, and answered at most once.
    """

    challenge: Challenge
    request: SessionRequest
    answered: bool = False
    payee_accepted: bool = False
    """Whether the user accepted a payee that is not the pinned one. It is pinned when it is paid, not when quoted."""

    def stale(self, now: float) -> bool:
        """Whether another challenge is needed before anything can be sent."""
        return self.answered or self.challenge.expired(now)


@frozen
class Quote:
    """What a request would lead to, for ``--dry-run``.

    ``step`` is what the planner would do next, ``channel`` the channel it would use, ``None`` where there is none yet.
    """

    realm: str
    request: SessionRequest
    step: planner.Step
    channel: Channel | None


class Quoted(Exception):  # noqa: N818 - not an error: how a dry run leaves the flow
    """Ends a dry run with what would be paid."""

    def __init__(self, quote: Quote) -> None:
        super().__init__("dry run")
        self.quote = quote


@frozen
class Paid:
    """What paying one request came to, in base units. ``spent`` is ``None`` where no usable receipt said it."""

    channel: Channel
    raised: int
    deposited: int
    spent: int | None


@dataclass(slots=True)
class Turn:
    """The state of one request while it is negotiated; private to the rails."""

    url: str
    gateway: str
    body: bytes
    headers: frozenset[str] = frozenset()
    offer: Offer | None = None
    rejection: Problem | None = None
    progress: Progress = field(default_factory=Progress)
    header: str = "Authorization"
    unpaid: int = 1
    row: int | None = None
    booked: Entry | None = None
    raised: int = 0
    deposited: int = 0
    gone: Committed = field(default_factory=Committed)
    """What of the two went to a channel that pays no longer, and stands in an earlier row."""
    hinted: bool = False
    """Whether the gateway's hint about a channel was looked at. Once is enough: it is the chain that is asked then."""
    out: httpx.Request | None = None
    """The request with a credential that was sent last, until its answer is taken in."""
    warning: str | None = None
    """What its raise leaves of a budget, where that is little."""
    claim: int | None = None
    """This request's row among the claims on its channel."""
    waited: float = 0.0


class PaymentAuth(httpx.Auth):
    """Pays for requests that are answered with a ``tempo``/``session`` challenge.

    Args:
        lifecycle: keeps and signs for the channels.
        gateway_of: names the gateway of a URL.
        accepted_payee: the fingerprint of a changed payee that the user accepts.
        protocol: the session protocol that the user chose, where the gateway offers both.
        stage: told what is happening, for the spinner and ``-v``.
        warn: told what the user must know although the request goes on.

    What was paid is in the response's extensions, under ``PAID``.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        *,
        gateway_of: Callable[[str], str],
        accepted_payee: str | None = None,
        protocol: Protocol | None = None,
        stage: Callable[[str], None] = lambda _: None,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._lifecycle = lifecycle
        self._gateway_of = gateway_of
        self._accepted_payee = accepted_payee
        self._protocol = protocol
        self._stage = stage
        self._warn = warn
        self._signs_for: set[str] = set()
        """The channels whose signing key is at hand."""

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send ``request``; where it is answered with a challenge, pay and send the same bytes again.

        Raises:
            PaymentError: the challenge is not acceptable, a limit is in the way, or the gateway will not have it.
            WalletError, StoreError, NetworkError: from the parts that paying needs.
        """
        url = str(request.url)
        turn = Turn(url, self._gateway_of(url), body=request.read())
        request.headers.setdefault("Idempotency-Key", str(uuid.uuid4()))
        request.headers["Accept-Payment"] = "tempo/session"
        turn.headers = frozenset(request.headers)
        response = yield request
        if response.status_code != 402:
            return
        try:
            with ExitStack() as locks:
                yield from self._negotiate(request, response, turn, locks)
        except OutcomeUnknownError:
            raise  # it may have been charged: its row keeps saying that nobody knows
        except AndoError:
            self._finish(turn, Outcome.FAILED, Usage())
            raise
        except BaseException:  # httpx gives up on the flow, or the user does
            if turn.out is None or UNSENT in turn.out.extensions:
                self._finish(turn, Outcome.FAILED, Usage())
            raise
        finally:
            self._release(turn)

    def _negotiate(
        self, request: httpx.Request, response: httpx.Response, turn: Turn, locks: ExitStack
    ) -> Generator[httpx.Request, httpx.Response, None]:
        lifecycle = self._lifecycle
        locked: ChannelKey | None = None
        self._take_offer(response, turn)
        while True:
            assert turn.offer is not None  # it was just taken
            if DRY_RUN in request.extensions:
                raise Quoted(self._quote(turn, turn.offer))
            terms = turn.offer.request
            key = lifecycle.channel_key(turn.gateway, terms)
            step, channel = self._plan(turn, key, terms, locked=locked == key)
            if isinstance(step, Refuse):
                raise step.error.with_answer(response.content, request_id(response.headers))
            if isinstance(step, Wait | Voucher) and locked:
                locks.close()  # whoever has the lock must not wait for those who wait for it
                locked = None
            if isinstance(step, Wait):
                self._wait(turn)
                continue
            if isinstance(step, Refresh):
                self._refresh(step, turn)
                continue
            if isinstance(step, Open | Resolve | Resend | TopUp) and locked != key:
                self._stage("waiting for the channel")
                locks.close()  # a fresh challenge can be about another channel
                locks.enter_context(lifecycle.exclusive(key))
                locked = key
                continue  # another process may have opened or topped it up while this one waited
            if not isinstance(step, Resolve) and turn.offer.stale(lifecycle.clock()):
                response = yield self._unpaid(request, turn)
                if response.status_code != 402:
                    self._finish(turn, Outcome.ANSWERED if response.is_success else Outcome.FAILED, Usage())
                    return
                self._take_offer(response, turn)
                continue  # the fresh challenge may ask for something else
            if isinstance(step, Open) and self._adopted(turn, key, terms.session_snapshot):
                continue  # there is a channel already, whose record was lost
            if isinstance(step, Open):
                self._stage("opening a channel")
                channel = lifecycle.open(key, terms, partial(self._commit, turn))
                turn.progress = replace(turn.progress, raised=True)
            assert channel is not None  # the planner names no other step without one
            if isinstance(step, Resolve):
                self._stage("asking the chain about the channel")
                lifecycle.resolve(channel)
                turn.progress = replace(turn.progress, resolved=True)
                continue
            if isinstance(step, Resend):
                turn.progress = replace(turn.progress, resent=True)
            elif isinstance(step, TopUp):
                self._stage("topping up the channel")
                channel = lifecycle.top_up(channel, terms, step.needed, partial(self._commit, turn))
                turn.progress = replace(turn.progress, topped_up=True)
            elif isinstance(step, Voucher):
                self._stage("paying")
            if isinstance(step, Open | TopUp) and turn.offer.stale(lifecycle.clock()):
                continue  # whoever was asked took their time: what was signed goes with a fresh challenge
            self._book(turn, channel)
            turn.out = self._paid(request, turn, channel, lifecycle.payload(channel))
            response = yield turn.out
            if self._answered(response, turn, channel):
                return
            turn.out = None

    def _quote(self, turn: Turn, offer: Offer) -> Quote:
        """What paying ``offer`` would begin with. Somebody without a wallet may ask too: they would open a channel."""
        lifecycle, channel = self._lifecycle, self._live(turn.gateway, offer)
        step = planner.plan(offer.request, channel, None, Progress(), lifecycle.caps, lifecycle.committed)
        return Quote(offer.challenge.realm, offer.request, self._affordable(step, offer.request, turn), channel)

    def _plan(self, turn: Turn, key: ChannelKey, terms: SessionRequest, *, locked: bool) -> tuple[Step, Channel | None]:
        """The next step, and the channel that it is for.

        What other requests must know of is recorded in the transaction that the plan was made in, so that no two of
        them plan with the same money: a voucher with its raise, and that this request waits or is about to top up.
        """
        lifecycle, store = self._lifecycle, self._lifecycle.store
        assert turn.offer is not None
        stale = turn.offer.stale(lifecycle.clock())
        with store.transaction():
            channel = store.live(key)
            if channel is None:
                self._release(turn)
                step = planner.plan(terms, None, turn.rejection, turn.progress, lifecycle.caps, lifecycle.committed)
                return self._affordable(step, terms, turn), None
            traffic = store.traffic(channel.channel_id, turn.claim)
            step = planner.plan(
                terms, channel, turn.rejection, turn.progress, lifecycle.caps, lifecycle.committed, traffic
            )
            step = self._affordable(step, terms, turn)
            missing = isinstance(step, Voucher) and channel.channel_id not in self._signs_for
            match step:
                case Voucher() if not stale and not missing:
                    turn.claim = store.claim(turn.claim, step.claim(terms, channel, turn.progress))
                    channel = self._record(channel, step, turn)
                    turn.progress = planner.sending(turn.progress, step, traffic)
                case Wait():
                    turn.claim = store.claim(turn.claim, step.claim(terms, channel, turn.progress))
                case TopUp() if locked:
                    turn.claim = store.claim(turn.claim, step.claim(terms, channel, turn.progress))
        if not missing:
            if turn.warning is not None and isinstance(step, Voucher) and not stale:
                self._warn(turn.warning)
                turn.warning = None
            return step, channel
        # A key that is missing is missed before anything is recorded, and the store is not held while a keyring is
        # unlocked.
        lifecycle.signer(channel)
        self._signs_for.add(channel.channel_id)
        return self._plan(turn, key, terms, locked=locked)

    def _affordable(self, step: Step, terms: SessionRequest, turn: Turn) -> Step:
        """``step``, unless what it authorises passes a budget."""
        turn.warning = None
        if isinstance(step, Voucher):
            by = step.raised_by
        else:
            by = terms.amount if isinstance(step, Open | TopUp) and not turn.progress.raised else 0
        try:
            warning = self._lifecycle.check_budgets(by) if by else None
        except PaymentError as error:
            return Refuse(error)
        turn.warning = warning if isinstance(step, Voucher) else None
        return step

    def _record(self, channel: Channel, step: Voucher, turn: Turn) -> Channel:
        """Record the raise and the ledger's row, before anything is signed or sent."""
        if not self._lifecycle.voucher(channel, step):
            raise AssertionError("nobody else plans within the transaction")
        # What pays is the voucher, also while another process tops the channel up.
        raised = replace(channel, cumulative_amount=step.cumulative_amount, pending=None)
        self._commit(turn, raised, Committed(raised=step.raised_by))
        return raised

    def _wait(self, turn: Turn) -> None:
        """Let other requests go first for a moment.

        Raises:
            StoreError: they did not get done in time.
        """
        if turn.waited >= WAIT_SECONDS:
            raise busy()
        self._stage("waiting for other requests on this channel")
        pause = min(0.25, max(0.01, turn.waited / 4))
        self._lifecycle.sleep(pause)
        turn.waited += pause

    def _release(self, turn: Turn) -> None:
        """Take back what this request claims. That this fails must not hide what came of it."""
        if turn.claim is None:
            return
        with suppress(StoreError):
            self._lifecycle.store.release(turn.claim)
        turn.claim = None

    def _refresh(self, step: Refresh, turn: Turn) -> None:
        assert turn.offer is not None
        assert turn.rejection is not None  # the planner refreshes in answer to one
        turn.progress = planner.after(turn.progress, turn.rejection)
        turn.rejection = None
        if step.delay:
            self._stage("the gateway is busy, trying again")
            self._lifecycle.sleep(step.delay)
            turn.offer.answered = True  # a challenge that came before the wait is old by now

    def _unpaid(self, request: httpx.Request, turn: Turn) -> httpx.Request:
        """The request without a credential, to be given a fresh challenge."""
        if turn.unpaid >= MAX_UNPAID_REQUESTS:
            raise PaymentError(
                "the gateway gives no challenge that can be answered in time",
                hint="check this computer's clock; nothing more was authorised",
                code=Code.NO_FRESH_CHALLENGE,
            )
        turn.unpaid += 1
        request.headers.pop(turn.header, None)
        request.extensions.pop(CREDENTIAL, None)
        return request

    def _paid(self, request: httpx.Request, turn: Turn, channel: Channel, payload: Payload) -> httpx.Request:
        """The request with a credential for ``channel`` as recorded: the last thing before the bytes leave."""
        assert turn.offer is not None
        challenge, terms = turn.offer.challenge, channel.terms
        if turn.offer.payee_accepted:
            self._lifecycle.store.pin(channel.gateway, channel.network, terms.payee)
        turn.progress = replace(turn.progress, paid_attempts=turn.progress.paid_attempts + 1)
        request.headers.pop(turn.header, None)
        turn.header = challenge.header or "Authorization"
        descriptor = terms.descriptor if terms.protocol is Protocol.V2 else None
        value = authorization(challenge, payload, chain_id=terms.chain_id, payer=terms.payer, descriptor=descriptor)
        request.extensions[CREDENTIAL] = True
        if isinstance(payload, TopUpPayload):
            # Not this request but another one, sent to the same place: no cache may take the two for one.
            headers = httpx.Headers(request.headers)
            headers["Idempotency-Key"] = str(uuid.uuid4())
            headers[turn.header] = value
            return httpx.Request(
                request.method, request.url, headers=headers, content=turn.body, extensions=request.extensions
            )
        turn.progress = replace(turn.progress, sent=channel.cumulative_amount)
        self._stage("waiting for the answer")
        request.headers[turn.header] = value
        return request

    def _answered(self, response: httpx.Response, turn: Turn, channel: Channel) -> bool:
        """Take in the answer to a credential; True where it answers the request itself, for good or ill."""
        assert turn.offer is not None  # what was answered
        turn.offer.answered = True
        if response.is_success and channel.tops_up:
            self._lifecycle.topped_up(channel)
            return False
        if response.is_success:
            self._settle(response, turn, channel)
            return True
        if response.extensions.get(RESENT):
            turn.progress = replace(turn.progress, answer_lost=True)
        problem = parse_problem(response.status_code, response.content)
        if response.status_code != 402 and problem.canonical is None and not turn.progress.answer_lost:
            self._finish(turn, Outcome.FAILED, Usage())
            return True
        turn.rejection = problem
        snapshot = from_headers(response.headers)
        if response.status_code == 402 and "www-authenticate" in response.headers:
            # What the rejection means comes first. A challenge that cannot be answered is not taken; where another
            # one is needed it is asked for, and what is wrong with that one is the error.
            with suppress(PaymentError):
                self._take_offer(response, turn)
                snapshot = turn.offer.request.session_snapshot or snapshot
        self._catch_up(turn, channel, snapshot)
        return False

    def _adopted(self, turn: Turn, key: ChannelKey, snapshot: dict[str, Any] | None) -> bool:
        """Whether the gateway's hint led to a channel of ours that the store did not know."""
        if snapshot is None or turn.hinted or turn.progress.raised:
            return False
        turn.hinted = True
        self._stage("looking at the gateway's hint")
        found = hints.adopt(self._lifecycle, key, snapshot) is not None
        self._stage("found a channel that is open already" if found else "the gateway's hint was ignored")
        return found

    def _catch_up(self, turn: Turn, channel: Channel, snapshot: dict[str, Any] | None) -> None:
        """Take in what a rejection tells, if it proves that more was signed for this channel than we have on record."""
        if snapshot is None or turn.hinted:
            return
        known = self._lifecycle.store.channel(channel.channel_id)
        with suppress(NetworkError, PaymentError):  # the chain cannot be asked: then it is no more than a hint
            if known is not None and hints.catch_up(self._lifecycle, known, snapshot):
                turn.hinted = True
                self._stage("more was signed for this channel on another machine")

    def _take_offer(self, response: httpx.Response, turn: Turn) -> None:
        self._lifecycle.gateway_time = server_time(response)
        try:
            turn.offer = self._read_offer(response, turn)
        except PaymentError as error:
            raise error.with_answer(response.content, request_id(response.headers)) from None

    def _read_offer(self, response: httpx.Response, turn: Turn) -> Offer:
        """The challenge of a 402 that is answered: of those that can be, one for which there is a channel already, else
        the first.

        Raises:
            PaymentError: there is none; for the first one that came close, says what is wrong with it.
        """
        if not may_carry_credentials(turn.url):
            raise UntrustedError(
                "a payment is not sent over plain http to another machine",
                hint="use the gateway's https URL; nothing was signed",
                code=Code.INSECURE_TRANSPORT,
            )
        challenges, malformed = parse_challenges(response.headers.get_list("www-authenticate"))
        offers: list[Offer] = []
        first_error: PaymentError | None = None
        for challenge in challenges:
            if (challenge.method.lower(), challenge.intent.lower()) != ("tempo", "session"):
                continue
            try:
                offers.append(self._check_offer(challenge, turn))
            except PaymentError as error:
                first_error = first_error or error
        if offers:
            return self._choose(self._of_protocol(offers), turn)
        if first_error is not None:
            raise first_error
        if malformed and not challenges:
            raise _unusable(f"the gateway's challenge is malformed: {clean(malformed[0], 120)}")
        offered = ", ".join(clean(f"{c.method}/{c.intent}", 40) for c in challenges[:4])
        raise PaymentError(
            f"the gateway takes no tempo/session payment{f', only {offered}' if offered else ''}",
            hint="this 402 is not a challenge that ando can pay",
            code=Code.NO_CHALLENGE,
        )

    def _of_protocol(self, offers: list[Offer]) -> list[Offer]:
        """The offers in the session protocol that the user chose, if they did.

        Raises:
            PaymentError: there are none.
        """
        if self._protocol is None:
            return offers
        chosen = [offer for offer in offers if offer.request.session_protocol == self._protocol]
        if not chosen:
            offered = " and ".join(sorted({offer.request.session_protocol for offer in offers}))
            raise PaymentError(
                f"the gateway offers session protocol {offered}, not {self._protocol}",
                hint="leave --protocol out; nothing was signed",
                code=Code.PROTOCOL_NOT_OFFERED,
            )
        return chosen

    def _choose(self, offers: list[Offer], turn: Turn) -> Offer:
        """The offer to answer: the one for which there is a channel, the youngest of them, else the first.

        A gateway may offer both session protocols, in any order: that opens no second channel.
        """
        if len(offers) == 1:
            return offers[0]
        live = [(found.created_at, offer) for offer in offers if (found := self._live(turn.gateway, offer))]
        return max(live, key=lambda each: each[0])[1] if live else offers[0]

    def _live(self, gateway: str, offer: Offer) -> Channel | None:
        """The channel that would pay for ``offer``. Without a wallet there is none."""
        lifecycle = self._lifecycle
        try:
            return lifecycle.store.live(lifecycle.channel_key(gateway, offer.request))
        except (WalletMissingError, KeyringUnusableError):
            return None

    def _check_offer(self, challenge: Challenge, turn: Turn) -> Offer:
        try:
            request = parse_session_request(challenge)
        except MalformedError as error:
            raise _unusable(f"the gateway's challenge is malformed: {clean(str(error), 120)}") from None
        if not challenge.digest_matches(turn.body):
            raise UntrustedError(
                "the challenge is for another request body than the one that was sent",
                hint="nothing was signed; something between here and the gateway may change requests",
                code=Code.DIGEST_MISMATCH,
            )
        if challenge.header and challenge.header.lower() in _TAKEN_HEADERS | turn.headers:
            raise _unusable("the gateway wants the credential in a header that has another purpose")
        lifecycle = self._lifecycle
        pinned = lifecycle.store.pinned_payee(turn.gateway, lifecycle.network.name)
        policy.check_trust(request, policy.Trust(lifecycle.network, pinned, self._accepted_payee))
        return Offer(challenge, request, payee_accepted=pinned not in (None, request.recipient))

    def _settle(self, response: httpx.Response, turn: Turn, channel: Channel) -> None:
        """Record the answer and what its receipt says. The answer is there: nothing that fails now may lose it."""
        store = self._lifecycle.store
        receipt = self._read_receipt(response, channel)
        spent: int | None = None
        try:
            # A receipt may be lost with the machine's power; that the channel is open may not.
            with store.transaction(durable=channel.pending is not None):
                if channel.pending is not None:
                    store.opened(channel.channel_id, channel.deposit)
                channel = store.channel(channel.channel_id) or channel
                if receipt is not None and self._believable(receipt, channel):
                    spent = max(0, receipt.spent - channel.spent)
                    channel = self._receipted(receipt, channel, turn)
                if turn.row is not None:
                    store.finish(turn.row, Outcome.ANSWERED, read_usage(response.content, spent))
                if turn.claim is not None:
                    store.release(turn.claim)
                    turn.claim = None
        except StoreError as error:
            spent = None
            self._warn(f"the answer was paid, but not booked: {error.message}")
        response.extensions[PAID] = Paid(channel, turn.raised, turn.deposited, spent)

    def _read_receipt(self, response: httpx.Response, channel: Channel) -> Receipt | None:
        """The answer's receipt, if it has one for this channel that can be read; else a warning."""
        value = response.headers.get("Payment-Receipt")
        if value is None:
            self._warn("the gateway sent no receipt: what this request cost is unknown")
            return None
        try:
            receipt = parse_receipt(value)
        except MalformedError:
            self._warn("the gateway sent a receipt that cannot be read: what this request cost is unknown")
            return None
        if receipt.channel_id != channel.channel_id:
            self._warn("the gateway sent a receipt for another channel: it was ignored")
            return None
        return receipt

    def _believable(self, receipt: Receipt, channel: Channel) -> bool:
        """Our own record of what was signed is the authority: a receipt cannot raise it."""
        if receipt.spent <= receipt.accepted_cumulative <= channel.cumulative_amount:
            return True
        self._warn(
            f"the gateway's receipt claims more than the {amount(channel.cumulative_amount)} that was signed: "
            "it was ignored"
        )
        return False

    def _receipted(self, receipt: Receipt, channel: Channel, turn: Turn) -> Channel:
        """``channel`` with what a receipt said, as it was recorded."""
        assert turn.offer is not None  # what was answered
        metered = channel.metered or receipt.spent % turn.offer.request.amount != 0
        accepted, spent = receipt.accepted_cumulative, receipt.spent
        self._lifecycle.store.receipted(channel.channel_id, accepted, spent, metered=metered)
        return replace(
            channel, accepted=max(accepted, channel.accepted), spent=max(spent, channel.spent), metered=metered
        )

    def _commit(self, turn: Turn, channel: Channel, committed: Committed) -> None:
        """Write into the ledger what the request commits, in the transaction that records it with the channel."""
        turn.raised += committed.raised
        turn.deposited += committed.deposited
        self._book(turn, channel)

    def _book(self, turn: Turn, channel: Channel) -> None:
        """Write the request into the ledger, or what it committed since.

        Where another channel than before pays now, the row of the first one ends: its vouchers were turned down.
        """
        before = turn.booked
        if before is not None and before.channel_id != channel.channel_id:
            self._finish(turn, Outcome.FAILED, Usage())
            turn.row, turn.booked = None, None
            turn.gone = Committed(turn.gone.deposited + before.deposited, turn.gone.raised + before.authorised)
        entry = Entry(
            channel_id=channel.channel_id, gateway=turn.gateway, network=channel.network,
            path=urlsplit(turn.url).path, model=named(turn.body, "model"), plan=named(turn.body, "plan"),
            authorised=turn.raised - turn.gone.raised, deposited=turn.deposited - turn.gone.deposited,
        )  # fmt: skip
        if entry != turn.booked:
            turn.row = self._lifecycle.store.book(turn.row, entry)
            turn.booked = entry

    def _finish(self, turn: Turn, outcome: Outcome, usage: Usage) -> None:
        """Complete the ledger's row. That this fails must not hide what it says."""
        if turn.row is None:
            return
        try:
            self._lifecycle.store.finish(turn.row, outcome, usage)
        except StoreError as error:
            self._warn(f"the outcome was not booked: {error.message}")


def server_time(response: httpx.Response) -> float | None:
    """The server's clock as it says itself, in unix seconds."""
    try:
        return parsedate_to_datetime(response.headers.get("Date", "")).timestamp()
    except (ValueError, OverflowError):
        return None


def _unusable(message: str) -> PaymentError:
    return PaymentError(message, hint="nothing was signed; report it to the gateway", code=Code.MALFORMED_CHALLENGE)
