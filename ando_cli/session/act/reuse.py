"""Looking for a channel of this wallet before another one is opened, on a machine that has no records.

A fresh machine with a known key would strand a deposit with each run. What is found is used from what the payee has
settled on: nothing above it is proven (see ``recovery``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ando_cli.errors import NetworkError
from ando_cli.session.channel import Channel, ChannelKey, State
from ando_cli.tempo.protocol import Protocol

if TYPE_CHECKING:
    from ando_cli.mpp.session import SessionRequest
    from ando_cli.session.act.session import Session
    from ando_cli.tempo.channel import ChannelTerms


def adopt_open(session: Session, key: ChannelKey, request: SessionRequest, route: str) -> Channel | None:
    """Put the channel with the most left that could pay ``request`` on record, where nothing is on record yet.

    The caller holds the lock for ``key``. It is one bounded look: an old channel may stay unseen.

    Args:
        session: the parts.
        key: what the channel is for.
        request: what the gateway asks for.
        route: as ``Channel.route`` has it.

    Returns:
        The channel, or ``None`` where there is none, or the chain does not tell.

    Raises:
        StoreError: it could not be recorded.
    """
    if session.store.channels():
        return None
    try:
        found = _open_channels(session, key, Protocol(request.session_protocol), route)
    except NetworkError:
        return None  # not every node serves events; opening asks the chain again, and says what is wrong
    usable = [each for each in found if each.deposit - each.spent >= request.amount]
    if not usable:
        return None
    best = max(usable, key=lambda each: each.deposit - each.spent)
    session.store.adopt(best)
    return best


def _open_channels(session: Session, key: ChannelKey, protocol: Protocol, route: str) -> list[Channel]:
    chain = session.chain.checked()
    found = []
    for terms in _opened(session, key, protocol):
        usable = terms.signer == terms.payer or session.keys.holds(terms.signer)
        if (terms.payee, terms.token) != (key.payee, key.token) or not usable:
            continue
        state = chain.channel(key.escrow, terms.channel_id, protocol)
        if state is None or state.finalized or state.close_requested_at:
            continue
        found.append(
            Channel(
                channel_id=terms.channel_id, gateway=key.gateway, network=key.network, terms=terms, state=State.OPEN,
                deposit=state.deposit, cumulative_amount=state.settled, accepted=state.settled, spent=state.settled,
                route=route,
            )
        )  # fmt: skip
    return found


def _opened(session: Session, key: ChannelKey, protocol: Protocol) -> list[ChannelTerms]:
    from ando_cli.tempo.history import IncompleteSearchError  # web3 takes its time

    try:
        return session.chain.checked().opened_channels(key.escrow, key.payer, protocol=protocol, quickly=True)
    except IncompleteSearchError as error:
        return list(error.found)
