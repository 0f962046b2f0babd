"""A lost laptop and a gateway that is gone: the key alone gets a channel back, and the money out of it, on a chain."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from ando_cli.sandbox.server import Sandbox, SandboxConfig
from tests.support import forked
from tests.support.real_chain import environment_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from eth_account.signers.local import LocalAccount

    from tests.support.real_chain import Chain, Escrow, FundedKey

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

MILLION = 1_000_000
GRACE = 15 * 60


class Machine:
    """A machine of the payer's, with nothing on it but the key and a configuration that trusts the escrow."""

    def __init__(self, folder: Path, payer: LocalAccount, escrow: Escrow, base_url: str) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "config.toml").write_text(escrow.configuration(base_url))
        self.environment = environment_of(payer, folder)

    def ando(self, *arguments: str, code: int = 0) -> Any:
        """Run a command; what it answered in JSON."""
        found, out, err = forked.run([*arguments, "-j"], self.environment, self.folder)
        assert found == code, (out, err)
        return json.loads(out)

    def chat(self, *options: str) -> None:
        assert self.ando("chat", "--max-tokens", "20", "hi", *options)

    def session(self) -> dict[str, Any]:
        shown = self.ando("session", "show", "--full")
        assert isinstance(shown, dict)
        return shown


@pytest.fixture
def payer(funded_key: FundedKey) -> LocalAccount:
    return funded_key()


class Gateway:
    """A gateway that can be stopped for good while its URL stays known."""

    def __init__(self, config: SandboxConfig) -> None:
        self._running = ExitStack()
        self.base_url = self._running.enter_context(Sandbox(config)).base_url

    def stop(self) -> None:
        self._running.close()


@pytest.fixture
def gateway(tmp_path: Path, anvil: Chain, escrow: Escrow, funded_key: FundedKey, rewound: None) -> Iterator[Gateway]:
    config = SandboxConfig(
        path=tmp_path / "gateway.db",
        rpc_url=anvil.rpc_url,
        chain_id=anvil.chain_id,
        token=anvil.token,
        escrow=escrow.address,
        payee_key="0x" + funded_key().key.hex().removeprefix("0x"),
    )
    running = Gateway(config)
    # Blocks that come by themselves, as on every other chain: a transaction's validity is counted from the last one.
    anvil.rpc("evm_setIntervalMining", 1)
    yield running
    running.stop()
    anvil.rpc("evm_setIntervalMining", 0)
    anvil.rpc("evm_setAutomine", True)


def test_the_key_alone_gets_a_channel_back_and_its_money_out_although_the_gateway_is_gone(
    tmp_path: Path, payer: LocalAccount, anvil: Chain, escrow: Escrow, gateway: Gateway
) -> None:
    laptop = Machine(tmp_path / "laptop", payer, escrow, gateway.base_url)
    laptop.ando("session", "open", "--deposit", "5", "--yes")
    channel_id = laptop.session()["id"]
    del laptop

    machine = Machine(tmp_path / "machine", payer, escrow, gateway.base_url)
    assert machine.ando("session", "recover", "--dry-run")["channels"][0]["outcome"] == "recovered"
    assert machine.ando("session", "list") == []
    [found] = machine.ando("session", "recover", "--full")["channels"]
    assert (found["id"], found["outcome"], found["deposit"], found["authorised"]) == (
        channel_id, "recovered", "5.00", "0.00",
    )  # fmt: skip
    machine.chat()
    session = machine.session()
    assert (session["id"], session["deposit"], session["authorised"]) == (channel_id, "5.00", "1.00")

    gateway.stop()
    refused = machine.ando("session", "close", code=3)
    assert "close --force" in str(refused["error"])
    asked = machine.ando("session", "close", "--force")
    assert asked["action"] == "close_requested"
    too_early = machine.ando("session", "close", "--finish", code=4)
    assert too_early["error"]["code"] == "grace_period"
    anvil.travel(GRACE)
    before = anvil.balance(payer.address)
    closed = machine.ando("session", "close", "--finish")
    assert (closed["captured"], closed["refunded"]) == ("0.00", "5.00")
    fee = MILLION // 10
    assert 5 * MILLION - fee < anvil.balance(payer.address) - before <= 5 * MILLION
    assert escrow.channel(channel_id).finalized
    assert machine.ando("session", "recover")["channels"] == []


def test_an_id_is_enough_although_its_salt_is_not_known(
    tmp_path: Path, payer: LocalAccount, anvil: Chain, escrow: Escrow, gateway: Gateway
) -> None:
    laptop = Machine(tmp_path / "laptop", payer, escrow, gateway.base_url)
    laptop.ando("session", "open", "--deposit", "1", "--yes")
    channel_id = laptop.session()["id"]
    machine = Machine(tmp_path / "machine", payer, escrow, gateway.base_url)
    found = machine.ando("session", "recover", channel_id, "--authorised", "1")["channels"]
    assert [each["outcome"] for each in found] == ["recovered"]
    machine.chat()
    machine.ando("session", "topup", "2", "--yes")
    assert escrow.channel(channel_id).deposit == 3 * MILLION
    machine.ando("session", "close", "--force")
    anvil.travel(GRACE)
    machine.ando("session", "close", "--finish")
    assert escrow.channel(channel_id).finalized


def test_what_another_machine_did_is_seen_and_taken_over(
    tmp_path: Path, payer: LocalAccount, anvil: Chain, escrow: Escrow, gateway: Gateway
) -> None:
    laptop = Machine(tmp_path / "laptop", payer, escrow, gateway.base_url)
    laptop.ando("session", "open", "--deposit", "2", "--yes")
    machine = Machine(tmp_path / "machine", payer, escrow, gateway.base_url)
    machine.ando("session", "recover")
    machine.ando("session", "topup", "1", "--yes")
    assert laptop.ando("session", "show", "--chain")["chain"]["differences"] == ["deposit"]
    [synced] = laptop.ando("session", "sync")["channels"]
    assert (synced["changes"], "session recover" in synced["note"]) == ([], True)
    [found] = laptop.ando("session", "recover")["channels"]
    assert (found["outcome"], found["deposit"]) == ("raised", "3.00")
    assert laptop.ando("session", "show", "--chain")["chain"]["differences"] == []
    machine.ando("session", "close", "--force")
    [synced] = laptop.ando("session", "sync")["channels"]
    assert {change["field"] for change in synced["changes"]} == {"state", "closes_at"}
    anvil.travel(GRACE)
    laptop.ando("session", "close", "--finish")
    [synced] = machine.ando("session", "sync")["channels"]
    assert synced["state"] == "closed"
