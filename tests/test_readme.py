"""Every command of the README runs as written."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
BIN = Path(sys.executable).parent


def _commands() -> list[str]:
    """The lines of the ``sh`` blocks: what needs no wallet, no money and no network."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", README.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Somebody with an empty home who follows the README from its first line to its last."""
    home = tmp_path_factory.mktemp("reader")
    return {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "HOME": str(home)}


@pytest.mark.parametrize("command", [line for line in _commands() if line.startswith(("ando ", "echo "))])
def test_a_command_of_the_readme_runs_as_written(command: str, reader: dict[str, str]) -> None:
    if "| jq" in command and shutil.which("jq") is None:
        pytest.skip("jq is missing: apt-get install jq")
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        capture_output=True,
        text=True,
        env=reader,
        cwd=reader["HOME"],
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr


def test_the_readme_opens_with_the_demo_and_the_tests() -> None:
    commands = [line.partition("#")[0].strip() for line in _commands()]
    assert commands[:2] == ["make demo", "make test"]


def test_the_readme_names_every_setting() -> None:
    from ando_cli.config.settings import KEYS

    text = README.read_text()
    assert [key.name for key in KEYS.values() if f"`{key.name}`" not in text] == []
