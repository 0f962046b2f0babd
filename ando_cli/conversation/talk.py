"""Talking to a gateway: turn after turn on the same connections, and the channel that pays."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ando_cli.config.settings import STORE_FILE
from ando_cli.conversation.turn import Connections, Turn, request_of
from ando_cli.errors import UsageError
from ando_cli.rails.management import TopUpBy
from ando_cli.runtime.manage import manage, pick
from ando_cli.runtime.wiring import pause
from ando_cli.session.channel import LIVE, State

if TYPE_CHECKING:
    from ando_cli.conversation.model import Conversation
    from ando_cli.http.client import AndoClient
    from ando_cli.runtime.context import Invocation
    from ando_cli.runtime.wiring import Parts, PayOptions
    from ando_cli.session.channel import Channel


class Talk:
    """The connections of a conversation, and the channel that pays.

    Args:
        streams: whether to stream answers if the route can.
    """

    def __init__(self, state: Invocation, parts: Parts, options: PayOptions, *, streams: bool = True) -> None:
        self.terminal = state.terminal
        self.streams = streams
        self._state = state
        clock = replace(parts.session.clock, sleep=partial(pause, state.terminal))
        self._parts = replace(parts, session=replace(parts.session, clock=clock))
        self._connections = Connections(state, self._parts, options)
        self._channel: Channel | None = None
        self._turn: Turn | None = None

    @property
    def channel(self) -> Channel | None:
        """The channel that paid last, as it was then."""
        if self._turn is not None and self._turn.paid is not None:
            return self._turn.paid.channel
        return self._channel

    def turn(self, conversation: Conversation, question: str) -> Turn:
        """Start the next turn of ``conversation``, which does not change: the caller adds the answer.

        Raises:
            UsageError: the question cannot be asked with these options.
        """
        self._channel = self.channel
        self._parts.deadline.restart()  # each question has all the time again
        self._turn = Turn(self._connections, request_of(conversation, question, stream=self.streams))
        return self._turn

    def client(self, rail: str) -> AndoClient:
        """Return the client that pays on ``rail``, connected for the whole conversation.

        Raises:
            WalletError: there is no Virtual Key for it.
        """
        return self._connections.client(rail)

    def look_for_channel(self) -> Channel | None:
        """Return the channel that pays, as last seen; ``None`` if none is known yet. Sends nothing."""
        if self.channel is not None:
            return self.channel
        settings = self._parts.settings
        if (settings.folders.state / STORE_FILE).exists():
            here = (settings.gateway, settings.network.name)
            channels = self._parts.session.store.channels()
            live = [each for each in channels if each.state in LIVE and (each.gateway, each.network) == here]
            self._channel = live[0] if len(live) == 1 else None
        return self._channel

    def top_up(self, amount: int) -> Channel:
        """Add ``amount`` base units to the deposit of the channel, as `ando session topup` does.

        Raises:
            AndoError: a limit is in the way, the user declined, or the gateway refused.
        """
        known = self.look_for_channel()
        channel = pick(self._parts, known.channel_id if known else None, (State.OPEN,))
        if channel.gateway != self._parts.settings.gateway:
            raise UsageError(
                "the channel belongs to another gateway", hint="the next question opens one for this gateway"
            )
        self._turn = None
        self._channel = manage(self._state, self._parts, TopUpBy(amount), channel).channel
        return self._channel
