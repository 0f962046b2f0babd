"""Many threads and processes on one channel of each kind of gateway: all answered, not a cent beyond what was asked."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ando_cli.http.extensions import PAID
from ando_cli.inference import paid
from ando_cli.sandbox.config import CHAIN_ID, ESCROW, TOKEN
from ando_cli.sandbox.server import Sandbox, SandboxConfig, Settings
from ando_cli.session.channel import Channel, State
from ando_cli.session.record.store import Store
from ando_cli.tempo.keys import PrivateKey
from tests.support.rails_crowd import Crowd

if TYPE_CHECKING:
    from collections.abc import Iterator

MILLION = 1_000_000
FULL_PRICE = 1_000
PLANS = ("Starter", "Plus", "Premium")

IN_FULL = Settings(charge="full", amount=FULL_PRICE, suggested_deposit=40 * FULL_PRICE)
"""Each request costs what one challenge asks for, and the deposit is used up every forty requests."""

GATEWAYS = {
    "metered": Settings(),
    # Four requests of 208,000 fit in a bucket.
    "metered, dear": Settings(prices=dict.fromkeys(PLANS, 16_000)),
    "in full, stale vouchers taken": IN_FULL,
    "in full, stale vouchers refused": IN_FULL.changed({"stale_vouchers": "refuse"}),
    "in full, stale vouchers refused, v2": IN_FULL.changed({"stale_vouchers": "refuse", "protocol": "v2"}),
}


@contextmanager
def gateway(
    folder: Path, settings: Settings, max_spend: int | None = None, budget: int | None = None
) -> Iterator[tuple[Crowd, Sandbox]]:
    key = PrivateKey.generate()
    with Sandbox(SandboxConfig(path=folder / "gateway.db", settings=settings)) as sandbox:
        sandbox.fund(key.address, 10_000 * MILLION)
        yield (
            Crowd(
                folder=str(folder), base_url=sandbox.base_url, rpc_url=sandbox.rpc_url, chain_id=CHAIN_ID, token=TOKEN,
                escrow=ESCROW, secret=key.to_hex(), max_spend=max_spend, budget=budget,
            ),
            sandbox,
        )  # fmt: skip


def record(crowd: Crowd) -> Channel:
    """The one channel of the store."""
    store = Store(Path(crowd.folder) / "sessions.db")
    [channel] = store.channels()
    assert not store._db.execute("SELECT * FROM claims").fetchall(), "nothing is claimed when all are done"
    store.close()
    return channel


def session(sandbox: Sandbox) -> dict[str, Any]:
    """The one session in the gateway's books."""
    [known] = httpx.get(sandbox.base_url.removesuffix("/v1") + "/sandbox/state").json()["sessions"]
    assert isinstance(known, dict)
    return known


def booked(crowd: Crowd) -> tuple[int, int]:
    """What the rows of the ledger add up to: authorised and spent."""
    store = Store(Path(crowd.folder) / "sessions.db")
    rows = store.ledger()
    store.close()
    return sum(row.authorised for row in rows), sum(row.spent or 0 for row in rows)


def check(crowd: Crowd, sandbox: Sandbox, settings: Settings, requests: int, *, meddled: bool = False) -> None:
    """What holds whoever sent the requests, and however many at once."""
    channel, known = record(crowd), session(sandbox)
    assert meddled or booked(crowd) == (channel.cumulative_amount, channel.spent), "every base unit is in one row"
    assert channel.state is State.OPEN
    assert (channel.accepted, channel.cumulative_amount) == (int(known["accepted"]),) * 2, "both know the last voucher"
    assert (channel.spent, requests) == (int(known["spent"]), known["units"]), "each request was charged once"
    actions = Counter(entry.action for entry in sandbox.gateway.log)
    assert actions["open"] == 1
    answers = Counter(entry.authorization_sha256 for entry in sandbox.gateway.log if entry.authorization)
    assert set(answers.values()) == {1}, "no credential was sent twice"
    if settings.charge == "full":
        assert channel.cumulative_amount == channel.spent == requests * FULL_PRICE, "not a cent beyond what was asked"
    else:
        # Told so by the gateway, one raise each at most; and at a price that leaves room in the bucket, none.
        told = sum(entry.status == 402 for entry in sandbox.gateway.log if entry.action == "voucher")
        assert channel.cumulative_amount <= (1 + told) * MILLION


