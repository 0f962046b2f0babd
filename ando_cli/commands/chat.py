"""``ando chat``: ask the model, pay for the answer, print it."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations when it runs
from typing import TYPE_CHECKING, Annotated

import typer

from ando_cli.app import invocation
from ando_cli.assembly import connect
from ando_cli.chat import Prompt, answer_text, build_body, check_body, describe_usage, has_limit, is_body
from ando_cli.client import CHAT_PATH
from ando_cli.command import Command
from ando_cli.commands._input import read_source, read_stdin
from ando_cli.commands._options import (
    AcceptPayeeOption,
    ConnectTimeoutOption,
    DryRunOption,
    MaxSpendOption,
    TimeoutOption,
    YesOption,
    pay_options,
)
from ando_cli.commands._quote import show_quote
from ando_cli.errors import UsageError
from ando_cli.output import check_writable
from ando_cli.rails.payment import PAID

if TYPE_CHECKING:
    from ando_cli.output import Terminal

app = typer.Typer(add_completion=False)

EXAMPLES = """\
Examples:
  ando chat "what is the capital of america?"
  cat report.txt | ando chat "summarise this"
  ando chat --max-spend 5 --usage -s "answer in French" "good morning"
  echo '{"messages":[{"role":"user","content":"hi"}],"max_tokens":8}' |
    ando chat -j
"""


@app.command(cls=Command, epilog=EXAMPLES)
def chat(
    ctx: typer.Context,
    prompt: Annotated[
        list[str] | None, typer.Argument(metavar="PROMPT", help="What to ask. Piped text goes before it.")
    ] = None,
    system: Annotated[str | None, typer.Option("--system", "-s", metavar="TEXT", help="The system message.")] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="NAME", help="Use this model instead of the one the gateway picks."),
    ] = None,
    plan: Annotated[
        str | None, typer.Option(help="Starter, Plus or Premium.", metavar="NAME", show_default="Starter")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(metavar="N", help="The longest answer to pay for.", show_default="1024")
    ] = None,
    temperature: Annotated[float | None, typer.Option(metavar="X", help="Sampling temperature, 0 to 2.")] = None,
    top_p: Annotated[float | None, typer.Option("--top-p", metavar="X", help="Nucleus sampling, 0 to 1.")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Seed for repeatable sampling.")] = None,
    stop: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="Stop before this text; may be repeated.")
    ] = None,
    body: Annotated[
        str | None,
        typer.Option(metavar="@FILE|-", help="Send this JSON body, byte for byte, instead of building one."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the answer to FILE.")
    ] = None,
    usage: Annotated[bool, typer.Option("--usage", "-u", help="Show tokens and spend on stderr.")] = False,
    dry_run: DryRunOption = False,
    max_spend: MaxSpendOption = None,
    yes: YesOption = False,
    accept_payee: AcceptPayeeOption = None,
    timeout: TimeoutOption = None,
    connect_timeout: ConnectTimeoutOption = None,
) -> None:
    """Ask the model, pay for the answer from the channel, print it."""
    state = invocation(ctx)
    terminal = state.terminal
    options = pay_options(max_spend, yes, accept_payee, timeout, connect_timeout)
    words = Prompt(
        text=" ".join(prompt or []),
        system=system,
        model=model,
        plan=plan,
        max_tokens=max_tokens,
        temperature=temperature,
        top_p=top_p,
        seed=seed,
        stop=tuple(stop or ()),
    )
    content = _body(terminal, words, body)
    if not has_limit(content):
        terminal.warn("the body sets no max_tokens, so the gateway decides how long and how dear the answer is")
    if output is not None:
        check_writable(output)
    with connect(state, options) as client:
        terminal.stage("asking")
        if dry_run:
            show_quote(terminal, client.quote(CHAT_PATH, content), state.settings)
            return
        response = client.post(CHAT_PATH, content)
    answer = response.content
    answer = terminal.document(answer) if terminal.json_output else answer_text(answer).encode()
    answer = answer if answer.endswith(b"\n") else answer + b"\n"
    if output is not None:
        terminal.save(output, answer)
    else:
        terminal.answer_bytes(answer)
    if usage:
        terminal.note(describe_usage(response.content, response.extensions.get(PAID), state.settings.network))


def _body(terminal: Terminal, words: Prompt, source: str | None) -> bytes:
    """The request's bytes: a JSON body that was handed in, or one built from the flags and the piped text."""
    if source is not None:
        if words != Prompt():
            raise UsageError(
                "--body is the whole request, and a prompt or its options would be lost",
                hint="put them into the body, or leave out --body",
            )
        if source != "-" and not source.startswith("@"):
            raise UsageError("--body takes a file", hint="write --body @FILE, or --body - for stdin")
        return check_body(read_source(terminal, "@-" if source == "-" else source))
    data = b"" if terminal.stdin_tty else read_stdin(terminal)
    piped = _decode(data)
    if not words.text and is_body(piped):
        if words != Prompt():
            raise UsageError(
                "a whole request was piped in, and the options would be lost",
                hint="put them into the body, or give a prompt",
            )
        return check_body(data)
    if words == Prompt() and piped.lstrip().startswith("{"):
        return check_body(data)  # meant as a body, and broken: it says how
    return build_body(words, piped)


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError("the piped text is not UTF-8", hint="convert it first, for example with iconv") from None
