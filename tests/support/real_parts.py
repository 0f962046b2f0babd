"""What the integration tests need besides Python, and what is said when it is not there.

Locally a missing part skips the tests that need it. With ``ANDO_REQUIRE_INTEGRATION=1``, as ``.ci/run`` sets it,
``conftest.py`` turns every such skip into a failure.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    import subprocess

HERE = Path(__file__).parents[1] / "integration"
NPM = HERE / "npm"
MPPX = HERE / "mppx"


def required() -> bool:
    """Whether a skipped integration test counts as a failed one."""
    return os.environ.get("ANDO_REQUIRE_INTEGRATION", "") not in ("", "0")


def missing(part: str, remedy: str) -> NoReturn:
    """Skips the test, saying which part is missing and how to get it."""
    pytest.skip(f"{part} is missing: {remedy}")


def program(name: str, remedy: str) -> Path:
    """The program of that name on the search path."""
    found = shutil.which(name)
    if found is None:
        missing(name, remedy)
    return Path(found)


def anvil_program() -> Path:
    """Anvil: the one that ``ANDO_TEST_ANVIL`` names, else npm's beside this file, else the one on the search path."""
    if named := os.environ.get("ANDO_TEST_ANVIL"):
        if not Path(named).is_file():
            missing("anvil", "ANDO_TEST_ANVIL names no file")
        return Path(named)
    # The platform's package holds the program itself. The `.bin/anvil` beside it is a script that would have to be
    # killed together with the program that it starts.
    for installed in sorted((NPM / "node_modules" / "@foundry-rs").glob("anvil-*/bin/anvil*")):
        return installed
    return program("anvil", "run `npm install` in tests/integration/npm")


def solidity_compiler() -> list[str]:
    """The command, without its arguments, that runs ``npm/compile.cjs``."""
    node = program("node", "install Node.js 18 or newer")
    if not (NPM / "node_modules" / "solc").is_dir():
        missing("solc", "run `npm install` in tests/integration/npm")
    return [str(node), str(NPM / "compile.cjs")]


def bound_to_us(command: list[str]) -> list[str]:
    """The command, made to end with this process even if that is killed, where the system has a way to do it."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", *command] if setpriv else command


class DidNotStartError(Exception):
    """A server ended, or was silent for too long. The text is the last line that it wrote, if any."""


def listening_on(process: subprocess.Popen[bytes], log: Path) -> str:
    """What a server that writes into ``log`` names in a line ``Listening on …``: from then on it answers there."""
    deadline = time.monotonic() + 30
    running = True
    while running and time.monotonic() < deadline:
        time.sleep(0.02)
        running = process.poll() is None
        lines = log.read_text().splitlines()
        for line in lines:
            if line.startswith("Listening on "):
                return line.removeprefix("Listening on ").strip()
    raise DidNotStartError(lines[-1] if lines else "no output")
