"""What a start costs: which modules a command loads, and which of ours may know which."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import ando_cli
from ando_cli.sandbox import faucet
from ando_cli.sandbox.server import Sandbox, SandboxConfig
from ando_cli.tempo.keys import PrivateKey
from ando_cli.tempo.network import NETWORKS

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(ando_cli.__file__).parent
NETWORK = NETWORKS["tempo-moderato"]

# Runs the installed command's own entry point, and says at the end what it has loaded.
PROBE = """
import atexit, pathlib, sys
report = pathlib.Path(sys.argv.pop(1))
atexit.register(lambda: report.write_text(" ".join(sys.modules)))
from ando_cli.__main__ import main
main()
"""

OFF_THE_WARM_PATH = {
    "web3", "eth_account", "pytempo", "pydantic", "rich", "keyring", "aiohttp", "ando_cli.sandbox", "platformdirs",
    "filelock", "tomllib", "toon_format", "tomlkit", "ando_cli.commands.wallet", "ando_cli.tempo.rpc",
    "ando_cli.tempo.transaction", "ando_cli.session.budget", "ando_cli.session.spending", "ando_cli.session.audit",
    "prompt_toolkit", "markdown_it", "ando_cli.repl", "ando_cli.talk", "ando_cli.conversations",
}  # fmt: skip

# From top to bottom: each imports from the lines below its own. ``app`` finds ``commands`` by name, when one is called.
LAYERS = (
    "__main__", "commands", "app", "command", "completions", "describe", "help", "parameters", "candidates", "repl",
    "talk", "channels", "assembly", "doctor", "streaming", "account", "conversations", "conversation", "chat", "output",
    "tables", "chart", "client", "rails", "inspection", "session", "mpp", "wallet", "virtual_keys", "delegates",
    "config_file", "config_view", "settings", "config", "oskeyring", "keystore", "tempo", "tls", "files", "editor",
    "cli", "redact", "errors", "records", "sandbox",
)  # fmt: skip

MODULES = sorted(PACKAGE.rglob("*.py"))


class Runner:
    """Runs ``ando`` in a process of its own and tells what it loaded."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self._report = folder / "modules"
        self._environment = {
            "PATH": os.environ["PATH"], "ANDO_HOME": str(folder / "home"), "HOME": str(folder)
        } | environment  # fmt: skip

    def loaded(self, *arguments: str, **environment: str) -> set[str]:
        """The names of the modules that a run with these arguments has loaded."""
        done = subprocess.run(
            [sys.executable, "-c", PROBE, str(self._report), *arguments],
            env=self._environment | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        self.printed = done.stdout
        return set(self._report.read_text().split())


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """A machine on which nothing is set up."""
    return Runner(tmp_path)


@pytest.fixture
def payer(tmp_path: Path) -> Iterator[Runner]:
    """A wallet in the environment, and a gateway that it can pay on a built-in network, so without a configuration."""
    key = PrivateKey.generate()
    config = SandboxConfig(
        path=tmp_path / "chain.db", chain_id=NETWORK.chain_id, token=NETWORK.token, escrow=NETWORK.escrows[0]
    )
    faucet.fund(config, key.address, 100_000_000)
    with Sandbox(config) as sandbox:
        yield Runner(
            tmp_path,
            ANDO_PRIVATE_KEY=key.to_hex(),
            ANDO_BASE_URL=sandbox.base_url,
            ANDO_RPC_URL=sandbox.rpc_url,
            ANDO_NETWORK=NETWORK.name,
        )


def test_a_paid_chat_on_an_open_channel_loads_nothing_that_only_opening_needs(payer: Runner) -> None:
    opening = payer.loaded("chat", "--max-spend", "5", "hello")
    assert {"web3", "pytempo", "filelock"} <= opening, "what this test looks for is not what opening loads"

    warm = payer.loaded("chat", "hello")

    assert payer.printed
    assert not OFF_THE_WARM_PATH & warm


def test_options_with_values_cost_no_more(payer: Runner) -> None:
    payer.loaded("chat", "--yes", "hello")
    warm = payer.loaded(
        "chat", "hello", "--max-tokens", "8", "--temperature", "0.5", "--stop", "x", "-o", os.devnull, "-u", "-q"
    )
    assert not OFF_THE_WARM_PATH & warm


def test_the_version_is_told_without_the_application(runner: Runner) -> None:
    loaded = runner.loaded("--version")
    assert runner.printed == f"ando {ando_cli.__version__}\n"
    assert not loaded & {"typer", "httpx", "ando_cli.app", "dataclasses"}


def test_help_is_shown_without_loading_a_command(runner: Runner) -> None:
    loaded = runner.loaded("--help")
    assert not loaded & {"httpx", "rich", *(f"ando_cli.commands.{name}" for name in ("chat", "request", "wallet"))}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_imports_go_down(module: Path) -> None:
    own = _layer(module)
    if own is None:
        return
    below = LAYERS[LAYERS.index(own) :]
    assert not {name for name in _own_imports(module) if name not in below}


def test_every_module_has_its_layer() -> None:
    assert {_layer(module) for module in MODULES} == {*LAYERS, None}


@pytest.mark.parametrize("module", sorted((PACKAGE / "commands").glob("*.py")), ids=lambda module: module.stem)
def test_commands_speak_no_http_and_no_sql(module: Path) -> None:
    assert not {name.partition(".")[0] for name in _imports(module)} & {"httpx", "sqlite3"}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_only_output_writes_to_the_terminal(module: Path) -> None:
    if module.relative_to(PACKAGE).as_posix() in ("output.py", "__main__.py"):
        return
    tree = ast.parse(module.read_text())
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not called & {"print", "input", "getpass"}
    used = {(node.value.id, node.attr) for node in ast.walk(tree) if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)}  # fmt: skip
    streams = {("sys", name) for name in ("stdin", "stdout", "stderr", "__stdout__", "__stderr__")}
    assert not used & (streams | {("typer", name) for name in ("echo", "secho", "prompt", "confirm")})
    # A conversation draws over its last lines while an answer arrives, which one module does for all of it.
    if module.relative_to(PACKAGE).as_posix() != "repl/screen.py":
        assert not re.search(r"\b(stdout|stderr)\.(write|buffer)", module.read_text())


def test_what_draws_is_loaded_by_what_writes_to_the_terminal_alone() -> None:
    drawing = {"rich": {"output", "tables", "repl"}, "prompt_toolkit": {"repl"}, "markdown_it": {"repl"}}
    for library, layers in drawing.items():
        users = {
            _layer(module) for module in MODULES if library in {name.partition(".")[0] for name in _imports(module)}
        }
        assert users == layers


def _layer(module: Path) -> str | None:
    """The part of the package that a module belongs to; ``None`` for the package's own file."""
    name = module.relative_to(PACKAGE).with_suffix("").parts[0]
    return None if name == "__init__" else name


def _own_imports(module: Path) -> set[str]:
    """The parts of the package that a module imports, at its top or later; annotations do not count."""
    names = [name.split(".") for name in _imports(module)]
    return {parts[1] for parts in names if parts[0] == "ando_cli" and len(parts) > 1} - {"__version__"}


def _imports(module: Path) -> set[str]:
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(module.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        waiting += ast.iter_child_nodes(node)
    return found
