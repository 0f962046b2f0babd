"""Changing ``config.toml``: the whole result is checked before the file is replaced, and comments stay.

A change takes text and returns text. The result must load without the environment's help, or nothing is written.
"""

from __future__ import annotations

import os
import tempfile
import tomllib
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ando_cli.config.schema import CONFIG_FILE, NETWORKS_TABLE, Kind, parse_config, unknown_key
from ando_cli.config.settings import KEYS, SWITCH, Flags, Folders, merge
from ando_cli.errors import AndoError, Code, UsageError
from ando_cli.files import make_private_folder, replace_private
from ando_cli.tempo.network import NETWORK_KEYS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ando_cli.config.schema import Key

_LISTS = ("escrows", "precompiles")


def check_name(name: str) -> None:
    """Check that ``name`` can be configured: it is a key of the table, or ``networks.NAME.KEY``.

    Raises:
        UsageError: it cannot; the hint suggests the key that was probably meant.
    """
    table = name.rpartition(".")[0]
    if table.startswith(f"{NETWORKS_TABLE}."):
        known = [f"{table}.{each}" for each in sorted(NETWORK_KEYS)]
    else:
        known = [*KEYS, *(f"{NETWORKS_TABLE}.NAME.{each}" for each in sorted(NETWORK_KEYS))]
    if name not in known:
        raise unknown_key(name, known, "unknown key")


def with_values(text: str, values: Mapping[str, str]) -> str:
    """Return ``text`` with these keys set; comments and order stay as they are.

    Raises:
        UsageError: a key is unknown, a value has unprintable characters, ``text`` is not TOML, or its layout allows
            only a person to change it.
    """
    for name, value in values.items():
        check_name(name)
        if not value.isprintable():
            raise UsageError(f"the value for {name} holds characters that cannot be shown", hint="leave them out")

    def change(document: Any) -> None:
        for name, value in values.items():
            holder = document
            *tables, key = _steps(name)
            for depth, table in enumerate(tables):
                holder = _inside(holder, table, leads_on=depth + 1 < len(tables))
            holder[key] = _as_toml(name, value)

    return _changed(text, change)


def without(text: str, names: Iterable[str]) -> tuple[str, list[str]]:
    """Return ``text`` without these keys or tables, and the names of those that were removed.

    An unknown key can be removed too, because it prevents the file from being read.

    Raises:
        UsageError: a key is neither known nor in the file, ``text`` is not TOML, or only a person can change it.
    """
    removed: list[str] = []

    def change(document: Any) -> None:
        removed.clear()
        for name in names:
            table, _, rest = name.partition(".")
            # A key whose dot is in quotes is another key. It is wrong in the file, so the user may want to remove it.
            # A network's name may hold dots.
            if any(_remove(document, steps) for steps in ([name], [table, rest], _steps(name))):
                removed.append(name)
            elif table != NETWORKS_TABLE or not rest:
                check_name(name)

    return _changed(text, change), removed


def check(text: str) -> None:
    """Check that the settings load from ``text`` alone, so that no variable hides what is wrong with it.

    Raises:
        UsageError: the settings do not load.
    """
    config = parse_config(text, KEYS, hint="correct it with `ando config edit`")
    merge(Flags(), {}, config, Folders(Path(), Path()))


def read(path: Path) -> str:
    """Return the text of the file; empty if there is no file.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return path.read_bytes().decode("utf-8")  # unchanged, so that line ends stay as they are
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path.name}: {type(error).__name__}", hint=f"check the file {path}") from None


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Lock the file, so that two changes at once do not overwrite each other.

    Raises:
        AndoError: its folder cannot be written.
    """
    from filelock import FileLock

    try:
        make_private_folder(path.parent)
        lock = FileLock(path.with_suffix(".lock"), mode=0o600)
        lock.acquire()
    except OSError as error:
        raise _unwritable(path, error) from None
    try:
        yield
    finally:
        lock.release()


