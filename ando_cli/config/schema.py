"""The configuration as data: what a key is, the file that holds keys, and which of several values is in force.

The table of keys is :data:`ando_cli.config.settings.KEYS`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ando_cli.errors import UsageError
from ando_cli.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

CONFIG_FILE = "config.toml"
NETWORKS_TABLE = "networks"
"""The one table whose keys the user names: each is a network, with keys of its own."""


class Kind(StrEnum):
    """The type of a value, which decides how it is written."""

    TEXT = "text"
    URL = "url"
    AMOUNT = "amount"
    """Base units inside, a decimal string outside."""
    SECONDS = "seconds"
    SWITCH = "switch"


class Source(StrEnum):
    """Where a value in force comes from; each source overrides those below it."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    FILE = "file"
    DEFAULT = "default"


@frozen
class Key:
    """One thing that can be configured.

    Attributes:
        name: as in ``config.toml``; ``budget.day`` is the key ``day`` in the table ``budget``.
        default: the value as the settings hold it, an amount in base units; ``None`` if there is no default.
        option: the global option that overrides everything else. Its value is the attribute ``name`` of the flags.
        choices: the allowed texts; empty if every text is allowed.
        secret: a URL that may hold a key, and is never shown beyond its host.
    """

    name: str
    kind: Kind
    help: str
    default: Any = None
    option: str | None = None
    choices: tuple[str, ...] = ()
    secret: bool = False

    @property
    def variable(self) -> str:
        """The key's environment variable."""
        return "ANDO_" + self.name.upper().replace(".", "_")


@frozen
class Given:
    """A value in force: text from a flag or a variable, a TOML value from the file, or the default.

    ``name`` is what a message calls it: the option, the variable, or the key in the file.
    """

    value: Any
    source: Source
    name: str


def find(key: Key, flag: str | None, environ: Mapping[str, str], config: Mapping[str, Any]) -> Given:
    """Return the value of ``key`` that is in force. An empty variable counts as unset."""
    if flag is not None and key.option is not None:
        return Given(flag, Source.FLAG, key.option)
    if environ.get(key.variable):
        return Given(environ[key.variable], Source.ENVIRONMENT, key.variable)
    table, _, last = key.name.rpartition(".")
    found = config.get(table, {}) if table else config
    if last in found:
        return Given(found[last], Source.FILE, f"{key.name} in {CONFIG_FILE}")
    return Given(key.default, Source.DEFAULT, key.name)


def read_config(path: Path, names: Iterable[str]) -> dict[str, Any]:
    """Read the file at ``path``; if there is none, nothing is set.

    Raises:
        UsageError: the file cannot be read, or as ``parse_config``.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path.name}: {type(error).__name__}", hint=f"check the file {path}") from None
    return parse_config(text, names, hint=f"correct {path}")


def parse_config(text: str, names: Iterable[str], *, hint: str) -> dict[str, Any]:
    """Read ``text`` as TOML in which every key is one of ``names`` or a network's.

    Raises:
        UsageError: it is not TOML, a key is unknown, or a table is not a table.
    """
    import tomllib  # only with a configuration file: it costs start-up time

    try:
        config = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{CONFIG_FILE} is not valid TOML: {error}", hint=hint) from None
    known = {*names, NETWORKS_TABLE}
    tables = {name.partition(".")[0] for name in known if "." in name}
    for name, value in config.items():
        if name in tables and not isinstance(value, dict):
            raise UsageError(f"{name} in {CONFIG_FILE} is not a table", hint=f"write [{name}]")
        wrong = [f"{name}.{key}" for key in value if f"{name}.{key}" not in known] if name in tables else []
        # A quoted key with a dot is not a key of the table, and would silently have no effect.
        if wrong or (name not in tables and (name not in known or "." in name)):
            raise unknown_key(wrong[0] if wrong else name, known, f"{CONFIG_FILE} has an unknown key")
    return config


def unknown_key(name: str, known: Iterable[str], what: str) -> UsageError:
    """Return the error for an unknown key. The hint suggests the key that was probably meant, or lists all keys."""
    from difflib import get_close_matches

    names = sorted(known)
    meant = get_close_matches(name, names, n=1)
    hint = f"did you mean {meant[0]}?" if meant else f"known keys: {', '.join(names)}"
    return UsageError(f"{what}: {name[:64]!r}", hint=hint)
