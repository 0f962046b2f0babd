"""SKILL.md, which agents go by: what it names exists."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from typer.main import get_command

from ando_cli.app import app
from ando_cli.cli.describe import describe
from ando_cli.commands.skill import SKILL
from ando_cli.config.settings import KEYS
from ando_cli.errors import ExitCode
from tests.support.command_lines import calls, problem

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = SKILL.read_text(encoding="utf-8")
SECRETS = {"ANDO_PRIVATE_KEY", "ANDO_VIRTUAL_KEY", "ANDO_KEYSTORE_PASSWORD"}


def examples() -> Iterator[str]:
    for block in re.findall(r"```sh\n(.*?)```", TEXT, flags=re.S):
        yield from block.splitlines()


def mentions() -> Iterator[str]:
    for span in re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", TEXT, flags=re.S)):
        if span.startswith("ando "):
            yield span


@pytest.fixture(scope="module")
def tree() -> dict[str, Any]:
    return describe(get_command(app), [])


def test_every_command_line_exists(tree: dict[str, Any]) -> None:
    assert len(list(examples())) > 5
    assert len(list(mentions())) > 15
    for line in examples():
        [words] = calls(line)
        assert problem(words, tree) is None, line
    for line in mentions():
        [words] = calls(line)
        found = problem(words, tree)
        assert found is None or "lacks an argument" in found, line


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("ando chta hi", "no command chta"),
        ("ando session lst", "no command lst"),
        ("ando chat --max-spent 5 hi", "no option --max-spent"),
        ("ando chat --max-spend", "takes a value"),
        ("ando chat -jZ hi", "no option -Z"),
        ("ando session forget", "lacks an argument"),
        ("ando models x", "takes no x"),
    ],
)
def test_a_command_line_that_does_not_exist_is_noticed(tree: dict[str, Any], line: str, what: str) -> None:
    [words] = calls(line)
    assert what in (problem(words, tree) or "")


def test_every_option_variable_code_and_exit_code_exists(tree: dict[str, Any]) -> None:
    everything = json.dumps(tree)
    for option in set(re.findall(r"`(--?[a-z][a-z-]*)", TEXT)):
        assert f'"{option}"' in everything, option
    assert set(re.findall(r"ANDO_[A-Z_]+", TEXT)) <= {key.variable for key in KEYS.values()} | SECRETS
    table = re.findall(r"^\| (\d+) \|", TEXT, flags=re.M)
    assert table == [str(int(code)) for code in ExitCode]
    source = "".join(path.read_text() for path in SKILL.parent.rglob("*.py"))
    for code in re.findall(r"`([a-z]+_[a-z_]+)`", TEXT):
        assert f'"{code}"' in source, code


def test_it_is_short_and_says_for_whom_it_is() -> None:
    assert TEXT.startswith("---\nname: ando\ndescription: ")
    assert len(TEXT.split()) < 1000
