"""A session with all that it works with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ando_cli.session.act import settling
from ando_cli.session.record.store import Store
from tests.support.session_doubles import GATEWAY, Clock, Consent, FakeChain, make_session, session_request

if TYPE_CHECKING:
    from pathlib import Path

    from ando_cli.session.act.session import Session
    from ando_cli.session.channel import Channel
    from ando_cli.session.decide.policy import Caps


class Bench:
    """A session with its store, a chain and a clock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.chain = FakeChain(self.clock)
        self.consent = Consent()
        self.store = Store(folder / "sessions.db", clock=self.clock)
        self.session = self.make()
        self.key = self.session.channel_key(GATEWAY, session_request())

    def make(self, caps: Caps | None = None, deposit: int | None = None) -> Session:
        return make_session(
            self.folder, self.chain, self.clock, caps=caps, consent=self.consent, store=self.store, deposit=deposit
        )

    def have(self, known: Channel) -> Channel:
        self.store.add(known)
        found = self.store.channel(known.channel_id)
        assert found is not None
        return found

    def resolved(self, known: Channel) -> Channel:
        settling.resolve(self.session, known)
        found = self.store.channel(known.channel_id)
        assert found is not None
        return found
