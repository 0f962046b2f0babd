"""``ando config edit``: the configuration file in an editor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from ando_cli.cli.command import Command
from ando_cli.commands.config._file import path_of
from ando_cli.config import edit as config_file
from ando_cli.config.schema import CONFIG_FILE
from ando_cli.errors import AndoError, Code, UsageError
from ando_cli.runtime.context import invocation
from ando_cli.terminal.editor import edit as edit_file

if TYPE_CHECKING:
    from pathlib import Path

    from ando_cli.runtime.context import Invocation

app = typer.Typer(add_completion=False)


@app.command(
    cls=Command,
    epilog="""\
Examples:
  EDITOR=nano ando config edit
""",
)
def edit(ctx: typer.Context) -> None:
    """Edit a copy of config.toml in $VISUAL or $EDITOR, and save it if it is valid."""
    state = invocation(ctx)
    path = path_of(state)
    before = config_file.read(path)
    start = before or config_file.template()
    copy = config_file.copy(path, start)
    _run_editor(state, copy)
    after = config_file.read(copy)
    if after != start:
        _put_in_place(path, before, after, copy)
    copy.unlink(missing_ok=True)
    if state.terminal.json_output:
        state.terminal.json({"path": str(path), "changed": after != start})
    else:
        state.terminal.note("nothing was changed" if after == start else f"written to {path}")


def _put_in_place(path: Path, before: str, after: str, copy: Path) -> None:
    try:
        with config_file.held(path):
            if config_file.read(path) != before:
                raise UsageError(f"another program changed {CONFIG_FILE} meanwhile")
            config_file.replace(path, after)
    except AndoError as error:
        hint = f"{CONFIG_FILE} is unchanged; what you wrote is in {copy}"
        raise UsageError(error.message, hint=hint, code=Code.CONFIG_REFUSED) from None


def _run_editor(state: Invocation, copy: Path) -> None:
    try:
        edit_file(copy, state.environ)
    except AndoError:
        copy.unlink(missing_ok=True)
        raise
