"""``ando wallet address``: where to send money."""

from __future__ import annotations

import typer

from ando_cli.cli.command import Command
from ando_cli.cli.help import examples
from ando_cli.commands.wallet._key import show_address
from ando_cli.runtime.context import invocation

app = typer.Typer(add_completion=False)


@app.command(
    cls=Command,
    epilog=examples(
        "ando wallet address",
    ),
)
def address(ctx: typer.Context) -> None:
    """Show the wallet's address: where to send money."""
    state = invocation(ctx)
    show_address(state.terminal, state.open_wallet().address())
