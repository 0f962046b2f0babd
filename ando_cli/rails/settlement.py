"""Recording payments: receipts go into the channel's record, and what was committed into the ledger."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ando_cli.errors import Code, OutcomeUnknownError, PaymentError, StoreError
from ando_cli.frozen import frozen
from ando_cli.http.dates import retry_after
from ando_cli.http.extensions import CUT, FAILURE, PAID
from ando_cli.inference.usage import Usage, read_usage
from ando_cli.money import amount
from ando_cli.mpp.challenge import parse_fields
from ando_cli.mpp.malformed import MalformedError
from ando_cli.mpp.problem import ProblemCode, parse_problem
from ando_cli.mpp.receipt import Receipt, parse_receipt
from ando_cli.redact import clean
from ando_cli.session.channel import Doubt, State
from ando_cli.session.decide.policy import Committed
from ando_cli.session.record.ledger import Entry, Outcome

if TYPE_CHECKING:
    import httpx

    from ando_cli.mpp.problem import Problem
    from ando_cli.rails.turn import Notes, Turn
    from ando_cli.session.act.session import Session
    from ando_cli.session.channel import Channel


@frozen
class Paid:
    """What one request cost, in base units. ``spent`` is ``None`` if no usable receipt reported it."""

    channel: Channel
    raised: int
    deposited: int
    spent: int | None


class _Fault(Enum):
    """What is wrong with a receipt that can be read, as it is said."""

    CHANNEL = "is for another channel"
    REQUEST = "is for another request"
    FORGED = "claims more than the {signed} that was signed"
    BEHIND = "does not count this request"


class Settlement:
    """Keeps the books of the requests of one rail.

    Args:
        session: has the store.
        notes: called with what the user must know while the request continues.
    """

    def __init__(self, session: Session, notes: Notes) -> None:
        self._session = session
        self._notes = notes
        self._warned: set[_Fault] = set()

    def commit(self, turn: Turn, channel: Channel, committed: Committed) -> None:
        """Write into the ledger what the request commits, in the transaction that records it with the channel."""
        turn.raised += committed.raised
        turn.deposited += committed.deposited
        self.book(turn, channel)

    def book(self, turn: Turn, channel: Channel) -> None:
        """Write the request into the ledger, or what it committed since.

        If another channel pays now, the row of the first one ends: its vouchers were rejected.
        """
        before = turn.booked
        if before is not None and before.channel_id != channel.channel_id:
            self.finish(turn, Outcome.FAILED)
        entry = Entry(
            channel_id=channel.channel_id, gateway=turn.asked.gateway, network=channel.network,
            path=urlsplit(turn.asked.url).path, model=turn.asked.model, plan=turn.asked.plan,
            authorised=turn.raised - turn.gone.raised, deposited=turn.deposited - turn.gone.deposited,
        )  # fmt: skip
        if entry != turn.booked:
            turn.row = self._session.store.book(turn.row, entry)
            turn.booked = entry

    def finish(self, turn: Turn, outcome: Outcome) -> None:
        """Complete the ledger's row of a request that was not answered and paid for. A failure hides nothing else."""
        if turn.row is None:
            return
        try:
            self._session.store.finish(turn.row, outcome, Usage())
        except StoreError as error:
            self._notes.warn(f"the outcome was not booked: {error.message}")
        _completed(turn)

    def doubt(self, turn: Turn) -> None:
        """Record that the request may have cost something that no receipt has told. That this fails hides nothing."""
        if turn.booked is not None and turn.booked.channel_id is not None:
            with suppress(StoreError):
                self._session.store.doubt(turn.booked.channel_id, Doubt.REQUEST)

    def release(self, turn: Turn) -> None:
        """Drop the request's claim. A failure must not hide the request's outcome."""
        if turn.claim is None:
            return
        with suppress(StoreError):
            self._session.store.release(turn.claim)
        turn.claim = None

    def settle(self, response: httpx.Response, turn: Turn, channel: Channel) -> None:
        """Record the answer and what its receipt says; ``Paid`` goes into its extensions.

        The answer has arrived: no failure from here on may lose it.
        """
        store = self._session.store
        receipt = self._receipt(response)
        spent: int | None = None
        try:
            # A receipt may be lost with the machine's power; that the channel is open may not.
            with store.transaction(durable=channel.pending is not None):
                if channel.pending is not None:
                    store.opened(channel.channel_id, channel.deposit)
                channel = store.channel(channel.channel_id) or channel
                told = self._told(receipt, turn, channel)
                if isinstance(told, Receipt):
                    spent = max(0, told.spent - channel.spent)
                    channel = self._receipted(told, channel, turn.offer.request.amount)
                else:
                    store.doubt(channel.channel_id, told)
                    channel = replace(channel, doubt=max(told, channel.doubt))
                # A request whose receipt is wrong is not one that is known to be answered and paid for.
                doubtful = (receipt is not None and spent is None) or CUT in response.extensions
                outcome = Outcome.UNKNOWN if doubtful else Outcome.ANSWERED
                if turn.row is not None:
                    store.finish(turn.row, outcome, read_usage(response.content, spent))
                if turn.claim is not None:
                    store.release(turn.claim)
                    turn.claim = None
        except StoreError as error:
            spent = None
            self._notes.warn(f"the answer was paid, but not booked: {error.message}")
        _completed(turn)
        response.extensions[PAID] = Paid(channel, turn.raised, turn.deposited, spent)

    def charged(self, response: httpx.Response, turn: Turn, channel: Channel, problem: Problem) -> bool:
        """Record what the receipt of an answer that is not a success says; False where none says what was charged."""
        try:
            receipt = parse_receipt(response.headers.get("Payment-Receipt", ""))
            with self._session.store.transaction():
                channel = self._session.store.channel(channel.channel_id) or channel
                if _fault(receipt, turn, channel) is not None:
                    return False
                spent = max(0, receipt.spent - channel.spent)
                self._receipted(receipt, channel, turn.offer.request.amount)
                if turn.row is not None:
                    self._session.store.finish(turn.row, Outcome.FAILED, Usage(spent))
        except (MalformedError, StoreError):
            return False
        _completed(turn)
        response.extensions[FAILURE] = PaymentError(
            f"the gateway answered {_named(problem)}, and its receipt says that {amount(spent)} was charged: "
            f"{clean(problem.message)}",
            hint="ask its operator; asking again is charged again",
            code=Code.CHARGED_UNANSWERED,
        )
        return True

    def unknown(self, response: httpx.Response, turn: Turn, channel: Channel, problem: Problem) -> None:
        """Leave a request as unknown whose answer is neither a success nor a proof that nothing was charged."""
        self.doubt(turn)
        response.extensions[FAILURE] = OutcomeUnknownError(
            f"the gateway answered {_named(problem)} to a paid request: {clean(problem.message)}; whether it was "
            f"charged is unknown, and {with_the_gateway(channel)}",
            hint="`ando spend` shows the most that it can have cost; asking again may be charged again",
            retry_after=pause(response),
        )
        _completed(turn)

    def unanswered(self, response: httpx.Response, turn: Turn, channel: Channel) -> None:
        """Book what an answer to a voucher that is not a success says of its cost; nothing else depends on it."""
        problem = parse_problem(response.status_code, response.content)
        if self.charged(response, turn, channel, problem):
            return
        if proves_unpaid(response, problem) and problem.canonical is not ProblemCode.MPP_COMMIT_FAILED:
            self.finish(turn, Outcome.FAILED)
        else:
            self.unknown(response, turn, channel, problem)

    def top_up_unknown(self, response: httpx.Response, turn: Turn, channel: Channel, problem: Problem) -> None:
        """Complete a request whose top-up got an answer that does not say what became of it. The chain will."""
        self.finish(turn, Outcome.FAILED)
        added = "" if channel.pending is None else f" of {amount(channel.pending.amount)}"
        response.extensions[FAILURE] = OutcomeUnknownError(
            f"the gateway answered {_named(problem)} to a signed top-up{added}: {clean(problem.message)}; whether it "
            "was deposited is not known yet",
            hint="the request was not charged; the next one asks the chain first",
            retry_after=pause(response),
        )

    def _receipt(self, response: httpx.Response) -> Receipt | None:
        """The answer's receipt, if it has one that can be read; else a warning."""
        value = response.headers.get("Payment-Receipt")
        if value is None:
            self._notes.warn("the gateway sent no receipt: what this request cost is unknown")
            return None
        try:
            return parse_receipt(value)
        except MalformedError:
            self._notes.warn("the gateway sent a receipt that cannot be read: what this request cost is unknown")
            return None

    def _told(self, receipt: Receipt | None, turn: Turn, channel: Channel) -> Receipt | Doubt:
        """``receipt``, if it can be believed; else what there is to doubt, with a warning, once for each fault."""
        if receipt is None:
            return Doubt.REQUEST
        fault = _fault(receipt, turn, channel)
        if fault is None:
            return receipt
        if fault not in self._warned:
            self._warned.add(fault)
            what = fault.value.format(signed=amount(channel.cumulative_amount))
            self._notes.warn(f"the gateway's receipt {what}: it was ignored, and what this request cost is unknown")
        return Doubt.RECEIPTS if fault is _Fault.BEHIND else Doubt.REQUEST

    def _receipted(self, receipt: Receipt, channel: Channel, price: int) -> Channel:
        """``channel`` with what a receipt said, as it was recorded. ``price`` is what the challenge asked for."""
        metered = channel.metered or receipt.spent % price != 0
        accepted, spent = receipt.accepted_cumulative, receipt.spent
        self._session.store.receipted(channel.channel_id, accepted, spent, metered=metered)
        return replace(
            channel,
            accepted=max(accepted, channel.accepted),
            spent=max(spent, channel.spent),
            metered=metered,
            doubt=Doubt.NONE if channel.doubt is Doubt.REQUEST else channel.doubt,
        )


