"""What ``ando`` uses of Typer that Typer does not promise to keep. Nothing else in the package may use it.

``pyproject.toml`` allows only the minor version of Typer that ``tests/cli/test_typer_private.py`` was run against. To
allow the next one, make that test pass with it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from typer._click.shell_completion import CompletionItem
from typer.core import TyperArgument, TyperGroup, TyperOption

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import typer

__all__ = [
    "CompletionItem",
    "Parameter",
    "RuntimeParam",
    "annotation_of",
    "complete_options",
    "completion_script",
    "has_further_checks",
    "register_shells",
    "take_over",
    "unparsed_words",
]

Parameter = TyperOption | TyperArgument


class RuntimeParam(Protocol):
    """The half of a parameter that reads its text. Typer calls only this method of it."""

    def coerce(self, value: Any, *, param: Any, ctx: typer.Context) -> Any:
        """Return the value of the text, or for a repeatable parameter, the values of all texts."""


def take_over(
    param: Any,
    read: Callable[[Parameter], RuntimeParam | None],
    complete: Callable[[Parameter, typer.Context, str], list[CompletionItem]],
) -> None:
    """Call ``read`` and ``complete`` before Typer's own methods.

    Typer creates its parameters itself and accepts no class for them, so this replaces the class of a finished one.
    A parameter whose class is not exactly Typer's own, or was replaced already, does not change.

    Args:
        param: a parameter of a command.
        read: returns what reads the parameter's text, or ``None`` to leave it to Typer, which imports pydantic for it.
        complete: returns what a word can become; an empty list leaves it to Typer.
    """
    option, argument = _classes(read, complete)
    if type(param) is TyperOption:
        param.__class__ = option
    elif type(param) is TyperArgument:
        param.__class__ = argument


@cache
def _classes(
    read: Callable[[Parameter], RuntimeParam | None],
    complete: Callable[[Parameter, typer.Context, str], list[CompletionItem]],
) -> tuple[type[TyperOption], type[TyperArgument]]:
    class Option(TyperOption):
        def get_runtime_param(self) -> Any:
            return read(self) or super().get_runtime_param()

        def shell_complete(self, ctx: typer.Context, incomplete: str) -> list[Any]:  # type: ignore[override]
            return complete(self, ctx, incomplete) or super().shell_complete(ctx, incomplete)

    class Argument(TyperArgument):
        def get_runtime_param(self) -> Any:
            return read(self) or super().get_runtime_param()

        def shell_complete(self, ctx: typer.Context, incomplete: str) -> list[Any]:  # type: ignore[override]
            return complete(self, ctx, incomplete) or super().shell_complete(ctx, incomplete)

    return Option, Argument


def annotation_of(param: Parameter) -> Any:
    """Return the type that the command's function asks for, without ``None``."""
    return param.type_descriptor.annotation


def has_further_checks(param: Parameter) -> bool:
    """Return whether only Typer knows how to parse the value, or how to check it as a file."""
    info = param.type_descriptor.parameter_info
    return info.parser is not None or info.exists or not (info.file_okay and info.dir_okay)


def unparsed_words(ctx: typer.Context) -> list[str]:
    """Return the words that a group leaves to its commands; the command's name is the first."""
    return [*ctx._protected_args, *ctx.args]


def complete_options(group: TyperGroup, ctx: typer.Context, incomplete: str) -> list[CompletionItem]:
    """Return what a word can become as an option of ``group``, without importing its commands."""
    found: list[CompletionItem] = super(TyperGroup, group).shell_complete(ctx, incomplete)
    return found


def register_shells(formats: Mapping[str, Callable[[CompletionItem], str]]) -> None:
    """Let Typer answer bash, zsh and fish. It registers its own classes only where its own entry point is called.

    Args:
        formats: shell -> how to write one answer, instead of Typer's way, which loads ``rich``.
    """
    from typer._click.shell_completion import add_completion_class
    from typer._completion_classes import BashComplete, FishComplete, ZshComplete

    for shell, base in (("bash", BashComplete), ("zsh", ZshComplete), ("fish", FishComplete)):
        own = {"format_completion": staticmethod(formats[shell])} if shell in formats else {}
        add_completion_class(type(base.__name__, (base,), own), shell)


def completion_script(program: str, variable: str, shell: str) -> str:
    """Return the script that lets ``shell`` complete the words of ``program``, which it asks with ``variable`` set."""
    from typer._completion_shared import get_completion_script

    return get_completion_script(prog_name=program, complete_var=variable, shell=shell)
