"""``ando config set``: set values in the configuration file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ando_cli.cli import candidates
from ando_cli.cli.command import Command
from ando_cli.cli.input import decode, read_stdin
from ando_cli.commands.config._file import path_of
from ando_cli.config import edit as config_file
from ando_cli.config.schema import CONFIG_FILE
from ando_cli.config.settings import KEYS
from ando_cli.errors import UsageError
from ando_cli.runtime.context import invocation

if TYPE_CHECKING:
    from ando_cli.runtime.context import Invocation

app = typer.Typer(add_completion=False)


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
    """Set keys in config.toml. An invalid result is not saved."""
    state = invocation(ctx)
    if len(config_pairs) % 2:
        raise UsageError("each key needs a value", hint="write ando config set KEY VALUE")
    names, values = config_pairs[::2], config_pairs[1::2]
    for name in names:
        config_file.check_name(name)
    if values.count("-") > 1:
        raise UsageError("stdin holds one value", hint="use - for one key only")
    given = {name: _read(state, name) if value == "-" else value for name, value in zip(names, values, strict=True)}
    path = path_of(state)
    with config_file.held(path):
        config_file.replace(path, config_file.with_values(config_file.read(path), given))
    for name in given:
        if name in KEYS and state.environ.get(KEYS[name].variable):
            state.terminal.warn(f"{KEYS[name].variable} is set, and overrides {name} in {CONFIG_FILE}")
    if state.terminal.json_output:
        state.terminal.json({"set": list(given)})
    else:
        state.terminal.note(f"{', '.join(given)}: set in {path}")


def _read(state: Invocation, name: str) -> str:
    terminal = state.terminal
    ask = terminal.secret_prompt()
    if terminal.stdin_tty and ask is None:
        raise UsageError("there is no terminal to ask for the value", hint="pipe it in")
    return (ask(f"{name}: ") if terminal.stdin_tty and ask else decode(read_stdin(terminal))).strip()
