"""What a start costs: which modules a command loads, and which of ours may know which."""

from __future__ import annotations

import os
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
    "web3",
    "eth_account",
    "pytempo",
    "pydantic",
    "rich",
    "keyring",
    "aiohttp",
    "ando_cli.sandbox",
    "platformdirs",
    "filelock",
    "tomllib",
    "toon_format",
    "tomlkit",
    "ando_cli.commands.wallet",
    "ando_cli.tempo.rpc",
    "ando_cli.tempo.transaction",
    "ando_cli.session.decide.budget",
    "ando_cli.session.report.spending",
    "ando_cli.session.report.audit",
    "prompt_toolkit",
    "markdown_it",
    "ando_cli.repl",
    "ando_cli.conversation.talk",
    "ando_cli.conversation.stream",
    "ando_cli.inference.account",
    "ando_cli.inference.stream",
    "ando_cli.conversation.archive",
}


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
