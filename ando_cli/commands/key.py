"""``ando key``: store, show, list or remove Virtual Keys. No command prints one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ando_cli.app import SharedOptionsGroup
from ando_cli.cli.command import Command
from ando_cli.cli.help import examples
from ando_cli.cli.options import ConnectTimeoutOption, TimeoutOption, key_options
from ando_cli.errors import DeclinedError, KeyMissingError, UsageError
from ando_cli.inference.account import MODELS_PATH, read_models
from ando_cli.keys.virtual_keys import DEFAULT_PROFILE, VARIABLE, VirtualKey, VirtualKeys, check_key, check_profile
from ando_cli.runtime.context import invocation
from ando_cli.runtime.wiring import assemble, connect_with_key

if TYPE_CHECKING:
    from ando_cli.runtime.context import Invocation
    from ando_cli.terminal.output import Terminal

_LONGEST_INPUT = 4096
"""Bytes that are read from stdin in search of a key."""

app = typer.Typer(
    cls=SharedOptionsGroup,
    add_completion=False,
    help="Store, show, list or remove the Virtual Keys of Ando accounts.",
    epilog=f"""\
A key can also be in the environment, as {VARIABLE}: it is then used unless --profile names a stored one.

Examples:
  ando key set
  ando key set --profile work < key.txt
  ando chat --rail key --profile work "good morning"
""",
)

ProfileOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="The profile. [env: ANDO_PROFILE]", show_default=DEFAULT_PROFILE)
]


@app.command(
    "set",
    cls=Command,
    epilog=examples(
        "ando key set",
        "ando key set --profile work < key.txt",
    ),
)
def set_(
    ctx: typer.Context,
    profile: ProfileOption = None,
    no_check: Annotated[
        bool, typer.Option("--no-check", help="Store it without asking the gateway whether it is good.")
    ] = False,
    timeout: TimeoutOption = None,
    connect_timeout: ConnectTimeoutOption = None,
) -> None:
    """Take a key from a hidden prompt or from stdin, check it, and store it in the OS keyring."""
    state = invocation(ctx)
    _refuse_sandbox(state)
    terminal, settings = state.terminal, state.settings
    named = _profile(state, profile)
    options = key_options(named, timeout, connect_timeout)
    keys = VirtualKeys(state.environ)
    keys.check_keyring()  # before anybody types
    key = VirtualKey(_read_key(terminal), named, settings.gateway)
    count = None
    if not no_check:
        with assemble(state, options) as parts:
            terminal.stage("asking the gateway whether the key is good")
            client = connect_with_key(state, parts, key.value)
            count = len(read_models(client.get(MODELS_PATH)))
    keys.store(key)
    if terminal.json_output:
        terminal.json({**_shape(key), "models": count})
    else:
        good = "not checked" if count is None else f"it may use {count} model{'' if count == 1 else 's'}"
        terminal.note(f"stored the key {key.preview} in the profile {named!r}: {good}")


@app.command(
    cls=Command,
    epilog=examples(
        "ando key show",
        "ando key show --profile work -j",
    ),
)
def show(ctx: typer.Context, profile: ProfileOption = None) -> None:
    """Show which key would be used: a short preview, and where it is from."""
    state = invocation(ctx)
    _refuse_sandbox(state)
    terminal = state.terminal
    key = VirtualKeys(state.environ, state.settings.profile).look(profile)
    if key is None:
        raise KeyMissingError("there is no Virtual Key", hint=f"store one with `ando key set`, or set {VARIABLE}")
    if terminal.json_output:
        terminal.json(_shape(key))
    else:
        where = VARIABLE if key.profile is None else f"the profile {key.profile!r}, for {key.gateway}"
        terminal.answer(f"{key.preview}  from {where}")


@app.command(
    "list",
    cls=Command,
    epilog=examples(
        "ando key list",
    ),
)
def list_(ctx: typer.Context) -> None:
    """List the keys that there are."""
    state = invocation(ctx)
    _refuse_sandbox(state)
    terminal = state.terminal
    keys = VirtualKeys(state.environ).all()
    if terminal.structured:
        terminal.json([_shape(key) for key in keys])
        return
    if not keys:
        terminal.note("no Virtual Keys yet: `ando key set` stores one")
        return
    rows = [[key.profile or "-", key.preview, key.gateway or "any", key.source] for key in keys]
    terminal.table(("profile", "key", "gateway", "from"), rows, right=(), fold=("gateway",))


@app.command(
    cls=Command,
    epilog=examples(
        "ando key remove --profile work",
    ),
)
def remove(
    ctx: typer.Context,
    profile: ProfileOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove a stored key. It stays valid until it is revoked in Ando."""
    state = invocation(ctx)
    _refuse_sandbox(state)
    terminal = state.terminal
    named = _profile(state, profile)
    if not yes:
        answer = terminal.ask(f"Remove the Virtual Key of the profile {named!r}?")
        if answer is None:
            raise UsageError("there is no terminal to ask on", hint="remove it with --yes")
        if not answer:
            raise DeclinedError("nothing was removed")
    if not VirtualKeys(state.environ).remove(named):
        raise KeyMissingError(f"there is no key in the profile {named!r}", hint="ando key list")
    if terminal.json_output:
        terminal.json({"removed": named})
    else:
        terminal.note(f"removed the key of the profile {named!r}; revoke it in Ando if nobody is to use it any more")


def _profile(state: Invocation, profile: str | None) -> str:
    return check_profile(profile or state.settings.profile or DEFAULT_PROFILE)


def _refuse_sandbox(state: Invocation) -> None:
    if state.settings.sandbox:
        raise UsageError("the sandbox looks after its own Virtual Key", hint="leave out --sandbox")


def _read_key(terminal: Terminal) -> str:
    if not terminal.stdin_tty:
        return check_key(terminal.read_bytes(_LONGEST_INPUT).decode("utf-8", errors="replace"), "what is piped in")
    ask = terminal.secret_prompt()
    if ask is None:
        raise UsageError("there is no terminal to ask for the key on", hint="pipe it in: ando key set < key.txt")
    return check_key(ask("Virtual Key (not shown): "), "what was typed")


def _shape(key: VirtualKey) -> dict[str, Any]:
    return {"profile": key.profile, "preview": key.preview, "gateway": key.gateway, "source": key.source}
