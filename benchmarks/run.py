"""Measures what `ando` promises about speed and prints a table of ratios. The exit code is 0 whatever they are.

`make bench`, or `python benchmarks/run.py [--rounds N]`. README.md beside it says what each row is.
"""

# ruff: noqa: S608 - the only statement made here names the columns of the table itself
from __future__ import annotations

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING

from crowd import REQUESTS, THREADS, crowd
from timing import Row, side_by_side, table

from ando_cli.session.record.store import Store
from ando_cli.tempo.keys import PrivateKey
from ando_cli.tempo.network import NETWORKS
from ando_cli.tempo.voucher import sign_voucher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

HERE = Path(__file__).resolve().parent
ANDO = Path(sys.executable).with_name("ando")
MPPX = HERE.parent / "tests" / "integration" / "mppx" / "node_modules" / ".bin" / "mppx"
NETWORK = NETWORKS["tempo-moderato"]
PROMPT = "what is the capital of america?"
VOUCHERS = 200


class Bench:
    """A gateway, and a wallet each for ours, for `mppx`, and for ours with a large store, all kept in ``folder``."""

    def __init__(self, folder: Path, base_url: str, rpc_url: str, keys: Sequence[PrivateKey]) -> None:
        self.folder = folder
        self.url = f"{base_url}/mpp/chat/completions"
        self.mppx_folder = folder / "mppx"
        self._environments = [
            _environment(
                ANDO_HOME=str(folder / f"ando-{number}"),
                ANDO_BASE_URL=base_url,
                ANDO_NETWORK=NETWORK.name,
                ANDO_RPC_URL=rpc_url,
                ANDO_PRIVATE_KEY=key.to_hex(),
                ANDO_MAX_DEPOSIT="500",
            )
            for number, key in enumerate(keys)
        ]
        self._mppx_environment = _environment(
            HOME=str(self.mppx_folder),
            XDG_CONFIG_HOME=str(self.mppx_folder / "config"),
            MPPX_PRIVATE_KEY=keys[1].to_hex(),
            MPPX_RPC_URL=rpc_url,
        )

    def ando(self, *arguments: str, wallet: int = 0) -> bytes:
        """Run `ando` to its end and return what it printed."""
        return _run([str(ANDO), *arguments], self._environments[wallet])

    def open_channel(self, wallet: int) -> str:
        """Open a channel that is large enough for every run, and return its id."""
        self.ando("session", "open", "--deposit", "400", "--yes", wallet=wallet)
        channel_id: str = json.loads(self.ando("session", "list", "--full", "-j", wallet=wallet))[0]["id"]
        return channel_id

    def chat(self, wallet: int = 0) -> bytes:
        """The warm paid one-liner."""
        return self.ando("chat", PROMPT, wallet=wallet)

    def bare(self) -> bytes:
        """The bare script."""
        return _run([sys.executable, str(HERE / "bare.py"), self.url], self._environments[0])

    def mppx(self, channel_id: str) -> bytes:
        """The same request paid by `mppx` from a channel that is open."""
        body = json.dumps({"messages": [{"role": "user", "content": PROMPT}], "max_tokens": 1024})
        return _run([str(MPPX), self.url, "-J", body, "-M", f"channel={channel_id}"], self._mppx_environment)


