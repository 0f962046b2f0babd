"""``ando think``: ask on the reasoning route with a Virtual Key."""

from __future__ import annotations

from typing import Annotated

import typer

from ando_cli.cli.command import Command
from ando_cli.cli.groups import Without, grouped
from ando_cli.cli.options import AnswerOptions, ConnectionOptions, RailOptions, SamplingOptions
from ando_cli.commands._ask import ask_with_key
from ando_cli.inference import account
from ando_cli.inference.answers import reasoning_of
from ando_cli.redact import printable
from ando_cli.runtime.context import invocation

app = typer.Typer(add_completion=False)

EXAMPLES = """\
Examples:
  ando think -m Qwen/Qwen3-8B-AWQ "is 2027 a prime number?"
  ando think --reasoning "is 2027 a prime number?" 2> reasoning.txt
"""


@app.command(cls=Command, epilog=EXAMPLES)
@grouped
def think(
    ctx: typer.Context,
    *,
    prompt: Annotated[
        list[str] | None, typer.Argument(metavar="PROMPT", help="What to ask. Piped text goes before it.")
    ] = None,
    sampling: Annotated[SamplingOptions, Without("plan")],
    reasoning: Annotated[bool, typer.Option("--reasoning", help="Show the model's reasoning on stderr.")] = False,
    answer: AnswerOptions,
    rails: Annotated[RailOptions, Without("rail")],
    connection: ConnectionOptions,
) -> None:
    """Ask on the reasoning route, /v1/think (needs a Virtual Key)."""
    state = invocation(ctx)
    options = connection.with_key(rails.profile)
    answered = ask_with_key(state, sampling.prompt(prompt), account.build_think, options, answer)
    if reasoning:
        state.terminal.note(printable(reasoning_of(answered) or "the gateway sent no reasoning"))
