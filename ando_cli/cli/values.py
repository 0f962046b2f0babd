"""What is typed after an option, as a value.

Typer 0.29 reads each value with pydantic, and importing that takes longer than paying. This module reads the few types
that ``ando`` uses without it. Typer reads all other types, and values that need further checks.
"""

from __future__ import annotations

import re
from enum import Enum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ando_cli.cli.typer_private import CompletionItem, Parameter, annotation_of, has_further_checks, take_over
from ando_cli.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

_CHOICES = r"[a-z0-9-]+(\|[a-z0-9-]+)+"
_READERS: dict[Any, tuple[Callable[[str], Any], str]] = {
    str: (str, "text"),
    int: (int, "a whole number"),
    float: (float, "a number"),
    bool: (bool, "a flag"),  # a flag that was not given arrives as None
    Path: (Path, "a file name"),
}


@frozen
class _Reader:
    """Reads the text of one parameter, as the "runtime" half that Typer calls."""

    read: Callable[[str], Any]
    expected: str
    least: float | None
    most: float | None

    def coerce(self, value: Any, *, param: Any, ctx: typer.Context) -> Any:
        """Return the value, or for a repeatable parameter, all of them.

        Raises:
            typer.BadParameter: a text is not such a value, or is out of range.
        """
        if param.multiple or param.nargs == -1:
            return [self._one(item, param, ctx) for item in value or ()]
        return None if value is None else self._one(value, param, ctx)

    def _one(self, text: Any, param: Any, ctx: typer.Context) -> Any:
        try:
            value = self.read(text)
        except ValueError:
            value = None
        least, most = self.least, self.most
        if value is None or (least is not None and value < least) or (most is not None and value > most):
            bounds = "" if least is None or most is None else f" from {least:g} to {most:g}"
            raise typer.BadParameter(f"expected {self.expected}{bounds}", ctx=ctx, param=param)
        return value


def choices(param: Parameter) -> list[str]:
    """Return the allowed values, if they are listed: members of an enum, or a metavar like ``mpp|key``."""
    wanted = annotation_of(param)
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        return [str(choice.value) for choice in wanted]
    return param.metavar.split("|") if param.metavar and re.fullmatch(_CHOICES, param.metavar) else []


def _complete(param: Parameter, ctx: typer.Context, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(choice) for choice in choices(param) if choice.startswith(incomplete)]


def quicken(param: Any) -> None:
    """Make one of Typer's parameters read its value without pydantic."""
    take_over(param, _reader, _complete)


def _reader(param: Parameter) -> _Reader | None:
    wanted = annotation_of(param)
    wanted = str if wanted == list[str] else wanted
    if wanted not in _READERS and isinstance(wanted, type) and issubclass(wanted, StrEnum):
        return _Reader(wanted, f"one of {', '.join(wanted)}", None, None)
    if wanted not in _READERS or has_further_checks(param):
        return None
    read, expected = _READERS[wanted]
    return _Reader(read, expected, param.min, param.max)
