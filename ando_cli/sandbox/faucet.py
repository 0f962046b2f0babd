"""Give play money to an account before the sandbox starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ando_cli.sandbox.chain.node import Chain, RpcError
from ando_cli.sandbox.database import Database

if TYPE_CHECKING:
    from ando_cli.sandbox.config import SandboxConfig


def fund(config: SandboxConfig, account: str, amount: int) -> None:
    """Add ``amount`` base units to ``account`` on the built-in chain of ``config``.

    Raises:
        ValueError: The file belongs to another chain, or ``account`` is not an address.
    """
    database = Database(config.path)
    try:
        chain = Chain(database, chain_id=config.chain_id, token=config.token, escrow=config.escrow)
        chain.rpc("sandbox_fund", [account, hex(amount)])
    except RpcError as error:
        raise ValueError(error.message) from error
    finally:
        database.close()
