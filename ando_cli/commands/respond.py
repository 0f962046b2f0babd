"""``ando respond``: ask on the Responses route with a Virtual Key."""

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
  ando respond -m Qwen/Qwen3-8B-AWQ "name three rivers"
  cat notes.txt | ando respond -s "answer in one line" "what is this about?"
"""


@app.command(cls=Command, epilog=EXAMPLES)
@grouped
def respond(
    ctx: typer.Context,
    *,
    prompt: Annotated[
        list[str] | None, typer.Argument(metavar="PROMPT", help="What to ask. Piped text goes before it.")
    ] = None,
    sampling: Annotated[SamplingOptions, Without("plan", "seed", "stop")],
    answer: AnswerOptions,
    rails: Annotated[RailOptions, Without("rail")],
    connection: ConnectionOptions,
) -> None:
    """Ask on the Responses route, /v1/responses (needs a Virtual Key)."""
    state = invocation(ctx)
    options = connection.with_key(rails.profile)
    ask_with_key(state, sampling.prompt(prompt), account.build_respond, options, answer)
