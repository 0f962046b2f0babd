"""``ando wallet remove``: delete the stored key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ando_cli.cli.command import Command
from ando_cli.cli.help import examples
from ando_cli.errors import Code, DeclinedError, UsageError
from ando_cli.runtime.context import invocation

if TYPE_CHECKING:
    from ando_cli.keys.wallet import Place
    from ando_cli.terminal.output import Terminal

app = typer.Typer(add_completion=False)


@app.command(
    cls=Command,
    epilog=examples(
        "ando wallet remove",
    ),
)
def remove(ctx: typer.Context, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False) -> None:
    """Delete the stored key. Without a backup, its money is lost."""
    state = invocation(ctx)
    store = state.open_wallet()
    place = store.place()
    if place is not None and not yes:
        _confirm(state.terminal, place)
    place = store.remove()
    if state.terminal.json_output:
        state.terminal.json({"removed": place})
    else:
        state.terminal.note(f"the wallet was removed from the {place}")


def _confirm(terminal: Terminal, place: Place) -> None:
    answer = terminal.ask(f"Delete the key in the {place}? Without a backup its money and its channels are lost.")
    if answer is None:
        raise UsageError("there is no terminal to ask on", hint="add --yes to delete the key", code=Code.NEEDS_YES)
    if not answer:
        raise DeclinedError("nothing was deleted", hint="answer y to delete the key")
