"""``ando wallet``: create, import, show, export or remove the key that pays. No command prints it in clear."""

from __future__ import annotations

import os
from pathlib import Path  # noqa: TC003 - Typer reads the annotations when it runs
from typing import TYPE_CHECKING, Annotated

import typer

from ando_cli.app import SharedOptionsGroup
from ando_cli.cli.command import Command
from ando_cli.cli.help import examples
from ando_cli.errors import Code, DeclinedError, RpcError, UsageError
from ando_cli.keys import keystore
from ando_cli.keys.wallet import Place
from ando_cli.money import amount
from ando_cli.runtime.context import invocation
from ando_cli.tempo.keys import PrivateKey

if TYPE_CHECKING:
    from ando_cli.keys.wallet import WalletStore
    from ando_cli.runtime.context import Invocation
    from ando_cli.terminal.output import Terminal

_LONGEST_KEY = 1024
"""Characters that are read from stdin in search of a key."""

app = typer.Typer(
    cls=SharedOptionsGroup,
    add_completion=False,
    help="Create, import, show, export or remove the wallet key.",
)

KeystoreOption = Annotated[
    bool, typer.Option("--keystore", help="Keep the key in an encrypted file instead of the OS keyring.")
]


@app.command(
    cls=Command,
    epilog=examples(
        "ando wallet create",
        "ando wallet create --keystore",
    ),
)
def create(ctx: typer.Context, into_keystore: KeystoreOption = False) -> None:
    """Make a new key and show its address."""
    state = invocation(ctx)
    store = state.open_wallet()
    place = _place(into_keystore)
    store.check_free(place)
    _save(state, store, PrivateKey.generate(), place)


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
        typer.Option(metavar="FILE", exists=True, dir_okay=False, help="Take the key from this keystore v3 JSON file."),
    ] = None,
    into_keystore: KeystoreOption = False,
) -> None:
    """Take a key from a hidden prompt, from stdin or from a keystore file, and show its address."""
    state = invocation(ctx)
    store = state.open_wallet()
    place = _place(into_keystore)
    store.check_free(place)
    key = _read_key(state.terminal) if keystore_file is None else _read_file(keystore_file, store)
    _save(state, store, key, place)


@app.command(
    cls=Command,
    epilog=examples(
        "ando wallet address",
    ),
)
def address(ctx: typer.Context) -> None:
    """Show the wallet's address: where to send money."""
    state = invocation(ctx)
    _show_address(state.terminal, state.open_wallet().address())


@app.command(
    cls=Command,
    epilog=examples(
        "ando wallet balance",
        "ando wallet balance --network tempo-moderato -j",
    ),
)
def balance(ctx: typer.Context) -> None:
    """Ask the chain what the wallet holds of the network's token."""
    state = invocation(ctx)
    network = state.settings.network
    owner = state.open_wallet().address()
    from ando_cli.tempo.rpc import Rpc  # web3 takes its time

    with state.terminal.progress(), Rpc(network.rpc_url, timeout=state.settings.connect_timeout) as rpc:
        state.terminal.stage("asking the chain")
        if rpc.chain_id() != network.chain_id:
            raise RpcError(
                f"the RPC serves another chain than the network {network.name}",
                hint="check --rpc-url, ANDO_RPC_URL and rpc_url in config.toml",
                code=Code.RPC_WRONG_CHAIN,
            )
        held = amount(rpc.balance(network.token, owner))
    if state.terminal.json_output:
        shown = {"balance": held, "symbol": network.token_symbol, "token": network.token, "network": network.name}
        state.terminal.json(shown)
    else:
        state.terminal.answer(f"{held} {network.token_symbol}")


@app.command(
    cls=Command,
    epilog=examples(
        "ando wallet export -o backup.json",
    ),
)
def export(
    ctx: typer.Context,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to this new file, mode 0600.")
    ] = None,
) -> None:
    """Write the key as encrypted keystore v3 JSON, under a password that is asked for twice."""
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
        state.terminal.note(f"written to {output}: it opens with its password only, so keep both")


@app.command(
    cls=Command,
    epilog=examples(
        "ando wallet remove",
    ),
)
def remove(ctx: typer.Context, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False) -> None:
    """Delete the stored key. Without a backup its money is lost."""
    state = invocation(ctx)
    store = state.open_wallet()
    place = store.place()
    if place is not None and not yes:
        _confirm(state.terminal, place)
    place = store.remove()
    if state.terminal.json_output:
        state.terminal.json({"removed": place})
    else:
        state.terminal.note(f"the wallet is gone from the {place}")


def _place(into_keystore: bool) -> Place:
    return Place.KEYSTORE if into_keystore else Place.KEYRING


def _save(state: Invocation, store: WalletStore, key: PrivateKey, place: Place) -> None:
    store.save(key, place)
    _show_address(state.terminal, key.address)
    state.terminal.note(f"stored in the {place}; back it up with `ando wallet export -o FILE`")
    if store.variable:
        state.terminal.warn(f"{store.variable} is set, and its key is used instead of this one")


def _show_address(terminal: Terminal, address: str) -> None:
    if terminal.json_output:
        terminal.json({"address": address})
    else:
        terminal.answer(address)


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
    # A key that is typed where the terminal echoes it is no secret any more.
    raise UsageError("there is no terminal to ask for the key on", hint="pipe the key in, or leave stderr alone")


def _read_file(path: Path, store: WalletStore) -> PrivateKey:
    return keystore.decrypt(keystore.read(path), store.current_password(f"Password of {path.name}: "))


def _confirm(terminal: Terminal, place: Place) -> None:
    answer = terminal.ask(f"Delete the key in the {place}? Without a backup its money and its channels are lost.")
    if answer is None:
        raise UsageError("there is no terminal to ask on", hint="add --yes to delete the key", code=Code.NEEDS_YES)
    if not answer:
        raise DeclinedError("nothing was deleted", hint="answer y to delete the key")
