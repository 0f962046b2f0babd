"""``ando chat`` where a real chain holds the deposit and judges the signatures."""

from __future__ import annotations

import json
import sqlite3
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from eth_account import Account

from ando_cli.money import parse_amount
from ando_cli.sandbox.server import Sandbox, SandboxConfig
from ando_cli.sandbox.settings import Settings
from ando_cli.tempo.keys import PrivateKey
from ando_cli.tempo.voucher import sign_voucher
from tests.support import forked
from tests.support.real_chain import environment_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from eth_account.signers.local import LocalAccount

    from tests.support.real_chain import Chain, Escrow, FundedKey

pytestmark = pytest.mark.integration

PRICE = 10_000
# "hi" is 1 token and 4 for the message; with 23 more the three turns of 28 tokens leave less than a fourth one needs.
TURN = ("chat", "--max-tokens", "22", "hi")


class User:
    """Somebody with a wallet on the chain, and a configuration that trusts the escrow contract there."""

    def __init__(self, folder: Path, payer: LocalAccount, escrow: Escrow, gateway: Sandbox) -> None:
        self.payer = payer
        self.escrow = escrow
        self.gateway = gateway
        self.store = folder / "state" / "sessions.db"
        (folder / "config.toml").write_text(escrow.configuration(gateway.base_url, 'max_deposit = "2"'))
        self.environment = environment_of(payer, folder)

    def run(self, *arguments: str) -> str:
        code, out, err = forked.run(arguments, self.environment, self.store.parent.parent)
        assert code == 0, (out, err)
        assert b"warning" not in err
        return out.decode()

    def session(self) -> dict[str, Any]:
        [session] = json.loads(self.run("session", "list", "--full"))
        assert isinstance(session, dict)
        return session


@pytest.fixture(params=[False, True], ids=["payer pays the fee", "gateway pays the fee"])
def user(
    request: pytest.FixtureRequest, tmp_path: Path, anvil: Chain, escrow: Escrow, funded_key: FundedKey
) -> Iterator[User]:
    payee = funded_key()
    # A payer whose fees are paid has the two deposits and not a cent more.
    payer = funded_key(4_000_000) if request.param else funded_key()
    settings = Settings(prices={"Starter": PRICE, "Plus": PRICE, "Premium": PRICE}, fee_payer=request.param)
    config = SandboxConfig(
        path=tmp_path / "gateway" / "gateway.db",
        rpc_url=anvil.rpc_url,
        chain_id=anvil.chain_id,
        token=anvil.token,
        escrow=escrow.address,
        payee_key="0x" + payee.key.hex().removeprefix("0x"),
        settings=settings,
    )
    config.path.parent.mkdir()
    with Sandbox(config) as gateway:
        folder = tmp_path / "user"
        folder.mkdir()
        yield User(folder, payer, escrow, gateway)


def test_a_channel_is_opened_used_refreshed_and_topped_up_on_the_chain(user: User) -> None:
    for _ in range(3):
        assert "canned answer" in user.run(*TURN, "--max-spend", "2")
    session = user.session()
    on_chain = user.escrow.channel(session["id"])
    assert (on_chain.deposit, on_chain.settled, on_chain.payer.lower()) == (2_000_000, 0, user.payer.address.lower())
    assert (session["deposit"], session["authorised"], session["spent"]) == ("2.00", "1.00", "0.81")

    user.run(*TURN)
    assert user.session()["authorised"] == "2.00"
    assert user.escrow.channel(session["id"]).deposit == 2_000_000

    for _ in range(3):
        user.run(*TURN)
    user.run(*TURN, "--yes")
    session = user.session()
    assert session["authorised"] == "3.00"
    deposit = user.escrow.channel(session["id"]).deposit
    assert parse_amount(session["deposit"]) == deposit
    # The payer whose fees are paid has 4.00 in all, and keeps what a close without the gateway costs.
    kept = 4_000_000 - deposit
    assert kept in (0, user.escrow.chain.balance(user.payer.address))
    assert 0 <= kept < 100_000


def test_the_contract_pays_out_the_voucher_and_not_a_unit_more(user: User) -> None:
    user.run(*TURN, "--yes")
    session = user.session()
    chain, payee_key = user.escrow.chain, user.gateway.config.payee_key
    assert payee_key is not None
    payee = Account.from_key(payee_key)

    def settle(voucher_amount: int, claimed: int) -> int:
        signature = sign_voucher(
            PrivateKey.parse(user.payer.key.hex()), session["id"], voucher_amount,
            escrow=user.escrow.address.lower(), chain_id=chain.chain_id,
        )  # fmt: skip
        call = user.escrow.call("settle", session["id"], claimed, bytes.fromhex(signature[2:]))
        return int(chain.send(payee, [call])["status"])

    assert settle(1_000_000, claimed=1_000_001) == 0
    assert settle(1_000_000, claimed=1_000_000) == 1
    assert user.escrow.channel(session["id"]).settled == 1_000_000


def test_a_close_reports_what_the_payee_got_and_what_the_fees_were(user: User) -> None:
    chain = user.escrow.chain
    whole = chain.balance(user.payer.address)
    for _ in range(2):
        user.run(*TURN, "--max-spend", "2")
    session = user.session()
    closed = json.loads(user.run("session", "close", "-j"))
    assert closed["captured"] == session["spent"] == "0.54"
    assert closed["refunded"] == "1.46"
    channel = user.escrow.channel(session["id"])
    assert (channel.finalized, channel.deposit, channel.settled) == (True, 0, 0), "the contract wipes its record"
    [event] = user.escrow.contract.events.ChannelClosed().get_logs(argument_filters={"channelId": session["id"]})
    assert event["args"]["settledToPayee"] == 540_000
    checked = json.loads(user.run("spend", "--check", "-j"))
    assert checked["sessions"][0]["on_chain"] == "0.54"
    moved = checked["wallet"]
    assert whole - chain.balance(user.payer.address) == int(Decimal(moved["net"]) * 1_000_000)
    sponsored = user.gateway.config.settings.fee_payer
    assert (moved["fees"] == "0.00", moved["fees_at_most"]) == (sponsored, "0.00")


def test_a_run_that_was_killed_after_the_open_was_sent_finds_its_channel_on_the_chain(user: User) -> None:
    user.run(*TURN, "--yes")
    channel_id = user.session()["id"]
    # What a kill between the gateway's broadcast and its answer leaves behind.
    with sqlite3.connect(user.store) as store:
        store.execute(
            "UPDATE channels SET state = 'opening', pending_transaction = '0x76', pending_amount = deposit, "
            "pending_valid_before = 1, accepted = '0', spent = '0'"
        )
    store.close()

    user.run(*TURN)
    session = user.session()
    assert (session["id"], session["state"], session["authorised"]) == (channel_id, "open", "1.00")
