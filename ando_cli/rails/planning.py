"""The next step of a request, planned and recorded in one transaction of the store."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from ando_cli.errors import InvariantError, PaymentError
from ando_cli.frozen import frozen
from ando_cli.rails.refusals import refusal
from ando_cli.session.act import signing
from ando_cli.session.decide.planner import plan
from ando_cli.session.decide.policy import Committed
from ando_cli.session.decide.situation import Situation
from ando_cli.session.decide.steps import Open, Refuse, Step, TopUp, Voucher, Wait

if TYPE_CHECKING:
    from ando_cli.mpp.session import SessionRequest
    from ando_cli.rails.offers import Offers
    from ando_cli.rails.settlement import Settlement
    from ando_cli.rails.turn import Notes, Turn
    from ando_cli.session.act.session import Session
    from ando_cli.session.channel import Channel, ChannelKey


@frozen
class Quote:
    """What a request would lead to, for ``--dry-run``.

    ``step`` is what the planner would do next, ``channel`` the channel it would use, ``None`` where there is none yet.
    ``refused`` is the error that paying would end with at once, where it would.
    """

    realm: str
    request: SessionRequest
    step: Step
    channel: Channel | None
    refused: PaymentError | None = None


class Quoted(Exception):  # noqa: N818 - not an error: how a dry run leaves the flow
    """Ends a dry run with what would be paid."""

    def __init__(self, quote: Quote) -> None:
        super().__init__("dry run")
        self.quote = quote


@frozen
class Planned:
    """A step with what it was planned from.

    ``refused`` is the error to end with: the planner's, or that of a budget which the step would pass. ``warning`` is
    what the step leaves of a budget, where that is little.
    """

    step: Step
    situation: Situation
    refused: PaymentError | None = None
    warning: str | None = None

    @property
    def channel(self) -> Channel:
        """The channel that the step is for, as recorded.

        Raises:
            InvariantError: there is none.
        """
        if self.situation.channel is None:
            raise InvariantError("a step was planned for a channel that is not there")
        return self.situation.channel


class Planning:
    """Plans for one command: with its limits and its budgets, and what other requests do.

    Args:
        session: has the store, the limits, and the keys that sign.
        offers: knows which channel would pay.
        settlement: keeps the books.
        notes: receives warnings about budgets that are nearly used up.
    """

    def __init__(self, session: Session, offers: Offers, settlement: Settlement, notes: Notes) -> None:
        self._session = session
        self._offers = offers
        self._settlement = settlement
        self._notes = notes
        self._signs_for: set[str] = set()
        """The channels whose signing key is at hand."""

    def next(self, turn: Turn, key: ChannelKey, *, locked: bool) -> Planned:
        """Return the next step, with the channel that it is for as it is recorded then.

        What other requests must know of is recorded in the transaction that the plan was made in, so that no two of
        them plan with the same money: a voucher with its raise, and that this request waits or is about to top up.
        """
        session, store = self._session, self._session.store
        stale = turn.offer.stale(session.challenge_time())
        with store.transaction():
            planned = self._judged(self._situation(turn, store.live(key)))
            step, channel = planned.step, planned.situation.channel
            if channel is None or planned.refused is not None:
                return planned
            missing = isinstance(step, Voucher) and channel.channel_id not in self._signs_for
            match step:
                case Voucher() if not stale and not missing:
                    planned = self._record(planned, step, turn)
                case Wait():
                    self._claim(turn, step, channel)
                case TopUp() if locked:
                    self._claim(turn, step, channel)
        if not missing:
            if planned.warning is not None and not stale:
                self._notes.warn(planned.warning)
            return planned
        # A key that is missing is missed before anything is recorded, and the store is not held while a keyring is
        # unlocked.
        session.keys.signer(channel)
        self._signs_for.add(channel.channel_id)
        return self.next(turn, key, locked=locked)

    def _situation(self, turn: Turn, channel: Channel | None) -> Situation:
        """What the next step is planned from. A request without a channel claims nothing."""
        session = self._session
        alone = Situation(
            request=turn.offer.request,
            caps=session.limits.caps,
            rejection=turn.rejection,
            progress=turn.progress,
            committed=session.tally.committed,
        )
        if channel is None:
            self._settlement.release(turn)
            return alone
        return replace(alone, channel=channel, traffic=session.store.traffic(channel.channel_id, turn.claim))

    def _judged(self, situation: Situation) -> Planned:
        """The planner's step, refused where what it authorises passes a budget."""
        step = plan(situation)
        match step:
            case Refuse():
                return Planned(step, situation, refusal(step, situation))
            case Voucher():
                by = step.raised_by
            case Open() | TopUp():
                by = 0 if situation.progress.raised else situation.request.amount
            case _:
                by = 0
        try:
            warning = self._session.check_budgets(by) if by else None
        except PaymentError as error:
            return Planned(step, situation, error)
        return Planned(step, situation, warning=warning if isinstance(step, Voucher) else None)

    def _claim(self, turn: Turn, step: Voucher | Wait | TopUp, channel: Channel) -> None:
        """Tell the others what this request does, for as long as it can take."""
        claim = step.claim(turn.offer.request, channel, turn.progress)
        turn.claim = self._session.store.claim(turn.claim, replace(claim, seconds=math.ceil(turn.asked.patience)))

    def _record(self, planned: Planned, step: Voucher, turn: Turn) -> Planned:
        """Record the claim, the raise and the ledger's row, before anything is signed or sent."""
        session, situation, channel = self._session, planned.situation, planned.channel
        self._claim(turn, step, channel)
        if not signing.record_raise(session, channel, step):
            raise InvariantError("the amount on record changed within the transaction that raises it")
        if step.raised_by and not channel.step:
            session.store.agree(channel.channel_id, step.raised_by)
        # What pays is the voucher, also while another process tops the channel up.
        raised = replace(channel, cumulative_amount=step.cumulative_amount, pending=None)
        self._settlement.commit(turn, raised, Committed(raised=step.raised_by))
        turn.progress = step.recorded(turn.progress, situation.traffic)
        return replace(planned, situation=replace(situation, channel=raised))

    def quote(self, turn: Turn) -> Quote:
        """Return what paying would begin with. Somebody without a wallet may ask too: they would open a channel."""
        session, offer = self._session, turn.offer
        channel = self._offers.live(turn.asked.gateway, offer)
        planned = self._judged(
            Situation(
                offer.request, session.limits.caps, channel, progress=turn.progress, committed=session.tally.committed
            )
        )
        return Quote(offer.challenge.realm, offer.request, planned.step, channel, planned.refused)
