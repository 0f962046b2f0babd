"""The global options: declared once, accepted before or after the name of any command."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperOption

from ando_cli import __version__
from ando_cli.cli import candidates
from ando_cli.cli.command import Group
from ando_cli.cli.help import GLOBAL_PANEL
from ando_cli.frozen import frozen
from ando_cli.runtime.context import invocation

if TYPE_CHECKING:
    from collections.abc import Sequence


def _show_version(ctx: typer.Context, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        invocation(ctx).terminal.answer(f"ando {__version__}")
        raise typer.Exit


@frozen
class GlobalOptions:
    """The global options. Each value is recorded in the ``Invocation`` as it is parsed."""

    base_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The gateway. [env: ANDO_BASE_URL]", rich_help_panel=GLOBAL_PANEL),
    ] = None
    network: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The Tempo network. [env: ANDO_NETWORK]",
            autocompletion=candidates.networks,
            rich_help_panel=GLOBAL_PANEL,
        ),
    ] = None
    rpc_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The RPC of the chain. [env: ANDO_RPC_URL]", rich_help_panel=GLOBAL_PANEL),
    ] = None
    sandbox: Annotated[
        bool,
        typer.Option(
            "--sandbox",
            help="Use a local gateway and chain, started for this command. No real money.",
            rich_help_panel=GLOBAL_PANEL,
        ),
    ] = False
    json_output: Annotated[
        bool,
        typer.Option(
            "--json-output", "-j", help="Print answers and errors as JSON on stdout.", rich_help_panel=GLOBAL_PANEL
        ),
    ] = False
    toon_output: Annotated[
        bool,
        typer.Option(
            "--toon-output",
            "-t",
            help="Print the same as TOON, which takes fewer tokens to read.",
            rich_help_panel=GLOBAL_PANEL,
        ),
    ] = False
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print no notes on stderr.", rich_help_panel=GLOBAL_PANEL)
    ] = False
    verbose: Annotated[
        int,
        typer.Option(
            "--verbose",
            "-v",
            count=True,
            help="Print what happens on stderr; -vv prints more. No secret is printed.",
            rich_help_panel=GLOBAL_PANEL,
        ),
    ] = 0
    description: Annotated[
        bool,
        typer.Option(
            "--describe",
            is_eager=True,
            help="Print the arguments and options of a command, or of all commands, as JSON.",
            rich_help_panel=GLOBAL_PANEL,
        ),
    ] = False
    version: Annotated[
        bool, typer.Option("--version", "-V", is_eager=True, callback=_show_version, help="Print the version.")
    ] = False


class SharedOptionsGroup(Group):
    """A group that gives the global options to each of its commands, so that they can stand on either side."""

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]
        """Return the command of that name, with the global options added."""
        command = super().get_command(ctx, cmd_name)
        return command if command is None else share(ctx, command)


def share(ctx: typer.Context, command: Any) -> Any:
    """Add the global options to ``command``, unless it has them, and return it."""
    taken = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    for option in options_of(ctx.find_root().command):
        if taken.isdisjoint(option.opts):
            shared = copy.copy(option)
            shared.expose_value = False
            command.params.append(shared)
    return command


def options_of(root: Any) -> list[TyperOption]:
    """Return the global options that are shared: those of ``root`` but ``--version`` and ``--help``."""
    return [param for param in root.params if isinstance(param, TyperOption) and param.rich_help_panel == GLOBAL_PANEL]


def record_in_invocation(root: Any) -> None:
    """Let the global options of ``root`` be recorded in the ``Invocation`` as they are parsed."""
    for option in options_of(root):
        # Typer would wrap a callback that is named in the declaration, once for each option.
        option.callback = _describe_here if option.name == "description" else _record


def describe_command(ctx: typer.Context, words: Sequence[str]) -> NoReturn:
    """Print the command that ``words`` name as data, and exit.

    Raises:
        UsageError: there is no such command.
    """
    from ando_cli.cli.describe import describe

    state = invocation(ctx)
    state.terminal.json(describe(ctx.find_root().command, words, state))
    raise typer.Exit


def _record(ctx: Any, param: Any, value: Any) -> Any:
    source = ctx.get_parameter_source(param.name or "")
    if source is not None and source.name == "COMMANDLINE" and not ctx.resilient_parsing:
        invocation(ctx).record(param.name or "", value)
    return value


def _describe_here(ctx: Any, param: Any, value: Any) -> Any:
    # At the root the names of a command may follow, which only the root's ``invoke`` knows.
    if value and ctx.parent is not None and not ctx.resilient_parsing:
        describe_command(ctx, ctx.command_path.split()[1:])
    return value
