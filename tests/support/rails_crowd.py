"""A client of ours as many threads and processes use it at once.

``python rails_crowd.py CONFIG`` reads what `Crowd.start` wrote, says `ready`, waits for a line on stdin, sends its
requests with so many threads, and prints what became of each.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ando_cli.errors import AndoError
from ando_cli.http.client import AndoClient
from ando_cli.inference import paid
from ando_cli.inference.request import Request
from ando_cli.rails.payment import PaymentAuth
from ando_cli.session.act.chain import ChainView
from ando_cli.session.act.keys import Keys
from ando_cli.session.act.locks import once
from ando_cli.session.act.session import Limits, Session
from ando_cli.session.decide.budget import Budgets
from ando_cli.session.decide.policy import Caps
from ando_cli.session.record.store import Store
from ando_cli.tempo.keys import PrivateKey
from ando_cli.tempo.network import Network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BODY = b'{"plan":"Starter","messages":[{"role":"user","content":"hi"}],"max_tokens":8}'


@dataclass(frozen=True)
class Crowd:
    """What all clients have in common: a gateway, a chain, a wallet and a folder with its store."""

    folder: str
    base_url: str
    rpc_url: str
    chain_id: int
    token: str
    escrow: str
    secret: str
    max_spend: int | None = None
    budget: int | None = None

    @contextmanager
    def client(self, key: Callable[[], PrivateKey] | None = None) -> Iterator[tuple[AndoClient, Session]]:
        """A client with parts of its own, each made when it is first needed, as a command makes them."""
        from ando_cli.tempo.rpc import Rpc

        with ExitStack() as stack:
            network = Network(
                name="local", chain_id=self.chain_id, rpc_url=self.rpc_url, token=self.token, token_symbol="TST",
                escrows=(self.escrow,),
            )  # fmt: skip

            def make_store() -> Store:
                store = Store(Path(self.folder) / "sessions.db")
                stack.callback(store.close)
                return store

            session = Session(
                open_store=once(make_store),
                locks=Path(self.folder) / "locks",
                keys=Keys(key or (lambda: PrivateKey.parse(self.secret))),
                chain=ChainView(lambda: stack.enter_context(Rpc(self.rpc_url, timeout=60)), network),
                limits=Limits(Caps(10**12, self.max_spend), None if self.budget is None else Budgets(day=self.budget)),
            )
            auth = PaymentAuth(session, gateway_of=lambda _: "gateway")
            client = AndoClient(self.base_url, auth, connect_timeout=60, timeout=60)
            stack.callback(client.close)
            yield client, session

    def send(self, client: AndoClient, requests: int, threads: int) -> list[str]:
        """Send so many requests with so many threads; for each, ``answered`` or the code of its error."""

        def one(_: int) -> str:
            try:
                client.post(Request(paid.CHAT.path, BODY))
            except AndoError as error:
                return error.code
            return "answered"

        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(one, range(requests)))

    def processes(self, count: int, requests: int, threads: int) -> list[str]:
        """The same from so many processes, each with so many requests and threads, which begin together."""
        config = Path(self.folder) / "crowd.json"
        config.write_text(json.dumps({"crowd": self.__dict__, "requests": requests, "threads": threads}))
        with ExitStack() as stack:
            workers = [stack.enter_context(_Worker(config)) for _ in range(count)]
            for worker in workers:
                assert worker.out.readline() == "ready\n"
            for worker in workers:
                worker.into.write("go\n")
                worker.into.flush()
            return [outcome for worker in workers for outcome in json.loads(worker.out.readline())]


class _Worker:
    """Another process that takes part."""

    def __init__(self, config: Path) -> None:
        from tests.support.forked import forks  # the workers do not find it, and do not need it

        stdin, into = os.pipe()
        out, stdout = os.pipe()
        self.into, self.out = open(into, "w"), open(out)  # noqa: PTH123, SIM115 - closed at the end
        self._process = forks().start(
            [Path(__file__), str(config)],
            os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
            config.parent,
            (stdin, stdout, sys.__stderr__.fileno()),
        )
        os.close(stdin)
        os.close(stdout)

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.into.close()
        self.out.close()
        self._process.wait(60)


def main(config: str) -> None:
    given = json.loads(Path(config).read_text())
    crowd = Crowd(**given["crowd"])
    with crowd.client() as (client, _):
        print("ready", flush=True)
        sys.stdin.readline()
        print(json.dumps(crowd.send(client, given["requests"], given["threads"])), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
