"""``ando config``: look at and change what is configured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ando_cli.cli import candidates
from ando_cli.cli.command import Command
from ando_cli.cli.globals import SharedOptionsGroup
from ando_cli.cli.input import decode, read_stdin
from ando_cli.config import edit as config_file
from ando_cli.config import report as config_view
from ando_cli.config.schema import CONFIG_FILE, read_config
from ando_cli.config.settings import KEYS, find_folders
from ando_cli.errors import AndoError, Code, UsageError
from ando_cli.runtime.context import invocation
from ando_cli.terminal.editor import edit as edit_file

if TYPE_CHECKING:
    from pathlib import Path

    from ando_cli.config.report import Row
    from ando_cli.runtime.context import Invocation

app = typer.Typer(
    cls=SharedOptionsGroup,
    add_completion=False,
    help="Look at and change what is configured.",
)

KeyArgument = Annotated[
    str,
    typer.Argument(
        metavar="KEY",
        help="As in config.toml, such as max_spend.",
        autocompletion=candidates.keys,
    ),
]


@app.command(
    "list",
    cls=Command,
    epilog="""\
Examples:
  ando config list
  ANDO_TIMEOUT=60 ando config list -j
""",
)
def list_(ctx: typer.Context) -> None:
    """Show every value in force, and where it comes from."""
    state = invocation(ctx)
    rows = _rows(state)
    if state.terminal.structured:
        state.terminal.json([_shape(row) for row in rows])
        return
    cells = [(row.key, config_view.text(row) or "-", config_view.origin(row)) for row in rows]
    state.terminal.table(("key", "value", "from"), cells, right=(), fold=("key", "value"))


@app.command(
    cls=Command,
    epilog="""\
Examples:
  ando config get max_deposit
  ando config get --reveal rpc_url
""",
)
def get(
    ctx: typer.Context,
    config_key: KeyArgument,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Show a URL in full, with the key that it may hold.")
    ] = False,
) -> None:
    """Print the value of KEY that is in force."""
    state = invocation(ctx)
    config_file.check_name(config_key)
    row = next((row for row in _rows(state, reveal=reveal) if row.key == config_key), None)
    if row is None or row.value is None:
        raise AndoError(f"{config_key} is not set", hint=f"ando config set {config_key} VALUE", code=Code.NOT_SET)
    if state.terminal.json_output:
        state.terminal.json(_shape(row))
    else:
        state.terminal.answer(config_view.text(row))


@app.command(
    "set",
    cls=Command,
    epilog="""\
Examples:
  ando config set max_spend 2.50
  echo "https://rpc.example/KEY" | ando config set rpc_url -
  ando config set networks.local.chain_id 4217 \\
    networks.local.rpc_url http://127.0.0.1:8545 \\
    networks.local.token 0x20c0000000000000000000000000000000000001 \\
    networks.local.escrows 0x5fbdb2315678afecb367f032d93f642f64180aa3
""",
)
def set_(
    ctx: typer.Context,
    config_pairs: Annotated[
        list[str],
        typer.Argument(
            metavar="KEY VALUE",
            help="Set KEY to VALUE; - reads it from stdin or a hidden prompt.",
            autocompletion=candidates.pairs,
        ),
    ],
) -> None:
    """Set keys in config.toml, if the result is valid."""
    state = invocation(ctx)
    if len(config_pairs) % 2:
        raise UsageError("each key takes a value", hint="write ando config set KEY VALUE")
    names, values = config_pairs[::2], config_pairs[1::2]
    for name in names:
        config_file.check_name(name)
    if values.count("-") > 1:
        raise UsageError("stdin holds one value", hint="write - for one key only")
    given = {name: _read(state, name) if value == "-" else value for name, value in zip(names, values, strict=True)}
    path = _path(state)
    with config_file.held(path):
        config_file.replace(path, config_file.with_values(config_file.read(path), given))
    for name in given:
        if name in KEYS and state.environ.get(KEYS[name].variable):
            state.terminal.warn(f"{KEYS[name].variable} is set, and goes before {name} in {CONFIG_FILE}")
    if state.terminal.json_output:
        state.terminal.json({"set": list(given)})
    else:
        state.terminal.note(f"{', '.join(given)}: set in {path}")


@app.command(
    cls=Command,
    epilog="""\
