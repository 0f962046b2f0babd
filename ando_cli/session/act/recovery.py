"""Finding channels of this wallet that the store does not know, and recording them at a safe amount.

If a channel's record is lost, what was signed is unknown. It is at least what the payee has settled, which the chain
shows. The record starts there, unless the user knows more. Starting too low costs nothing: the gateway rejects a
voucher below the one it holds. Starting too high would authorise what nobody asked for, so a gateway's claim does not
count.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING

from ando_cli.errors import AndoError, Code, NetworkError, PaymentError, UntrustedError, UsageError
from ando_cli.frozen import frozen
from ando_cli.money import amount
from ando_cli.redact import short
from ando_cli.session.channel import FUNDED, Channel, State
from ando_cli.session.decide.policy import fingerprint
from ando_cli.tempo.abi import ZERO_ADDRESS, ZERO_HASH
from ando_cli.tempo.channel import ChannelTerms
from ando_cli.tempo.protocol import Protocol

if TYPE_CHECKING:
    from ando_cli.session.act.session import Session
    from ando_cli.tempo.channel import ChannelState
    from ando_cli.tempo.network import Network


class Outcome(StrEnum):
    """The outcome for a channel that was found open on the chain."""

    RECOVERED = "recovered"  # on record now, and the gateway is paid from it
    SPARE = "spare"  # on record now, but nothing is paid from it: another channel is live
    DELEGATED = "delegated"  # on record now, but nothing can be paid from it: another key signs for it
    CLOSING = "closing"  # on record now: its close was requested already
    RAISED = "raised"  # was on record, with less authorised or deposited
    KNOWN = "known"  # was on record as it is
    OTHER_PAYEE = "other_payee"  # left alone: the gateway is paid at another account
    OTHER_TOKEN = "other_token"  # noqa: S105 - left alone: it holds another currency


REFUSED = (Outcome.OTHER_PAYEE, Outcome.OTHER_TOKEN)


@frozen
class Found:
    """A channel that is open on the chain, as it is on record now, or would be. ``settled`` in base units."""

    channel: Channel
    outcome: Outcome
    settled: int


@frozen
class Search:
    """What a search found, and why it is incomplete, if it is."""

    found: list[Found]
    incomplete: AndoError | None = None


class Recovery:
    """Looks for channels, for one gateway.

    Args:
        session: the wallet, the chain and the store.
        gateway: the gateway that the found channels pay.
        authorised: what the user says was signed before, in base units.
        accepted_payee: the fingerprint of a payee that the user accepts instead of the pinned one.
        dry_run: record nothing.
    """

    def __init__(
        self,
        session: Session,
        gateway: str,
        *,
        authorised: int | None = None,
        accepted_payee: str | None = None,
        dry_run: bool = False,
    ) -> None:
        self._session = session
        self._gateway = gateway
        self._authorised = authorised
        self._accepted_payee = accepted_payee
        self._dry_run = dry_run
        self._pinned = session.store.pinned_payee(gateway, session.network.name)
        self._taken: list[Channel] = []
        """What a dry run would have recorded."""

    def by_id(self, channel_id: str, from_block: int = 0) -> Found:
        """Record the channel with that id.

        Raises:
            PaymentError: it is not open, not this wallet's, or may not be used; the code says which.
            NetworkError: the chain could not be queried.
        """
        return self._take(*self._locate(channel_id, from_block))

    def by_terms(self, terms: ChannelTerms, authorised: int) -> Found:
        """Take the channel that is made of ``terms`` on record, of which ``authorised`` base units are known.

        Raises:
            PaymentError, NetworkError: as ``by_id``.
        """
        state = self._session.chain.checked().channel(terms.escrow, terms.channel_id, terms.protocol)
        if state is None:
            raise _not_found()
        self._authorised, before = authorised, self._authorised
        try:
            return self._take(terms, state)
        finally:
            self._authorised = before

    def _take(self, terms: ChannelTerms, state: ChannelState) -> Found:
        if terms.payer != self._session.keys.payer:
            raise PaymentError(
                "this channel belongs to another wallet",
                hint="only its own wallet can use or close it; `ando wallet address` shows the one on this machine",
                code=Code.OTHER_PAYER,
            )
        if state.finalized:
            raise PaymentError("this channel is closed: there is no money in it", code=Code.CHANNEL_CLOSED)
        found = self._adopt(terms, state)
        if found.outcome is Outcome.OTHER_PAYEE:
            name = fingerprint(terms.payee)
            raise UntrustedError(
                f"this channel does not pay the account that {self._gateway} is paid at",
                hint=f"give its gateway with --base-url; if it is this gateway, add --accept-payee {name}",
                code=Code.PAYEE_CHANGED,
            )
        if found.outcome is Outcome.OTHER_TOKEN:
            raise UntrustedError(
                f"this channel holds another token than {self._session.network.token_symbol}",
                hint="to trust a token, add its network to config.toml as [networks.NAME]",
                code=Code.WRONG_TOKEN,
            )
        return found

    def search(self, from_block: int = 0) -> Search:
        """Record all open channels that the trusted escrows' events since ``from_block`` show.

        Raises:
            UsageError: there are several, and the user named one amount.
            NetworkError: the chain could not be queried.
        """
        chain = self._session.chain.checked()
        opened: list[tuple[ChannelTerms, ChannelState]] = []
        incomplete: AndoError | None = None
        for protocol, escrow in _escrows(self._session.network):
            found, error = self._opened(escrow, protocol, from_block)
            incomplete = incomplete or error
            for terms in found:
                state = chain.channel(escrow, terms.channel_id, protocol)
                if state is not None and not state.finalized:
                    opened.append((terms, state))
        if self._authorised is not None and len(opened) > 1:
            raise UsageError(
                f"--authorised is for one channel, and {len(opened)} are open",
                hint="leave it out, or give one id: ando session recover ID --authorised AMOUNT",
            )
        taken = {channel.channel_id for channel in self._taken}
        placed = [self._adopt(terms, state) for terms, state in opened if terms.channel_id not in taken]
        return Search(placed, incomplete)

    def _opened(
        self, escrow: str, protocol: Protocol, from_block: int
    ) -> tuple[list[ChannelTerms], NetworkError | None]:
        from ando_cli.tempo.history import IncompleteSearchError  # loading web3 is slow

        session = self._session
        chain = session.chain.checked()
        try:
            return chain.opened_channels(escrow, session.keys.payer, protocol=protocol, from_block=from_block), None
        except IncompleteSearchError as error:
            return list(error.found), error

    def _locate(self, channel_id: str, from_block: int) -> tuple[ChannelTerms, ChannelState]:
        """What a channel is made of, from the record or from the chain, and how it stands there."""
        session = self._session
        chain = session.chain.checked()
        known = session.store.channel(channel_id)
        if known is not None:
            state = chain.channel(known.terms.escrow, channel_id, known.terms.protocol)
            if state is None:
                raise _not_found()
            return known.terms, state
        unasked: NetworkError | None = None
        for protocol, escrow in _escrows(session.network):
            try:
                state = chain.channel(escrow, channel_id, protocol)
            except NetworkError as error:
                # A network may have only one of the two escrows: what matters is where the channel is.
                unasked = error
                continue
            if state is None:
                continue
            if protocol is Protocol.V1:
                return _v1_terms(state, escrow, channel_id, session.network.chain_id), state
            return self._v2_terms(escrow, channel_id, from_block), state
        raise unasked or _not_found()

    def _v2_terms(self, escrow: str, channel_id: str, from_block: int) -> ChannelTerms:
        """The precompile knows numbers only: what the channel is made of stands in the event of its opening."""
        found, incomplete = self._opened(escrow, Protocol.V2, from_block)
        for terms in found:
            if terms.channel_id == channel_id:
                return terms
        raise incomplete or PaymentError(
            "this wallet opened no such channel in the searched blocks",
            hint="search from an earlier block with --from-block",
            code=Code.NO_CHANNEL,
        )

    def _adopt(self, terms: ChannelTerms, state: ChannelState) -> Found:
        store = self._session.store
        known = store.channel(terms.channel_id)
        gateway = self._gateway if known is None else known.gateway
        at_least = self._at_least(state)
        found = Channel(
            channel_id=terms.channel_id, gateway=gateway, network=self._session.network.name, terms=terms,
            state=State.OPEN, deposit=state.deposit, cumulative_amount=at_least, accepted=state.settled,
            spent=state.settled,
        )  # fmt: skip
        if known is not None and known.pending is not None:
            # Its last transaction is for the next request, or for `sync`, to look after.
            if self._authorised is not None:
                raise PaymentError(
                    "a deposit of this channel is still under way",
                    hint="run `ando session sync`, then try again",
                    code=Code.DEPOSIT_IN_FLIGHT,
                )
            return Found(known, Outcome.KNOWN, state.settled)
        if terms.token != self._session.network.token:
            return Found(found, Outcome.OTHER_TOKEN, state.settled)
        accepted = self._accepted_payee == fingerprint(terms.payee)
        if known is None and self._pinned not in (None, terms.payee) and not accepted:
            return Found(found, Outcome.OTHER_PAYEE, state.settled)
        with self._session.exclusive(found.key):
            channel, outcome = self._place(found, store.channel(terms.channel_id), state)
            if outcome is not Outcome.KNOWN and not self._dry_run:
                store.adopt(channel, replaces=self._pinned if accepted else None)
        self._pinned = terms.payee if known is None else self._pinned
        self._taken.append(channel)
        return Found(channel, outcome, state.settled)

    def _place(self, found: Channel, known: Channel | None, state: ChannelState) -> tuple[Channel, Outcome]:
        """Where a channel stands in the record from now on. Never two that are live for one key."""
        terms = found.terms
        channel = found
        if known is not None:
            channel = replace(
                found,
                cumulative_amount=max(known.cumulative_amount, found.cumulative_amount),
                accepted=max(known.accepted, found.accepted),
                spent=max(known.spent, found.spent),
                created_at=known.created_at,
            )
        live = self._live(channel)
        if state.close_requested_at:
            chain = self._session.chain.checked()
            closes_at = state.close_requested_at + chain.close_grace_period(terms.escrow, terms.protocol)
            channel, outcome = replace(channel, state=State.CLOSING, closes_at=closes_at), Outcome.CLOSING
        elif terms.signer != terms.payer and not self._session.keys.holds(terms.signer):
            channel, outcome = replace(channel, state=State.SPARE), Outcome.DELEGATED
        elif live is not None and live.channel_id != channel.channel_id:
            channel, outcome = replace(channel, state=State.SPARE), Outcome.SPARE
        else:
            outcome = Outcome.RECOVERED
        if known is not None and known.state in FUNDED:
            if known.state is State.OPEN and channel.state is State.SPARE:
                channel = replace(channel, state=State.OPEN)  # it stays in use, wherever its key is now
            if known.state is State.CLOSING:
                channel = replace(channel, state=State.CLOSING)  # what we asked for may be under way
            if channel.cumulative_amount > known.cumulative_amount or channel.deposit > known.deposit:
                outcome = Outcome.RAISED
            elif channel.state is known.state:
                outcome = Outcome.KNOWN
        return channel, outcome

    def _live(self, channel: Channel) -> Channel | None:
        for taken in self._taken:
            if taken.key == channel.key and taken.state is State.OPEN:
                return taken
        return self._session.store.live(channel.key)

    def _at_least(self, state: ChannelState) -> int:
        """Return what counts as authorised: what the user says, within what the chain shows."""
        authorised = self._authorised
        if authorised is None:
            return state.settled
        if authorised > state.deposit:
            raise PaymentError(
                f"the deposit is {amount(state.deposit)}: no more can have been authorised",
                hint="give --authorised an amount up to the deposit",
                code=Code.ABOVE_DEPOSIT,
            )
        if authorised < state.settled:
            raise PaymentError(
                f"the gateway has settled {amount(state.settled)} already, so at least that much was authorised",
                hint="leave --authorised out, or give a larger amount",
                code=Code.BELOW_SETTLED,
            )
        return authorised


def check_forgettable(channel: Channel, *, lose_track: bool) -> None:
    """Check that the record of a channel may be deleted.

    Raises:
        PaymentError: there may be money in the channel, and the user did not say that this is known.
    """
    if channel.state in FUNDED and not lose_track:
        raise PaymentError(
            f"this channel is {channel.state}, and up to {amount(channel.left)} may be in it",
            hint=f"close it first: ando session close {short(channel.channel_id)} (or add --yes-lose-track)",
            code=Code.MONEY_IN_CHANNEL,
        )


def _escrows(network: Network) -> list[tuple[Protocol, str]]:
    """The contracts and precompiles that are trusted on ``network``, each with its protocol."""
    v1 = [(Protocol.V1, escrow) for escrow in network.escrows]
    return v1 + [(Protocol.V2, escrow) for escrow in network.precompiles]


def _v1_terms(state: ChannelState, escrow: str, channel_id: str, chain_id: int) -> ChannelTerms:
    """The contract tells all but the salt, for which the id stands."""
    return ChannelTerms(
        payer=state.payer or ZERO_ADDRESS, payee=state.payee or ZERO_ADDRESS, token=state.token or ZERO_ADDRESS,
        salt=ZERO_HASH, authorized_signer=state.authorized_signer or ZERO_ADDRESS, escrow=escrow, chain_id=chain_id,
        known_id=channel_id,
    )  # fmt: skip


def _not_found() -> PaymentError:
    return PaymentError(
        "the chain shows no open channel of this id in a trusted escrow",
        hint="check the id and --network; to trust another escrow, add it to a [networks.NAME] table in config.toml",
        code=Code.NO_CHANNEL,
    )
