"""``ando think``: ask on the reasoning route, with a Virtual Key."""

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
    SystemOption,
    TemperatureOption,
    TimeoutOption,
    TopPOption,
    UsageOption,
    key_options,
)
from ando_cli.commands._ask import ask_with_key, prompt_of
from ando_cli.inference import account
from ando_cli.redact import printable
from ando_cli.runtime.context import invocation

app = typer.Typer(add_completion=False)

EXAMPLES = """\
Examples:
  ando think -m Qwen/Qwen3-8B-AWQ "is 2027 a prime number?"
  ando think --reasoning "is 2027 a prime number?" 2> reasoning.txt
"""


@app.command(cls=Command, epilog=EXAMPLES)
def think(
    ctx: typer.Context,
    prompt: Annotated[
        list[str] | None, typer.Argument(metavar="PROMPT", help="What to ask. Piped text goes before it.")
    ] = None,
    system: SystemOption = None,
    model: ModelOption = None,
    max_tokens: MaxTokensOption = None,
    temperature: TemperatureOption = None,
    top_p: TopPOption = None,
    seed: SeedOption = None,
    stop: StopOption = None,
    extra: SetOption = None,
    reasoning: Annotated[
        bool, typer.Option("--reasoning", help="Show on stderr how the model came to its answer.")
    ] = False,
    output: OutputOption = None,
    usage: UsageOption = False,
    profile: ProfileOption = None,
    timeout: TimeoutOption = None,
    connect_timeout: ConnectTimeoutOption = None,
) -> None:
    """Ask on the reasoning route (/v1/think), with a Virtual Key."""
    state = invocation(ctx)
    options = key_options(profile, timeout, connect_timeout)
    words = prompt_of(
        prompt,
        system=system,
        model=model,
        max_tokens=max_tokens,
        temperature=temperature,
        top_p=top_p,
        seed=seed,
        stop=stop,
        extra=extra,
    )
    answer = ask_with_key(
        state,
        account.THINK_PATH,
        words,
        account.build_chat,
        account.think_text,
        options=options,
        output=output,
        usage=usage,
    )
    if reasoning:
        state.terminal.note(printable(account.reasoning_of(answer) or "the gateway does not tell the reasoning"))
