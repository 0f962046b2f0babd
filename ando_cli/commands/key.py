"""``ando key``: store, show, list or remove Virtual Keys. No command prints one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ando_cli.cli.command import Command
from ando_cli.cli.globals import SharedOptionsGroup
from ando_cli.cli.groups import grouped
from ando_cli.cli.help import examples
from ando_cli.cli.options import ConnectionOptions
from ando_cli.errors import DeclinedError, KeyMissingError, UsageError
from ando_cli.inference.models import MODELS_PATH, read_models
from ando_cli.keys.virtual_keys import DEFAULT_PROFILE, VARIABLE, VirtualKey, VirtualKeys, check_key, check_profile
from ando_cli.runtime.context import invocation
from ando_cli.runtime.wiring import assemble, connect_with_key

if TYPE_CHECKING:
    from ando_cli.runtime.context import Invocation
    from ando_cli.terminal.output import Terminal

_LONGEST_INPUT = 4096
"""The most bytes to read from stdin for a key."""

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
@grouped
def set_(
    ctx: typer.Context,
    *,
    profile: ProfileOption = None,
    no_check: Annotated[
        bool, typer.Option("--no-check", help="Store the key without asking the gateway if it is valid.")
    ] = False,
    connection: ConnectionOptions,
) -> None:
    """Store a key in the OS keyring. Reads it from a hidden prompt or stdin, and asks the gateway if it is valid."""
    state = invocation(ctx)
    _refuse_sandbox(state)
    terminal, settings = state.terminal, state.settings
    named = _profile(state, profile)
    options = connection.with_key(named)
    keys = VirtualKeys(state.environ)
    keys.check_keyring()  # before anything is typed
    key = VirtualKey(_read_key(terminal), named, settings.gateway)
    count = None
    if not no_check:
        with assemble(state, options) as parts:
            terminal.stage("asking the gateway if the key is valid")
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
    """Show which key would be used: a short preview and where it comes from."""
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
    """List the stored keys, and the one in the environment."""
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
        terminal.note(f"removed the key of the profile {named!r}; revoke it in Ando if it is no longer needed")


def _profile(state: Invocation, profile: str | None) -> str:
    return check_profile(profile or state.settings.profile or DEFAULT_PROFILE)


def _refuse_sandbox(state: Invocation) -> None:
    if state.settings.sandbox:
        raise UsageError("the sandbox manages its own Virtual Key", hint="leave out --sandbox")


def _read_key(terminal: Terminal) -> str:
    if not terminal.stdin_tty:
        return check_key(terminal.read_bytes(_LONGEST_INPUT).decode("utf-8", errors="replace"), "what is piped in")
    ask = terminal.secret_prompt()
    if ask is None:
        raise UsageError("there is no terminal to ask for the key", hint="pipe it in: ando key set < key.txt")
    return check_key(ask("Virtual Key (not shown): "), "what was typed")


def _shape(key: VirtualKey) -> dict[str, Any]:
    return {"profile": key.profile, "preview": key.preview, "gateway": key.gateway, "source": key.source}
