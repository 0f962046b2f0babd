"""``ando config path``: where the configuration file is."""

from __future__ import annotations

import typer

from ando_cli.cli.command import Command
from ando_cli.commands.config._file import path_of
from ando_cli.runtime.context import invocation

app = typer.Typer(add_completion=False)


@app.command(
    "path",
    cls=Command,
    epilog="""\
Examples:
  ando config path
""",
)
def path_(ctx: typer.Context) -> None:
    """Print the path of config.toml, whether or not it exists."""
    state = invocation(ctx)
    path = path_of(state)
    if state.terminal.json_output:
        state.terminal.json({"path": str(path), "exists": path.exists()})
    else:
        state.terminal.answer(str(path))
