"""The generated pages: current, complete, and shown by ``man`` as they were meant."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ando_cli.config.settings import KEYS
from tests.support import real_parts
from tools import docs, reference

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent


def described(command: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield command
    for child in command.get("commands", []):
        yield from described(child)


@pytest.mark.parametrize("name", docs.PAGES)
def test_a_generated_page_is_current(name: str) -> None:
    assert docs.main([name, "--check"]) == 0, "run make docs"


def test_every_command_option_and_example_is_on_its_page() -> None:
    pages = reference.command_pages()
    for command in reference.tree()["command"]["commands"]:
        page = pages[f"{command['name'].split()[1]}.md"]
        for each in described(command):
            assert f"# {each['name']}\n" in page
            assert f"$ {reference.usage(each)}\n" in page
            for option in each.get("options", []):
                assert all(f"`{name}`" in page for name in option["names"]), each["name"]
            for example in each.get("examples", []):
                assert f"$ {example}\n" in page


def test_the_usage_says_what_is_optional_and_what_repeats() -> None:
    arguments = [{"name": "ID", "required": True}, {"name": "WORD", "repeatable": True}]
    command = {"name": "ando do", "options": [{}], "arguments": arguments}
    assert reference.usage(command) == "ando do [OPTIONS] ID [WORD...]"
    assert reference.usage({"name": "ando do", "commands": [{}]}) == "ando do COMMAND ..."


def test_a_page_whose_command_is_gone_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docs, "ROOT", tmp_path)
    docs.main(["commands"])
    gone = tmp_path / "docs" / "commands" / "gone.md"
    gone.write_text("# ando gone\n", encoding="utf-8")
    assert docs.main(["commands", "--check"]) == 1
    assert gone.exists()
    assert docs.main(["commands"]) == 0
    assert not gone.exists()
    assert docs.main(["commands", "--check"]) == 0


@pytest.fixture(scope="module")
def manual() -> str:
    """The man page as a reader sees it, on one line."""
    if shutil.which("groff") is None:
        assert not real_parts.required(), "groff is missing"
        pytest.skip("groff is missing: apt-get install groff")
    page = ROOT / "docs" / "man" / "ando.1"
    command = ["groff", "-man", "-ww", "-Tascii", "-P-c", str(page)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return " ".join(re.sub(r"-\n\s+|.\x08", "", done.stdout).split())


def test_the_man_page_shows_every_command_and_every_variable(manual: str) -> None:
    for command in described(reference.tree()["command"]):
        if "commands" not in command:
            assert reference.usage(command) in manual
    assert [key.variable for key in KEYS.values() if key.variable not in manual] == []


def test_the_man_page_shows_characters_that_troff_reads_as_they_are(manual: str) -> None:
    assert """echo '{"messages":[{"role":"user","content":"hi"}],"max_tokens":8}' |""" in manual
    assert 'ando completions zsh > "${fpath[1]}/_ando"' in manual


def test_the_wheel_brings_the_man_page() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        shared = tomllib.load(file)["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    assert shared == {"docs/man/ando.1": "share/man/man1/ando.1"}
