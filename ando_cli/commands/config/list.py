"""``ando config list``: every value in force."""

from __future__ import annotations

import typer

from ando_cli.cli.command import Command
from ando_cli.commands.config._file import row_shape, rows_of
from ando_cli.config import report
from ando_cli.runtime.context import invocation

app = typer.Typer(add_completion=False)


@app.command(
    "list",
    cls=Command,
    epilog="""\
Examples:
  ando config list
  ANDO_TIMEOUT=60 ando config list -j
""",
)
def list_(ctx: typer.Context) -> None:
    """List every value in force and where it comes from."""
    state = invocation(ctx)
    rows = rows_of(state)
    if state.terminal.structured:
        state.terminal.json([row_shape(row) for row in rows])
        return
    cells = [(row.key, report.text(row) or "-", report.origin(row)) for row in rows]
    state.terminal.table(("key", "value", "from"), cells, right=(), fold=("key", "value"))
