"""Groups whose commands are modules, each imported only when it is called."""

from __future__ import annotations

import importlib
from keyword import iskeyword
from typing import TYPE_CHECKING, Any, ClassVar

import typer
from typer.main import get_command

from ando_cli.cli.globals import SharedOptionsGroup, describe_command, record_in_invocation, share
from ando_cli.cli.typer_private import CompletionItem, complete_options, unparsed_words
from ando_cli.errors import Interrupted
from ando_cli.runtime.context import invocation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FLAGS = frozenset("jtqv")
_FLAG_NAMES = ("--json-output", "--toon-output", "--quiet", "--verbose")


class LazyGroup(SharedOptionsGroup):
    """A group whose commands are modules of a package; each has a Typer application named ``app``.

    Attributes:
        package: the package's name.
        names: the names of the commands in the order of the help page. A module has the name of its command, with an
            underscore after a keyword of Python.
    """

    package: ClassVar[str]
    names: ClassVar[Sequence[str]]

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """Return the names, in their order."""
        return list(self.names)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]
        """Import the module of ``cmd_name`` and build its command; ``None`` if there is no such command."""
        if cmd_name not in self.names:
            return None
        if cmd_name not in self.commands:
            module = importlib.import_module(f"{self.package}.{cmd_name}{'_' if iskeyword(cmd_name) else ''}")
            command = get_command(module.app)
            command.name = cmd_name
            self.commands[cmd_name] = command
        return share(ctx, self.commands[cmd_name])


def lazy_app(package: str, names: Sequence[str], *, help: str) -> typer.Typer:
    """Return the application of a group whose commands are the modules ``names`` of ``package``."""
    group = type("_Group", (LazyGroup,), {"package": package, "names": tuple(names)})
    app = typer.Typer(cls=group, add_completion=False, help=help)
    app.callback()(_nothing)  # without it Typer would refuse a group that has no commands of its own
    return app


def _nothing() -> None:
    pass


class RootGroup(LazyGroup):
    """The root command.

    Attributes:
        lines: one line on each command, known without importing it.
    """

    lines: ClassVar[Mapping[str, str]]

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        record_in_invocation(self)

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Call the named command, or describe it with ``--describe``."""
        if ctx.params.get("description"):
            describe_command(ctx, [word for word in unparsed_words(ctx) if not _is_flag(word)])
        try:
            return super().invoke(ctx)
        except Interrupted:  # reported here, because Typer turns it into a plain exit code
            warning = "the request was on its way and may be charged; `ando spend` counts it as unknown"
            invocation(ctx).terminal.warn(warning)
            raise

    def summaries(self, ctx: typer.Context) -> list[tuple[str, str]]:
        """Return the name and one line of help of each command."""
        return list(self.lines.items())

    def shell_complete(self, ctx: typer.Context, incomplete: str) -> list[Any]:  # type: ignore[override]
        """Return the completions of a word."""
        commands = [CompletionItem(name, help=line) for name, line in self.lines.items() if name.startswith(incomplete)]
        return [*commands, *complete_options(self, ctx, incomplete)]


def _is_flag(word: str) -> bool:
    """Return whether ``word`` is one or more of the flags that change nothing about a description."""
    return word in _FLAG_NAMES or (word[:1] == "-" and len(word) > 1 and _FLAGS.issuperset(word[1:]))