def proves_unpaid(response: httpx.Response, problem: Problem) -> bool:
    """Return whether an answer to a credential says that nothing ran and nothing was charged.

    A code of the scheme does, and a 402 that asks for the payment again. That a commit failed proves nothing, but the
    planner knows that.
    """
    asks_again = response.status_code == 402 and bool(parse_fields(response.headers.raw)[0])
    return asks_again or problem.canonical is not None


def with_the_gateway(channel: Channel) -> str:
    """Say what the gateway holds that was signed and is not known to be spent."""
    deposit = f"a deposit of {amount(channel.deposit)} and " if channel.state is State.OPENING else ""
    voucher = f"a voucher for {amount(max(0, channel.cumulative_amount - channel.spent))}"
    return f"{deposit}{voucher} {'are' if deposit else 'is'} with the server"


def pause(response: httpx.Response) -> int | None:
    """Return the seconds that an answer asks to wait, where it does."""
    told = retry_after(response.headers, time.time())
    return None if told is None else math.ceil(told)


def _completed(turn: Turn) -> None:
    """Let go of the row of ``turn``, which is complete: what comes now is no part of it."""
    if turn.booked is not None:
        gone, booked = turn.gone, turn.booked
        turn.gone = Committed(gone.deposited + booked.deposited, gone.raised + booked.authorised)
    turn.row, turn.booked = None, None


def _fault(receipt: Receipt, turn: Turn, channel: Channel) -> _Fault | None:
    """What is wrong with ``receipt``. Our own record of what was signed is the authority: it cannot raise that.

    Requests that run at the same time are answered in any order, so the total need only be above what was on record
    when this request was sent.
    """
    if receipt.channel_id != channel.channel_id:
        return _Fault.CHANNEL
    if receipt.challenge_id not in turn.answered:
        return _Fault.REQUEST
    if not receipt.spent <= receipt.accepted_cumulative <= channel.cumulative_amount:
        return _Fault.FORGED
    return None if receipt.spent > turn.known_spent else _Fault.BEHIND


def _named(problem: Problem) -> str:
    return str(problem.status) if problem.code is None else f"{problem.status} {problem.code}"
