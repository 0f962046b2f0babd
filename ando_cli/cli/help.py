"""How ``--help`` looks: plain text that fits 80 columns, options grouped by panel, examples as they are typed.

Typer draws boxes that hold the type of every value. They are hard to read in a pager, a mail or a narrow terminal.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from ando_cli.cli.values import choices

if TYPE_CHECKING:
    from collections.abc import Sequence

    import typer

GLOBAL_PANEL = "Global options"
_OWN_PANEL = "Options"
_WIDEST_NAME = 26
_NARROW = 60
"""Columns below which an explanation stands under its option, not beside it."""

_NARROWEST = 24


def write_page(
    command: TyperCommand | TyperGroup, ctx: typer.Context, formatter: Any, subcommands: Sequence[tuple[str, str]] = ()
) -> None:
    """Write the help page of ``command``; ``subcommands`` are names with one line each."""
    from shutil import get_terminal_size

    # Typer's pages are never narrower than 50 columns, whatever the screen is.
    formatter.width = max(_NARROWEST, min(formatter.width, get_terminal_size().columns))
    _write_head(command, ctx, formatter)
    arguments = [param for param in command.get_params(ctx) if isinstance(param, TyperArgument) and param.help]
    _write_rows(formatter, "Arguments", [(_argument(param), param.help or "") for param in arguments])
    _write_rows(formatter, "Commands", subcommands)
    _write_options(command, ctx, formatter)
    if command.epilog:
        formatter.write_paragraph()
        formatter.write(command.epilog.rstrip("\n") + "\n")


def examples(*lines: str) -> str:
    """Return the epilog that lists these command lines as examples."""
    return "\n  ".join(["Examples:", *lines]) + "\n"


def summary(help_text: str | None) -> str:
    """Return the first paragraph of a command's help."""
    return (help_text or "").partition("\n\n")[0]


def _write_head(command: TyperCommand | TyperGroup, ctx: typer.Context, formatter: Any) -> None:
    arguments = [_argument(param) for param in command.params if isinstance(param, TyperArgument)]
    tail = ["COMMAND ..."] if isinstance(command, TyperGroup) else arguments
    formatter.write_usage(ctx.command_path, " ".join(["[OPTIONS]", *tail]))
    if command.help:
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(command.help)


def _write_options(command: TyperCommand | TyperGroup, ctx: typer.Context, formatter: Any) -> None:
    panels: dict[str, list[tuple[str, str]]] = defaultdict(list)
    last = []
    for param in command.get_params(ctx):
        if not isinstance(param, TyperOption) or param.hidden:
            continue
        row = (_names(param), _explanation(param))
        if param.is_eager:  # --version and --help belong to every command, and nobody looks for them first
            last.append(row)
        else:
            panels[param.rich_help_panel or _OWN_PANEL].append(row)
    panels[GLOBAL_PANEL] += last
    for name in sorted(panels, key=lambda name: (name == GLOBAL_PANEL, name != _OWN_PANEL)):
        _write_rows(formatter, name, panels[name])


def _write_rows(formatter: Any, title: str, rows: Sequence[tuple[str, str]]) -> None:
    if rows:
        with formatter.section(title):
            formatter.write_dl(rows, col_max=_WIDEST_NAME if formatter.width >= _NARROW else 9)


def _argument(argument: TyperArgument) -> str:
    name = argument.metavar or (argument.name or "").upper()
    return (name if argument.required else f"[{name}]") + ("" if argument.nargs == 1 else "...")


def _names(option: TyperOption) -> str:
    names = ", ".join(sorted((*option.opts, *option.secondary_opts), key=len))
    indent = "" if any(len(name) == 2 for name in option.opts) else "    "
    takes_value = not (option.is_flag or option.count)
    return f"{indent}{names}" + (f" {option.metavar or '|'.join(choices(option)) or 'TEXT'}" if takes_value else "")


def _explanation(option: TyperOption) -> str:
    default = option.show_default if isinstance(option.show_default, str) else option.default
    told = default is not None and not (option.is_flag or option.count or option.multiple)
    return f"{option.help or ''} [default: {default}]" if told else option.help or ""
