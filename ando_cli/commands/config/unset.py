"""``ando config unset``: remove values from the configuration file."""

from __future__ import annotations

from typing import Annotated

import typer

from ando_cli.cli import candidates
from ando_cli.cli.command import Command
from ando_cli.commands.config._file import path_of
from ando_cli.config import edit as config_file
from ando_cli.config.schema import CONFIG_FILE
from ando_cli.runtime.context import invocation

app = typer.Typer(add_completion=False)


@app.command(
    cls=Command,
    epilog="""\
Examples:
  ando config unset max_spend
  ando config unset networks.local
""",
)
def unset(
    ctx: typer.Context,
    config_keys: Annotated[
        list[str],
        typer.Argument(
            metavar="KEY",
            help="What to remove from config.toml.",
            autocompletion=candidates.keys,
        ),
    ],
) -> None:
    """Remove keys, or the table of a network, from config.toml."""
    state = invocation(ctx)
    path = path_of(state)
    with config_file.held(path):
        text, removed = config_file.without(config_file.read(path), config_keys)
        if removed:
            config_file.replace(path, text)
    if state.terminal.json_output:
        state.terminal.json({"removed": removed})
    else:
        state.terminal.note(f"{', '.join(removed)}: removed" if removed else f"not set in {CONFIG_FILE}")
