"""Our client against npm's ``mppx`` server, and its client against our sandbox gateway, on one Tempo chain."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import urllib.request
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ando_cli.sandbox.server import Sandbox, SandboxConfig, Settings
from tests.support import forked
from tests.support.rails_crowd import Crowd
from tests.support.real_chain import environment_of
from tests.support.real_peer import LossyProxy, MppxClient, mppx_server, rpc_with_enough_gas

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eth_account.signers.local import LocalAccount

    from tests.support.real_chain import Escrow, FundedKey
    from tests.support.real_peer import MppxServer

pytestmark = pytest.mark.integration

MILLION = 1_000_000
BODY = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 8}


class User:
    """Somebody with a wallet on the chain whose gateway is somebody else's server."""

    def __init__(self, folder: Path, payer: LocalAccount, escrow: Escrow, server: MppxServer) -> None:
        self.payer = payer
        self.escrow = escrow
        self.server = server
        self.folder = folder
        folder.mkdir()
        self.go_through(server.url)

    def go_through(self, url: str) -> None:
        """Use another way to the same server. It is another gateway's name, and the same channel's payee."""
        (self.folder / "config.toml").write_text(self.escrow.configuration(f"{url}/v1", 'max_deposit = "5"'))

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = environment_of(self.payer, self.folder)
        code, out, err = forked.run(arguments, environment, self.folder)
        return subprocess.CompletedProcess(arguments, code, out.decode(), err.decode())

    def ask(self, *command: str) -> str:
        """Run a paying command that must work, without a warning."""
        done = self.run(*(command or ("chat", "hi")), "--yes")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "warning" not in done.stderr
        return done.stdout

    def session(self) -> dict[str, Any]:
        [session] = json.loads(self.run("session", "list", "--full", "-j").stdout)
        assert isinstance(session, dict)
        return session

    def amounts(self) -> tuple[str, str, str]:
        """What the record says was deposited, authorised and spent."""
        session = self.session()
        return session["deposit"], session["authorised"], session["spent"]

    def paid(self) -> list[tuple[str, int, int | None]]:
        """What the server was handed: each credential's action, the status of the answer, and whole tokens."""
        return [
            (
                each["action"],
                each["status"],
                int(each["cumulativeAmount"]) // MILLION if "cumulativeAmount" in each else None,
            )
            for each in self.server.credentials()
        ]


@pytest.fixture
def user(tmp_path: Path, escrow: Escrow, funded_key: FundedKey) -> Iterator[User]:
    with rpc_with_enough_gas(escrow.chain) as rpc_url, mppx_server(tmp_path, rpc_url, escrow, funded_key()) as server:
        yield User(tmp_path / "user", funded_key(), escrow, server)


def test_our_client_opens_raises_unprompted_and_tops_up_at_a_server_that_charges_each_request_in_full(
    user: User,
) -> None:
    for turn in range(1, 6):
        assert user.ask() == "paid for\n"
        assert user.amounts() == ("5.00", f"{turn}.00", f"{turn}.00")
    body = json.dumps(BODY)
    answer = user.ask("request", "-X", "POST", "/mpp/chat/completions", "--json", body)
    assert json.loads(answer) == {"choices": [{"message": {"content": "paid for"}}]}
    assert user.amounts() == ("10.00", "6.00", "6.00")
    assert user.paid() == [
        ("open", 200, 1),
        *(("voucher", 200, turn) for turn in range(2, 6)),
        ("topUp", 204, None),
        ("voucher", 200, 6),
    ]
    channel = user.escrow.channel(user.session()["id"])
    assert (channel.deposit, channel.settled, channel.finalized) == (10 * MILLION, 0, False)


def test_a_used_up_voucher_is_raised_by_one_amount_when_the_server_says_so(user: User) -> None:
    user.ask()
    with sqlite3.connect(user.folder / "state" / "sessions.db") as store:
        store.execute("UPDATE channels SET accepted = '0', spent = '0'")  # the receipt was lost
    store.close()
    assert user.ask() == "paid for\n"
    assert user.paid() == [("open", 200, 1), ("voucher", 402, 1), ("voucher", 200, 2)]
    assert "insufficient-balance" in user.server.credentials()[1]["refusal"]
    assert user.amounts() == ("5.00", "2.00", "2.00")


def test_a_lost_answer_to_the_open_is_found_on_the_chain_and_not_paid_again(user: User) -> None:
    with LossyProxy(user.server.url) as proxy:
        user.go_through(proxy.url)
        proxy.lose_answers = True
        lost = user.run("chat", "hi", "--yes")
        assert lost.returncode != 0
        assert user.session()["state"] == "opening"
        proxy.lose_answers = False
        assert user.ask() == "paid for\n"
        session = user.session()
    assert user.escrow.channel(session["id"]).deposit == 5 * MILLION
    assert user.escrow.chain.balance(user.payer.address) > 94 * MILLION, "one deposit, and the fee for it"
    # What the server charged for the lost answer is used up; nothing but this one raise was needed.
    assert user.amounts() == ("5.00", "2.00", "2.00")
    assert [each for each in user.paid() if each[1] == 200] == [("open", 200, 1), ("voucher", 200, 2)]


