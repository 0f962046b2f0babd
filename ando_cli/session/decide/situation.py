"""What the planner plans from: one frozen ``Situation``, and the ``Progress`` of the one request in it."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING

from ando_cli.frozen import frozen
from ando_cli.mpp.problem import ProblemCode
from ando_cli.session.channel import State
from ando_cli.session.decide.policy import Committed
from ando_cli.session.traffic import Traffic

if TYPE_CHECKING:
    from ando_cli.mpp.problem import Problem
    from ando_cli.mpp.session import SessionRequest
    from ando_cli.session.channel import Channel
    from ando_cli.session.decide.policy import Caps


class Phase(Enum):
    """The states of a channel that the planner tells apart when the gateway rejects a credential."""

    NONE = "no channel"
    OPENING = "being opened"
    OPEN = "open"


@frozen
class Progress:
    """What was done so far for this one request.

    ``sent`` is the cumulative amount of the last voucher sent; ``raised`` whether this request raised it, ``reserved``
    whether it counts on a part of what was there; ``crowded`` whether others were in flight when it was sent;
    ``agreed`` is the raise above the channel's step that the user agreed to for this request, in base units;
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
    agreed: int = 0

    def after_refresh(self, rejection: Problem) -> Progress:
        """Return the progress after a ``Refresh`` in answer to ``rejection``: what may happen once has happened."""
        if rejection.canonical is ProblemCode.MPP_RESERVATION_FAILED:
            return replace(self, reservations_failed=self.reservations_failed + 1)
        return replace(self, refreshed=True)


@frozen
class Situation:
    """All that the next step depends on.

    Attributes:
        request: what the challenge asks for.
        caps: the user's limits.
        channel: the live channel that would pay, as recorded; ``None`` where there is none.
        rejection: the answer to the last credential, if it was one.
        progress: what was done so far for this request.
        committed: what this command has committed so far.
        traffic: what other requests are doing with the channel.
    """

    request: SessionRequest
    caps: Caps
    channel: Channel | None = None
    rejection: Problem | None = None
    progress: Progress = Progress()
    committed: Committed = Committed()
    traffic: Traffic = Traffic()

    @property
    def code(self) -> ProblemCode | None:
        """The code of the rejection, by which the reaction is chosen; ``None`` where it has none that is known."""
        return None if self.rejection is None else self.rejection.canonical

    @property
    def phase(self) -> Phase:
        """The state of the channel, as far as it matters for a reaction."""
        if self.channel is None:
            return Phase.NONE
        return Phase.OPENING if self.channel.state is State.OPENING else Phase.OPEN
