"""Talking to a gateway: the turns of a conversation, on one connection.

A turn costs two round trips where the channel pays, for the challenge and for the paid request, and one where a Virtual
Key does.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ando_cli.config.settings import KEY_RAIL, MPP_RAIL, STORE_FILE
from ando_cli.errors import AndoError, Interrupted, OutcomeUnknownError, UsageError
from ando_cli.http.client import CHAT_PATH
from ando_cli.inference import chat as mpp
from ando_cli.inference.usage import Usage, read_usage
from ando_cli.rails.management import TopUpBy
from ando_cli.rails.payment import PAID, Paid
from ando_cli.runtime.manage import manage, pick
from ando_cli.runtime.wiring import connect_with_channel, connect_with_key, pause
from ando_cli.session.channel import LIVE, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ando_cli.conversation.model import Conversation
    from ando_cli.conversation.stream import Piece
    from ando_cli.http.client import AndoClient
    from ando_cli.runtime.context import Invocation
    from ando_cli.runtime.wiring import Parts, PayOptions
    from ando_cli.session.channel import Channel


class Turn:
    """One question of a conversation, while it is asked.

    ``text`` is the answer, ``usage`` what it took, ``paid`` how it was paid for from a channel. ``may_be_charged`` is
    whether nobody knows what became of it.
    """

    def __init__(self, talk: Talk, conversation: Conversation, question: str) -> None:
        self._talk = talk
        self._conversation = conversation
        self._question = question
        self.text = ""
        self.usage = Usage()
        self.paid: Paid | None = None
        self.may_be_charged = False

    def run(self, arrived: Callable[[str], None]) -> None:
        """Ask, and hand the answer on as it arrives.

        Raises:
            AndoError: there is no answer, or not all of it.
            KeyboardInterrupt: the user gave up.
        """
        on_channel = self._conversation.rail == MPP_RAIL
        try:
            for text in self._paid_from_channel() if on_channel else self._paid_with_key():
                self.text += text
                arrived(text)
        except AndoError as error:
            self.may_be_charged = isinstance(error, OutcomeUnknownError)
            raise
        except KeyboardInterrupt as interrupt:
            self.may_be_charged = isinstance(interrupt, Interrupted) or self.text != ""
            self._talk.hang_up()
            raise

    def _paid_from_channel(self) -> Iterator[str]:
        body = mpp.build_turn(self._conversation.options, self._conversation.asking(self._question))
        self._talk.terminal.stage("asking")
        response = self._talk.client(MPP_RAIL).post(CHAT_PATH, body)
        self.paid = response.extensions.get(PAID)
        if self.paid is not None:
            self._talk.channel = self.paid.channel
        self.usage = read_usage(response.content, self.paid.spent if self.paid else None)
        yield mpp.answer_text(response.content)

    def _paid_with_key(self) -> Iterator[str]:
        from ando_cli.conversation.stream import stream_answer
        from ando_cli.inference import account  # not on the paid path

        streams = self._talk.streams
        messages = self._conversation.asking(self._question)
        body = account.build_turn(self._conversation.options, messages, stream=streams)
        self._talk.terminal.stage("asking with the Virtual Key")
        client = self._talk.client(KEY_RAIL)
        if not account.is_streamed(body):
            answer = client.post(account.CHAT_PATH, body).content
            self.usage = read_usage(answer)
            yield mpp.answer_text(answer)
            return
        with stream_answer(client, account.CHAT_PATH, body) as stream:
            self._talk.terminal.stage("waiting for the answer")
            pieces = iter(stream)
            while (piece := self._next(pieces)) is not None:
                if piece.reasoning:
                    self._talk.terminal.stage("thinking")
                yield piece.text
            self.usage = stream.usage

    def _next(self, pieces: Iterator[Piece]) -> Piece | None:
        try:
            with self._talk.terminal.progress():
                return next(pieces, None)
        except KeyboardInterrupt:
            raise Interrupted from None  # the answer is on its way, and somebody pays for it


class Talk:
    """The connections of a conversation, and the channel that it is paid from.

    Args:
        streams: whether answers arrive piece by piece where the route can do that.
    """

    def __init__(self, state: Invocation, parts: Parts, options: PayOptions, *, streams: bool = True) -> None:
        self.terminal = state.terminal
        self.streams = streams
        self.channel: Channel | None = None
        self._state = state
        self._parts = parts
        self._options = options
        self._clients: dict[str, AndoClient] = {}
        parts.lifecycle.sleep = partial(pause, state.terminal)

    def turn(self, conversation: Conversation, question: str) -> Turn:
        """The next turn of ``conversation``, which is as it was until somebody adds what came of it."""
        return Turn(self, conversation, question)

    def client(self, rail: str) -> AndoClient:
        """The client that pays on ``rail``, connected for the whole conversation.

        Raises:
            WalletError: there is no Virtual Key for it.
        """
        if rail not in self._clients:
            if rail == KEY_RAIL:
                self._clients[rail] = connect_with_key(self._state, self._parts)
            else:
                self._clients[rail] = connect_with_channel(self._state, self._parts, self._options)
        return self._clients[rail]

    def hang_up(self) -> None:
        """Close the connections; the next turn makes another one."""
        while self._clients:
            self._clients.popitem()[1].close()

    def look_for_channel(self) -> Channel | None:
        """The channel that pays, as it was last seen; ``None`` where none is known yet. Asks nobody."""
        settings = self._parts.settings
        if self.channel is None and (settings.folders.state / STORE_FILE).exists():
            here = (settings.gateway, settings.network.name)
            channels = self._parts.lifecycle.store.channels()
            live = [each for each in channels if each.state in LIVE and (each.gateway, each.network) == here]
            self.channel = live[0] if len(live) == 1 else None
        return self.channel

    def top_up(self, amount: int) -> Channel:
        """Add ``amount`` base units to the deposit of the channel, as `ando session topup` does.

        Raises:
            AndoError: a limit is in the way, the user declined, or the gateway would not do it.
        """
        known = self.look_for_channel()
        channel = pick(self._parts, known.channel_id if known else None, (State.OPEN,))
        if channel.gateway != self._parts.settings.gateway:
            raise UsageError("the channel is another gateway's", hint="the next question opens one for this gateway")
        self.channel = manage(self._state, self._parts, TopUpBy(amount), channel).channel
        return self.channel
