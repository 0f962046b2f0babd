"""The command tree as data: all of it is there, and what it says is so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import typer
from typer.core import TyperArgument, TyperOption
from typer.main import get_command

from ando_cli.app import COMMANDS, app
from ando_cli.cli.describe import describe
from ando_cli.errors import ExitCode, UsageError
from tests.support.command_lines import calls, problem

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def tree() -> dict[str, Any]:
    return describe(get_command(app), [])


def described(command: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield command
    for child in command.get("commands", []):
        yield from described(child)


def registered(command: Any, ctx: typer.Context) -> Iterator[tuple[str, Any]]:
    """Every command that Typer knows, as it knows it."""
    yield ctx.command_path, command
    if hasattr(command, "list_commands"):
        for name in command.list_commands(ctx):
            child = command.get_command(ctx, name)
            yield from registered(child, typer.Context(child, info_name=name, parent=ctx))


def all_commands() -> dict[str, Any]:
    root = get_command(app)
    return dict(registered(root, typer.Context(root, info_name="ando")))


def test_every_command_is_in_it(tree: dict[str, Any]) -> None:
    found = [command["name"] for command in described(tree["command"])]
    assert found == list(all_commands())
    assert {f"ando {name}" for name in COMMANDS} < set(found)
    assert "ando session close" in found


def test_every_option_and_argument_is_in_it(tree: dict[str, Any]) -> None:
    shared = {name for option in tree["global_options"] for name in option["names"]}
    commands = all_commands()
    for command in described(tree["command"]):
        params = commands[command["name"]].params
        names = {name for option in command.get("options", []) for name in option["names"]} | shared
        assert {name for param in params if isinstance(param, TyperOption) for name in param.opts} <= names
        arguments = [param for param in params if isinstance(param, TyperArgument)]
        assert len(command.get("arguments", [])) == len(arguments)
        assert all(each["help"] for each in [*command.get("arguments", []), *command.get("options", [])]), command


def test_exit_codes_are_all_named(tree: dict[str, Any]) -> None:
    assert set(tree["exit_codes"]) == {str(int(code)) for code in ExitCode}


def test_an_option_says_what_it_takes() -> None:
    chat = describe(get_command(app), ["chat"])["command"]
    options = {option["names"][0]: option for option in chat["options"]}
    assert options["--max-tokens"] == {
        "names": ["--max-tokens"],
        "help": options["--max-tokens"]["help"],
        "type": "integer",
        "value": "N",
        "default": "1024",
    }
    assert options["--max-spend"]["env"] == ["ANDO_MAX_SPEND"]
    assert "env" not in options["--max-spend"]["help"]
    assert options["--rail"]["choices"] == ["mpp", "key"]
    assert options["--stop"]["repeatable"] is True
    assert options["--yes"] == {"names": ["--yes", "-y"], "help": "Do not ask before a deposit.", "type": "flag"}
    assert chat["arguments"][0]["name"] == "PROMPT"
    opening = describe(get_command(app), ["session", "open"])["command"]
    assert next(each for each in opening["options"] if "--protocol" in each["names"])["choices"] == ["v1", "v2"]
    assert any("--sandbox" in each["names"] for each in describe(get_command(app), [])["global_options"])


def test_every_command_has_examples_that_can_be_typed(tree: dict[str, Any]) -> None:
    for command in described(tree["command"]):
        examples = command.get("examples", [])
        typed = [call for example in examples for call in calls(example)]
        name = command["name"].removeprefix("ando ")
        assert command.get("commands") or any(name in " ".join(call) for call in typed), f"{name} has no example"
        assert [fault for call in typed if (fault := problem(call, tree))] == [], name


def test_an_example_on_two_lines_is_one() -> None:
    chat = describe(get_command(app), ["chat"])["command"]
    assert chat["examples"][0] == 'ando chat "what is the capital of america?"'
    assert chat["examples"][-1].splitlines()[1] == "ando chat -j"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["chta"], "did you mean `ando chat`?"),
        (["session", "lst"], "did you mean `ando session list`?"),
        (["chat", "x"], "ando --describe chat"),
    ],
)
def test_what_there_is_not_is_an_error(words: list[str], hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        describe(get_command(app), words)
    assert caught.value.hint == hint


def test_an_argument_is_named_without_brackets_and_shown_with_one_pair_where_it_is_optional(
    tree: dict[str, Any],
) -> None:
    for command in described(tree["command"]):
        assert not {"[", "]"} & {letter for each in command.get("arguments", []) for letter in each["name"]}, command