def test_an_open_that_never_arrived_is_sent_again_and_opens_one_channel(user: User) -> None:
    with LossyProxy(user.server.url) as proxy:
        user.go_through(proxy.url)
        proxy.lose_credentials = True
        assert user.run("chat", "hi", "--yes").returncode != 0
        proxy.lose_credentials = False
        assert user.ask() == "paid for\n"
        assert user.amounts() == ("5.00", "1.00", "1.00")
    assert user.paid() == [("open", 200, 1)]


@pytest.mark.parametrize(("processes", "threads"), [(1, 16), (4, 4)], ids=["threads", "processes"])
def test_sixteen_clients_at_once_are_all_answered_and_charged_once(user: User, processes: int, threads: int) -> None:
    chain, requests = user.escrow.chain, 32
    crowd = Crowd(
        folder=str(user.folder), base_url=f"{user.server.url}/v1", rpc_url=chain.rpc_url, chain_id=chain.chain_id,
        token=chain.token.lower(), escrow=user.escrow.address.lower(), secret=user.payer.key.hex(),
    )  # fmt: skip
    outcomes = crowd.processes(processes, requests // processes, threads)
    assert outcomes == ["answered"] * requests
    credentials = user.server.credentials()
    statuses = Counter((each["action"], each["status"]) for each in credentials)
    assert statuses["open", 200] == 1
    assert statuses["open", 200] + statuses["voucher", 200] == requests
    assert (
        max(int(each["cumulativeAmount"]) for each in credentials if "cumulativeAmount" in each) == requests * MILLION
    )
    with sqlite3.connect(Path(crowd.folder) / "sessions.db") as store:
        [row] = store.execute("SELECT cumulative_amount, accepted, spent, deposit FROM channels")
    store.close()
    assert row[:3] == (str(requests * MILLION),) * 3, "not a cent beyond what was asked"


@contextmanager
def our_gateway(
    folder: Path, rpc_url: str, escrow: Escrow, payee: LocalAccount, settings: Settings
) -> Iterator[Sandbox]:
    """Our sandbox's gateway on the chain of the tests."""
    folder.mkdir()
    config = SandboxConfig(
        path=folder / "gateway.db",
        rpc_url=rpc_url,
        chain_id=escrow.chain.chain_id,
        token=escrow.chain.token,
        escrow=escrow.address,
        payee_key="0x" + payee.key.hex().removeprefix("0x"),
        settings=settings,
    )
    with Sandbox(config) as gateway:
        yield gateway


@pytest.mark.parametrize("charge", ["metered", "full"])
def test_the_mppx_client_opens_and_pays_at_our_gateway(
    tmp_path: Path, escrow: Escrow, funded_key: FundedKey, charge: str
) -> None:
    payer = funded_key()
    with (
        rpc_with_enough_gas(escrow.chain) as rpc_url,
        our_gateway(tmp_path / "gateway", rpc_url, escrow, funded_key(), Settings(charge=charge)) as gateway,
    ):
        client = MppxClient(tmp_path, rpc_url, payer)
        url = f"{gateway.base_url}/mpp/chat/completions"
        opened = client.pay(url, BODY, "-M", "deposit=5", "--verbose")
        [channel_id] = re.findall(r"Channel opened (0x[0-9a-f]{64})", opened.stderr)
        again = client.pay(url, BODY, "-M", f"channel={channel_id}", "--verbose")
        actions = [(entry.action, entry.status) for entry in gateway.gateway.log]
        state = json.load(urllib.request.urlopen(gateway.base_url.removesuffix("/v1") + "/sandbox/state"))  # noqa: S310

    assert (opened.returncode, again.returncode) == (0, 0)
    assert all(
        "canned answer" in json.loads(done.stdout)["choices"][0]["message"]["content"] for done in (opened, again)
    )
    # This command closes with the challenge that it has just paid with, which our gateway takes for one turn only.
    assert actions == [
        ("unpaid", 402),
        ("open", 200),
        ("close", 402),
        ("unpaid", 402),
        ("voucher", 200),
        ("close", 402),
    ]
    [session] = state["sessions"]
    assert (session["channel_id"], session["accepted"], session["units"]) == (channel_id, "2000000", 2)
    assert session["spent"] == {"metered": "260", "full": "2000000"}[charge]
    channel = escrow.channel(channel_id)
    assert (channel.deposit, channel.settled, channel.finalized) == (5 * MILLION, 0, False)
