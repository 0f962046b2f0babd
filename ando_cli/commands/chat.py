"""``ando chat``: ask the model, pay for the answer, print it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ando_cli.cli.command import Command
from ando_cli.cli.groups import grouped
from ando_cli.cli.options import (
    AnswerOptions,
    ConnectionOptions,
    KeepOptions,
    PaymentOptions,
    RailOptions,
    SamplingOptions,
    chosen_rail,
    refuse_given,
)
from ando_cli.commands._ask import deliver, request_body, warn_without_limit
from ando_cli.commands._quote import show_quote
from ando_cli.commands._thread import Thread, Wanted, begin
from ando_cli.config.settings import KEY_RAIL, MPP_RAIL
from ando_cli.conversation.usage import describe_usage
from ando_cli.errors import ServerError, UsageError
from ando_cli.frozen import frozen
from ando_cli.http.client import CHAT_PATH
from ando_cli.inference import chat as mpp
from ando_cli.inference.usage import read_usage
from ando_cli.rails.payment import PAID
from ando_cli.runtime.context import invocation
from ando_cli.runtime.wiring import connect
from ando_cli.terminal.output import check_writable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from ando_cli.conversation.stream import Piece
    from ando_cli.inference.chat import Prompt
    from ando_cli.inference.usage import Usage
    from ando_cli.rails.payment import Paid
    from ando_cli.runtime.context import Invocation
    from ando_cli.runtime.wiring import PayOptions
    from ando_cli.terminal.output import Terminal

app = typer.Typer(add_completion=False)

EXAMPLES = """\
Examples:
  ando chat "what is the capital of america?"
  ando chat
  cat report.txt | ando chat "summarise this"
  ando chat --max-spend 5 --usage -s "answer in French" "good morning"
  ando chat --rail key -m Qwen/Qwen3-8B-AWQ "good morning"
  ando chat --keep "name three rivers" && ando chat -c "and three more"
  echo '{"messages":[{"role":"user","content":"hi"}],"max_tokens":8}' |
    ando chat -j
