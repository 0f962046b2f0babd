"""The networks that a payment may run on: chain, token and the escrow contracts that we trust with a deposit.

Only what is listed here, or added by the user's own configuration, is ever paid into: a gateway cannot name an escrow,
a token or a chain of its choosing (docs/protocol.md, sections 3 and 5).
"""

# ruff: noqa: S106 - a token here is a currency
from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ando_cli.errors import Code, UsageError
from ando_cli.frozen import frozen
from ando_cli.tempo.abi import UINT64_MAX, ZERO_ADDRESS, is_address, normalise_address
from ando_cli.tempo.protocol import Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "NETWORKS",
    "NETWORK_KEYS",
    "PRECOMPILE",
    "SANDBOX",
    "Network",
    "is_address",
    "normalise_address",
    "parse_network",
]

PRECOMPILE = "0x4d50500000000000000000000000000000000000"
"""Where every Tempo chain has the v2 escrow (TIP-1034)."""


@frozen
class Network:
    """One chain and what is trusted on it.

    Attributes:
        name: how the user calls it (``--network``).
        chain_id: the EIP-155 chain id, bound into every signature.
        rpc_url: JSON-RPC endpoint. It may contain credentials: never print it.
        token: the TIP-20 token that channels hold and fees are paid in, lower-case hex. 6 decimals.
        token_symbol: the token's name beside an amount.
        escrows: the trusted v1 channel contracts, lower-case hex; none, and v1 is not spoken on this network.
        precompiles: the trusted v2 escrows, lower-case hex; none, and v2 is not spoken on this network.
    """

    name: str
    chain_id: int
    rpc_url: str
    token: str
    token_symbol: str
    escrows: tuple[str, ...]
    precompiles: tuple[str, ...] = (PRECOMPILE,)

    def trusts(self, escrow: str, protocol: Protocol) -> bool:
        """Return whether ``escrow`` (in either case) is trusted with deposits and vouchers.

        The two lists never mix: a contract is not spoken to as a precompile, nor the other way round.
        """
        return escrow.lower() in (self.precompiles if protocol is Protocol.V2 else self.escrows)


NETWORKS: dict[str, Network] = {
    network.name: network
    for network in (
        Network(
            name="tempo",
            chain_id=4217,
            rpc_url="https://rpc.tempo.xyz",
            token="0x20c000000000000000000000b9537d11c60e8b50",
            token_symbol="USDC.e",
            escrows=("0x33b901018174ddabe4841042ab76ba85d4e24f25",),
        ),
        Network(
            name="tempo-moderato",
            chain_id=42431,
            rpc_url="https://rpc.moderato.tempo.xyz",
            token="0x20c0000000000000000000000000000000000000",
            token_symbol="pathUSD",
            escrows=("0xe1c4d3dce17bc111181ddf716f75bae49e61a336",),
        ),
    )
}
"""The public networks, by name."""

SANDBOX = Network(
    name="sandbox",
    # 1337 as for every development chain, then Moderato's 42431: registered to nobody. A signature made for the
    # sandbox is worthless on any chain that holds money.
    chain_id=133_742_431,
    rpc_url="",
    token="0x20c0000000000000000000000000000000000001",
    token_symbol="testUSD",
    # The last 20 bytes of keccak256("ando sandbox escrow v1"): nobody has a key for it.
    escrows=("0x822e4c09c1df6841377229cd7047ab8ad2d5d39f",),
)
"""The built-in sandbox. Its chain lives in this process, so ``rpc_url`` is filled in when it has started."""

_RESERVED = frozenset((*NETWORKS, SANDBOX.name))
NETWORK_KEYS = frozenset(("chain_id", "rpc_url", "token", "token_symbol", "escrows", "precompiles"))
# Compiled where they are first used: most runs read no configuration.
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_SYMBOL = r"[!-~]{1,16}"
_DEFAULT_SYMBOL = "token"


def parse_network(name: str, table: Mapping[str, object]) -> Network:
    """Read one ``[networks.NAME]`` table of ``config.toml``.

    Args:
        name: the table's name. A built-in name is refused: what ``tempo`` means must not depend on a file, and only the
            real sandbox may call itself one.
        table: ``chain_id``, ``rpc_url``, ``token``, ``escrows`` (empty where only v2 is spoken) and, if wanted,
            ``token_symbol`` and ``precompiles`` (empty where the chain has none; the usual one if it is missing).

    Raises:
        UsageError: a key is missing, unknown or wrong; the message names it and never repeats an RPC URL.
    """
    if re.fullmatch(_NAME, name) is None:
        raise _wrong(f"networks.{name[:64]!r}", "the name must be letters, digits, '.', '_' or '-'")
    if name in _RESERVED:
        raise _wrong(f"networks.{name}", "the name is built in; choose another")
    unknown = sorted(set(table) - NETWORK_KEYS)
    if unknown:
        raise _wrong(f"networks.{name}.{unknown[0][:64]!r}", "unknown key")

    def value(key: str) -> object:
        if key not in table:
            raise _wrong(f"networks.{name}.{key}", "missing")
        return table[key]

    chain_id = value("chain_id")
    if not isinstance(chain_id, int) or isinstance(chain_id, bool) or not 0 < chain_id <= UINT64_MAX:
        raise _wrong(f"networks.{name}.chain_id", "expected a positive integer")
    rpc_url = value("rpc_url")
    if not isinstance(rpc_url, str) or not _is_http_url(rpc_url):
        raise _wrong(f"networks.{name}.rpc_url", "expected an http:// or https:// URL")
    escrows = value("escrows")
    if not isinstance(escrows, list | tuple):
        raise _wrong(f"networks.{name}.escrows", "expected a list of addresses, which may be empty")
    precompiles = table.get("precompiles", (PRECOMPILE,))
    if not isinstance(precompiles, list | tuple):
        raise _wrong(f"networks.{name}.precompiles", "expected a list of addresses, which may be empty")
    if not escrows and not precompiles:
        raise _wrong(f"networks.{name}.escrows", "expected an address here or in precompiles")
    symbol = table.get("token_symbol", _DEFAULT_SYMBOL)
    if not isinstance(symbol, str) or re.fullmatch(_SYMBOL, symbol) is None:
        raise _wrong(f"networks.{name}.token_symbol", "expected 1 to 16 visible ASCII characters")
    return Network(
        name=name,
        chain_id=chain_id,
        rpc_url=rpc_url,
        token=_address(f"networks.{name}.token", value("token")),
        token_symbol=symbol,
        escrows=_addresses(f"networks.{name}.escrows", escrows),
        precompiles=_addresses(f"networks.{name}.precompiles", precompiles),
    )


def _addresses(key: str, values: Iterable[object]) -> tuple[str, ...]:
    return tuple(_address(f"{key}[{i}]", value) for i, value in enumerate(values))


def _address(key: str, value: object) -> str:
    if not isinstance(value, str) or not is_address(value) or value.lower() == ZERO_ADDRESS:
        raise _wrong(key, "expected an address, 0x and 40 hex digits, not zero")
    return normalise_address(value)


def _is_http_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        # Reading the port is what validates it.
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _wrong(key: str, what: str) -> UsageError:
    return UsageError(f"{key}: {what}", hint="correct this key in config.toml", code=Code.NETWORK_CONFIG)
