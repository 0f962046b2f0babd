"""The sandbox of one command: started for it, with a wallet that always has play money."""

from __future__ import annotations

import dataclasses
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ando_cli.errors import Code, StoreError
from ando_cli.files import make_private_folder
from ando_cli.tempo.keys import PrivateKey

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ando_cli.config.settings import Settings

_SANDBOX_FUNDS = 100_000_000
_SANDBOX_RATION = 20_000_000
"""The sandbox's wallet is refilled to 100 when it holds less than 20: play money costs nothing."""


@contextmanager
def running_sandbox(settings: Settings) -> Iterator[tuple[Settings, PrivateKey, Any]]:
    """Run a sandbox for the length of one command.

    Yields:
        The settings that lead to it, the key of a wallet that has money there, and the sandbox itself.

    Raises:
        StoreError: its files cannot be written.
    """
    folder = settings.folders.state
    key = _sandbox_key(folder / "wallet.key")
    from ando_cli.sandbox import server

    with server.Sandbox(server.SandboxConfig(path=folder / "chain.db")) as sandbox:
        balance_of = {"to": settings.network.token, "data": "0x70a08231" + key.address[2:].rjust(64, "0")}
        if int(sandbox.rpc("eth_call", balance_of, "latest"), 16) < _SANDBOX_RATION:
            sandbox.fund(key.address, _SANDBOX_FUNDS)
        network = dataclasses.replace(settings.network, rpc_url=sandbox.rpc_url)
        yield dataclasses.replace(settings, base_url=sandbox.base_url, network=network), key, sandbox


def _sandbox_key(path: Path) -> PrivateKey:
    """Return the sandbox wallet's key, created at first use. It guards no money, so a plain file is enough."""
    try:
        make_private_folder(path.parent)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return PrivateKey.parse(path.read_text(encoding="utf-8"))
        key = PrivateKey.generate()
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(key.to_hex())
    except (OSError, ValueError) as error:
        raise StoreError(
            f"the sandbox's wallet cannot be used: {getattr(error, 'strerror', None) or 'it is damaged'}",
            hint=f"delete the folder {path.parent}: it holds no real money",
            code=Code.SANDBOX_DAMAGED,
        ) from None
    return key
