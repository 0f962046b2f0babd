"""The classes of our commands: Typer's, with a plainer help page, quicker values and help for a slip of the pen."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand, TyperGroup

from ando_cli.cli.help import summary, write_page
from ando_cli.cli.values import quicken
from ando_cli.errors import UsageError

if TYPE_CHECKING:
    import typer


class Command(TyperCommand):
    """One command."""

    def get_params(self, ctx: typer.Context) -> list[Any]:  # type: ignore[override]
        """The parameters, --help among them."""
        return _quick(super().get_params(ctx))

    def format_help(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        """Write the help page."""
        write_page(self, ctx, formatter)


class Group(TyperGroup):
    """A group of commands. Called without one of them it shows its help page."""

    def get_params(self, ctx: typer.Context) -> list[Any]:  # type: ignore[override]
        """The parameters, --help among them."""
        return _quick(super().get_params(ctx))

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Called without anything, show the page: that is an answer, not an error."""
        if not args and not ctx.resilient_parsing:
            args = [ctx.help_option_names[0]]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> Any:  # type: ignore[override]
        """Find the command that ``args`` begin with.

        Raises:
            UsageError: there is none of that name; its hint is the one that was probably meant.
        """
        names = self.list_commands(ctx)
        if args[0] not in names and not ctx.resilient_parsing:
            meant = get_close_matches(args[0], names, n=1)
            hint = f"did you mean `{ctx.command_path} {meant[0]}`?" if meant else f"{ctx.command_path} --help"
            raise UsageError(f"there is no command {args[0]!r}", hint=hint)
        return super().resolve_command(ctx, args)

    def summaries(self, ctx: typer.Context) -> list[tuple[str, str]]:
        """Name and one line of each command."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        return [(name, summary(command.help)) for name, command in found if command and not command.hidden]

    def format_help(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        """Write the help page."""
        write_page(self, ctx, formatter, self.summaries(ctx))


def _quick(params: list[Any]) -> list[Any]:
    for param in params:
        quicken(param)
    return params
