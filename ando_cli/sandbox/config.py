"""Define the configuration that a sandbox is started with."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ando_cli.sandbox.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CHAIN_ID = 133_742_431
TOKEN = "0x20c0000000000000000000000000000000000001"  # noqa: S105 - a currency, not a password
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")
ESCROW = "0x822e4c09c1df6841377229cd7047ab8ad2d5d39f"


@dataclass(frozen=True)
class SandboxConfig:
    """Configure where a sandbox listens, where it stores its state, and which chain it uses.

    Attributes:
        path: the SQLite file with the chain, the sessions and the gateway's keys; created if absent, shared otherwise.
        host: a loopback address. The sandbox listens on no other: its controls have no password.
        port: the port, or 0 for any free one.
        rpc_url: an outside chain; ``None`` means the built-in one. ``chain_id``, ``token`` and ``escrow`` name the
            chain, the currency and the v1 escrow contract there.
        payee_key: the gateway's private key in hexadecimal; ``None`` means a random one, stored in the file.
        virtual_key: the Virtual Key of the account-owned routes; ``None`` means a random one, stored in the file.
        settings: how the gateway behaves until its settings are changed.
        gas_price: the base fee of the built-in chain, in 10**-18 of a token; ``None`` leaves it as it is, which is
            20 gwei at first.
        access_log: called with one line for each request of the gateway; the line holds nothing private.
    """

    path: Path
    host: str = "127.0.0.1"
    port: int = 0
    rpc_url: str | None = None
    chain_id: int = CHAIN_ID
    token: str = TOKEN
    escrow: str = ESCROW
    payee_key: str | None = field(default=None, repr=False)
    virtual_key: str | None = field(default=None, repr=False)
    settings: Settings = field(default_factory=Settings)
    gas_price: int | None = None
    access_log: Callable[[str], None] | None = None

    def __post_init__(self) -> None:
        """Check the host and the Virtual Key.

        Raises:
            ValueError: The host is not a loopback address, or the key cannot be sent in a header.
        """
        if self.host != "localhost" and not _is_loopback(self.host):
            raise ValueError("the sandbox listens on loopback addresses only")
        if self.virtual_key is not None and not _TOKEN.fullmatch(self.virtual_key):
            raise ValueError("a Virtual Key consists of letters, digits and -._~+/=")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
