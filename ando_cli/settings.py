"""What the user configured: flags > environment > ``config.toml`` > defaults, and the folders they live in.

Everything is validated here, before anything is sent or signed. An unknown key in the file is an error: a cap that
is misspelt must not silently be no cap.
"""

from __future__ import annotations

import dataclasses
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ando_cli.errors import UsageError
from ando_cli.tempo.network import NETWORKS, SANDBOX, Network, parse_network

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_BASE_URL = "https://inference.andoai.xyz/v1"
DEFAULT_NETWORK = "tempo"
DEFAULT_MAX_DEPOSIT = 5_000_000
DEFAULT_CONNECT_TIMEOUT = 10.0
DEFAULT_TIMEOUT = 300.0

SANDBOX_GATEWAY = "sandbox"
"""The name under which the built-in sandbox's channels are kept: its port changes from run to run."""

_AMOUNT = r"[0-9]{1,15}(?:\.[0-9]{1,6})?"  # compiled where it is first used: most runs read no amount
_SWITCH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_CONFIG_KEYS = {
    "base_url", "network", "networks", "rpc_url", "max_deposit", "max_spend", "timeout", "connect_timeout", "delegate",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Folders:
    """Where the configuration and the state live."""

    config: Path
    state: Path


@dataclass(frozen=True, slots=True)
class Flags:
    """The global options, as typed. ``None`` or ``False`` where they were not."""

    base_url: str | None = None
    network: str | None = None
    rpc_url: str | None = None
    sandbox: bool = False
    json_output: bool = False
    quiet: bool = False
    verbose: int = 0


@dataclass(frozen=True, slots=True)
class Settings:
    """One command's configuration. Amounts in base units of the network's token, timeouts in seconds."""

    base_url: str
    network: Network
    folders: Folders
    sandbox: bool
    max_deposit: int
    max_spend: int | None
    connect_timeout: float
    timeout: float
    delegate: bool = False
    """Whether a new channel gets a key of its own, which signs its vouchers."""

    @property
    def gateway(self) -> str:
        """The gateway's identity in the store: the origin of the base URL, or ``sandbox``."""
        return SANDBOX_GATEWAY if self.sandbox else origin(self.base_url)

    def gateway_of(self, url: str) -> str:
        """The identity of the gateway that serves ``url``."""
        found = origin(url)
        return self.gateway if found == origin(self.base_url) else found


def parse_amount(text: str, name: str = "amount") -> int:
    """Parse a decimal string such as ``5`` or ``0.25`` into base units (6 decimals).

    Raises:
        UsageError: not a plain decimal number, more than six decimals, or zero.
    """
    stripped = text.strip()
    if not re.fullmatch(_AMOUNT, stripped):
        raise UsageError(
            f"{name} is not an amount of money",
            hint="write a plain decimal with at most six decimals, such as 5 or 0.25",
        )
    whole, _, fraction = stripped.partition(".")
    value = int(whole) * 1_000_000 + int(fraction.ljust(6, "0") or "0")
    if value == 0:
        raise UsageError(f"{name} is zero", hint="give an amount above zero")
    return value


def origin(url: str) -> str:
    """``scheme://host[:port]`` of ``url``, lower-case, without the scheme's default port."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    default = {"http": 80, "https": 443}.get(parts.scheme)
    port = "" if parts.port in (None, default) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def may_carry_credentials(url: str) -> bool:
    """Whether a credential may travel to ``url``: https, or plain http to a loopback address."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and (parts.hostname or "").lower() in _LOOPBACK)


def check_url(url: str, name: str, *, allow_password: bool = False, keep_slash: bool = False) -> str:
    """Return ``url`` without white space around it and, unless it is to be kept, without a trailing slash.

    Raises:
        UsageError: not an absolute http(s) URL, or one with a user name or password in it.
    """
    try:
        parts = urlsplit(url.strip())
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid or any(c.isspace() or ord(c) < 32 for c in url.strip()):
        raise UsageError(f"{name} is not an http(s) URL", hint="write it like https://host/path")
    if not allow_password and (parts.username is not None or parts.password is not None):
        raise UsageError(f"{name} holds a user name or password", hint="leave them out of the URL")
    return url.strip() if keep_slash else url.strip().rstrip("/")


def find_folders(environ: Mapping[str, str]) -> Folders:
    """The folders: both under ``ANDO_HOME`` where that is set, else where the platform wants them."""
    home = environ.get("ANDO_HOME")
    if home:
        root = Path(home).expanduser().absolute()
        return Folders(config=root, state=root / "state")
    import platformdirs  # only without ANDO_HOME: it costs start-up time

    return Folders(
        config=Path(platformdirs.user_config_dir("ando", appauthor=False)),
        state=Path(platformdirs.user_state_dir("ando", appauthor=False)),
    )


def load(flags: Flags, environ: Mapping[str, str] = os.environ) -> Settings:
    """Merge flags, environment and the configuration file into one ``Settings``.

    Raises:
        UsageError: naming the flag, the variable or the key that is wrong.
    """
    folders = find_folders(environ)
    config = _read_config(folders.config / "config.toml")
    if flags.sandbox:
        for given, flag in ((flags.base_url, "--base-url"), (flags.network, "--network"), (flags.rpc_url, "--rpc-url")):
            if given is not None:
                raise UsageError(f"--sandbox and {flag} exclude each other", hint="leave one of them out")
        base_url = "http://127.0.0.1/v1"
        network = SANDBOX
        folders = Folders(folders.config, folders.state / "sandbox")
    else:
        base_url = check_url(*_first(flags.base_url, "--base-url", "base_url", environ, config, DEFAULT_BASE_URL))
        network = _network(flags, environ, config)
    return Settings(
        base_url=base_url,
        network=network,
        folders=folders,
        sandbox=flags.sandbox,
        max_deposit=_amount("max_deposit", environ, config) or DEFAULT_MAX_DEPOSIT,
        max_spend=_amount("max_spend", environ, config),
        connect_timeout=_seconds("connect_timeout", environ, config, DEFAULT_CONNECT_TIMEOUT),
        timeout=_seconds("timeout", environ, config, DEFAULT_TIMEOUT),
        delegate=_switch("delegate", environ, config),
    )


def parse_seconds(value: str | float, name: str) -> float:
    """A timeout in seconds, above zero and at most a day.

    Raises:
        UsageError: anything else.
    """
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = 0.0
    if isinstance(value, bool) or not 0 < seconds <= 86_400:
        raise UsageError(f"{name} is not a number of seconds", hint="give a number above 0, such as 30")
    return seconds


def _read_config(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path.name}: {type(error).__name__}", hint=f"check the file {path}") from None
    import tomllib  # only with a configuration file: it costs start-up time

    try:
        config = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"config.toml is not valid TOML: {error}", hint=f"mend {path}") from None
    unknown = sorted(set(config) - _CONFIG_KEYS)
    if unknown:
        raise UsageError(
            f"config.toml has an unknown key: {unknown[0]}", hint=f"known keys: {', '.join(sorted(_CONFIG_KEYS))}"
        )
    return config


