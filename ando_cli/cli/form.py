"""The form of output that a command line asks for, found before parsing: a parsing error has that form too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup, TyperOption

from ando_cli.errors import AndoError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def asked_form(root: Any, argv: Sequence[str], state: object) -> tuple[bool, bool]:
    """Return whether ``argv`` asks for JSON, and whether it asks for TOON.

    Words are read as the parser reads them (``-qj`` holds ``-j``, in ``-o -j`` it is a file's name, after ``--`` it is
    an argument), but an error does not stop the search.

    Args:
        root: the root command.
        argv: the words after ``ando``.
        state: what the root's context holds as its object.
    """
    # Most command lines have neither; skip the search for them.
    if not any(word[:1] == "-" and ("j" in word or "t" in word) for word in argv):
        return False, False
    ctx = typer.Context(root, info_name="ando", obj=state, resilient_parsing=True)
    given = set(_options(root, ctx, list(argv)))
    return "json_output" in given, "toon_output" in given


def _options(command: Any, ctx: typer.Context, words: list[str]) -> Iterator[str]:
    """Yield the parameter name of each option that ``words`` give to ``command`` or to a command below it."""
    known = {name: param for param in command.params if isinstance(param, TyperOption) for name in param.opts}
    is_group = isinstance(command, TyperGroup)
    while words:
        word = words.pop(0)
        is_option = len(word) > 1 and word[0] == "-" and word != "--"
        if is_option:
            yield from _given(word, words, known)
        elif is_group:
            name = words.pop(0) if word == "--" and words else word
            below = _command_below(command, ctx, name)
            if below is not None:
                yield from _options(below, typer.Context(below, info_name=name, parent=ctx), words)
                return
        elif word == "--":
            return


def _given(word: str, words: list[str], known: dict[str, TyperOption]) -> Iterator[str]:
    """Yield the options in one word, and take the value of the last one from ``words``."""
    name, equals, _ = word.partition("=")
    if name in known or word.startswith("--"):
        yield from _one(known.get(name), bool(equals), words)
        return
    for position, letter in enumerate(word[1:], start=2):
        option = known.get(f"-{letter}")
        yield from _one(option, position < len(word), words)
        if option is not None and _takes_value(option):
            return


def _one(option: TyperOption | None, has_value: bool, words: list[str]) -> Iterator[str]:
    if option is None:
        return
    if _takes_value(option) and not has_value:
        del words[:1]
    yield option.name or ""


def _takes_value(option: TyperOption) -> bool:
    return not (option.is_flag or option.count)


def _command_below(group: TyperGroup, ctx: typer.Context, name: str) -> Any:
    try:
        return group.get_command(ctx, name)
    except AndoError:  # what is wrong with it is reported when it is called
        return None
