"""``ando wallet export``: the key as an encrypted file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from ando_cli.cli.command import Command
from ando_cli.cli.help import examples
from ando_cli.errors import Code, UsageError
from ando_cli.keys import keystore
from ando_cli.runtime.context import invocation

app = typer.Typer(add_completion=False)


@app.command(
    cls=Command,
    epilog=examples(
        "ando wallet export -o backup.json",
    ),
)
def export(
    ctx: typer.Context,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to this new file, with mode 0600.")
    ] = None,
) -> None:
    """Export the key as encrypted keystore v3 JSON. Asks twice for a new password."""
    state = invocation(ctx)
    store = state.open_wallet()
    if output is not None and os.path.lexists(output):
        raise UsageError(
            f"{output.name} exists, and is not overwritten", hint="name another file", code=Code.FILE_EXISTS
        )
    key = store.load().key
    text = keystore.encrypt(key, store.new_password("Password of the export: "))
    if output is None:
        state.terminal.answer(text)
        return
    keystore.write_new(output, text)
    if state.terminal.json_output:
        state.terminal.json({"file": str(output)})
    else:
        state.terminal.note(f"written to {output}: only its password opens it, so keep both")
