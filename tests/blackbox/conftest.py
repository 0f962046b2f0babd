"""The installed ``ando`` command in a box of its own, with and without a gateway to pay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ando_cli.sandbox.server import Sandbox, SandboxConfig
from tests.support.cli_box import Box, Gateway

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """A machine on which nothing is set up."""
    return Box(tmp_path)


@pytest.fixture
def gateway(box: Box, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway that ``box`` can pay; no channel is open yet."""
    with Sandbox(SandboxConfig(path=tmp_path / "chain.db")) as sandbox:
        yield Gateway(sandbox, box)


@pytest.fixture(scope="module")
def _shared_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("warm")
    with Sandbox(SandboxConfig(path=folder / "chain.db")) as sandbox:
        yield Gateway(sandbox, Box(folder)).warm_up()


@pytest.fixture
def warm(_shared_gateway: Gateway) -> Gateway:
    """A gateway where the channel is open, with an empty log. Shared by a module's tests: break nothing."""
    _shared_gateway.faults.clear()
    _shared_gateway.forget_log()
    return _shared_gateway
