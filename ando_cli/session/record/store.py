"""The store: channels, pinned payees, claims, and the ledger of paid requests.

Each method is one transaction, which is committed before it returns; ``Store.transaction`` makes several of them one,
so that what was planned with is what the record is made of. Outside this package there is no SQL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ando_cli.errors import InvariantError
from ando_cli.session.channel import FUNDED
from ando_cli.session.record import channels, claims, ledger
from ando_cli.session.record.database import Database
from ando_cli.session.record.ledger import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ando_cli.inference.usage import Usage
    from ando_cli.session.channel import Channel, ChannelKey, Pending, State
    from ando_cli.session.record.ledger import Entry, Row
    from ando_cli.session.traffic import Claim, Traffic

_EVER = 2**63 - 1


class Store(Database):
    """The store in one file. Safe for many processes, and for many threads of this one.

    Args:
        path: the SQLite file; it and its folder are created, readable by the user alone.
        clock: unix seconds, for the times in the records.

    Raises:
        StoreError: the file cannot be opened or written, is not a store, or was written by a newer version.
    """

    def live(self, key: ChannelKey) -> Channel | None:
        """Return the one channel for ``key`` that is open or being opened."""
        with self._read() as db:
            return channels.live(db, key)

    def channel(self, channel_id: str) -> Channel | None:
        """Return the channel with that id, whatever its state."""
        with self._read() as db:
            return channels.find(db, channel_id)

    def channels(self) -> list[Channel]:
        """Return all channels, the live ones first, then the youngest."""
        with self._read() as db:
            return channels.read(db)

    def add(self, channel: Channel) -> None:
        """Record a channel that is about to be opened, and pin its payee.

        Raises:
            StoreError: there is a live channel for the same key already.
        """
        with self._write() as db:
            channels.insert(db, channel, self._now())
            self.pin(channel.gateway, channel.network, channel.terms.payee)

    def pin(self, gateway: str, network: str, payee: str) -> None:
        """Record whom this gateway is paid at on this network, in the place of whoever it was before."""
        with self._write() as db:
            channels.pin(db, gateway, network, payee, self._now())

    def pinned_payee(self, gateway: str, network: str) -> str | None:
        """Return the payee that this gateway was first paid at on this network."""
        with self._read() as db:
            return channels.pinned_payee(db, gateway, network)

    def raise_cumulative(self, channel_id: str, expected: int, raised: int) -> bool:
        """Record that ``raised`` is about to be signed where ``expected`` was the highest; False where it no longer is.

        Raises:
            InvariantError: ``raised`` is not higher: what was signed only rises.
        """
        if raised <= expected:
            raise InvariantError("a voucher would be recorded that is not higher than the one before")
        with self._write() as db:
            return channels.raise_cumulative(db, channel_id, expected, raised, self._now())

    def receipted(self, channel_id: str, accepted: int, spent: int, *, metered: bool = False) -> None:
        """Record what a receipt said. Nothing falls; the caller has checked it against what was signed.

        ``metered`` where it shows that requests are not charged in full.
        """
        with self._write() as db:
            channels.receipted(db, channel_id, accepted, spent, self._now(), metered=metered)

    def traffic(self, channel_id: str, mine: int | None) -> Traffic:
        """Return what other requests than the one with the claim ``mine`` are doing with the channel."""
        with self._write() as db:
            return claims.read(db, channel_id, mine, self._now())

    def claim(self, number: int | None, claim: Claim) -> int:
        """Record what a request does with a channel, anew or in place of its claim ``number``; returns the number."""
        with self._write() as db:
            return claims.write(db, number, claim, self._now())

    def release(self, number: int) -> None:
        """Drop the claim of a request that is over."""
        with self._write(durable=False) as db:
            claims.drop(db, number)

    def opened(self, channel_id: str, deposit: int) -> None:
        """Record that the channel is on the chain with that deposit."""
        with self._write() as db:
            channels.opened(db, channel_id, deposit, self._now())

    def seen(self, channel_id: str, deposit: int) -> None:
        """Record what the chain shows as the deposit of a channel that nothing is paid from."""
        with self._write() as db:
            channels.seen(db, channel_id, deposit, self._now())

    def adopt(self, channel: Channel) -> None:
        """Record a channel as it was found on the chain, new or known, and pin its payee.

        Of a known one the amounts only rise, whatever another process did meanwhile.

        Raises:
            StoreError: it would be the second live channel for the same key.
        """
        with self._write() as db:
            known = channels.find(db, channel.channel_id)
            if known is None:
                self.add(channel)
                self.carry(channel.channel_id, authorised=channel.cumulative_amount, spent=channel.spent)
                return
            channels.take_over(db, known, channel, self._now())
            self.carry(
                channel.channel_id,
                authorised=max(0, channel.cumulative_amount - known.cumulative_amount),
                spent=max(0, channel.spent - known.spent),
            )

    def carry(self, channel_id: str, *, authorised: int, spent: int) -> None:
        """Write into the ledger what was signed and spent for a channel elsewhere, as it comes on record here."""
        with self._write() as db:
            ledger.adjust(db, channel_id, Outcome.CARRIED, self._now(), authorised=authorised, spent=spent)

    def topping_up(self, channel_id: str, pending: Pending) -> bool:
        """Record a signed top-up before it is sent; False where another one is under way."""
        with self._write() as db:
            return channels.topping_up(db, channel_id, pending, self._now())

    def closing(self, channel_id: str, closes_at: int) -> None:
        """Record that the escrow is asked to close the channel: nothing is paid from it any more."""
        with self._write() as db:
            channels.closing_at(db, channel_id, closes_at, self._now())

    def ended(self, channel_id: str, state: State, captured: int | None = None) -> None:
        """Record that the channel is closed, with what the payee took, or that it never came to be.

        What the payee took is what was spent, whatever receipts said; the ledger has the difference as a row, and what
        was authorised beyond it no longer counts for budgets.

        Raises:
            InvariantError: ``state`` is not one that ends a channel.
        """
        if state in FUNDED:
            raise InvariantError(f"a channel would be recorded as over that is {state}")
        with self._write() as db:
            if captured is not None:
                beyond = channels.spend(db, channel_id, captured, self._now())
                ledger.adjust(db, channel_id, Outcome.CLOSED, self._now(), spent=beyond)
                ledger.free(db, channel_id, captured)
            channels.end(db, channel_id, state, self._now())

    def forget(self, channel_id: str) -> None:
        """Drop the record of a channel. What it holds is on the chain, but we no longer know what we signed.

        Its rows in the ledger stay, and are nobody's: session 0.
        """
        with self._write() as db:
            channels.forget(db, channel_id)

    def book(self, row: int | None, entry: Entry, outcome: Outcome = Outcome.UNKNOWN) -> int:
        """Write a request that is about to be paid into the ledger, and return its row.

        A new row's outcome is unknown until it is known, which is also what a crash leaves. ``row`` is what an earlier
        call for the same request returned: only what it committed has changed since. Another ``outcome`` is for money
        that is committed without a request.
        """
        with self._write() as db:
            return ledger.book(db, row, entry, outcome, self._now())

    def finish(self, row: int, outcome: Outcome, usage: Usage) -> None:
        """Complete a row of the ledger with what came of it."""
        with self._write() as db:
            ledger.finish(db, row, outcome, usage)

    def ledger(self, since: int = 0, until: int = _EVER) -> list[Row]:
        """Return the rows of the ledger from ``since`` on and before ``until``, in unix seconds; the oldest first."""
        with self._read() as db:
            return ledger.read(db, since, until)

    def authorised(self, network: str, since: Sequence[int]) -> list[int]:
        """Return what was authorised here on ``network`` from each of the times in ``since`` on, in base units."""
        with self._read() as db:
            return ledger.authorised(db, network, since, self._now())

    def books(self) -> tuple[list[Channel], list[Row]]:
        """Return all channels and all rows of the ledger, as they were at one moment."""
        with self._read() as db:
            db.execute("BEGIN")
            try:
                return channels.read(db), ledger.read(db, 0, _EVER)
            finally:
                db.execute("COMMIT")

    def _now(self) -> int:
        return int(self._clock())