def copy(path: Path, text: str) -> Path:
    """Write ``text`` to a new file beside ``path``, mode 0600, for an editor, and return its path.

    Raises:
        AndoError: it cannot be written.
    """
    try:
        make_private_folder(path.parent)
        descriptor, name = tempfile.mkstemp(prefix="config-edit-", suffix=".toml", dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
    except OSError as error:
        raise _unwritable(path, error) from None
    return Path(name)


def replace(path: Path, text: str) -> None:
    """Replace the file with ``text``: all of it or nothing, mode 0600.

    Raises:
        UsageError: ``text`` would not load; the file does not change.
        AndoError: it cannot be written.
    """
    check(text)
    try:
        # Keep a symbolic link, for example into a folder of dotfiles.
        replace_private(path.resolve(), text.encode())
    except OSError as error:
        raise _unwritable(path, error) from None


def template() -> str:
    """Return the text of a new file: every key as a comment that explains it."""
    lines = ["# The configuration of ando. Options and ANDO_… variables override this file.", ""]
    table = ""
    for key in sorted(KEYS.values(), key=lambda key: "." in key.name):
        *tables, last = key.name.split(".")
        if tables and tables[0] != table:
            table = tables[0]
            lines += [f"# [{table}]", ""]
        lines += [f"# {key.help}", f"# {last} = {_example(key)}", ""]
    return "\n".join(lines)


def _example(key: Key) -> str:
    match key.kind:
        case Kind.AMOUNT:
            return '"5"'
        case Kind.SECONDS:
            return f"{key.default or 30:g}"
        case Kind.SWITCH:
            return "true"
    return f'"{key.default or (key.choices[0] if key.choices else "…")}"'


def _steps(name: str) -> list[str]:
    """Return the tables and the key that ``name`` refers to. A network's name may hold dots."""
    if name.count(".") > 1 and name.startswith(f"{NETWORKS_TABLE}."):
        table, _, rest = name.partition(".")
        network, _, key = rest.rpartition(".")
        return [table, network, key]
    return name.split(".")


def _as_toml(name: str, text: str) -> Any:
    """Convert ``text`` to the type of its key. If that fails it stays text, and the check rejects it."""
    last = name.rpartition(".")[2]
    if name not in KEYS:
        if last in _LISTS:
            return [part.strip() for part in text.split(",") if part.strip()]
        return int(text) if last == "chain_id" and text.isascii() and text.isdigit() else text
    match KEYS[name].kind:
        case Kind.SWITCH:
            return SWITCH.get(text.strip().lower(), text)
        case Kind.SECONDS:
            try:
                seconds = float(text)
            except ValueError:
                return text
            return int(seconds) if seconds.is_integer() else seconds
    return text


def _inside(holder: Any, table: str, *, leads_on: bool) -> Any:
    if table not in holder:
        holder[table] = _new_table(leads_on) if hasattr(holder, "unwrap") else {}
    if not isinstance(holder[table], dict):
        raise UsageError(f"{table} in {CONFIG_FILE} is not a table", hint=f"write [{table}]")
    return holder[table]


def _new_table(leads_on: bool) -> Any:
    import tomlkit

    return tomlkit.table(is_super_table=leads_on)


def _remove(document: Any, steps: list[str]) -> bool:
    *tables, key = steps
    holder = document
    for table in tables:
        if not isinstance(holder, dict) or table not in holder:
            return False
        holder = holder[table]
    if not isinstance(holder, dict) or key not in holder:
        return False
    holder.pop(key)
    return True


def _changed(text: str, change: Callable[[Any], None]) -> str:
    """Return the changed ``text``, checked against its changed value: tomlkit puts some keys into a wrong table."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        expected = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(
            f"{CONFIG_FILE} is not valid TOML: {error}", hint="correct it with `ando config edit`"
        ) from None
    change(expected)
    with suppress(TOMLKitError, tomllib.TOMLDecodeError, TypeError, ValueError, KeyError, AttributeError):
        document = tomlkit.parse(text)
        change(document)
        after = document.as_string()
        if _without_empty(tomllib.loads(after)) == _without_empty(expected):
            return str(after)
    raise UsageError(
        f"{CONFIG_FILE} has a layout in which this change cannot be made",
        hint="make it with `ando config edit`",
        code=Code.CONFIG_LAYOUT,
    )


def _without_empty(tables: dict[str, Any]) -> dict[str, Any]:
    """Drop empty tables, which tomlkit does not always write."""
    kept = {key: _without_empty(value) if isinstance(value, dict) else value for key, value in tables.items()}
    return {key: value for key, value in kept.items() if value != {}}


def _unwritable(path: Path, error: OSError) -> AndoError:
    reason = error.strerror or type(error).__name__
    return AndoError(f"cannot write {path.name}: {reason}", hint=f"check {path.parent}", code=Code.UNWRITABLE)