Examples:
  ando config unset max_spend
  ando config unset networks.local
""",
)
def unset(
    ctx: typer.Context,
    config_keys: Annotated[
        list[str],
        typer.Argument(
            metavar="KEY",
            help="What to take out of config.toml.",
            autocompletion=candidates.keys,
        ),
    ],
) -> None:
    """Take keys, or the table of a network, out of config.toml."""
    state = invocation(ctx)
    path = _path(state)
    with config_file.held(path):
        text, removed = config_file.without(config_file.read(path), config_keys)
        if removed:
            config_file.replace(path, text)
    if state.terminal.json_output:
        state.terminal.json({"removed": removed})
    else:
        state.terminal.note(f"{', '.join(removed)}: removed" if removed else f"not set in {CONFIG_FILE}")


@app.command(
    "path",
    cls=Command,
    epilog="""\
Examples:
  ando config path
""",
)
def path_(ctx: typer.Context) -> None:
    """Print where config.toml is, or would be."""
    state = invocation(ctx)
    path = _path(state)
    if state.terminal.json_output:
        state.terminal.json({"path": str(path), "exists": path.exists()})
    else:
        state.terminal.answer(str(path))


@app.command(
    cls=Command,
    epilog="""\
Examples:
  EDITOR=nano ando config edit
""",
)
def edit(ctx: typer.Context) -> None:
    """Edit a copy of config.toml in $VISUAL or $EDITOR, and put it in place if it is valid."""
    state = invocation(ctx)
    path = _path(state)
    before = config_file.read(path)
    start = before or config_file.template()
    copy = config_file.copy(path, start)
    _run_editor(state, copy)
    after = config_file.read(copy)
    if after != start:
        _put_in_place(path, before, after, copy)
    copy.unlink(missing_ok=True)
    if state.terminal.json_output:
        state.terminal.json({"path": str(path), "changed": after != start})
    else:
        state.terminal.note("nothing was changed" if after == start else f"written to {path}")


def _put_in_place(path: Path, before: str, after: str, copy: Path) -> None:
    try:
        with config_file.held(path):
            if config_file.read(path) != before:
                raise UsageError(f"{CONFIG_FILE} was changed by somebody else meanwhile")
            config_file.replace(path, after)
    except AndoError as error:
        hint = f"{CONFIG_FILE} is as it was; what you wrote is in {copy}"
        raise UsageError(error.message, hint=hint, code=Code.CONFIG_REFUSED) from None


def _path(state: Invocation) -> Path:
    return find_folders(state.environ).config / CONFIG_FILE


def _rows(state: Invocation, *, reveal: bool = False) -> list[Row]:
    folders = find_folders(state.environ)
    config = read_config(folders.config / CONFIG_FILE, KEYS)
    return config_view.rows(state.flags, state.environ, config, folders, reveal=reveal)


def _shape(row: Row) -> dict[str, Any]:
    return {"key": row.key, "value": row.value, "source": str(row.source), "name": row.name}


def _read(state: Invocation, name: str) -> str:
    terminal = state.terminal
    ask = terminal.secret_prompt()
    if terminal.stdin_tty and ask is None:
        raise UsageError("there is no terminal to ask for the value on", hint="pipe it in")
    return (ask(f"{name}: ") if terminal.stdin_tty and ask else decode(read_stdin(terminal))).strip()


def _run_editor(state: Invocation, copy: Path) -> None:
    try:
        edit_file(copy, state.environ)
    except AndoError:
        copy.unlink(missing_ok=True)
        raise
