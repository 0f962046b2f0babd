"""What the commands that ask the model share: the request's bytes from what was typed and piped, and the answer's way
out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ando_cli.cli.input import decode, read_source, read_stdin
from ando_cli.config.settings import KEY_RAIL
from ando_cli.conversation.usage import describe_usage
from ando_cli.errors import ServerError, UsageError
from ando_cli.inference.chat import Prompt, has_limit, is_body, parse_extra
from ando_cli.inference.usage import read_usage
from ando_cli.runtime.wiring import connect
from ando_cli.terminal.output import check_writable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ando_cli.runtime.context import Invocation
    from ando_cli.runtime.wiring import PayOptions
    from ando_cli.terminal.output import Terminal

NO_LIMIT = "the body sets no max_tokens, so the gateway decides how long and how dear the answer is"


def prompt_of(
    words: list[str] | None,
    *,
    system: str | None = None,
    model: str | None,
    plan: str | None = None,
    max_tokens: int | None,
    temperature: float | None,
    top_p: float | None,
    seed: int | None = None,
    stop: Sequence[str] | None = None,
    extra: Sequence[str] | None,
) -> Prompt:
    """What was typed.

    Raises:
        UsageError: a ``--set`` that is none.
    """
    return Prompt(
        text=" ".join(words or []),
        system=system,
        model=model,
        plan=plan,
        max_tokens=max_tokens,
        temperature=temperature,
        top_p=top_p,
        seed=seed,
        stop=tuple(stop or ()),
        extra=parse_extra(extra or ()),
    )


def request_body(
    terminal: Terminal, words: Prompt, source: str | None, check: Callable[[bytes], bytes],
    build: Callable[[Prompt, str], bytes],
) -> bytes:  # fmt: skip
    """The request's bytes: a JSON body that was handed in, or one built from the flags and the piped text.

    Args:
        source: what ``--body`` says.
        check: checks a body that was handed in, and returns it as it is.
        build: makes one from what was typed and piped.

    Raises:
        UsageError: there is no prompt, or it is not what can be sent.
    """
    if source is not None:
        if words != Prompt():
            raise UsageError(
                "--body is the whole request, and a prompt or its options would be lost",
                hint="put them into the body, or leave out --body",
            )
        if source != "-" and not source.startswith("@"):
            raise UsageError("--body takes a file", hint="write --body @FILE, or --body - for stdin")
        return check(read_source(terminal, "@-" if source == "-" else source))
    data = b"" if terminal.stdin_tty else read_stdin(terminal)
    piped = decode(data)
    if not words.text and is_body(piped):
        if words != Prompt():
            raise UsageError(
                "a whole request was piped in, and the options would be lost",
                hint="put them into the body, or give a prompt",
            )
        return check(data)
    if words == Prompt() and piped.lstrip().startswith("{"):
        return check(data)  # meant as a body, and broken: it says how
    return build(words, piped)


def warn_without_limit(terminal: Terminal, body: bytes) -> None:
    """Say where a body leaves the price to the gateway."""
    if not has_limit(body):
        terminal.warn(NO_LIMIT)


def deliver(terminal: Terminal, answer: bytes, read: Callable[[bytes], str], output: Path | None) -> None:
    """Print an answer or write it to a file: its words, or with ``-j`` the very JSON.

    Raises:
        ServerError: it holds no words. It was paid for, so it goes to stdout as it came.
    """
    if terminal.json_output:
        shown = terminal.document(answer)
    else:
        try:
            shown = read(answer).encode(errors="replace")  # JSON can hold half a surrogate pair, UTF-8 cannot
        except ServerError as error:
            terminal.answer_bytes(answer)
            raise error.with_hint("the answer was printed as it arrived") from None
    shown = shown if shown.endswith(b"\n") else shown + b"\n"
    if output is None:
        terminal.answer_bytes(shown)
    else:
        terminal.save(output, shown)


def ask_with_key(
    state: Invocation,
    path: str,
    words: Prompt,
    build: Callable[[Prompt, str], bytes],
    read: Callable[[bytes], str],
    *,
    options: PayOptions,
    output: Path | None,
    usage: bool,
) -> bytes:
    """Ask on the account-owned route at ``path`` and deliver the answer, which is also returned.

    Args:
        words: what was typed; where it names no model, the configured one is asked.
        build: makes the request's body from it and from what is piped in.
        read: finds the words in the answer.

    Raises:
        AndoError: there is no answer.
    """
    terminal = state.terminal
    piped = "" if terminal.stdin_tty else decode(read_stdin(terminal))
    body = build(replace(words, model=words.model or state.settings.model), piped)
    if output is not None:
        check_writable(output)
    with connect(state, options, KEY_RAIL) as client:
        terminal.stage("asking with the Virtual Key")
        answer = client.post(path, body).content
    deliver(terminal, answer, read, output)
    if usage:
        terminal.note(describe_usage(read_usage(answer), None, state.settings.network, KEY_RAIL))
    return answer
