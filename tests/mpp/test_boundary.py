"""``ando_cli.mpp`` is data, and on the way of every start-up. What it may import is a contract in pyproject.toml."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ando_cli.mpp

MODULES = sorted(Path(ando_cli.mpp.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_a_module_neither_reads_the_clock_nor_does_io(module: Path) -> None:
    names = {node.id for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Name)}
    attributes = {node.attr for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Attribute)}
    assert not names & {"open", "print", "input"}
    assert not attributes & {"now", "utcnow", "today", "read_text", "write_text"}


def test_importing_all_of_it_loads_nothing_heavy() -> None:
    names = [f"ando_cli.mpp.{module.stem}" for module in MODULES if module.stem != "__init__"]
    script = f"import sys, {', '.join(names)}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert set(names) <= set(loaded)
    heavy = {"pydantic", "httpx", "rich", "typer", "web3", "eth_account", "pytempo", "mpp", "asyncio", "socket", "ssl"}
    assert not heavy & set(loaded)