def _first(
    flag: str | None, flag_name: str, key: str, environ: Mapping[str, str], config: Mapping[str, Any], default: str
) -> tuple[str, str]:
    """The value in force with the name under which it was given."""
    variable = f"ANDO_{key.upper()}"
    if flag is not None:
        return flag, flag_name
    if environ.get(variable):
        return environ[variable], variable
    if key in config:
        value = config[key]
        if not isinstance(value, str):
            raise UsageError(f"{key} in config.toml is not a string", hint=f'write {key} = "…"')
        return value, f"{key} in config.toml"
    return default, key


def _network(flags: Flags, environ: Mapping[str, str], config: Mapping[str, Any]) -> Network:
    name, source = _first(flags.network, "--network", "network", environ, config, DEFAULT_NETWORK)
    tables = config.get("networks", {})
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise UsageError("networks in config.toml is not a set of tables", hint="write [networks.NAME]")
    added = {added: parse_network(added, table) for added, table in tables.items()}
    if name in added:
        network = added[name]
    elif name in NETWORKS:
        network = NETWORKS[name]
    else:
        known = ", ".join([*NETWORKS, *tables])
        raise UsageError(
            f"{source} names an unknown network", hint=f"known networks: {known}; more go into config.toml"
        )
    rpc_url, rpc_source = _first(flags.rpc_url, "--rpc-url", "rpc_url", environ, config, network.rpc_url)
    # An RPC provider's URL may hold a password; the gateway's may not.
    return dataclasses.replace(network, rpc_url=check_url(rpc_url, rpc_source, allow_password=True))


def _amount(key: str, environ: Mapping[str, str], config: Mapping[str, Any]) -> int | None:
    variable = f"ANDO_{key.upper()}"
    if environ.get(variable):
        return parse_amount(environ[variable], variable)
    if key not in config:
        return None
    value = config[key]
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise UsageError(f"{key} in config.toml is not an amount", hint=f'write it as a string: {key} = "2.50"')
    return parse_amount(str(value), f"{key} in config.toml")


def _seconds(key: str, environ: Mapping[str, str], config: Mapping[str, Any], default: float) -> float:
    variable = f"ANDO_{key.upper()}"
    if environ.get(variable):
        return parse_seconds(environ[variable], variable)
    return parse_seconds(config[key], f"{key} in config.toml") if key in config else default


def _switch(key: str, environ: Mapping[str, str], config: Mapping[str, Any]) -> bool:
    variable = f"ANDO_{key.upper()}"
    if environ.get(variable):
        wanted = _SWITCH.get(environ[variable].strip().lower())
        if wanted is None:
            raise UsageError(f"{variable} is neither on nor off", hint=f"write {variable}=1 or {variable}=0")
        return wanted
    value = config.get(key, False)
    if not isinstance(value, bool):
        raise UsageError(f"{key} in config.toml is neither true nor false", hint=f"write {key} = true")
    return value
