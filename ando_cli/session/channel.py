"""What we know of one payment channel: our own record, which is the authority on what was signed.

Who is the authority for each amount:

- ``cumulative_amount``: we are. It is what our signatures allow the payee to take in all; it only rises.
- ``deposit``: the chain is. We hold what the chain last showed, or what we asked it for.
- ``accepted`` and ``spent``: the gateway says so in receipts, and is believed only up to ``cumulative_amount``.

All amounts are integers in base units of the channel's token (6 decimals).
"""

from __future__ import annotations

from dataclasses import field
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

from ando_cli.frozen import frozen

if TYPE_CHECKING:
    from ando_cli.tempo.channel import ChannelTerms


class State(StrEnum):
    """Where a channel stands in its life."""

    OPENING = "opening"  # its open transaction was signed, and may or may not be on the chain
    OPEN = "open"
    CLOSING = "closing"  # its payer asked the escrow to close it: nothing is paid from it any more
    CLOSED = "closed"  # finalized on the chain
    SPARE = "spare"  # open on the chain, but nothing is paid from it: it was recovered beside one that is live
    ABANDONED = "abandoned"  # its open transaction expired without being mined: no money ever moved


class Doubt(IntEnum):
    """How far what receipts say of a channel can be believed."""

    NONE = 0  # they tell all that was spent
    REQUEST = 1  # a request may have cost something that no receipt has told yet; the next one that rises tells it
    RECEIPTS = 2  # they contradict each other: only what was signed bounds what was spent


LIVE = (State.OPENING, State.OPEN)
FUNDED = (*LIVE, State.CLOSING, State.SPARE)
"""States in which a channel may hold money."""


@frozen
class ChannelKey:
    """What one live channel is for: there is never more than one for the same key."""

    gateway: str
    network: str
    chain_id: int
    escrow: str
    token: str
    payee: str
    payer: str


@frozen
class Pending:
    """A signed transaction that was handed to the gateway and whose effect was not seen yet.

    ``amount`` is what it deposits, ``valid_before`` the unix second from which the chain refuses it.
    """

    transaction: str = field(repr=False)
    amount: int
    valid_before: int


@frozen
class Channel:
    """One payment channel of this wallet.

    ``step`` is the largest raise that was agreed for one request, in base units; 0 where none is on record, as of a
    channel that was recovered. ``doubt`` is how far ``spent`` can be believed.
    ``metered`` is whether a receipt ever showed another charge than the full amount of each request.
    ``closes_at`` is the unix second, by the chain's clock, from which a channel that is ``closing`` can be withdrawn
    from; 0 where it is not known. The other times are unix seconds too.
    ``captured`` is what the payee took in all from a channel that is ``closed``, as the chain proved it; ``None`` as
    long as nothing proves it. ``route`` is the request that it was opened with, as ``POST https://host/path`` without a
    query; empty where that is not known.
    """

    channel_id: str
    gateway: str
    network: str
    terms: ChannelTerms
    state: State
    deposit: int
    cumulative_amount: int
    accepted: int = 0
    spent: int = 0
    pending: Pending | None = field(default=None, repr=False)
    metered: bool = False
    step: int = 0
    doubt: Doubt = Doubt.NONE
    closes_at: int = 0
    created_at: int = 0
    updated_at: int = 0
    captured: int | None = None
    route: str = field(default="", repr=False)

    @property
    def key(self) -> ChannelKey:
        """What this channel is for."""
        terms = self.terms
        return ChannelKey(
            gateway=self.gateway,
            network=self.network,
            chain_id=terms.chain_id,
            escrow=terms.escrow,
            token=terms.token,
            payee=terms.payee,
            payer=terms.payer,
        )

    @property
    def delegated(self) -> bool:
        """Whether a key that was made for this channel alone signs its vouchers, and not the wallet's."""
        return self.terms.signer != self.terms.payer

    @property
    def tops_up(self) -> bool:
        """Whether the pending transaction adds to an open channel."""
        return self.state is State.OPEN and self.pending is not None

    @property
    def exhausted(self) -> bool:
        """Whether nothing is left of what was authorised: the last receipt said so, or nothing was authorised yet."""
        return self.spent >= self.cumulative_amount

    def charges_in_full(self, amount: int) -> bool:
        """Whether every receipt so far says that each request was charged ``amount``, and not what it used."""
        return not self.metered and self.spent > 0 and self.spent % amount == 0

    @property
    def unproven(self) -> bool:
        """Whether it is closed, and nothing proved yet what the payee took."""
        return self.state is State.CLOSED and self.captured is None

    @property
    def captured_at_most(self) -> int:
        """The most that the payee can have taken or can take: what was signed for, within the deposit."""
        if self.captured is not None:
            return self.captured
        return 0 if self.state is State.ABANDONED else min(self.cumulative_amount, self.deposit)

    @property
    def left(self) -> int:
        """What of the deposit is not spent. Where receipts do not tell that, all that was signed counts as spent."""
        spent = self.cumulative_amount if self.doubt else self.spent
        return max(0, self.deposit - max(spent, self.spent))
