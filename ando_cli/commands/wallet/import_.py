"""``ando wallet import``: a key from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ando_cli.cli.command import Command
from ando_cli.cli.help import examples
from ando_cli.commands.wallet._key import KeystoreOption, place_of, save_key
from ando_cli.errors import Code, UsageError
from ando_cli.keys import keystore
from ando_cli.runtime.context import invocation
from ando_cli.tempo.keys import PrivateKey

if TYPE_CHECKING:
    from ando_cli.keys.wallet import WalletStore
    from ando_cli.terminal.output import Terminal

_LONGEST_KEY = 1024
"""The most characters to read from stdin for a key."""

app = typer.Typer(add_completion=False)


@app.command(
    "import",
    cls=Command,
    epilog=examples(
        "ando wallet import",
        "pass show tempo-key | ando wallet import --keystore",
        "ando wallet import --keystore-file backup.json",
    ),
)
def import_(
    ctx: typer.Context,
    keystore_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", exists=True, dir_okay=False, help="Read the key from this keystore v3 JSON file."),
    ] = None,
    into_keystore: KeystoreOption = False,
) -> None:
    """Import a key from a hidden prompt, from stdin or from a keystore file, and show its address."""
    state = invocation(ctx)
    store = state.open_wallet()
    place = place_of(into_keystore)
    store.check_free(place)
    key = _read_key(state.terminal) if keystore_file is None else _read_file(keystore_file, store)
    save_key(state, store, key, place)


def _read_key(terminal: Terminal) -> PrivateKey:
    ask = terminal.secret_prompt()
    try:
        if not terminal.stdin_tty:
            return PrivateKey.parse(terminal.stdin.read(_LONGEST_KEY))
        if ask is not None:
            return PrivateKey.parse(ask("Private key: "))
    except ValueError:  # also what is not text at all
        raise UsageError(
            "this is not a private key",
            hint="give 64 hex digits, with or without 0x; a keystore v3 JSON file goes with --keystore-file",
            code=Code.WALLET_MALFORMED,
        ) from None
    # A key that is typed where the terminal echoes it is no longer a secret.
    raise UsageError("there is no terminal to ask for the key", hint="pipe the key in, or do not redirect stderr")


def _read_file(path: Path, store: WalletStore) -> PrivateKey:
    return keystore.decrypt(keystore.read(path), store.current_password(f"Password of {path.name}: "))
