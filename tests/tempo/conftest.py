"""The reference values beside the checkout: computed with viem, ox and mppx, not with our code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tempo_node

if TYPE_CHECKING:
    from collections.abc import Iterator

_VECTORS = Path(__file__).resolve().parents[3] / "shared" / "vectors" / "tempo-session.json"


@pytest.fixture(scope="session")
def vectors() -> dict[str, Any]:
    if not _VECTORS.is_file():
        pytest.skip("the reference vectors (../shared/vectors/tempo-session.json) are not beside this checkout")
    return json.loads(_VECTORS.read_text())


@pytest.fixture
def node() -> Iterator[tempo_node.Node]:
    with tempo_node.serving() as served:
        yield served
