"""Killed at every point of a close and run again: it ends where it would have ended, and nobody gets a cent more.

Against the sandbox's chain and gateway, over HTTP. What is walked through is each write of the store, and whatever is
sent to the gateway and to the chain: it never leaves, or it arrives and nobody is there for the answer.
"""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

from ando_cli.errors import AndoError
from ando_cli.http.client import AndoClient
from ando_cli.inference import paid
from ando_cli.inference.request import Request
from ando_cli.rails.management import Close, ManagementAuth
from ando_cli.rails.payment import PaymentAuth
from ando_cli.sandbox.chain import escrow, reserve, reserve_abi
from ando_cli.sandbox.config import CHAIN_ID, ESCROW, TOKEN
from ando_cli.sandbox.server import Sandbox, SandboxConfig, Settings
from ando_cli.session.act import closing
from ando_cli.session.act.chain import ChainView
from ando_cli.session.act.comparison import compare
from ando_cli.session.act.keys import Keys
from ando_cli.session.act.session import Limits, Session
from ando_cli.session.channel import FUNDED, Channel, State
from ando_cli.session.decide.policy import Caps
from ando_cli.session.record import claims as traffic
from ando_cli.tempo.keys import PrivateKey
from ando_cli.tempo.network import Network
from ando_cli.tempo.rpc import Mined, Rpc
from tests.support.rails_fuse import FUSE, KilledError, MortalStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MILLION = 1_000_000
BODY = b'{"messages":[{"role":"user","content":"hi"}],"max_tokens":8}'


class MortalTransport(httpx.HTTPTransport):
    """The way to the gateway."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        FUSE.touch()
        response = super().handle_request(request)
        FUSE.touch()
        return response


class MortalRpc(Rpc):
    """The way to the chain. What is only read there needs no killing: it is as if killed before."""

    def broadcast(self, transaction: str) -> Mined:
        FUSE.touch()
        mined = super().broadcast(transaction)
        FUSE.touch()
        return mined


class Wallet:
    """A wallet with a channel of its own, from which one request was paid."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self.folder, self.sandbox, self.key = folder, sandbox, PrivateKey.generate()
        sandbox.fund(self.key.address, 100 * MILLION)
        with self.command() as (session, client):
            client(PaymentAuth(session, gateway_of=lambda _: "gateway")).post(Request(paid.CHAT.path, BODY))

    @contextmanager
    def command(self) -> Iterator[tuple[Session, Callable[[PaymentAuth], AndoClient]]]:
        """What one run of a command is made of."""
        with ExitStack() as stack:

            def client(auth: PaymentAuth) -> AndoClient:
                made = AndoClient(
                    self.sandbox.base_url, auth, connect_timeout=10, timeout=10, transport=MortalTransport()
                )
                stack.callback(made.close)
                return made

            store = MortalStore(self.folder / "sessions.db")
            stack.callback(store.close)
            network = Network(
                name="local", chain_id=CHAIN_ID, rpc_url=self.sandbox.rpc_url, token=TOKEN, token_symbol="TST",
                escrows=(ESCROW,),
            )  # fmt: skip
            yield (
                Session(
                    open_store=lambda: store,
                    locks=self.folder / "locks",
                    keys=Keys(lambda: self.key),
                    chain=ChainView(lambda: stack.enter_context(MortalRpc(self.sandbox.rpc_url)), network),
                    limits=Limits(Caps(5 * MILLION)),
                ),
                client,
            )

    def close(self) -> None:
        """``ando session close``."""
        with self.command() as (session, client):
            if (channel := funded(session)) is None:
                return
            auth = ManagementAuth(session, Close(), channel.channel_id, gateway_of=lambda _: "gateway")
            try:
                client(auth).post(Request(paid.CHAT.path, BODY))
            except AndoError:
                if auth.managed is None:
                    raise

    def force(self) -> None:
        """``ando session close --force``."""
        with self.command() as (session, _):
            if (channel := funded(session)) is not None:
                closing.request(session, channel)

    def finish(self) -> None:
        """``ando session close --finish``."""
        with self.command() as (session, _):
            if (channel := funded(session)) is not None:
                closing.withdraw(session, channel)

    def balance(self, owner: str) -> int:
        data = {"to": TOKEN, "data": "0x70a08231" + owner[2:].rjust(64, "0")}
        return int(self.sandbox.rpc("eth_call", data, "latest"), 16)

    @property
    def end(self) -> tuple[object, ...]:
        """What the record, the chain and the wallet have come to."""
        with self.command() as (session, _):
            [channel] = session.store.channels()
            compared = compare(session, channel)
            assert compared.differences == (), "the record is right"
            assert not session.store.traffic(channel.channel_id, None).claimed
        requested = compared.state is not None and compared.state.close_requested_at > 0
        return channel.state, channel.deposit, channel.spent, requested, self.balance(self.key.address)


def funded(session: Session) -> Channel | None:
    """The channel that a command would close; none where it is closed."""
    [channel] = session.store.channels()
    return channel if channel.state in FUNDED else None


@pytest.fixture(scope="module", params=["v1", "v2"])
def sandbox(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    path = tmp_path_factory.mktemp("sandbox") / "chain.db"
    with Sandbox(SandboxConfig(path=path, settings=Settings(protocol=request.param))) as running:
        yield running


@pytest.fixture(autouse=True)
def _no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (escrow, reserve, reserve_abi):
        monkeypatch.setattr(module, "CLOSE_GRACE_PERIOD", 0)


def close(wallet: Wallet) -> None:
    wallet.close()


def force(wallet: Wallet) -> None:
    wallet.force()


def finish(wallet: Wallet) -> None:
    wallet.finish()


def start(_: Wallet) -> None:
    """Nothing that is to be done before."""


def lose_receipts(wallet: Wallet) -> None:
    """The gateway counts what we do not know of: it takes no close below that."""
    with sqlite3.connect(wallet.folder / "sessions.db") as store:
        store.execute("UPDATE channels SET accepted = '0', spent = '0'")
    store.close()


@pytest.mark.parametrize(
    ("before", "command", "state", "points"),
    [
        (start, close, State.CLOSED, 8),
        (lose_receipts, close, State.CLOSED, 12),
        (start, force, State.CLOSING, 12),
        (force, finish, State.CLOSED, 10),
    ],
    ids=["with the gateway", "with a gateway that counts more", "asked for on the chain", "taken from the chain"],
)
def test_a_close_that_is_killed_anywhere_and_run_again_ends_where_it_would_have_ended(
    tmp_path: Path,
    sandbox: Sandbox,
    before: Callable[[Wallet], None],
    command: Callable[[Wallet], None],
    state: State,
    points: int,
) -> None:
    def run(at: int) -> tuple[bool, tuple[object, ...], int]:
        wallet = Wallet(tmp_path / str(at), sandbox)
        before(wallet)
        payees = wallet.balance(sandbox.payee)
        FUSE.at, FUSE.touched = at, 0
        killed = False
        try:
            command(wallet)
        except KilledError:
            killed = True
        FUSE.at = 0
        traffic._names.clear()  # who runs next is somebody else
        command(wallet)
        return killed, wallet.end, wallet.balance(sandbox.payee) - payees

    _, uninterrupted, taken = run(0)
    assert uninterrupted[0] is state
    for point in range(1, points + 2):
        killed, end, captured = run(point)
        assert killed == (point <= points)
        assert (end, captured) == (uninterrupted, taken), f"killed at point {point}"
