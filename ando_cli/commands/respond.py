"""``ando respond``: ask on the Responses route, with a Virtual Key."""

from __future__ import annotations

from typing import Annotated

import typer

from ando_cli.cli.command import Command
from ando_cli.cli.options import (
    ConnectTimeoutOption,
    MaxTokensOption,
    ModelOption,
    OutputOption,
    ProfileOption,
    SetOption,
    SystemOption,
    TemperatureOption,
    TimeoutOption,
    TopPOption,
    UsageOption,
    key_options,
)
from ando_cli.commands._ask import ask_with_key, prompt_of
from ando_cli.inference import account
from ando_cli.runtime.context import invocation

app = typer.Typer(add_completion=False)

EXAMPLES = """\
Examples:
  ando respond -m Qwen/Qwen3-8B-AWQ "name three rivers"
  cat notes.txt | ando respond -s "answer in one line" "what is this about?"
"""


@app.command(cls=Command, epilog=EXAMPLES)
def respond(
    ctx: typer.Context,
    prompt: Annotated[
        list[str] | None, typer.Argument(metavar="PROMPT", help="What to ask. Piped text goes before it.")
    ] = None,
    system: SystemOption = None,
    model: ModelOption = None,
    max_tokens: MaxTokensOption = None,
    temperature: TemperatureOption = None,
    top_p: TopPOption = None,
    extra: SetOption = None,
    output: OutputOption = None,
    usage: UsageOption = False,
    profile: ProfileOption = None,
    timeout: TimeoutOption = None,
    connect_timeout: ConnectTimeoutOption = None,
) -> None:
    """Ask on the Responses route (/v1/responses), with a Virtual Key."""
    state = invocation(ctx)
    options = key_options(profile, timeout, connect_timeout)
    words = prompt_of(
        prompt,
        system=system,
        model=model,
        max_tokens=max_tokens,
        temperature=temperature,
        top_p=top_p,
        extra=extra,
    )
    ask_with_key(
        state,
        account.RESPOND_PATH,
        words,
        account.build_respond,
        account.respond_text,
        options=options,
        output=output,
        usage=usage,
    )
