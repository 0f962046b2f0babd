"""``ando config get``: one value in force."""

from __future__ import annotations

from typing import Annotated

import typer

from ando_cli.cli import candidates
from ando_cli.cli.command import Command
from ando_cli.commands.config._file import row_shape, rows_of
from ando_cli.config import edit as config_file
from ando_cli.config import report
from ando_cli.errors import AndoError, Code
from ando_cli.runtime.context import invocation

app = typer.Typer(add_completion=False)


@app.command(
    cls=Command,
    epilog="""\
Examples:
  ando config get max_deposit
  ando config get --reveal rpc_url
""",
)
def get(
    ctx: typer.Context,
    config_key: Annotated[
        str,
        typer.Argument(
            metavar="KEY", help="The key, as in config.toml, such as max_spend.", autocompletion=candidates.keys
        ),
    ],
    reveal: Annotated[bool, typer.Option("--reveal", help="Show a URL in full, including any key in it.")] = False,
) -> None:
    """Print the value of KEY that is in force."""
    state = invocation(ctx)
    config_file.check_name(config_key)
    row = next((row for row in rows_of(state, reveal=reveal) if row.key == config_key), None)
    if row is None or row.value is None:
        raise AndoError(f"{config_key} is not set", hint=f"ando config set {config_key} VALUE", code=Code.NOT_SET)
    if state.terminal.json_output:
        state.terminal.json(row_shape(row))
    else:
        state.terminal.answer(report.text(row))
