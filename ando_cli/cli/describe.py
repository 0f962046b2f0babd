"""The command tree as data, for ``ando --describe``: what an agent would otherwise read from many help pages.

Pure: it reads Typer's commands. Only the meanings of the exit codes are written by hand.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperArgument, TyperGroup, TyperOption

from ando_cli import __version__
from ando_cli.cli.help import GLOBAL_PANEL
from ando_cli.cli.typer_private import annotation_of
from ando_cli.cli.values import choices
from ando_cli.config.settings import KEYS
from ando_cli.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_CODES = {
    ExitCode.OK: "success",
    ExitCode.GENERAL: "failure that no other code describes; the error says why",
    ExitCode.USAGE: "the command line, the configuration or the input is wrong; nothing was sent or signed",
    ExitCode.NETWORK: "a server or the chain could not be reached, or the connection broke",
    ExitCode.PAYMENT: "a payment was refused, by ando or by the gateway, or its outcome is unknown",
    ExitCode.INTERNAL: "a fault of ando itself: it stopped before it broke a rule of the money",
    ExitCode.INTERRUPTED: "interrupted",
}
_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean"}
_ENV = re.compile(r" ?\[env: ([A-Z_, ]+)\]")


def describe(root: Any, words: Sequence[str], state: object = None) -> dict[str, Any]:
    """Describe the command that ``words`` name, with everything below it; without words, the whole tree.

    The shape is ``{version, exit_codes, global_options, command}``. A command is ``{name, help, arguments, options,
    examples, commands}``, an argument ``{name, help, type, required, repeatable}``, an option ``{names, help, type,
    value, choices, required, repeatable, default, env}``. Members that do not apply are left
    out. Global options are allowed on either side of each command and are listed once.

    Args:
        root: the root command.
        state: what the root's context holds as its object.

    Raises:
        UsageError: there is no such command.
    """
    ctx = typer.Context(root, info_name="ando", obj=state, **root.context_settings)
    shared = [_option(param) for param in root.get_params(ctx) if isinstance(param, TyperOption)]
    command = root
    for word in words:
        if not isinstance(command, TyperGroup):
            raise UsageError(
                f"{ctx.command_path} has no commands below it", hint=f"ando --describe {ctx.command_path[5:]}"
            )
        name, command, _ = command.resolve_command(ctx, [word])
        assert command is not None  # an unknown name has raised an error already
        ctx = typer.Context(command, info_name=name, parent=ctx)
    return {
        "version": __version__,
        "exit_codes": {str(int(code)): EXIT_CODES[code] for code in ExitCode},
        "global_options": shared,
        "command": _command(command, ctx),
    }


def _command(command: Any, ctx: typer.Context) -> dict[str, Any]:
    own = [param for param in command.get_params(ctx) if not _is_global(param)]
    below = []
    if isinstance(command, TyperGroup):
        for name in command.list_commands(ctx):
            child = command.get_command(ctx, name)
            if child is not None and not child.hidden:
                below.append(_command(child, typer.Context(child, info_name=name, parent=ctx)))
    return _filled(
        name=ctx.command_path,
        help=_paragraphs(command.help),
        arguments=[_argument(param) for param in own if isinstance(param, TyperArgument)],
        options=[_option(param) for param in own if isinstance(param, TyperOption) and not param.hidden],
        examples=_examples(command.epilog),
        commands=below,
    )


def _is_global(param: Any) -> bool:
    return isinstance(param, TyperOption) and (param.rich_help_panel == GLOBAL_PANEL or param.is_eager)


def _argument(param: TyperArgument) -> dict[str, Any]:
    return _filled(
        name=(param.metavar or (param.name or "").upper()),
        help=param.help,
        type=_type(param),
        required=param.required,
        repeatable=param.nargs == -1,
    )


def _option(param: TyperOption) -> dict[str, Any]:
    text = param.help or ""
    env = _ENV.search(text)
    is_flag = param.is_flag or param.count
    return _filled(
        names=sorted(param.opts, key=len, reverse=True),
        help=_ENV.sub("", text),
        type="flag" if is_flag else _type(param),
        value=None if is_flag else param.metavar or "TEXT",
        choices=choices(param),
        required=param.required,
        repeatable=bool(param.multiple or param.count),
        default=None if is_flag else _default(param),
        env=env[1].split(", ") if env else [],
    )


def _filled(**members: Any) -> dict[str, Any]:
    """Drop members that do not apply: readers pay per token."""
    return {name: value for name, value in members.items() if value not in (None, False, [])}


def _default(param: TyperOption) -> str | None:
    shown = param.show_default if isinstance(param.show_default, str) else param.default
    if shown is None and param.rich_help_panel == GLOBAL_PANEL and param.name in KEYS:
        shown = KEYS[param.name].default
    return None if shown is None else str(shown)


def _type(param: TyperArgument | TyperOption) -> str:
    return _TYPES.get(annotation_of(param), "string")


def _paragraphs(text: str | None) -> str:
    """Return the help without the line breaks of the source."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in (text or "").split("\n\n"))


def _examples(epilog: str | None) -> list[str]:
    """Return the command lines under "Examples:"; a continued line is part of the one before."""
    found: list[str] = []
    goes_on = False
    for line in (epilog or "").splitlines():
        if not line.startswith("  "):
            continue
        if goes_on:
            found[-1] += "\n" + line.strip()
        else:
            found.append(line.strip())
        goes_on = line.rstrip().endswith(("\\", "|"))
    return found