"""


@app.command(cls=Command, epilog=EXAMPLES)
@grouped
def chat(
    ctx: typer.Context,
    *,
    prompt: Annotated[
        list[str] | None, typer.Argument(metavar="PROMPT", help="What to ask. Piped text goes before it.")
    ] = None,
    sampling: SamplingOptions,
    body: Annotated[
        str | None,
        typer.Option(metavar="@FILE|-", help="Send this JSON body, byte for byte, instead of building one."),
    ] = None,
    answer: AnswerOptions,
    no_stream: Annotated[
        bool, typer.Option("--no-stream", help="Print the answer when it is complete. The paid route always does.")
    ] = False,
    rails: RailOptions,
    payment: PaymentOptions,
    connection: ConnectionOptions,
    keeping: KeepOptions,
) -> None:
    """Ask the model, pay for the answer, print it. On a terminal and without PROMPT, talk.

    It is paid for from the channel (--rail mpp), or by the account that a Virtual Key belongs to (--rail key).
    """
    state = invocation(ctx)
    words = sampling.prompt(prompt)
    wanted = Wanted(keeping.last, keeping.conversation, keeping.keep)
    found = wanted.find(state.settings)
    rail = chosen_rail(rails.rail or (found.conversation.rail if found else None), state.settings)
    on_key = rail == KEY_RAIL
    if on_key:
        refuse_given(KEY_RAIL, {"--plan": sampling.plan, **payment.not_for_a_key()})
        options = connection.with_key(rails.profile)
    else:
        refuse_given(MPP_RAIL, {"--profile": rails.profile})
        options = connection.with_channel(payment)
    output, dry_run = answer.output, payment.dry_run
    asked = begin(found, words, rail, state.settings)
    if keeping.interactive or _talks(state.terminal, prompt, body, output, dry_run=dry_run):
        if state.terminal.json_output or body is not None or output is not None or dry_run:
            raise UsageError("a conversation takes no -j, -t, -o, --body or --dry-run", hint="leave them out, or -i")
        from ando_cli.commands._talk import talk  # not on the paid path

        talk(
            state, options, asked, found, first=words.text, keeps=wanted.keeps(state.settings),
            history=state.settings.history and not keeping.no_history, usage=answer.usage, streams=not no_stream,
        )  # fmt: skip
        return
    thread = Thread(state, asked, found, keeps=wanted.keeps(state.settings))
    ask = _Ask(state, words, body, thread, must_keep=wanted.asked_for, output=output, usage=answer.usage)
    if on_key:
        _with_key(ask, options, no_stream=no_stream)
    else:
        _from_channel(ask, options, dry_run=dry_run)


def _talks(
    terminal: Terminal, prompt: list[str] | None, body: str | None, output: Path | None, *, dry_run: bool
) -> bool:
    """Whether nothing is asked, and somebody is there to talk."""
    nothing_else = not (prompt or body or output or dry_run or terminal.json_output)
    return nothing_else and terminal.stdin_tty and terminal.stdout_tty


@frozen
class _Ask:
    """What is asked, and where the answer goes."""

    state: Invocation
    words: Prompt
    source: str | None
    thread: Thread
    must_keep: bool
    output: Path | None
    usage: bool

    def body(self, check: Callable[[bytes], bytes], build: Callable[[Prompt, list[dict[str, Any]]], bytes]) -> bytes:
        """The request's bytes (``request_body``).

        Raises:
            UsageError: they cannot be sent, or are to be part of a conversation and are none of words.
        """
        conversation = self.thread.conversation
        content = request_body(
            self.state.terminal, self.words, self.source, check,
            lambda typed, piped: build(conversation.options, self.thread.messages(typed, piped)),
        )  # fmt: skip
        if self.must_keep and not self.thread.asked:
            raise UsageError(
                "a request that is handed in whole is part of no conversation",
                hint="give a prompt instead, or leave out the option that keeps the conversation",
            )
        warn_without_limit(self.state.terminal, content)
        if self.output is not None:
            check_writable(self.output)
        return content

    def answered(self, usage: Usage, paid: Paid | None, words: Callable[[], str]) -> None:
        """What follows an answer that is delivered. ``words`` reads its text."""
        if self.thread.is_kept:
            try:
                self.thread.keep(words(), usage)
            except ServerError:  # with -j it was delivered all the same
                self.state.terminal.warn("this is not kept: the answer holds no text")
        if self.usage:
            rail = self.thread.conversation.rail
            self.state.terminal.note(describe_usage(usage, paid, self.state.settings.network, rail))


def _from_channel(ask: _Ask, options: PayOptions, *, dry_run: bool) -> None:
    terminal = ask.state.terminal
    content = ask.body(mpp.check_body, mpp.build_turn)
    with connect(ask.state, options) as client:
        terminal.stage("asking")
        if dry_run:
            show_quote(terminal, client.quote(CHAT_PATH, content), ask.state.settings)
            return
        response = client.post(CHAT_PATH, content)
    paid: Paid | None = response.extensions.get(PAID)
    deliver(terminal, response.content, mpp.answer_text, ask.output)
    answer = response.content
    ask.answered(read_usage(answer, paid.spent if paid else None), paid, partial(mpp.answer_text, answer))


def _with_key(ask: _Ask, options: PayOptions, *, no_stream: bool) -> None:
    from ando_cli.conversation.stream import stream_answer
    from ando_cli.inference import account  # not on the paid path

    terminal = ask.state.terminal
    streams = not (no_stream or terminal.json_output or ask.output is not None)
    content = ask.body(account.check_chat, partial(account.build_turn, stream=streams))
    if not account.is_streamed(content):
        with connect(ask.state, options, KEY_RAIL) as client:
            terminal.stage("asking with the Virtual Key")
            answer = client.post(account.CHAT_PATH, content).content
        deliver(terminal, answer, mpp.answer_text, ask.output)
        ask.answered(read_usage(answer), None, partial(mpp.answer_text, answer))
        return
    if not streams:
        raise UsageError('the body asks for a stream: "stream" is true', hint="set it to false")
    pieces: list[str] = []
    with connect(ask.state, options, KEY_RAIL) as client:
        terminal.stage("asking with the Virtual Key")
        with stream_answer(client, account.CHAT_PATH, content) as stream:
            terminal.answer_pieces(_noting(stream, pieces))
    ask.answered(stream.usage, None, partial("".join, pieces))


def _noting(stream: Iterable[Piece], pieces: list[str]) -> Iterator[str]:
    for piece in stream:
        pieces.append(piece.text)
        yield piece.text
