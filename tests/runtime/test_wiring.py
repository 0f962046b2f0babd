"""The parts of a command, and how they end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ando_cli.config.settings import Flags, load
from ando_cli.errors import StoreError
from ando_cli.runtime.wiring import existing_store, open_store

if TYPE_CHECKING:
    from pathlib import Path

    from ando_cli.config.settings import Settings
    from ando_cli.session.record.store import Store


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(Flags(), {"ANDO_HOME": str(tmp_path)})


def is_closed(store: Store) -> bool:
    try:
        store.channels()
    except StoreError:
        return True
    return False


def test_looking_for_a_store_makes_none(settings: Settings) -> None:
    with existing_store(settings) as store:
        assert store is None
    assert not settings.folders.state.exists()


def test_a_store_that_was_looked_at_is_closed_also_where_that_failed(settings: Settings) -> None:
    open_store(settings).close()
    with existing_store(settings) as store:
        assert store is not None
        assert not is_closed(store)
    assert is_closed(store)
    with pytest.raises(KeyboardInterrupt), existing_store(settings) as store:
        raise KeyboardInterrupt
    assert store is not None
    assert is_closed(store)
