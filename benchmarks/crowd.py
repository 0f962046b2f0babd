"""Sixteen threads of one process on one channel, beside bare httpx that sends the same pairs of POSTs.

`python benchmarks/crowd.py [--requests N] [--profile]` runs this alone. The bare side was handed its credentials before
the clock starts: it sends what a client sends that knows everything already, so the server does the same for both.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from timing import Row, table

from ando_cli.http.client import AndoClient
from ando_cli.inference import paid
from ando_cli.inference.request import Request
from ando_cli.mpp.challenge import parse_challenges
from ando_cli.mpp.credential import VoucherPayload, authorization
from ando_cli.rails.payment import PaymentAuth
from ando_cli.session.act.chain import ChainView
from ando_cli.session.act.keys import Keys
from ando_cli.session.act.session import Limits, Session
from ando_cli.session.decide.policy import Caps
from ando_cli.session.record.store import Store
from ando_cli.tempo.keys import PrivateKey
from ando_cli.tempo.network import NETWORKS, Network
from ando_cli.tempo.rpc import Rpc
from ando_cli.tempo.voucher import sign_voucher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REQUESTS = 2048
THREADS = 16
TURNS = 4
DEPOSIT = 400_000_000
BODY = b'{"plan":"Starter","messages":[{"role":"user","content":"hi"}],"max_tokens":8,"stream":false}'
JSON = [("Content-Type", "application/json")]
HERE = Path(__file__).resolve().parent


@contextmanager
def gateway(folder: Path, charge: str, *accounts: str) -> Iterator[tuple[str, Network]]:
    """The sandbox in a process of its own; its base URL, and the network that it stands on."""
    command = [sys.executable, str(HERE / "gateway.py"), f"--charge={charge}", str(folder), *accounts]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            urls = json.loads(process.stdout.readline())
            known = NETWORKS["tempo-moderato"]
            yield urls["base_url"], Network(
                name="local", chain_id=known.chain_id, rpc_url=urls["rpc_url"], token=known.token,
                token_symbol=known.token_symbol, escrows=known.escrows,
            )  # fmt: skip
        finally:
            process.terminate()


class Timed(httpx.BaseTransport):
    """HTTP, with the time that its callers spent in it: with the server, and on the way there and back."""

    def __init__(self) -> None:
        self._inner = httpx.HTTPTransport()
        self._lock = threading.Lock()
        self.seconds = 0.0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        start = time.perf_counter()
        response = self._inner.handle_request(request)
        content = b"".join(response.iter_raw())
        response.close()
        with self._lock:
            self.seconds += time.perf_counter() - start
        return httpx.Response(
            response.status_code, headers=response.headers.raw, stream=httpx.ByteStream(content),
            extensions=response.extensions,
        )  # fmt: skip

    def close(self) -> None:
        self._inner.close()


class Ours:
    """One client with one channel, shared by all threads."""

    def __init__(self, folder: Path, base_url: str, network: Network, key: PrivateKey) -> None:
        self.wire = Timed()
        self.seconds = 0.0
        self.store = Store(folder / "sessions.db")
        session = Session(
            open_store=lambda: self.store,
            locks=folder / "locks",
            keys=Keys(lambda: key),
            chain=ChainView(lambda: Rpc(network.rpc_url, timeout=30), network),
            limits=Limits(Caps(DEPOSIT), deposit=DEPOSIT),
        )
        auth = PaymentAuth(session, gateway_of=lambda _: base_url)
        self.client = AndoClient(base_url, auth, connect_timeout=30, timeout=60, transport=self.wire)

    def send(self, _: int) -> None:
        start = time.perf_counter()
        self.client.post(Request(paid.CHAT.path, BODY))
        self.seconds += time.perf_counter() - start


class Bare:
    """httpx with the credentials at hand."""

    def __init__(self, base_url: str, network: Network, key: PrivateKey, channel_id: str, amount: int) -> None:
        self._url = base_url + paid.CHAT.path
        self._http = httpx.Client(timeout=60)
        signature = sign_voucher(
            key, channel_id, amount, escrow=network.escrows[0], chain_id=network.chain_id
        )  # fmt: skip
        self._payload = VoucherPayload(channel_id, amount, signature)
        self._payer, self._chain_id = key.address, network.chain_id
        self._credentials: list[str] = []

    def prepare(self, count: int) -> None:
        """Fetch and answer so many challenges."""
        for _ in range(count):
            response = self._http.post(self._url, content=BODY, headers=JSON)
            [challenge], _malformed = parse_challenges(response.headers.get_list("www-authenticate"))
            value = authorization(challenge, self._payload, chain_id=self._chain_id, payer=self._payer)
            self._credentials.append(value)

    def send(self, number: int) -> None:
        self._http.post(self._url, content=BODY, headers=JSON).read()
        headers = [*JSON, ("Authorization", self._credentials[number]), ("Idempotency-Key", f"bare-{number}")]
        assert self._http.post(self._url, content=BODY, headers=headers).status_code == 200


def seconds(send: Callable[[int], None], first: int, count: int) -> float:
    """How long sixteen threads take for ``count`` requests."""
    start = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(send, range(first, first + count)))
    return time.perf_counter() - start


def crowd(folder: Path, charge: str, requests: int = REQUESTS, profile: bool = False) -> Row:
    """Both sides in turns, a quarter of the requests each time; the time of one request."""
    folder.mkdir()
    keys = [PrivateKey.generate(), PrivateKey.generate()]
    with gateway(folder, charge, *(key.address for key in keys)) as (base_url, network):
        ours = Ours(folder / "ours", base_url, network, keys[0])
        other = Ours(folder / "bare", base_url, network, keys[1])
        ours.send(0)
        other.send(0)
        [opened] = other.store.channels()
        # In full, each request costs what one challenge asks for: the voucher covers all of them.
        amount = opened.cumulative_amount * (requests + 1 if charge == "full" else 1)
        bare = Bare(base_url, network, keys[1], opened.channel_id, amount)
        bare.prepare(requests)
        ours.seconds = ours.wire.seconds = 0.0
        share = requests // TURNS
        taken = [0.0, 0.0]
        with _profiled(profile):
            for turn in range(TURNS):
                taken[0] += seconds(ours.send, turn * share, share)
                taken[1] += seconds(bare.send, turn * share, share)
        [channel] = ours.store.channels()
    done = share * TURNS
    spent = opened.cumulative_amount * (done + 1) if charge == "full" else channel.spent
    assert channel.spent == spent, "every request was charged once"
    assert channel.accepted == channel.cumulative_amount, "both know the last voucher"
    outside = 1 - ours.wire.seconds / ours.seconds
    rates = f"{done / taken[0]:.0f} requests/s beside {done / taken[1]:.0f}; {outside:.0%} of it outside the server"
    what = (
        f"{done} paid requests, {THREADS} threads, {'charged in full' if charge == 'full' else 'metered'} / bare httpx"
    )
    return Row(what, taken[0] / done, taken[1] / done, goal=2.0, note=rates)


@contextmanager
def _profiled(wanted: bool) -> Iterator[None]:
    """Where the threads' time goes, on stderr. It slows them down."""
    if not wanted:
        yield
        return
    import cProfile
    import pstats

    profiles: list[cProfile.Profile] = []
    real = threading.Thread.run

    def run(self: threading.Thread) -> None:
        profile = cProfile.Profile()
        profiles.append(profile)
        profile.runcall(real, self)

    threading.Thread.run = run  # type: ignore[method-assign]
    try:
        yield
    finally:
        threading.Thread.run = real  # type: ignore[method-assign]
        total = pstats.Stats(profiles[0], stream=sys.stderr)
        for profile in profiles[1:]:
            total.add(profile)
        total.sort_stats("tottime").print_stats(45)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure many requests at once beside bare httpx.")
    parser.add_argument("--requests", type=int, default=REQUESTS, metavar="N")
    parser.add_argument("--charge", choices=["metered", "full"], action="append")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kinds = options.charge or ["metered", "full"]
        print(table([crowd(Path(folder) / kind, kind, options.requests, options.profile) for kind in kinds]))


if __name__ == "__main__":
    main()
