"""``ando complete``: have a text continued on the legacy completions route, with a Virtual Key."""

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
    SeedOption,
    SetOption,
    StopOption,
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
  ando complete -m Qwen/Qwen3-8B-AWQ --max-tokens 16 "The capital of"
  head -c 2000 story.txt | ando complete --stop "THE END"
"""


@app.command(cls=Command, epilog=EXAMPLES)
def complete(
    ctx: typer.Context,
    prompt: Annotated[
        list[str] | None, typer.Argument(metavar="PROMPT", help="The text to continue. Piped text goes before it.")
    ] = None,
    model: ModelOption = None,
    max_tokens: MaxTokensOption = None,
    temperature: TemperatureOption = None,
    top_p: TopPOption = None,
    seed: SeedOption = None,
    stop: StopOption = None,
    extra: SetOption = None,
    output: OutputOption = None,
    usage: UsageOption = False,
    profile: ProfileOption = None,
    timeout: TimeoutOption = None,
    connect_timeout: ConnectTimeoutOption = None,
) -> None:
    """Have a text continued (/v1/completions, the legacy route), with a Virtual Key."""
    state = invocation(ctx)
    options = key_options(profile, timeout, connect_timeout)
    words = prompt_of(
        prompt,
        model=model,
        max_tokens=max_tokens,
        temperature=temperature,
        top_p=top_p,
        seed=seed,
        stop=stop,
        extra=extra,
    )
    ask_with_key(
        state,
        account.COMPLETE_PATH,
        words,
        account.build_complete,
        account.complete_text,
        options=options,
        output=output,
        usage=usage,
    )
