"""A running sandbox and a wallet with money in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ando_cli.sandbox.server import Sandbox, SandboxConfig
from tests.support.sandbox_payer import MILLION, Payer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with Sandbox(SandboxConfig(path=tmp_path / "sandbox.sqlite")) as running:
        yield running


@pytest.fixture
def payer(sandbox: Sandbox) -> Payer:
    wallet = Payer(sandbox)
    sandbox.fund(wallet.address, 100 * MILLION)
    return wallet
