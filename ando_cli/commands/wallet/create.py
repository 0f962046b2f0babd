"""``ando wallet create``: create a new key."""

from __future__ import annotations

import typer

from ando_cli.cli.command import Command
from ando_cli.cli.help import examples
from ando_cli.commands.wallet._key import KeystoreOption, place_of, save_key
from ando_cli.runtime.context import invocation
from ando_cli.tempo.keys import PrivateKey

app = typer.Typer(add_completion=False)


@app.command(
    cls=Command,
    epilog=examples(
        "ando wallet create",
        "ando wallet create --keystore",
    ),
)
def create(ctx: typer.Context, into_keystore: KeystoreOption = False) -> None:
    """Create a new key and show its address."""
    state = invocation(ctx)
    store = state.open_wallet()
    place = place_of(into_keystore)
    store.check_free(place)
    save_key(state, store, PrivateKey.generate(), place)
