"""Groups of options: a frozen record whose fields are options, expanded into the parameters of a command.

A command takes the record, and Typer sees its fields::

    @app.command(cls=Command)
    @grouped
    def ask(ctx: typer.Context, *, sampling: Annotated[SamplingOptions, Without("seed")], usage: bool = False) -> None:
        prompt = sampling.prompt("hello")
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints

from ando_cli.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable


class Without:
    """Marks the options of a group that a command leaves out: they keep their defaults."""

    def __init__(self, *names: str) -> None:
        self.names = names


@frozen
class _Group:
    """A parameter that is a group: its record, and the names of the fields that are options of the command."""

    record: type[Any]
    names: tuple[str, ...]


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Expand each parameter of ``command`` that is a group into the options of the group, in their order.

    All parameters but the context are keyword-only, so that a group can stand anywhere among them.
    """
    groups: dict[str, _Group] = {}
    parameters: list[inspect.Parameter] = []
    hints = get_type_hints(command, include_extras=True)
    for name, parameter in inspect.signature(command).parameters.items():
        group = _group_of(hints[name])
        if group is None:
            parameters.append(parameter.replace(annotation=hints[name]))
            continue
        groups[name] = group
        members = get_type_hints(group.record, include_extras=True)
        defaults = {field.name: field.default for field in dataclasses.fields(group.record)}
        parameters += [
            inspect.Parameter(each, inspect.Parameter.KEYWORD_ONLY, default=defaults[each], annotation=members[each])
            for each in group.names
        ]

    @functools.wraps(command)
    def call(*context: Any, **given: Any) -> None:
        for name, group in groups.items():
            given[name] = group.record(**{each: given.pop(each) for each in group.names})
        command(*context, **given)

    signature = inspect.Signature(parameters)
    call.__signature__ = signature  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return call


def _group_of(hint: Any) -> _Group | None:
    without: tuple[str, ...] = ()
    if get_origin(hint) is Annotated:
        hint, *marks = get_args(hint)
        without = tuple(name for mark in marks if isinstance(mark, Without) for name in mark.names)
    if not (isinstance(hint, type) and dataclasses.is_dataclass(hint)):
        return None
    names = tuple(field.name for field in dataclasses.fields(hint))
    unknown = set(without) - set(names)
    if unknown:
        raise TypeError(f"{hint.__name__} has no option {', '.join(sorted(unknown))}")
    return _Group(hint, tuple(name for name in names if name not in without))
