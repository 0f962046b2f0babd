"""What our own transactions moved out of the wallet and back into it. Pure.

What the wallet held before, and what others sent to it or took from it, is not known here: so this is not its balance,
but what of a change of its balance is our own doing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ando_cli.frozen import frozen
from ando_cli.session.channel import Channel, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ando_cli.session.record.ledger import Row


@frozen
class Moved:
    """What was moved, in base units.

    Attributes:
        deposited: into the channels on record, as far as the chain has shown or accepted it.
        refunded: back from those that are closed, as far as it is proven.
        unproven: what can have come back beyond that from the ones whose close nothing proved the amount of.
        fees: to the network.
        fees_at_most: to the network beyond that, for transactions whose receipts were not seen.
    """

    deposited: int
    refunded: int
    unproven: int
    fees: int
    fees_at_most: int

    @property
    def net(self) -> int:
        """What left the wallet and did not come back, as far as it is proven."""
        return self.deposited - self.refunded + self.fees


def moved(channels: Iterable[Channel], rows: Sequence[Row]) -> Moved:
    """Add up what the transactions of ``channels`` moved, and the fees that ``rows`` tell of."""
    there = [channel for channel in channels if channel.state not in (State.OPENING, State.ABANDONED)]
    proven = [channel for channel in there if channel.state is State.CLOSED and channel.captured is not None]
    return Moved(
        deposited=sum(channel.deposit for channel in there),
        refunded=sum(max(0, channel.deposit - (channel.captured or 0)) for channel in proven),
        unproven=sum(channel.deposit for channel in there if channel.unproven),
        fees=sum(row.fee or 0 for row in rows),
        fees_at_most=sum(row.fee_at_most for row in rows if row.fee is None),
    )
