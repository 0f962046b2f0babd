"""Which channel is meant, and having its gateway top it up or close it: for the commands and for the conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ando_cli.errors import AndoError, Code, PaymentError, UsageError
from ando_cli.inference import paid
from ando_cli.rails.management import Close, Managed, ManagementAuth, TopUpBy
from ando_cli.session.channel import LIVE, Channel, State
from ando_cli.session.record.lookup import find_channel

if TYPE_CHECKING:
    from ando_cli.runtime.context import Invocation
    from ando_cli.runtime.wiring import Parts


def manage(state: Invocation, parts: Parts, action: TopUpBy | Close, channel: Channel) -> Managed:
    """Have the gateway carry ``action`` out.

    Raises:
        PaymentError: it will not, or a limit is in the way; other ``AndoError`` as any paid request.
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
        parts.client(auth).post(paid.smallest())
    except AndoError:
        if auth.managed is None:
            raise
    if auth.managed is None:
        raise PaymentError(
            "the gateway asked for no payment, so there is nothing that it could do with a channel",
            hint="check --base-url; `ando session close --force` closes a channel without the gateway",
            code=Code.NO_CHALLENGE,
        )
    return auth.managed


def pick(parts: Parts, text: str | None, states: tuple[State, ...]) -> Channel:
    """The channel that is meant: by its id, or the only one of this network that is in one of ``states``.

    Raises:
        UsageError: none is, or more than one.
        PaymentError: there is none in one of these states.
    """
    store = parts.session.store
    if text is not None:
        channel = find_channel(store, text)
        if channel.network != parts.settings.network.name:
            raise UsageError(
                f"this channel is on the network {channel.network}", hint=f"add --network {channel.network}"
            )
        if channel.state not in states:
            raise PaymentError(f"this channel is {channel.state}", hint="ando session list", code=Code.CHANNEL_CLOSED)
        return channel
    found = [channel for channel in store.channels() if is_ours(parts, channel) and channel.state in states]
    live = [channel for channel in found if channel.state in LIVE]
    if len(live or found) == 1:  # the one in use is meant, whatever else there is
        return (live or found)[0]
    if not found:
        raise PaymentError("there is no such channel on this network", hint="ando session list", code=Code.NO_CHANNEL)
    raise UsageError(f"there are {len(found)} channels: say which one", hint="give an id from `ando session list`")


def is_ours(parts: Parts, channel: Channel) -> bool:
    """Whether the channel is on the network in use."""
    return channel.network == parts.settings.network.name
