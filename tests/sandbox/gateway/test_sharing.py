"""Many at once, several processes on one file, and processes that are killed."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ando_cli.sandbox.chain.ledger import FEE_COLLECTOR
from ando_cli.sandbox.config import ESCROW
from ando_cli.sandbox.server import Sandbox, SandboxConfig, Settings
from tests.support.sandbox_payer import BODY, COST, MILLION, Payer, code_of, receipt_of
from tests.support.sandbox_process import SandboxProcess

if TYPE_CHECKING:
    from pathlib import Path


def session_of(payer: Payer) -> dict[str, Any]:
    sessions = httpx.get(payer.sandbox.base_url.removesuffix("/v1") + "/sandbox/state").json()["sessions"]
    return next(session for session in sessions if session["channel_id"] == payer.channel)


def send(payer: Payer, credential: str, http: httpx.Client | None = None) -> httpx.Response:
    return (http or payer.http).post(payer.url, content=BODY, headers={"authorization": credential})


def everything(payer: Payer) -> int:
    """All the money there is: what the payer, the payee, the escrow and the fee collector hold."""
    return sum(payer.balance(account) for account in (payer.address, payer.sandbox.payee, ESCROW, FEE_COLLECTOR))


def test_sixty_four_requests_at_once_cost_exactly_what_they_cost(payer: Payer) -> None:
    payer.opened()
    credentials = [payer.credential(payer.voucher_payload(), payer.challenge()) for _ in range(64)]
    with ThreadPoolExecutor(64) as pool, httpx.Client(limits=httpx.Limits(max_connections=64), timeout=30) as http:
        answers = list(pool.map(lambda value: send(payer, value, http), credentials))
    assert {answer.status_code for answer in answers} == {200}
    assert int(session_of(payer)["spent"]) == 65 * COST
    receipts = [receipt_of(answer) for answer in answers]
    assert sorted(int(receipt["spent"]) for receipt in receipts) == [turn * COST for turn in range(2, 66)]
    assert sorted(receipt["units"] for receipt in receipts) == list(range(2, 66))


def test_requests_in_flight_never_promise_more_than_the_bucket_holds(tmp_path: Path) -> None:
    # A turn costs 340,000 in the end and 440,000 at most: of the million, 660,000 are left after the open.
    settings = Settings(prices={"Starter": 10_000, "Plus": 30, "Premium": 100}, model_seconds=0.3)
    with Sandbox(SandboxConfig(path=tmp_path / "sandbox.sqlite", settings=settings)) as sandbox:
        payer = Payer(sandbox)
        sandbox.fund(payer.address, 100 * MILLION)
        payer.opened()
        credentials = [payer.credential(payer.voucher_payload(), payer.challenge()) for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            answers = list(
                pool.map(
                    lambda value: httpx.post(payer.url, content=BODY, headers={"authorization": value}), credentials
                )
            )
        assert sorted(answer.status_code for answer in answers) == [200] + [402] * 7
        assert session_of(payer)["spent"] == "680000"


def test_two_processes_share_one_file(tmp_path: Path) -> None:
    path = tmp_path / "shared.sqlite"
    first, second = SandboxProcess(path), SandboxProcess(path)  # started at once, on no file
    with first, second:
        assert first.payee == second.payee
        payer, same = Payer(first), Payer(second)
        first.fund(payer.address, 100 * MILLION)
        same.key, same.address, same.signer, same.salt = payer.key, payer.address, payer.signer, payer.salt
        # The challenge of one is answered at the other.
        assert same.pay(payer.open_payload(), challenge=payer.challenge()).status_code == 200
        assert receipt_of(payer.pay(payer.voucher_payload()))["spent"] == str(2 * COST)

        credential = payer.credential(payer.voucher_payload(), payer.challenge())
        headers = {"authorization": credential, "idempotency-key": "one"}
        assert payer.post(**headers).content == same.post(**headers).content
        assert code_of(same.post(authorization=credential)) == "mpp_invalid_challenge"

        turns = [(payer, same)[turn % 2] for turn in range(32)]
        credentials = [payer.credential(payer.voucher_payload(), payer.challenge()) for _ in turns]
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(send, turns, credentials))
        assert {answer.status_code for answer in answers} == {200}
        assert session_of(payer) == session_of(same)
        assert session_of(payer)["spent"] == str(35 * COST)


@pytest.mark.parametrize("_", range(3))
def test_many_start_at_once_on_no_file(tmp_path: Path, _: int) -> None:
    start = threading.Barrier(6)

    def run() -> str:
        start.wait()
        with Sandbox(SandboxConfig(path=tmp_path / "cold.sqlite")) as sandbox:
            return sandbox.payee

    with ThreadPoolExecutor(6) as pool:
        payees = [future.result() for future in [pool.submit(run) for _ in range(6)]]
    assert len(set(payees)) == 1
    with Sandbox(SandboxConfig(path=tmp_path / "cold.sqlite")) as sandbox:
        assert Payer(sandbox).balance(sandbox.payee) == 1_000 * MILLION, "it was endowed once"


def test_a_session_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.sqlite"
    with Sandbox(SandboxConfig(path=path)) as sandbox:
        payer = Payer(sandbox)
        sandbox.fund(payer.address, 100 * MILLION)
        credential = payer.credential(payer.open_payload(), payer.challenge())
        before = payer.post(authorization=credential, **{"idempotency-key": "one"})
        challenge = payer.challenge()
    with Sandbox(SandboxConfig(path=path)) as sandbox:
        assert sandbox.payee == payer.sandbox.payee
        payer.sandbox = sandbox
        again = payer.post(authorization=credential, **{"idempotency-key": "one"})
        assert again.content == before.content
        assert receipt_of(payer.pay(payer.voucher_payload(), challenge=challenge))["spent"] == str(2 * COST)


def test_killed_during_the_open_nothing_is_lost_and_nothing_paid_twice(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.sqlite"
    with SandboxProcess(path, model_seconds=1, reserved=0.5) as killed:
        payer = Payer(killed)
        killed.fund(payer.address, 100 * MILLION)
        payload, challenge = payer.open_payload(), payer.challenge()
        credential = payer.credential(payload, challenge)
        headers = {"authorization": credential, "idempotency-key": "one"}
        with ThreadPoolExecutor(1) as pool:
            lost = pool.submit(payer.post, **headers)
            deadline = time.monotonic() + 10
            while payer.on_chain()[6] == 0 and time.monotonic() < deadline:
                time.sleep(0.01)
            killed.kill()  # the transaction is mined, the model has not answered yet
            assert isinstance(lost.exception(), httpx.TransportError)
    with SandboxProcess(path) as revived:
        payer.sandbox = revived
        balance, money = payer.balance(), everything(payer)
        assert payer.on_chain()[6] == 5 * MILLION
        answer = payer.post(**headers)
        assert answer.status_code == 200, answer.text
        assert (session_of(payer)["spent"], session_of(payer)["accepted"]) == (str(COST), str(MILLION))
        assert (payer.balance(), everything(payer)) == (balance, money)
        assert receipt_of(payer.pay(payer.voucher_payload()))["spent"] == str(2 * COST)


def test_killed_again_and_again_the_books_still_balance(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.sqlite"
    paid = 0
    payer: Payer | None = None
    for round_ in range(4):
        with SandboxProcess(path) as sandbox:
            if payer is None:
                payer = Payer(sandbox)
                sandbox.fund(payer.address, 100 * MILLION)
                money = everything(payer)
                payer.opened()
                paid = 1
            payer.sandbox = sandbox
            stop = threading.Timer(0.15 * (round_ + 1), sandbox.kill)
            stop.start()
            try:
                while True:
                    paid += payer.pay(payer.voucher_payload()).status_code == 200
            except httpx.TransportError:
                stop.join()
    assert payer is not None
    with SandboxProcess(path) as sandbox:
        payer.sandbox = sandbox
        session = session_of(payer)
        # Every answer that arrived was charged; of each process one more may have been, whose answer was lost.
        assert paid * COST <= int(session["spent"]) <= (paid + 4) * COST
        assert int(session["spent"]) == session["units"] * COST
        assert everything(payer) == money
