"""What the asking commands share: building a request from arguments and stdin, and printing the answer."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from ando_cli.cli.input import decode, read_source, read_stdin
from ando_cli.config.settings import KEY_RAIL, MPP_RAIL
from ando_cli.conversation.turn import Connections, Turn
from ando_cli.conversation.usage import describe_usage
from ando_cli.errors import ServerError, UsageError
from ando_cli.inference.prompt import Prompt
from ando_cli.inference.request import chat_in, read_json
from ando_cli.runtime.wiring import assemble
from ando_cli.terminal.output import check_writable

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import Any

    from ando_cli.cli.options import AnswerOptions
    from ando_cli.inference.request import Request
    from ando_cli.runtime.context import Invocation
    from ando_cli.runtime.wiring import Parts, PayOptions
    from ando_cli.terminal.output import Terminal

NO_LIMIT = "the body sets no max_tokens, so the gateway decides how long and how expensive the answer is"


def read_request(
    terminal: Terminal, words: Prompt, source: str | None, check: Callable[[Any, bytes], Request],
    build: Callable[[Prompt, str], Request],
) -> Request:  # fmt: skip
    """Read the request: a whole JSON body, or one built from the flags and the piped text.

    Args:
        source: the value of ``--body``.
        check: makes a request from a whole body: its JSON, and its bytes, which do not change.
        build: makes a request from the arguments and the piped text.

    Raises:
        UsageError: there is no prompt, or it cannot be sent.
    """
    if source is not None:
        if words != Prompt():
            raise UsageError(
                "--body is the whole request, so a prompt or its options would have no effect",
                hint="put them into the body, or leave out --body",
            )
        if source != "-" and not source.startswith("@"):
            raise UsageError("--body takes a file", hint="write --body @FILE, or --body - for stdin")
        body = read_source(terminal, "@-" if source == "-" else source)
        return check(read_json(body), body)
    data = b"" if terminal.stdin_tty else read_stdin(terminal)
    piped = decode(data)
    if not words.text and (whole := chat_in(piped)) is not None:
        if words != Prompt():
            raise UsageError(
                "stdin holds a whole request, so the options would have no effect",
                hint="put them into the body, or give a prompt",
            )
        return check(whole, data)
    if words == Prompt() and piped.lstrip().startswith("{"):
        return check(read_json(data), data)  # meant as a body but broken: the error says where
    return build(words, piped)


def warn_without_limit(terminal: Terminal, request: Request) -> None:
    """Warn if a body leaves the price to the gateway."""
    if not request.limited:
        terminal.warn(NO_LIMIT)


def closing_after(state: Invocation, parts: Parts, *, closes: bool) -> AbstractContextManager[None]:
    """Enter a block after which the channels that were opened in it are closed, if the command ``closes`` them."""
    if not closes:
        return nullcontext()
    from ando_cli.runtime.manage import closing_what_it_opens  # not on the paid path

    return closing_what_it_opens(state, parts)


def ask(
    state: Invocation, request: Request, options: PayOptions, output: Path | None = None, *, closes: bool = False
) -> Turn:
    """Ask one question and deliver the answer: its words, or with ``-j`` the very JSON.

    Where it ``closes``, the channel that is opened for it is closed when the answer is delivered, or did not come.

    Raises:
        AndoError: there is no answer, or it holds no text.
    """
    terminal = state.terminal
    with assemble(state, options) as parts, closing_after(state, parts, closes=closes):
        turn = Turn(Connections(state, parts, options), request)
        if request.streamed:
            with turn.arriving() as pieces:
                terminal.answer_pieces(piece.text for piece in pieces)
            return turn
        turn.fetch()
        _deliver(terminal, turn, output)
    return turn


def ask_with_key(
    state: Invocation,
    words: Prompt,
    build: Callable[[Prompt, str], Request],
    options: PayOptions,
    answer: AnswerOptions,
) -> bytes:
    """Ask on an account-owned route, print the answer, and return it.

    Args:
        words: the prompt; if it names no model, the configured model answers.
        build: makes the request from the prompt and the piped text.

    Raises:
        AndoError: there is no answer.
    """
    terminal = state.terminal
    piped = "" if terminal.stdin_tty else decode(read_stdin(terminal))
    request = build(replace(words, model=words.model or state.settings.model), piped)
    if answer.output is not None:
        check_writable(answer.output)
    turn = ask(state, request, options, answer.output)
    if answer.usage:
        tell_usage(state, turn, request)
    return turn.answer


def tell_usage(state: Invocation, turn: Turn, request: Request) -> None:
    """Print on stderr what an answer used and cost."""
    keyed = request.route is not None and request.route.keyed
    rail = KEY_RAIL if keyed else MPP_RAIL
    state.terminal.note(describe_usage(turn.usage, turn.paid, state.settings.network, rail))


def _deliver(terminal: Terminal, turn: Turn, output: Path | None) -> None:
    """Print an answer or write it to a file.

    Raises:
        ServerError: it holds no text. It was paid for, so it is printed unchanged.
    """
    if terminal.json_output:
        shown = terminal.document(turn.answer)
    else:
        try:
            shown = turn.read().encode(errors="replace")  # JSON can hold half a surrogate pair, UTF-8 cannot
        except ServerError as error:
            terminal.answer_bytes(turn.answer)
            raise error.with_hint("the gateway's JSON was printed unchanged") from None
    shown = shown if shown.endswith(b"\n") else shown + b"\n"
    if output is None:
        terminal.answer_bytes(shown)
    else:
        terminal.save(output, shown)