def _environment(**variables: str) -> dict[str, str]:
    """Nothing of the machine's own wallets, proxies and settings."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    return kept | {"NO_COLOR": "1"} | variables


def _run(command: Sequence[str], environment: dict[str, str]) -> bytes:
    return subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=True
    ).stdout


@contextmanager
def started(folder: Path) -> Iterator[Bench]:
    """A gateway in a process of its own, for as long as the block lasts."""
    keys = [PrivateKey.generate() for _ in range(3)]
    command = [sys.executable, str(HERE / "gateway.py"), str(folder), *(key.address for key in keys)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise SystemExit("the sandbox gateway did not start: python benchmarks/gateway.py shows why")
            (folder / "mppx").mkdir()
            yield Bench(folder, **json.loads(line), keys=keys)
        finally:
            process.terminate()


def paid_request(bench: Bench, rounds: int) -> Iterator[Row]:
    """The warm paid one-liner beside the bare script, and beside `mppx`."""
    bench.open_channel(0)
    ours, bare = side_by_side(bench.chat, bench.bare, rounds)
    yield Row("warm paid `ando chat` / bare script, two POSTs", ours, bare, goal=1.3)

    what = "warm paid `ando chat` / `mppx`, channel open"
    if not MPPX.exists() or which("node") is None:
        yield Row(what, ours, goal=0.3, note="mppx: not installed (npm install in tests/integration/mppx)")
        return
    channel_id = bench.open_channel(1)
    try:
        if b"choices" not in bench.mppx(channel_id):
            yield Row(what, ours, goal=0.3, note="mppx: it was not given an answer")
            return
        ours, mppx = side_by_side(bench.chat, lambda: bench.mppx(channel_id), rounds)
    except subprocess.CalledProcessError as error:
        words = (error.stderr or error.stdout).decode(errors="replace").split("\n", 1)[0]
        yield Row(what, ours, goal=0.3, note=f"mppx: exit code {error.returncode}: {words[:60]}")
        return
    yield Row(what, ours, mppx, goal=0.3)


def version(bench: Bench, rounds: int) -> Row:
    """`ando --version` beside a Python that does nothing."""
    nothing = [sys.executable, "-c", "pass"]
    ours, beside = side_by_side(lambda: bench.ando("--version"), lambda: _run(nothing, _environment()), rounds)
    return Row("`ando --version` / `python -c pass`", ours, beside)


def vouchers(rounds: int) -> Row:
    """Signing one voucher beside eth_account doing it."""
    from eth_account import Account
    from eth_account.messages import encode_typed_data

    key = PrivateKey.generate()
    channel_id, escrow = "0x" + "ab" * 32, NETWORK.escrows[0]
    types = {"Voucher": [{"name": "channelId", "type": "bytes32"}, {"name": "cumulativeAmount", "type": "uint128"}]}
    domain = {
        "name": "Tempo Stream Channel", "version": "1", "chainId": NETWORK.chain_id, "verifyingContract": escrow,
    }  # fmt: skip

    def ours(amount: int = 1_000_000) -> str:
        return sign_voucher(key, channel_id, amount, escrow=escrow, chain_id=NETWORK.chain_id)

    def theirs(amount: int = 1_000_000) -> str:
        message = {"channelId": bytes.fromhex(channel_id[2:]), "cumulativeAmount": amount}
        signed = Account.sign_message(encode_typed_data(domain, types, message), key.to_hex())
        return "0x" + signed.signature.hex()

    assert ours() == theirs()
    few = VOUCHERS // 10
    mine, beside = side_by_side(_times(ours, VOUCHERS), _times(theirs, few), rounds)
    mine, beside = mine / VOUCHERS, beside / few
    return Row("one voucher signed / eth_account", mine, beside, note=f"{1 / mine:,.0f} vouchers a second")


def _times(run: Callable[[], object], count: int) -> Callable[[], None]:
    def repeat() -> None:
        for _ in range(count):
            run()

    return repeat


def commits(folder: Path, rounds: int) -> Row:
    """One commit of the store, which waits for the disk, beside a commit that does not."""

    def recorder(store: Store) -> Callable[[], None]:
        def record() -> None:
            with store.transaction():
                store._db.execute("INSERT OR REPLACE INTO pins VALUES ('benchmark', 'none', 'nobody', 0)")

        return record

    synced, unsynced = Store(folder / "synced.db"), Store(folder / "unsynced.db")
    unsynced._db.execute("PRAGMA synchronous = OFF")
    ours, beside = side_by_side(recorder(synced), recorder(unsynced), rounds * 10)
    synced.close()
    unsynced.close()
    return Row(
        "one commit of the store / without fsync",
        ours,
        beside,
        note="a warm request waits for one",
    )


def closed_channels(bench: Bench, rounds: int) -> Row:
    """The warm paid one-liner with ten thousand closed channels in the store, beside the same with its one."""
    bench.open_channel(2)
    with closing(sqlite3.connect(bench.folder / "ando-2" / "state" / "sessions.db")) as store, store:
        names = [row[1] for row in store.execute("PRAGMA table_info(channels)") if row[1] != "number"]
        changed = {"channel_id": "'0x' || printf('%064x', n)", "state": "'closed'"}
        values = ", ".join(changed.get(name, name) for name in names)
        store.execute(  # the names are those of the table itself
            "WITH RECURSIVE counted(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM counted LIMIT 10000) "
            f"INSERT INTO channels ({', '.join(names)}) SELECT {values} FROM channels, counted"
        )
    many, one = side_by_side(lambda: bench.chat(wallet=2), bench.chat, rounds)
    return Row("warm paid `ando chat`, 10,000 closed channels / one", many, one, goal=1.05)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure ando beside what it is held against.")
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="timed turns of each pair (default 15)")
    parser.add_argument("--requests", type=int, default=REQUESTS, metavar="N", help="size of the crowd (default 2048)")
    asked = parser.parse_args()
    rounds, requests = max(1, asked.rounds), max(THREADS, asked.requests)
    with tempfile.TemporaryDirectory() as folder, started(Path(folder)) as bench:
        rows = [
            *paid_request(bench, rounds),
            closed_channels(bench, rounds),
            version(bench, rounds),
            vouchers(rounds),
            commits(Path(folder), rounds),
        ]
    with tempfile.TemporaryDirectory() as folder:
        rows += [crowd(Path(folder) / charge, charge, requests) for charge in ("metered", "full")]
    load = os.getloadavg()[0]
    print(f"medians of {rounds} turns each, taken side by side; load {load:.1f} on {os.cpu_count()} cores\n")
    print(table(rows))


if __name__ == "__main__":
    main()
