"""A crowd of clients on one channel of a gateway that charges in full: no request twice, and none for nothing."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import pytest

from ando_cli.sandbox.chain.voucher import voucher_digest
from ando_cli.sandbox.config import CHAIN_ID, ESCROW
from ando_cli.sandbox.primitives import from_hex, sign, to_hex
from ando_cli.sandbox.server import Sandbox, SandboxConfig, Settings
from tests.sandbox.gateway.test_sharing import everything, session_of
from tests.support.sandbox_payer import BODY, Payer, challenge_of, code_of, receipt_of
from tests.support.sandbox_payer_v2 import RESERVE, PayerV2
from tests.support.sandbox_process import SandboxProcess

if TYPE_CHECKING:
    from pathlib import Path

AMOUNT = 100
CLIENTS = 16


class Crowd:
    """Threads that share a channel, each with a connection of its own."""

    def __init__(self, payer: Payer) -> None:
        self.payer = payer
        self.protocol = "v2" if isinstance(payer, PayerV2) else "v1"
        self.local = threading.local()
        self.turns = itertools.count(2)  # the open was the first
        self.lock = threading.Lock()

    def post(self, **headers: str) -> httpx.Response:
        if not hasattr(self.local, "http"):
            self.local.http = httpx.Client(timeout=60)
        return self.local.http.post(self.payer.url, content=BODY, headers=headers)

    def signature(self, cumulative: int) -> str:
        # Signing so many typed messages the long way would take longer than all the rest.
        channel, escrow = from_hex(self.payer.channel), RESERVE if self.protocol == "v2" else ESCROW
        digest = voucher_digest(channel, cumulative, escrow=escrow, chain_id=CHAIN_ID, protocol=self.protocol)
        return to_hex(sign(from_hex(self.payer.key), digest))

    def pay(self, _: int) -> httpx.Response:
        """One request with a voucher of its own. Between its number and its arrival others may overtake it."""
        challenge = challenge_of(self.post())
        with self.lock:
            cumulative = AMOUNT * next(self.turns)
        payload = {
            "action": "voucher",
            "channelId": self.payer.channel,
            "cumulativeAmount": str(cumulative),
            "signature": self.signature(cumulative),
        }
        if isinstance(self.payer, PayerV2):
            payload["descriptor"] = self.payer.descriptor  # type: ignore[assignment]
        return self.post(authorization=self.payer.credential(payload, challenge))


@pytest.mark.parametrize(("kind", "requests"), [(Payer, 256), (PayerV2, 256)])
def test_sixteen_clients_are_charged_for_each_request_once(tmp_path: Path, kind: type[Payer], requests: int) -> None:
    settings = {"charge": "full", "amount": AMOUNT, "protocol": "v2" if kind is PayerV2 else "v1"}
    with SandboxProcess(tmp_path / "crowd.sqlite") as sandbox:
        httpx.post(f"{sandbox.origin}/sandbox/settings", json=settings).raise_for_status()
        payer = kind(sandbox)  # type: ignore[arg-type]
        sandbox.fund(payer.address, 10**6)
        money = everything(payer)
        deposit = AMOUNT * (requests + 1)
        assert payer.pay(payer.open_payload(deposit, AMOUNT)).status_code == 200

        with ThreadPoolExecutor(CLIENTS) as pool:
            answers = list(pool.map(Crowd(payer).pay, range(requests)))

        assert {answer.status_code for answer in answers} == {200}, [
            code_of(a) for a in answers if a.status_code != 200
        ]
        receipts = [receipt_of(answer) for answer in answers]
        assert sorted(int(receipt["spent"]) for receipt in receipts) == [
            AMOUNT * turn for turn in range(2, requests + 2)
        ]
        assert all(int(receipt["spent"]) <= int(receipt["acceptedCumulative"]) <= deposit for receipt in receipts)
        session = session_of(payer)
        assert (session["accepted"], session["spent"], session["units"]) == (str(deposit), str(deposit), requests + 1)
        assert session["reserved"] == "0"
        refused = payer.pay(payer.voucher_payload(deposit))
        assert code_of(refused) == "session/insufficient-balance", "there is nothing left"

        assert payer.pay(payer.voucher_payload(deposit, action="close")).status_code == 204
        assert everything(payer) == money


def test_a_credential_sent_twice_at_once_is_charged_once(tmp_path: Path) -> None:
    config = SandboxConfig(path=tmp_path / "twice.sqlite", settings=Settings(charge="full", amount=AMOUNT))
    with Sandbox(config) as sandbox:
        payer = Payer(sandbox)
        sandbox.fund(payer.address, 10**6)
        payer.pay(payer.open_payload(100 * AMOUNT, AMOUNT))
        crowd = Crowd(payer)
        credentials = [
            payer.credential(payer.voucher_payload(AMOUNT * turn), payer.challenge()) for turn in range(2, 34)
        ]

        def send(number: int) -> httpx.Response:
            return crowd.post(authorization=credentials[number // 2], **{"idempotency-key": str(number // 2)})

        with ThreadPoolExecutor(CLIENTS) as pool:
            answers = list(pool.map(send, range(64)))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 32
        assert all(answers[turn].content == answers[turn + 1].content for turn in range(0, 64, 2))
        assert session_of(payer)["spent"] == str(33 * AMOUNT)


@pytest.mark.parametrize("kind", [Payer, PayerV2])
def test_a_gateway_may_refuse_a_voucher_that_was_overtaken(tmp_path: Path, kind: type[Payer]) -> None:
    protocol = "v2" if kind is PayerV2 else "v1"
    settings = Settings(charge="full", amount=AMOUNT, stale_vouchers="refuse", protocol=protocol)
    with Sandbox(SandboxConfig(path=tmp_path / "strict.sqlite", settings=settings)) as sandbox:
        payer = kind(sandbox)
        sandbox.fund(payer.address, 10**6)
        payer.pay(payer.open_payload(100 * AMOUNT, AMOUNT))
        assert payer.pay(payer.voucher_payload(3 * AMOUNT)).status_code == 200
        assert code_of(payer.pay(payer.voucher_payload(2 * AMOUNT))) == "mpp_payment_verification_failed"
        assert payer.pay(payer.voucher_payload(3 * AMOUNT)).status_code == 200, "one more is covered by it"
        assert code_of(payer.pay(payer.voucher_payload(3 * AMOUNT))) == "session/insufficient-balance"


def test_a_metering_gateway_can_be_told_to_ignore_it(tmp_path: Path) -> None:
    with Sandbox(SandboxConfig(path=tmp_path / "lax.sqlite", settings=Settings(stale_vouchers="ignore"))) as sandbox:
        payer = Payer(sandbox)
        sandbox.fund(payer.address, 10**8)
        payer.opened()
        assert payer.pay(payer.voucher_payload(3_000_000)).status_code == 200
        receipt = receipt_of(payer.pay(payer.voucher_payload(2_000_000)))
        assert receipt["acceptedCumulative"] == "3000000"
