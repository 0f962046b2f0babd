"""Checks of this machine alone: versions, files, keyring, wallet."""

from __future__ import annotations

import os
import platform
import stat
from importlib import metadata
from typing import TYPE_CHECKING

from ando_cli import __version__
from ando_cli.config.schema import CONFIG_FILE
from ando_cli.config.settings import STORE_FILE
from ando_cli.doctor.report import Line, Status
from ando_cli.errors import AndoError, WalletError
from ando_cli.keys import oskeyring
from ando_cli.session.record.database import engine, examine

if TYPE_CHECKING:
    from pathlib import Path

    from ando_cli.config.settings import Folders

PACKAGES = ("httpx", "web3", "eth-account", "pytempo", "coincurve", "keyring", "typer", "rich")


def versions() -> Line:
    """Return the versions that a bug report should name."""
    found = {name: _version(name) for name in PACKAGES}
    missing = [name for name, version in found.items() if version is None]
    told = [f"ando {__version__}", f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"]
    told += [f"{name} {version}" for name, version in found.items() if version] + [engine()]
    if missing:
        return Line("versions", Status.FAIL, f"missing: {', '.join(missing)}; {', '.join(told)}", "reinstall ando")
    return Line("versions", Status.PASS, ", ".join(told))


def configuration(folders: Folders) -> Line:
    """Return the line on the configuration file, which has loaded if this runs."""
    path = folders.config / CONFIG_FILE
    if not path.exists():
        return Line("configuration", Status.PASS, f"the defaults; {path} does not exist")
    return _private(path, 0o600) or Line("configuration", Status.PASS, f"{path} is valid")


def state(folders: Folders) -> Line:
    """Return the line on the state folder and its store, without changing them."""
    folder = folders.state
    if not folder.exists():
        return Line("state", Status.PASS, f"nothing yet; {folder} is created when needed")
    if not os.access(folder, os.W_OK | os.X_OK):
        return Line("state", Status.FAIL, f"{folder} cannot be written", "make it writable")
    path = folder / STORE_FILE
    try:
        found = f"{path}, schema {examine(path)}" if path.exists() else f"{folder}, without a channel yet"
    except AndoError as error:
        return Line.of_error("state", error)
    open_to_others = _private(folder, 0o700, "state") or (_private(path, 0o600, "state") if path.exists() else None)
    return open_to_others or Line("state", Status.PASS, found)


def keyring() -> Line:
    """Return the line on the OS keyring, which keeps the wallet, delegated keys and Virtual Keys."""
    try:
        names = oskeyring.usable()
    except WalletError as error:
        return Line.of_error("keyring", error, Status.WARN)
    return Line("keyring", Status.PASS, ", ".join(names))


def _private(path: Path, mode: int, name: str = "configuration") -> Line | None:
    """Return a warning if others can access ``path``. The mode says nothing about that on Windows."""
    found = stat.S_IMODE(path.stat().st_mode)
    if os.name == "nt" or not found & 0o077:
        return None
    return Line(name, Status.WARN, f"others can access {path} (mode {found:04o})", f"chmod {mode:o} {path}")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
