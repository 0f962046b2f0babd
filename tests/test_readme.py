"""The README and the pages of ``docs/``: commands run as written, links lead somewhere, settings are named.

The ``sh`` blocks of a page are one reader's session: they run in order, in a home of their own. What needs a wallet, a
network or somebody at a terminal is a ``console`` block; it is checked against the command tree, and not run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.main import get_command

from ando_cli.app import app
from ando_cli.cli.describe import describe
from ando_cli.config.settings import KEYS
from tests.support.command_lines import calls, problem

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
PROSE = [*PAGES, *(ROOT / name for name in ("ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "tests/README.md"))]
BIN = Path(sys.executable).parent


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _blocks(page: Path, language: str) -> list[str]:
    """The lines of the blocks in ``language``, those in a list too."""
    found = []
    for indent, block in re.findall(
        rf"^( *)```{language}\n(.*?)^ *```$", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    ):
        found += [line.removeprefix(indent) for line in block.splitlines()]
    return found


def _runs(page: Path) -> list[str]:
    """The commands of a page that need no wallet, no money and no network."""
    return [line for line in _blocks(page, "sh") if line.startswith(("ando ", "echo "))]


def _shown(page: Path) -> Iterator[str]:
    """The commands of the ``console`` blocks."""
    text = re.sub(r"( \\|\|)\n", r"\1 ", "\n".join(_blocks(page, "console"))).replace(" \\ ", " ")
    for line in text.splitlines():
        if line.startswith("$ ") and "[OPTIONS]" not in line and "COMMAND ..." not in line:
            yield line.removeprefix("$ ").partition("  #")[0]


@pytest.mark.parametrize("page", [page for page in PAGES if _runs(page)], ids=_name)
def test_the_commands_of_a_page_run_as_written(page: Path, tmp_path: Path) -> None:
    reader = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path)}
    for command in _runs(page):
        if "| jq" in command and shutil.which("jq") is None:
            continue
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            capture_output=True,
            text=True,
            env=reader,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        assert "warning" not in done.stderr, command
        assert done.stdout != "null\n", command


@pytest.fixture(scope="module")
def tree() -> dict[str, Any]:
    return describe(get_command(app), [])


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_the_commands_of_a_page_exist(page: Path, tree: dict[str, Any]) -> None:
    for line in [*_shown(page), *_runs(page)]:
        for words in calls(line):
            assert problem(words, tree) is None, line


@pytest.mark.parametrize("page", PROSE, ids=_name)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        assert not anchor or anchor in _anchors(file), target


def _anchors(page: Path) -> set[str]:
    """The names that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_opens_with_the_demo_and_the_tests() -> None:
    commands = [line.partition("#")[0].strip() for line in _blocks(README, "sh")]
    assert commands[:2] == ["make demo", "make test"]


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150


def test_the_index_lists_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert [name for name in sorted(pages) if f"]({name})" not in index] == []


def test_the_configuration_page_names_every_setting_and_its_variable() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert [key.name for key in KEYS.values() if f"`{key.name}`" not in text or f"`{key.variable}`" not in text] == []


def test_every_section_that_the_code_cites_exists() -> None:
    protocol = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    sections = set(re.findall(r"^## (\d+)\.", protocol, flags=re.MULTILINE))
    cited = set()
    for path in (ROOT / "ando_cli").rglob("*.py"):
        text = " ".join(path.read_text(encoding="utf-8").split())
        assert not re.search(r"(?<!docs/)\bprotocol[a-z-]*\.md|\bdesign\.md", text), path
        for numbers in re.findall(r"docs/protocol\.md,? sections? (\d+(?: and \d+)?)", text):
            cited |= set(numbers.split(" and "))
        assert "docs/protocol.md" not in text or re.search(r"docs/protocol\.md,? sections? \d", text), path
    assert cited
    assert cited <= sections
