"""One question on one rail: its request, its answer, and its cost.

A turn takes two round trips if the channel pays (the challenge and the paid request), and one if a Virtual Key pays.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ando_cli.config.settings import KEY_RAIL, MPP_RAIL
from ando_cli.errors import AndoError, Interrupted, InvariantError, LostAnswerError, OutcomeUnknownError
from ando_cli.http.extensions import PAID
from ando_cli.inference import paid
from ando_cli.inference.usage import Usage, read_usage
from ando_cli.runtime.wiring import connect_with_channel, connect_with_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ando_cli.conversation.model import Conversation
    from ando_cli.http.client import AndoClient
    from ando_cli.inference.request import Request, Route
    from ando_cli.inference.stream import Piece
    from ando_cli.rails.settlement import Paid
    from ando_cli.runtime.context import Invocation
    from ando_cli.runtime.wiring import Parts, PayOptions
    from ando_cli.terminal.output import Terminal


def request_of(conversation: Conversation, question: str, *, stream: bool) -> Request:
    """Build the request that asks ``question`` in ``conversation``, on its rail.

    Args:
        stream: whether to stream the answer if the route can.

    Raises:
        UsageError: an option is out of range, or a Virtual Key's request names no model.
    """
    messages = conversation.asking(question)
    if conversation.rail == KEY_RAIL:
        from ando_cli.inference import account  # not on the paid path

        return account.build_chat(conversation.options, messages, stream=stream)
    return paid.build(conversation.options, messages)


class Connections:
    """The clients for questions, one for each rail, made when first needed."""

    def __init__(self, state: Invocation, parts: Parts, options: PayOptions) -> None:
        self.terminal: Terminal = state.terminal
        self._state = state
        self._parts = parts
        self._options = options
        self._clients: dict[str, AndoClient] = {}

    def client(self, rail: str) -> AndoClient:
        """Return the client that pays on ``rail``.

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
        """Close the connections; the next question opens a new one."""
        while self._clients:
            self._clients.popitem()[1].close()


class Turn:
    """One question while it is being asked. The route of its request decides who pays.

    ``answer`` is the body of an answer that was not streamed, ``text`` its text, ``usage`` what it used, and ``paid``
    how a channel paid for it. ``may_be_charged`` is whether the outcome is unknown.
    """

    def __init__(self, connections: Connections, request: Request) -> None:
        if request.route is None:
            raise InvariantError("a question is asked on a route of the gateway")
        self.text = ""
        self.answer = b""
        self.usage = Usage()
        self.paid: Paid | None = None
        self.may_be_charged = False
        self._connections = connections
        self._request = request
        self._route: Route = request.route

    def fetch(self) -> bytes:
        """Ask, and return the body of the answer; ``read`` finds its text.

        Raises:
            AndoError: there is no answer.
        """
        client = self._client()
        try:
            response = client.post(self._request)
        except LostAnswerError as error:
            terminal = self._connections.terminal
            if error.body and not terminal.json_output:
                terminal.answer_bytes(error.body)  # a part, as it came: it may have been charged
            raise
        self.paid = response.extensions.get(PAID)
        self.answer = response.content
        self.usage = read_usage(self.answer, self.paid.spent if self.paid else None)
        return self.answer

    def read(self) -> str:
        """Return the text of the answer.

        Raises:
            ServerError: it holds no text.
        """
        if self._request.streamed:
            return self.text
        self.text = self._route.text(self.answer)
        return self.text

    @contextmanager
    def arriving(self) -> Iterator[Iterator[Piece]]:
        """Ask with a Virtual Key, and yield the pieces of the answer as they arrive.

        Raises:
            AndoError: there is no answer, or not all of it.
        """
        from ando_cli.conversation.stream import stream_answer  # not on the paid path

        client = self._client()
        with stream_answer(client, self._request) as stream:
            self._connections.terminal.stage("waiting for the answer")

            def pieces() -> Iterator[Piece]:
                for piece in stream:
                    self.text += piece.text
                    yield piece
                self.usage = stream.usage

            yield pieces()

    def run(self, arrived: Callable[[str], None]) -> None:
        """Ask, and yield the text of the answer as it arrives. The terminal shows the wait.

        Raises:
            AndoError: there is no answer, or not all of it.
            KeyboardInterrupt: the user pressed Ctrl-C.
        """
        try:
            if self._request.streamed:
                self._follow(arrived)
            else:
                self.fetch()
                arrived(self.read())
        except AndoError as error:
            self.may_be_charged = isinstance(error, OutcomeUnknownError)
            raise
        except KeyboardInterrupt as interrupt:
            self.may_be_charged = isinstance(interrupt, Interrupted) or self.text != ""
            self._connections.hang_up()
            raise

    def _follow(self, arrived: Callable[[str], None]) -> None:
        terminal = self._connections.terminal
        with self.arriving() as pieces:
            while (piece := self._next(pieces)) is not None:
                if piece.reasoning:
                    terminal.stage("thinking")
                arrived(piece.text)

    def _next(self, pieces: Iterator[Piece]) -> Piece | None:
        try:
            with self._connections.terminal.progress():
                return next(pieces, None)
        except KeyboardInterrupt:
            raise Interrupted from None  # the answer is on its way and may be charged

    def _client(self) -> AndoClient:
        keyed = self._route.keyed
        self._connections.terminal.stage("asking with the Virtual Key" if keyed else "asking")
        return self._connections.client(KEY_RAIL if keyed else MPP_RAIL)
