"""Finding the channel to act on, and asking its gateway to top it up or close it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ando_cli.errors import AndoError, Code, PaymentError, UsageError
from ando_cli.inference import paid
from ando_cli.inference.request import Request
from ando_cli.rails.management import Close, Managed, ManagementAuth, TopUpBy
from ando_cli.redact import short
from ando_cli.session.channel import LIVE, Channel, State
from ando_cli.session.record.lookup import find_channel
from ando_cli.urls import origin

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ando_cli.config.settings import Settings
    from ando_cli.runtime.context import Invocation
    from ando_cli.runtime.wiring import Parts
    from ando_cli.session.record.store import Store

_USUAL_ROUTE = "/v1/mpp/chat/completions"


def manage(state: Invocation, parts: Parts, action: TopUpBy | Close, channel: Channel) -> Managed:
    """Have the gateway that ``channel`` was opened at carry ``action`` out, whichever the base URL in force names.

    Raises:
        PaymentError: the gateway refuses, or a limit is in the way.
        AndoError: as for any paid request.
    """
    auth = ManagementAuth(
        parts.session,
        action,
        channel.channel_id,
        gateway_of=parts.settings.gateway_of,
        stage=state.terminal.stage,
        warn=state.terminal.warn,
    )
    state.terminal.stage("asking")
    try:
        parts.client(auth).post(_management_request(parts.settings, channel))
    except AndoError:
        if auth.managed is None:
            raise
    if auth.managed is None:
        raise PaymentError(
            "the gateway asked for no payment, so it cannot act on a channel",
            hint="`ando session close --force` closes a channel without the gateway",
            code=Code.NO_CHALLENGE,
        )
    return auth.managed


@contextmanager
def closing_what_it_opens(state: Invocation, parts: Parts) -> Iterator[None]:
    """Close the channels that were opened in the block when it ends, with an error or not.

    An error of the block goes before one of the close, which is a warning then.

    Raises:
        PaymentError, NetworkError: a channel could not be closed.
    """
    try:
        yield
    except AndoError:
        try:
            _close_opened(state, parts)
        except AndoError as error:
            state.terminal.warn(f"{error.message}; {error.hint}")
        raise
    _close_opened(state, parts)


def _close_opened(state: Invocation, parts: Parts) -> None:
    for channel_id in parts.session.tally.opened:
        channel = parts.session.store.channel(channel_id)
        if channel is None or channel.state not in LIVE:
            continue
        try:
            ended = manage(state, parts, Close(), channel).ended
        except AndoError as error:
            named = short(channel_id)
            hint = f"the answer is not concerned; try `ando session close {named}`, or add --force"
            raise PaymentError(
                f"the channel {named} was not closed: {error.message}", hint=hint, code=error.code, retryable=False
            ) from None
        if ended is not None:
            state.terminal.note(f"closed: {ended}")


def _management_request(settings: Settings, channel: Channel) -> Request:
    """The request to manage ``channel`` with: the route that it was opened with, else the usual one of its gateway."""
    smallest = paid.smallest()
    method, _, url = channel.route.partition(" ")
    if channel.gateway == settings.gateway and origin(url) != origin(settings.base_url):
        return smallest  # not known, or the sandbox, whose port changes from run to run
    if not url:
        return replace(smallest, path=channel.gateway + _USUAL_ROUTE)
    if url.endswith(smallest.path):
        return replace(smallest, path=url)
    return Request(url, b"", method=method)


def pick(parts: Parts, text: str | None, states: Sequence[State]) -> Channel:
    """Return the channel to act on: by its id, or the only one of this network in one of ``states``.

    Raises:
        UsageError: the id names none or more than one, or a channel of another network; or there are several.
        PaymentError: there is none in one of these states.
    """
    network = parts.settings.network.name
    channel = choose(parts.session.store, text, network, states)
    check_network(channel, network)
    if channel.state not in states:
        raise PaymentError(f"this channel is {channel.state}", hint="ando session list", code=Code.CHANNEL_CLOSED)
    return channel


def choose(
    store: Store | None, text: str | None, network: str, states: Sequence[State], *, acting: bool = True
) -> Channel:
    """Return the channel that ``text`` names, whatever its state and network.

    Without ``text``, it is the only channel of ``network`` that is in one of ``states``; of several, the live one.

    Args:
        store: the records; ``None`` if there are none yet.
        text: an id, or any unique prefix of it.
        network: the network in use.
        states: the states to choose from without an id.
        acting: whether the command changes the channel, which excludes channels in other states.

    Raises:
        UsageError: the id names none or more than one; or without an id, it is not clear which one is meant.
        PaymentError: there is none.
    """
    if text is not None:
        return find_channel(store, text)
    here = [channel for channel in (store.channels() if store else ()) if channel.network == network]
    found = [channel for channel in here if channel.state in states]
    live = [channel for channel in found if channel.state in LIVE]
    if len(live or found) == 1:
        return (live or found)[0]
    if not here:
        raise PaymentError("no channel is on record for this network", hint="ando session list", code=Code.NO_CHANNEL)
    named = ", ".join(f"{short(channel.channel_id)} ({channel.state})" for channel in (live or found or here)[:5])
    if not found and acting:
        wanted = " or ".join(states)
        raise PaymentError(f"no channel on this network is {wanted}", hint=f"on record: {named}", code=Code.NO_CHANNEL)
    count = f"{len(live or found)} channels match" if found else "no channel is live"
    raise UsageError(f"{count}: give the id of one", hint=f"on record: {named}")


def check_network(channel: Channel, network: str) -> None:
    """Check that ``channel`` is on the network in use.

    Raises:
        UsageError: it is on another one.
    """
    if channel.network != network:
        raise UsageError(f"this channel is on the network {channel.network}", hint=f"add --network {channel.network}")


def channels_in_use(parts: Parts, states: Sequence[State]) -> list[Channel]:
    """Return the channels of the network in use that are in one of ``states``."""
    network = parts.settings.network.name
    return [each for each in parts.session.store.channels() if each.network == network and each.state in states]
