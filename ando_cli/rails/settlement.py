"""Recording payments: receipts go into the channel's record, and what was committed into the ledger."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ando_cli.errors import StoreError
from ando_cli.frozen import frozen
from ando_cli.http.extensions import PAID
from ando_cli.inference.usage import Usage, read_usage
from ando_cli.money import amount
from ando_cli.mpp.malformed import MalformedError
from ando_cli.mpp.receipt import Receipt, parse_receipt
from ando_cli.session.decide.policy import Committed
from ando_cli.session.record.ledger import Entry, Outcome

if TYPE_CHECKING:
    import httpx

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


class Settlement:
    """Keeps the books of the requests of one rail.

    Args:
        session: has the store.
        notes: called with what the user must know while the request continues.
    """

    def __init__(self, session: Session, notes: Notes) -> None:
        self._session = session
        self._notes = notes

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
            turn.row, turn.booked = None, None
            turn.gone = Committed(turn.gone.deposited + before.deposited, turn.gone.raised + before.authorised)
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
        receipt = self._receipt(response, channel)
        spent: int | None = None
        try:
            # A receipt may be lost with the machine's power; that the channel is open may not.
            with store.transaction(durable=channel.pending is not None):
                if channel.pending is not None:
                    store.opened(channel.channel_id, channel.deposit)
                channel = store.channel(channel.channel_id) or channel
                if receipt is not None and self._believable(receipt, channel):
                    spent = max(0, receipt.spent - channel.spent)
                    channel = self._receipted(receipt, channel, turn.offer.request.amount)
                if turn.row is not None:
                    store.finish(turn.row, Outcome.ANSWERED, read_usage(response.content, spent))
                if turn.claim is not None:
                    store.release(turn.claim)
                    turn.claim = None
        except StoreError as error:
            spent = None
            self._notes.warn(f"the answer was paid, but not booked: {error.message}")
        response.extensions[PAID] = Paid(channel, turn.raised, turn.deposited, spent)

    def _receipt(self, response: httpx.Response, channel: Channel) -> Receipt | None:
        """The answer's receipt, if it has one for this channel that can be read; else a warning."""
        value = response.headers.get("Payment-Receipt")
        if value is None:
            self._notes.warn("the gateway sent no receipt: what this request cost is unknown")
            return None
        try:
            receipt = parse_receipt(value)
        except MalformedError:
            self._notes.warn("the gateway sent a receipt that cannot be read: what this request cost is unknown")
            return None
        if receipt.channel_id != channel.channel_id:
            self._notes.warn("the gateway sent a receipt for another channel: it was ignored")
            return None
        return receipt

    def _believable(self, receipt: Receipt, channel: Channel) -> bool:
        """Our own record of what was signed is the authority: a receipt cannot raise it."""
        if receipt.spent <= receipt.accepted_cumulative <= channel.cumulative_amount:
            return True
        self._notes.warn(
            f"the gateway's receipt claims more than the {amount(channel.cumulative_amount)} that was signed: "
            "it was ignored"
        )
        return False

    def _receipted(self, receipt: Receipt, channel: Channel, price: int) -> Channel:
        """``channel`` with what a receipt said, as it was recorded. ``price`` is what the challenge asked for."""
        metered = channel.metered or receipt.spent % price != 0
        accepted, spent = receipt.accepted_cumulative, receipt.spent
        self._session.store.receipted(channel.channel_id, accepted, spent, metered=metered)
        return replace(
            channel, accepted=max(accepted, channel.accepted), spent=max(spent, channel.spent), metered=metered
        )
