"""The configuration, for a reader: each value in force, where it comes from, and nothing secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ando_cli import redact
from ando_cli.config.schema import CONFIG_FILE, NETWORKS_TABLE, Kind, Source
from ando_cli.config.settings import KEYS, given, merge, read_value
from ando_cli.frozen import frozen
from ando_cli.money import amount
from ando_cli.tempo.network import SANDBOX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ando_cli.config.schema import Key
    from ando_cli.config.settings import Flags, Folders

_SANDBOXED = ("base_url", "network", "rpc_url")


@frozen
class Row:
    """One value in force.

    ``value`` is as in JSON: amounts are decimal strings, and ``None`` means not set. ``name`` is the option or the
    variable that the value comes from.
    """

    key: str
    value: Any
    source: Source
    name: str | None = None


def rows(
    flags: Flags, environ: Mapping[str, str], config: Mapping[str, Any], folders: Folders, *, reveal: bool = False
) -> list[Row]:
    """Return every key with its value in force, then the networks of the file.

    Args:
        config: what ``read_config`` returns.
        reveal: show URLs in full, also those that may hold a key.

    Raises:
        UsageError: a value is wrong.
    """
    network = merge(flags, environ, config, folders).network
    found = []
    for key in KEYS.values():
        at = given(key, flags, environ, config)
        if flags.sandbox and key.name in _SANDBOXED:
            found.append(Row(key.name, SANDBOX.name, Source.FLAG, "--sandbox"))
            continue
        name = at.name if at.source in (Source.FLAG, Source.ENVIRONMENT) else None
        if key.name == "rpc_url" and at.source is Source.DEFAULT:
            added = network.name in config.get(NETWORKS_TABLE, {})
            found.append(Row(key.name, _url(network.rpc_url, reveal), Source.FILE if added else Source.DEFAULT))
            continue
        found.append(Row(key.name, _shown(key, read_value(key, at), reveal), at.source, name))
    for network_name, table in config.get(NETWORKS_TABLE, {}).items():
        for name, value in table.items():
            shown = _url(value, reveal) if name == "rpc_url" else value
            found.append(Row(f"{NETWORKS_TABLE}.{network_name}.{name}", shown, Source.FILE))
    return found


def text(row: Row) -> str:
    """Return the value as a line of text; empty if there is none."""
    if row.value is None:
        return ""
    if isinstance(row.value, bool):
        return "true" if row.value else "false"
    if isinstance(row.value, list):
        return ", ".join(map(str, row.value))
    return str(row.value)


def origin(row: Row) -> str:
    """Return where the value comes from, in words."""
    return row.name or (CONFIG_FILE if row.source is Source.FILE else str(row.source))


def _shown(key: Key, value: Any, reveal: bool) -> Any:
    if value is None:
        return None
    match key.kind:
        case Kind.AMOUNT:
            return amount(value)
        case Kind.SECONDS:
            return int(value) if value == int(value) else value
        case Kind.URL:
            return _url(value, reveal) if key.secret else value
    return value


def _url(value: str, reveal: bool) -> str:
    return value if reveal else redact.host_only(value)