@pytest.mark.parametrize("kind", [kind for kind in GATEWAYS if kind != "metered"])
def test_sixteen_threads_share_one_client_and_one_channel(tmp_path: Path, kind: str) -> None:
    requests = 96 if "dear" in kind else 192
    with gateway(tmp_path, GATEWAYS[kind]) as (crowd, sandbox):
        with crowd.client() as (client, _):
            assert crowd.send(client, requests, threads=16) == ["answered"] * requests
        check(crowd, sandbox, GATEWAYS[kind], requests)


@pytest.mark.parametrize("kind", [kind for kind in GATEWAYS if "v2" not in kind])
@pytest.mark.parametrize(("processes", "threads"), [(8, 1), (4, 4)], ids=["alone", "with threads"])
def test_processes_share_one_channel(tmp_path: Path, kind: str, processes: int, threads: int) -> None:
    each = 6 * threads if "dear" in kind else 12 * threads
    with gateway(tmp_path, GATEWAYS[kind]) as (crowd, sandbox):
        assert crowd.processes(processes, each, threads) == ["answered"] * processes * each
        check(crowd, sandbox, GATEWAYS[kind], processes * each)


@pytest.mark.parametrize(
    # Once so many: where each is charged in full, the books of both sides show any request that was lost or paid twice.
    ("kind", "requests"),
    [("metered", 256), ("in full, stale vouchers refused", 2048)],
)
def test_sixteen_threads_make_many_requests(tmp_path: Path, kind: str, requests: int) -> None:
    settings = GATEWAYS[kind].changed({"suggested_deposit": 5 * MILLION})
    with gateway(tmp_path, settings) as (crowd, sandbox):
        with crowd.client() as (client, _):
            assert crowd.send(client, requests, threads=16) == ["answered"] * requests
        check(crowd, sandbox, settings, requests)


def test_the_wallet_is_asked_for_its_key_once(tmp_path: Path) -> None:
    asked: list[None] = []

    with gateway(tmp_path, IN_FULL) as (crowd, _):

        def key() -> PrivateKey:
            asked.append(None)
            time.sleep(0.05)  # a keyring that has to be unlocked first
            return PrivateKey.parse(crowd.secret)

        with crowd.client(key) as (client, _):
            crowd.send(client, 16, threads=16)
    assert len(asked) == 1


def test_max_spend_bounds_all_threads_together(tmp_path: Path) -> None:
    with gateway(tmp_path, IN_FULL, max_spend=20 * FULL_PRICE) as (crowd, sandbox):
        with crowd.client() as (client, ours):
            outcomes = Counter(crowd.send(client, 48, threads=16))
            assert ours.tally.committed.raised == 20 * FULL_PRICE
        assert outcomes == {"answered": 20, "max_spend_exceeded": 28}
        assert int(session(sandbox)["accepted"]) == 20 * FULL_PRICE


def test_a_budget_bounds_all_processes_and_threads_together(tmp_path: Path) -> None:
    with gateway(tmp_path, IN_FULL, budget=20 * FULL_PRICE) as (crowd, sandbox):
        outcomes = Counter(crowd.processes(2, requests=16, threads=4))
        assert outcomes == {"answered": 20, "budget_exceeded": 12}
        assert int(session(sandbox)["accepted"]) == record(crowd).cumulative_amount == 20 * FULL_PRICE


def test_what_a_killed_request_authorised_is_used_by_the_next(tmp_path: Path) -> None:
    with gateway(tmp_path, IN_FULL) as (crowd, sandbox):
        with crowd.client() as (client, ours):
            crowd.send(client, 3, threads=1)
            [channel] = ours.store.channels()
            assert ours.store.raise_cumulative(channel.channel_id, 3 * FULL_PRICE, 4 * FULL_PRICE)
            assert crowd.send(client, 1, threads=1) == ["answered"]
        check(crowd, sandbox, IN_FULL, 4, meddled=True)


def test_a_request_whose_raise_was_never_answered_does_not_make_the_next_pay_twice(tmp_path: Path) -> None:
    with gateway(tmp_path, IN_FULL) as (crowd, sandbox):
        with crowd.client() as (client, ours):
            first = client.post(paid.smallest())
            assert first.extensions[PAID].raised == FULL_PRICE
            # Its answer was never booked: the gateway has charged it, and the store does not know.
            ours.store._db.execute("UPDATE channels SET accepted = '0', spent = '0'")
            assert crowd.send(client, 4, threads=4) == ["answered"] * 4
        check(crowd, sandbox, IN_FULL, 5, meddled=True)
