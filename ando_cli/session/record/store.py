"""The store: channels, pinned payees, claims, and the ledger of paid requests.

Each method is one transaction, which is committed before it returns; ``Store.transaction`` makes several of them one,
so that what was planned with is what the record is made of. Outside this package there is no SQL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ando_cli.errors import Code, InvariantError, UntrustedError
from ando_cli.session.channel import FUNDED, State
from ando_cli.session.record import channels, claims, ledger
from ando_cli.session.record.database import Database
from ando_cli.session.record.ledger import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ando_cli.inference.usage import Usage
    from ando_cli.session.channel import Channel, ChannelKey, Doubt, Pending
    from ando_cli.session.record.ledger import Entry, Row
    from ando_cli.session.traffic import Claim, Traffic

_EVER = 2**63 - 1


class Store(Database):
    """The store in one file. Safe for many processes, and for many threads of this one.

    Args:
        path: the SQLite file; it and its folder are created, readable only by the user.
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

    def add(self, channel: Channel, *, replaces: str | None = None) -> None:
        """Record a channel that is about to be opened, and pin its payee (``pin``).

        Raises:
            StoreError: there is a live channel for the same key already.
            UntrustedError: another payee is pinned.
        """
        with self._write() as db:
            channels.insert(db, channel, self._now())
            self.pin(channel.gateway, channel.network, channel.terms.payee, replaces=replaces)

    def pin(self, gateway: str, network: str, payee: str, *, replaces: str | None = None) -> None:
        """Record whom this gateway is paid at on this network. Once is for good, unless the user accepts another.

        Args:
            gateway: who is paid.
            network: where.
            payee: at whose address.
            replaces: the pinned payee in whose place the user accepted this one.

        Raises:
            UntrustedError: another payee is pinned.
        """
        with self._write() as db:
            if not channels.pin(db, gateway, network, payee, self._now(), replaces=replaces):
                raise UntrustedError(
                    "the gateway names another payee than the one it was first paid at",
                    hint="nothing was sent; ask again to see what changed",
                    code=Code.PAYEE_CHANGED,
                )

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

    def doubt(self, channel_id: str, degree: Doubt) -> None:
        """Record that receipts do not tell all that was spent from the channel."""
        with self._write() as db:
            channels.doubt(db, channel_id, degree, self._now())

    def agree(self, channel_id: str, step: int) -> None:
        """Record the largest raise that is agreed for one request, where none is on record yet. In base units."""
        with self._write() as db:
            channels.agree(db, channel_id, step, self._now())

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

    def adopt(self, channel: Channel, *, replaces: str | None = None) -> None:
        """Record a channel as it was found on the chain, new or known, and pin a new one's payee if none is.

        Of a known one the amounts only rise, whatever another process did meanwhile. ``replaces`` as in ``pin``.

        Raises:
            StoreError: it would be the second live channel for the same key.
        """
        with self._write() as db:
            known = channels.find(db, channel.channel_id)
            if known is None:
                channels.insert(db, channel, self._now())
                # Another pin stays: that a channel was found is no reason to pay its payee from now on.
                payee = channel.terms.payee
                channels.pin(db, channel.gateway, channel.network, payee, self._now(), replaces=replaces)
                self.carry(channel.channel_id, authorised=channel.cumulative_amount, spent=channel.spent)
                return
            channels.take_over(db, known, channel, self._now())
            ledger.reopen(db, channel.channel_id)
            self.carry(
                channel.channel_id,
                authorised=max(0, channel.cumulative_amount - known.cumulative_amount),
                spent=max(0, channel.spent - known.spent),
            )

    def carry(self, channel_id: str, *, authorised: int, spent: int) -> None:
        """Write into the ledger what was signed and spent for a channel elsewhere, when it is recorded here."""
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

    def ended(self, channel_id: str, state: State, captured: int | None = None, tx_hash: str | None = None) -> None:
        """Record that the channel is closed, or that it never came to be.

        What the payee took is what was spent, whatever receipts said; the ledger has the difference as a row, and what
        was authorised beyond it no longer counts for budgets. Where nothing proved yet how much that is, ``captured``
        is ``None``, and ``tx_hash`` the transaction that is said to have closed the channel: the ledger's row says that
        it is not known.

        Raises:
            InvariantError: ``state`` is not one that ends a channel.
        """
        if state in FUNDED:
            raise InvariantError(f"a channel would be recorded as over that is {state}")
        with self._write() as db:
            if captured is not None:
                beyond = channels.capture(db, channel_id, captured, self._now())
                ledger.close(db, channel_id, beyond, self._now())
                ledger.free(db, channel_id, captured)
            elif state is State.CLOSED:
                ledger.close(db, channel_id, None, self._now(), tx_hash)
            channels.end(db, channel_id, state, self._now())

    def closing_transaction(self, channel_id: str) -> str | None:
        """Return the transaction that is said to have closed a channel of which nothing proved what was taken."""
        with self._read() as db:
            return ledger.closing_transaction(db, channel_id)

    def owe(self, channel_id: str, tx_hash: str, what: str, at_most: int) -> None:
        """Record a transaction of the wallet's own before it is sent: what it does, and its fee at most."""
        with self._write() as db:
            ledger.owe(db, channel_id, tx_hash, what, at_most, self._now())

    def asked_to_close(self, channel_id: str) -> bool:
        """Tell whether the wallet ever signed a request to close a channel."""
        with self._read() as db:
            return ledger.asked_to_close(db, channel_id)

    def owed(self, channel_id: str) -> list[tuple[str, int]]:
        """Return the transactions of a channel whose fee is not known, each with the most that it can be."""
        with self._read() as db:
            return ledger.owed(db, channel_id)

    def pay(self, tx_hash: str, fee: int) -> None:
        """Record what a transaction cost, in base units."""
        with self._write() as db:
            ledger.pay(db, tx_hash, fee)

    def forget(self, channel_id: str) -> None:
        """Delete the record of a channel. Its money stays on the chain, but we no longer know what we signed.

        Its rows in the ledger stay, with session 0.
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
        """Complete a row of the ledger with its outcome."""
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
