"""The parts of Typer that it does not promise to keep: those that ``ando`` uses are still there and still asked."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from packaging.requirements import Requirement
from typer.core import TyperArgument, TyperGroup, TyperOption
from typer.main import get_command

import ando_cli
from ando_cli.cli.typer_private import (
    CompletionItem,
    annotation_of,
    complete_options,
    completion_script,
    has_further_checks,
    register_shells,
    take_over,
    unparsed_words,
)

PACKAGE = Path(ando_cli.__file__).parent
PRIVATE = re.compile(
    r"typer\._|_runtime_param\b|type_descriptor|_protected_args|__class__\s*=[^=]"
    r"|super\(Typer\w+,|_completion_\w+ import"
)


class _Reader:
    """Reads a word as the word in capitals."""

    def coerce(self, value: Any, *, param: Any, ctx: typer.Context) -> Any:
        return [word.upper() for word in value] if param.nargs == -1 else value and value.upper()


def _read(param: Any) -> _Reader | None:
    return None if param.name == "left" else _Reader()


def _complete(param: Any, ctx: typer.Context, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(f"{incomplete}-{param.name}", help="meaning")] if param.name != "left" else []


def test_what_ando_uses_of_typer_is_there_and_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = next(
        Requirement(line)
        for line in tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]["dependencies"]
        if line.startswith("typer")
    )
    installed = version("typer")
    minor = ".".join(installed.split(".")[:2])
    following = f"{minor.split('.')[0]}.{int(minor.split('.')[1]) + 1}"
    assert installed in allowed.specifier, "another minor version of Typer: make this test pass, then allow it"
    assert f"{following}.0" not in allowed.specifier, "pyproject.toml allows a version of Typer that nobody tested"

    seen: dict[str, Any] = {}
    app = typer.Typer(add_completion=False)

    @app.callback()
    def _root() -> None: ...

    @app.command()
    def show(
        words: Annotated[list[str], typer.Argument()],
        name: Annotated[str | None, typer.Option()] = None,
        left: Annotated[int, typer.Option()] = 1,
        file: Annotated[Path | None, typer.Option(exists=True)] = None,
    ) -> None:
        seen.update(words=words, name=name, left=left)

    root = get_command(app)
    assert isinstance(root, TyperGroup)
    monkeypatch.setattr(TyperGroup, "invoke", _noting(TyperGroup.invoke, seen))
    command = root.commands["show"]
    params = {param.name: param for param in command.params}
    assert {type(param) for param in params.values()} == {TyperOption, TyperArgument}
    assert [annotation_of(params[name]) for name in ("words", "name", "left")] == [list[str], str, int]
    assert [has_further_checks(params[name]) for name in ("name", "left", "file")] == [False, False, True]

    for name in ("words", "name", "left"):
        take_over(params[name], _read, _complete)
        taken = type(params[name])
        take_over(params[name], _read, _complete)
        assert type(params[name]) is taken, "a parameter is taken over once"
    root.main(["show", "--name", "b", "--left", "2", "c", "d"], prog_name="x", standalone_mode=False)
    assert seen == {"unparsed": ["show", "--name", "b", "--left", "2", "c", "d"], "words": ["C", "D"], "name": "B",
                    "left": 2}  # fmt: skip

    ctx = typer.Context(command, info_name="show")
    assert [(item.value, item.help) for item in params["name"].shell_complete(ctx, "b")] == [("b-name", "meaning")]
    assert params["left"].shell_complete(ctx, "b") == []
    offered = {item.value for item in complete_options(root, typer.Context(root, info_name="x"), "--")}
    assert "--help" in offered
    assert not offered & {"show"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script_and_an_answer(
    shell: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "_X_COMPLETE" in completion_script("x", "_X_COMPLETE", shell)
    app = typer.Typer(add_completion=False)

    @app.command()
    def show(name: Annotated[str, typer.Option()] = "") -> None: ...

    for variable, value in {
        "_X_COMPLETE": f"complete_{shell}", "COMP_WORDS": "x --na", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "x --na",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }.items():  # fmt: skip
        monkeypatch.setenv(variable, value)
    register_shells({name: lambda item: f"<{item.value}>" for name in ("zsh", "fish")})
    with pytest.raises(SystemExit):
        get_command(app).main([], prog_name="x")
    assert ("--name" if shell == "bash" else "<--name>") in capsys.readouterr().out


def test_nothing_else_reaches_for_what_is_private() -> None:
    users = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if PRIVATE.search(path.read_text("utf-8"))
    }
    assert users == {"cli/typer_private.py"}


def _noting(invoke: Any, seen: dict[str, Any]) -> Any:
    def noted(self: TyperGroup, ctx: typer.Context) -> Any:
        seen["unparsed"] = unparsed_words(ctx)
        return invoke(self, ctx)

    return noted
