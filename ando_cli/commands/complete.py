"""``ando complete``: complete a text on the completions route with a Virtual Key."""

from __future__ import annotations

from typing import Annotated

import typer

from ando_cli.cli.command import Command
from ando_cli.cli.groups import Without, grouped
from ando_cli.cli.options import AnswerOptions, ConnectionOptions, RailOptions, SamplingOptions
from ando_cli.commands._ask import ask_with_key
from ando_cli.inference import account
from ando_cli.runtime.context import invocation

app = typer.Typer(add_completion=False)

EXAMPLES = """\
Examples:
  ando complete -m Qwen/Qwen3-8B-AWQ --max-tokens 16 "The capital of"
  head -c 2000 story.txt | ando complete --stop "THE END"
"""


@app.command(cls=Command, epilog=EXAMPLES)
@grouped
def complete(
    ctx: typer.Context,
    *,
    prompt: Annotated[
        list[str] | None, typer.Argument(metavar="PROMPT", help="The text to complete. Piped text goes before it.")
    ] = None,
    sampling: Annotated[SamplingOptions, Without("system", "plan")],
    answer: AnswerOptions,
    rails: Annotated[RailOptions, Without("rail")],
    connection: ConnectionOptions,
) -> None:
    """Complete a text on the legacy route, /v1/completions (needs a Virtual Key)."""
    state = invocation(ctx)
    options = connection.with_key(rails.profile)
    ask_with_key(state, sampling.prompt(prompt), account.build_complete, options, answer)
