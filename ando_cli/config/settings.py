"""The user's settings: flags > environment > ``config.toml`` > defaults, and the folders of configuration and state.

Everything is validated here, before anything is sent or signed. An unknown key in the file is an error: a misspelt cap
must not silently be no cap. ``KEYS`` lists all settings. A new setting is a line there, a field of ``Settings`` and a
line in ``merge``; ``ando config`` and a test of the documentation use the table.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ando_cli.config.schema import CONFIG_FILE, NETWORKS_TABLE, Given, Key, Kind, Source, find, read_config
from ando_cli.errors import UsageError
from ando_cli.frozen import frozen
from ando_cli.money import parse_amount
from ando_cli.tempo.network import NETWORKS, SANDBOX, Network, parse_network
from ando_cli.urls import check_url, origin

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_BASE_URL = "https://inference.andoai.xyz/v1"
DEFAULT_NETWORK = "tempo"
DEFAULT_MAX_DEPOSIT = 5_000_000
DEFAULT_CONNECT_TIMEOUT = 10.0
DEFAULT_TIMEOUT = 300.0

MPP_RAIL, KEY_RAIL = RAILS = ("mpp", "key")

STORE_FILE = "sessions.db"
MODELS_FILE = "models.json"
"""The files in the state folder: the record of channels, and the models that the gateway listed last."""

SANDBOX_GATEWAY = "sandbox"
"""The gateway's name in records of the sandbox's channels: the sandbox's port changes from run to run."""

SWITCH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
KEYS: dict[str, Key] = {
    key.name: key
    for key in (
        Key("base_url", Kind.URL, "The gateway.", default=DEFAULT_BASE_URL, option="--base-url"),
        Key("network", Kind.TEXT, "The Tempo network.", default=DEFAULT_NETWORK, option="--network"),
        Key("rpc_url", Kind.URL, "The RPC endpoint, instead of the network's own.", option="--rpc-url", secret=True),
        Key(
            "max_spend", Kind.AMOUNT, "The most that one command may deposit, and the most that it may newly authorise."
        ),
        Key("max_deposit", Kind.AMOUNT, "The most that one deposit may be.", default=DEFAULT_MAX_DEPOSIT),
        Key("budget.day", Kind.AMOUNT, "The most that may be authorised in a day."),
        Key("budget.month", Kind.AMOUNT, "The most that may be authorised in a month."),
        Key("budget.total", Kind.AMOUNT, "The most that may be authorised in all."),
        Key("timeout", Kind.SECONDS, "How long an answer may take.", default=DEFAULT_TIMEOUT),
        Key("max_time", Kind.SECONDS, "How long everything may take, answers and the chain included."),
        Key("connect_timeout", Kind.SECONDS, "How long to wait for a connection.", default=DEFAULT_CONNECT_TIMEOUT),
        Key("rail", Kind.TEXT, "How ando chat pays: mpp or key.", default=MPP_RAIL, choices=RAILS),
        Key("profile", Kind.TEXT, "Which stored Virtual Key to use."),
        Key("model", Kind.TEXT, "The model, unless -m names one."),
        Key("delegate", Kind.SWITCH, "Whether a new channel gets a key of its own.", default=False),
        Key("history", Kind.SWITCH, "Whether to remember what you type in conversations.", default=True),
        Key("keep", Kind.SWITCH, "Whether ando chat saves conversations.", default=False),
    )
}
"""Everything that can be configured, except the tables of networks."""


@frozen
class Folders:
    """The folders of the configuration and of the state."""

    config: Path
    state: Path


@frozen
class Flags:
    """The global options, as typed. ``None`` or ``False`` if not given."""

    base_url: str | None = None
    network: str | None = None
    rpc_url: str | None = None
    sandbox: bool = False
    json_output: bool = False
    toon_output: bool = False
    quiet: bool = False
    verbose: int = 0


@frozen
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
    max_time: float | None = None
    budget_day: int | None = None
    budget_month: int | None = None
    budget_total: int | None = None
    rail: str = MPP_RAIL
    profile: str | None = None
    model: str | None = None
    delegate: bool = False
    """Whether a new channel gets its own key, which signs its vouchers."""
    history: bool = True
    """Whether to remember what the user types, for later conversations."""
    keep: bool = False
    """Whether to save conversations."""

    @property
    def gateway(self) -> str:
        """The gateway's identity in the store: the origin of the base URL, or ``sandbox``."""
        return SANDBOX_GATEWAY if self.sandbox else origin(self.base_url)

    def gateway_of(self, url: str) -> str:
        """Return the identity of the gateway that serves ``url``."""
        found = origin(url)
        return self.gateway if found == origin(self.base_url) else found


