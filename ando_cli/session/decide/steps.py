"""The steps that a plan is made of, as data. The payment rail carries them out.

Each class says what its step needs before it can be carried out:

- ``needs_lock``: the lock for deposits into the channel, which one process at a time holds.
- ``frees_lock``: that lock must not be held: whoever has it must not wait for those who wait for it.
- ``needs_challenge``: a challenge that was not answered yet and has not expired, because a credential is sent.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, ClassVar

from ando_cli.frozen import frozen
from ando_cli.session.traffic import Claim, Hold

if TYPE_CHECKING:
    from ando_cli.mpp.session import SessionRequest
    from ando_cli.session.channel import Channel
    from ando_cli.session.decide.situation import Progress
    from ando_cli.session.traffic import Traffic


class _Needs:
    """What a step needs unless its class says otherwise: nothing."""

    needs_lock: ClassVar[bool] = False
    frees_lock: ClassVar[bool] = False
    needs_challenge: ClassVar[bool] = False


@frozen
class Open(_Needs):
    """Open a channel; its first voucher authorises ``cumulative_amount``."""

    needs_lock = True
    needs_challenge = True

    cumulative_amount: int


@frozen
class Resolve(_Needs):
    """Ask the chain what became of the channel or of its pending transaction, then plan again."""

    needs_lock = True


@frozen
class Resend(_Needs):
    """Send the pending, still valid transaction once more: it is the same one, so it cannot pay twice."""

    needs_lock = True
    needs_challenge = True


@frozen
class Voucher(_Needs):
    """Sign ``cumulative_amount``, which is ``raised_by`` above what was signed before.

    ``uses`` is what it counts on of what was signed before, and ``hold`` what the others are to leave be meanwhile.
    """

    frees_lock = True
    needs_challenge = True

    cumulative_amount: int
    raised_by: int = 0
    uses: int = 0
    hold: Hold = Hold.NOTHING

    def claim(self, request: SessionRequest, channel: Channel, progress: Progress) -> Claim:
        """Return what the others have to know of it while it is in flight."""
        counts = self.raised_by or self.uses or progress.raised or progress.reserved
        return Claim(channel.channel_id, request.amount if counts else 0, sent=True, hold=self.hold)

    def recorded(self, progress: Progress, traffic: Traffic) -> Progress:
        """Return ``progress`` when the step was recorded: its raise is made, and what it uses is its own."""
        return replace(
            progress,
            raised=progress.raised or self.raised_by > 0,
            reserved=progress.reserved or self.uses > 0,
            crowded=traffic.in_flight > 0,
        )


@frozen
class Wait(_Needs):
    """Let other requests on this channel go first, and plan again in a moment. ``hold``: ask the others to, too."""

    frees_lock = True

    hold: Hold = Hold.NOTHING

    def claim(self, request: SessionRequest, channel: Channel, progress: Progress) -> Claim:
        """Return what the others have to know of it meanwhile: what it has raised or reserved stays its own."""
        counts = progress.raised or progress.reserved
        return Claim(channel.channel_id, request.amount if counts else 0, hold=self.hold)


@frozen
class TopUp(_Needs):
    """Add at least ``needed`` to the deposit, so that the next voucher fits."""

    needs_lock = True
    needs_challenge = True

    needed: int

    def claim(self, request: SessionRequest, channel: Channel, progress: Progress) -> Claim:
        """Return what the others have to know of it meanwhile: the deposit is there for this request's raise."""
        return Wait(Hold.RAISES).claim(request, channel, progress)


@frozen
class Agree(_Needs):
    """Ask the user for a raise by ``amount``, which is larger than what was agreed on when the channel was opened."""

    frees_lock = True

    amount: int


@frozen
class Refresh(_Needs):
    """Send the request unpaid once more, after ``delay`` seconds, to be given a fresh challenge."""

    delay: float = 0.0


class Reason(Enum):
    """Why a request is refused. The facts are in the ``Situation`` that was planned from."""

    ANSWER_LOST = "an answer was lost, so the request may have been charged"
    FINAL = "the gateway's code is final"
    TOO_MANY_ATTEMPTS = "the gateway turned down as many credentials as one request may send"
    REJECTED = "the gateway rejected the payment, and nothing more can be tried"
    SECOND_RAISE = "one request raises the voucher once"
    DELTA_TOO_SMALL = "the gateway takes no raise of the amount it asks for"
    MAX_SPEND = "the raise passes the user's limit for one command"
    DEPOSIT_DISPUTED = "the gateway says that the deposit is too low, after a top-up"
    CHANNEL_DISPUTED = "the gateway says that the channel is gone, and the chain shows it"
    DEPOSIT_IN_FLIGHT = "the chain does not show the last transaction, which was sent twice"


@frozen
class Refuse(_Needs):
    """Stop, for ``reason``.

    ``outrun`` is whether the gateway may hold a higher voucher than the record has: it rejected what was sent, and no
    receipt has shown that it accepts so little. That happens after a recovery, or with a copied store. Only the user
    can say what the gateway holds.
    """

    reason: Reason
    outrun: bool = False


Step = Open | Agree | Resolve | Resend | Voucher | Wait | TopUp | Refresh | Refuse
