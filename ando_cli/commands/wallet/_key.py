"""What the commands of ``ando wallet`` share: where to keep the key, and how to show its address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ando_cli.keys.wallet import Place

if TYPE_CHECKING:
    from ando_cli.keys.wallet import WalletStore
    from ando_cli.runtime.context import Invocation
    from ando_cli.tempo.keys import PrivateKey
    from ando_cli.terminal.output import Terminal

KeystoreOption = Annotated[
    bool, typer.Option("--keystore", help="Keep the key in an encrypted file instead of the OS keyring.")
]


def place_of(into_keystore: bool) -> Place:
    """Return the place that will keep the key."""
    return Place.KEYSTORE if into_keystore else Place.KEYRING


def save_key(state: Invocation, store: WalletStore, key: PrivateKey, place: Place) -> None:
    """Store the key and show its address.

    Raises:
        WalletError: it cannot be stored.
    """
    store.save(key, place)
    show_address(state.terminal, key.address)
    state.terminal.note(f"stored in the {place}; back it up with `ando wallet export -o FILE`")
    if store.variable:
        state.terminal.warn(f"{store.variable} is set, so its key is used instead of this one")


def show_address(terminal: Terminal, address: str) -> None:
    """Show an address."""
    if terminal.json_output:
        terminal.json({"address": address})
    else:
        terminal.answer(address)