def find_folders(environ: Mapping[str, str]) -> Folders:
    """Find the folders: both under ``ANDO_HOME`` if that is set, else in the platform's usual places."""
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
        UsageError: a flag, a variable or a key is wrong; the message names it.
    """
    folders = find_folders(environ)
    return merge(flags, environ, read_config(folders.config / CONFIG_FILE, KEYS), folders)


def merge(flags: Flags, environ: Mapping[str, str], config: Mapping[str, Any], folders: Folders) -> Settings:
    """Return the settings that follow from the arguments; ``config`` is what ``read_config`` returns.

    Raises:
        UsageError: as ``load``.
    """

    def value(name: str) -> Any:
        return read_value(KEYS[name], given(KEYS[name], flags, environ, config))

    if flags.sandbox:
        for typed, flag in ((flags.base_url, "--base-url"), (flags.network, "--network"), (flags.rpc_url, "--rpc-url")):
            if typed is not None:
                raise UsageError(f"--sandbox and {flag} cannot be used together", hint="leave one of them out")
        base_url = "http://127.0.0.1/v1"
        network = SANDBOX
        folders = Folders(folders.config, folders.state / "sandbox")
    else:
        base_url = value("base_url")
        network = _network(flags, environ, config)
    return Settings(
        base_url=base_url,
        network=network,
        folders=folders,
        sandbox=flags.sandbox,
        max_deposit=value("max_deposit"),
        max_spend=value("max_spend"),
        budget_day=value("budget.day"),
        budget_month=value("budget.month"),
        budget_total=value("budget.total"),
        connect_timeout=value("connect_timeout"),
        timeout=value("timeout"),
        max_time=value("max_time"),
        rail=value("rail"),
        profile=value("profile"),
        model=value("model"),
        delegate=value("delegate"),
        history=value("history"),
        keep=value("keep"),
    )


def given(key: Key, flags: Flags, environ: Mapping[str, str], config: Mapping[str, Any]) -> Given:
    """Return the value of ``key`` in force, as it was given."""
    return find(key, getattr(flags, key.name) if key.option else None, environ, config)


def read_value(key: Key, found: Given) -> Any:
    """Return the value of ``key`` as the settings hold it: amounts in base units, timeouts in seconds.

    Raises:
        UsageError: the value is invalid for the key; the message names its source.
    """
    value, name = found.value, found.name
    if found.source is Source.DEFAULT:
        return value
    match key.kind:
        case Kind.AMOUNT:
            if isinstance(value, bool) or not isinstance(value, (str, int)):
                raise UsageError(f"{name} is not an amount", hint=f'write it as a string: {key.name} = "2.50"')
            return parse_amount(str(value), name)
        case Kind.SECONDS:
            return parse_seconds(value, name)
        case Kind.SWITCH:
            return _switch(key, found)
    if not isinstance(value, str):
        raise UsageError(f"{name} is not a string", hint=f'write {key.name} = "…"')
    if key.kind is Kind.URL:
        # An RPC provider's URL may hold a password; the gateway's may not.
        return check_url(value, name, allow_password=key.secret)
    if key.choices and value not in key.choices:
        raise UsageError(
            f"invalid {key.name} {value[:64]!r}: expected {' or '.join(key.choices)}", hint=f"correct {name}"
        )
    return value


def parse_seconds(value: str | float, name: str) -> float:
    """Return a timeout in seconds, above zero and at most a day.

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


def _network(flags: Flags, environ: Mapping[str, str], config: Mapping[str, Any]) -> Network:
    chosen = given(KEYS["network"], flags, environ, config)
    name = read_value(KEYS["network"], chosen)
    tables = config.get(NETWORKS_TABLE, {})
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
            f"{chosen.name} names an unknown network", hint=f"known networks: {known}; add others to config.toml"
        )
    rpc_url = read_value(KEYS["rpc_url"], given(KEYS["rpc_url"], flags, environ, config))
    if rpc_url is None:
        rpc_url = check_url(network.rpc_url, f"networks.{name}.rpc_url in {CONFIG_FILE}", allow_password=True)
    return dataclasses.replace(network, rpc_url=rpc_url)


def _switch(key: Key, found: Given) -> bool:
    if found.source is Source.FILE:
        if not isinstance(found.value, bool):
            raise UsageError(f"{found.name} must be true or false", hint=f"write {key.name} = true")
        return found.value
    wanted = SWITCH.get(found.value.strip().lower())
    if wanted is None:
        raise UsageError(f"{found.name} must be 1 or 0", hint=f"write {found.name}=1 or {found.name}=0")
    return wanted
