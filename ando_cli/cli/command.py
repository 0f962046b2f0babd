"""The classes of our commands: Typer's, with a plainer help page, quicker values and hints for a misspelt name."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from ando_cli.cli.help import summary, write_page
from ando_cli.cli.values import quicken
from ando_cli.errors import UsageError
from ando_cli.runtime.context import invocation


class Command(TyperCommand):
    """One command."""

    def get_params(self, ctx: typer.Context) -> list[Any]:  # type: ignore[override]
        """Return the parameters, --help among them."""
        return _quick(super().get_params(ctx))

    def get_help_option(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Return the option --help, which writes to the terminal of the invocation."""
        return _to_terminal(super().get_help_option(ctx))

    def format_help(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        """Write the help page."""
        write_page(self, ctx, formatter)


class Group(TyperGroup):
    """A group of commands. Called without one of them it shows its help page."""

    def get_params(self, ctx: typer.Context) -> list[Any]:  # type: ignore[override]
        """Return the parameters, --help among them."""
        return _quick(super().get_params(ctx))

    def get_help_option(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Return the option --help, which writes to the terminal of the invocation."""
        return _to_terminal(super().get_help_option(ctx))

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Parse the words; without any, show the help page, which is an answer and not an error."""
        if not args and not ctx.resilient_parsing:
            args = [ctx.help_option_names[0]]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> Any:  # type: ignore[override]
        """Return the command that ``args`` begin with.

        Raises:
            UsageError: there is no such command; the hint names the one that was probably meant.
        """
        names = self.list_commands(ctx)
        if args[0] not in names and not ctx.resilient_parsing:
            meant = get_close_matches(args[0], names, n=1)
            hint = f"did you mean `{ctx.command_path} {meant[0]}`?" if meant else f"{ctx.command_path} --help"
            raise UsageError(f"there is no command {args[0]!r}", hint=hint)
        return super().resolve_command(ctx, args)

    def summaries(self, ctx: typer.Context) -> list[tuple[str, str]]:
        """Return the name and one line of help of each command."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        return [(name, summary(command.help)) for name, command in found if command and not command.hidden]

    def format_help(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        """Write the help page."""
        write_page(self, ctx, formatter, self.summaries(ctx))


def _to_terminal(option: Any) -> Any:
    if option is not None:
        option.callback = _show_help
    return option


def _show_help(ctx: typer.Context, param: Any, value: Any) -> None:
    if value and not ctx.resilient_parsing:
        invocation(ctx).terminal.answer(ctx.get_help())
        raise typer.Exit


def _quick(params: list[Any]) -> list[Any]:
    for param in params:
        quicken(param)
    return params
