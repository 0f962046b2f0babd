"""``ando chat``: ask the model, pay for the answer, print it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ando_cli.cli.command import Command
from ando_cli.cli.groups import grouped
from ando_cli.cli.options import (
    AnswerOptions,
    CloseOption,
    ConnectionOptions,
    KeepOptions,
    PaymentOptions,
    RailOptions,
    SamplingOptions,
    chosen_rail,
    refuse_given,
)
from ando_cli.commands._ask import ask, read_request, tell_usage, warn_without_limit
from ando_cli.commands._quote import dry_run
from ando_cli.config.settings import KEY_RAIL, MPP_RAIL
from ando_cli.conversation.keeping import Keeper, Wanted, begin, kept_conversations
from ando_cli.conversation.turn import request_of
from ando_cli.errors import ServerError, UsageError
from ando_cli.inference import paid
from ando_cli.inference.prompt import join_words
from ando_cli.runtime.context import invocation
from ando_cli.runtime.wiring import assemble, connect_with_channel
from ando_cli.terminal.output import check_writable

if TYPE_CHECKING:
    from pathlib import Path

    from ando_cli.conversation.archive import Kept
    from ando_cli.conversation.model import Conversation
    from ando_cli.conversation.turn import Turn
    from ando_cli.inference.prompt import Prompt
    from ando_cli.inference.request import Request
    from ando_cli.runtime.context import Invocation
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
    close: CloseOption = False,
    connection: ConnectionOptions,
    keeping: KeepOptions,
) -> None:
    """Ask the model, pay for the answer, print it. On a terminal and without PROMPT, start a conversation.

    With --rail mpp, the channel pays; with --rail key, the Ando account of the Virtual Key pays.
    """
    state = invocation(ctx)
    words = sampling.prompt(prompt)
    wanted = Wanted(keeping.last, keeping.conversation, keeping.keep)
    found = wanted.find(state.settings)
    rail = chosen_rail(rails.rail or (found.conversation.rail if found else None), state.settings)
    on_key = rail == KEY_RAIL
    if on_key:
        refuse_given(KEY_RAIL, {"--plan": sampling.plan, "--close": close or None, **payment.not_for_a_key()})
        options = connection.with_key(rails.profile)
    else:
        refuse_given(MPP_RAIL, {"--profile": rails.profile})
        options = connection.with_channel(payment)
    output = answer.output
    settings = state.settings
    asked = begin(found, words, rail, settings)
    keeps = wanted.keeps(settings)
    if keeping.interactive or _talks(state.terminal, prompt, body, output, dry_run=payment.dry_run):
        if state.terminal.json_output or body is not None or output is not None or payment.dry_run or close:
            raise UsageError(
                "a conversation takes no -j, -t, -o, --body, --close or --dry-run", hint="leave them out, or -i"
            )
        from ando_cli.repl.start import Manner, start  # not on the paid path

        history = settings.history and not keeping.no_history
        manner = Manner(keeps=keeps, history=history, usage=answer.usage, streams=not no_stream)
        start(state, options, asked, found, manner, words.text)
        return
    streams = on_key and not (no_stream or state.terminal.json_output or output is not None)
    question, request = _read(state.terminal, words, body, asked, streams=streams)
    if wanted.asked_for and question is None:
        raise UsageError(
            "a whole request cannot be part of a conversation",
            hint="give a prompt instead, or leave out --keep, -c and --conversation",
        )
    warn_without_limit(state.terminal, request)
    if output is not None:
        check_writable(output)
    if request.streamed and not streams:
        raise UsageError('the body asks for a stream: "stream" is true', hint="set it to false")
    if payment.dry_run:
        with assemble(state, options) as parts:
            state.terminal.stage("asking")
            dry_run(state.terminal, parts, connect_with_channel(state, parts, options), request)
        return
    turn = ask(state, request, options, output, closes=close)
    if keeps and question is not None:
        _keep(state, turn, asked, found, question)
    if answer.usage:
        tell_usage(state, turn, request)


def _talks(
    terminal: Terminal, prompt: list[str] | None, body: str | None, output: Path | None, *, dry_run: bool
) -> bool:
    """Return whether there is no prompt, and a person at the terminal."""
    nothing_else = not (prompt or body or output or dry_run or terminal.json_output)
    return nothing_else and terminal.stdin_tty and terminal.stdout_tty


def _read(
    terminal: Terminal, words: Prompt, body: str | None, conversation: Conversation, *, streams: bool
) -> tuple[str | None, Request]:
    """Return the question (``None`` for a whole body) and the request that asks it.

    Raises:
        UsageError: the question cannot be sent.
    """
    questions: list[str] = []

    def build(typed: Prompt, piped: str) -> Request:
        questions.append(join_words(typed, piped))
        return request_of(conversation, questions[0], stream=streams)

    check = paid.check
    if conversation.rail == KEY_RAIL:
        from ando_cli.inference.account import check_chat as check  # not on the paid path
    request = read_request(terminal, words, body, check, build)
    return (questions[0] if questions else None), request


def _keep(state: Invocation, turn: Turn, asked: Conversation, found: Kept | None, question: str) -> None:
    """Save the question with its answer."""
    terminal = state.terminal
    try:
        answer = turn.read()
    except ServerError:  # with -j it was printed anyway
        terminal.warn("this answer was not saved: it holds no text")
        return
    keeper = Keeper(kept_conversations(state.settings), found, terminal.warn)
    if keeper.keep(asked.answered(question, answer, turn.usage)) and found is None and keeper.kept is not None:
        terminal.note(f"saved as {keeper.kept.id}; `ando chat -c` continues it")
