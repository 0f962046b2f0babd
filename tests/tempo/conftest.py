"""The reference values beside the checkout: computed with viem, ox and mppx, not with our code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support import tempo_node
from tests.support.vectors import session_vectors

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def vectors() -> dict[str, Any]:
    return session_vectors()


@pytest.fixture
def node() -> Iterator[tempo_node.Node]:
    with tempo_node.serving() as served:
        yield served
