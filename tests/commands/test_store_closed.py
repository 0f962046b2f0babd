"""No command leaves the store open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ando_cli.session.record.database import Database
from ando_cli.session.record.store import Store
from tests.support.session_doubles import channel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.commands.conftest import Ando

KNOWN = channel(network="tempo")


@pytest.mark.parametrize(
    "line",
    [
        ("session", "list"),
        ("session", "show"),
        ("session", "show", "0xnone"),
        ("session", "forget", KNOWN.channel_id),
        ("session", "forget", KNOWN.channel_id, "--yes-lose-track"),
        ("spend",),
        ("spend", "--check", "--offline"),
        ("voucher", "verify", "--channel", KNOWN.channel_id, "--amount", "1", "--signature", "0x00"),
        ("voucher", "sign", "--channel", KNOWN.channel_id, "--amount", "1"),
    ],
    ids=" ".join,
)
def test_a_command_closes_what_it_opened(
    ando: Ando, home: Path, monkeypatch: pytest.MonkeyPatch, line: tuple[str, ...]
) -> None:
    (home / "state").mkdir(parents=True)
    store = Store(home / "state" / "sessions.db")
    store.add(KNOWN)
    store.close()
    held: list[Database] = []
    opened: list[Database] = []
    begin, end = Database.__init__, Database.close

    def noted(self: Database, *arguments: Any, **named: Any) -> None:
        begin(self, *arguments, **named)
        held.append(self)
        opened.append(self)

    def let_go(self: Database) -> None:
        end(self)
        held.remove(self)

    monkeypatch.setattr(Database, "__init__", noted)
    monkeypatch.setattr(Database, "close", let_go)
    ando(*line)
    assert opened
    assert not held
