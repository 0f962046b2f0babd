"""``ando session``: the life of payment channels, one module a command."""

from __future__ import annotations

import typer

from ando_cli.cli.lazy import LazyGroup


class _Session(LazyGroup):
    package = __name__
    names = ("open", "list", "show", "topup", "close", "sync", "recover", "forget")


app = typer.Typer(cls=_Session, add_completion=False, help="Open, top up, inspect and close payment channels.")


@app.callback()
def _group() -> None:
    pass
