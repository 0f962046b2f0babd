"""Delegated signing where a real key store keeps the keys, and a real contract judges the signatures."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from eth_account import Account

from ando_cli.sandbox.server import Sandbox, SandboxConfig
from ando_cli.tempo.keys import PrivateKey
from ando_cli.tempo.voucher import sign_voucher

if TYPE_CHECKING:
    from tests.support.real_chain import Chain, Escrow, FundedKey
    from tests.support.real_keyring import SecretService

pytestmark = pytest.mark.integration

ANDO = Path(sys.executable).with_name("ando")
AUTHORISED = 1_000_000


@pytest.mark.timeout(300)
def test_the_contract_pays_out_what_the_channels_own_key_signed_and_not_what_the_wallets_did(
    tmp_path: Path, anvil: Chain, escrow: Escrow, funded_key: FundedKey, secret_service: SecretService
) -> None:
    payer, payee = funded_key(), funded_key()
    wallet = PrivateKey.parse(payer.key.hex())
    home = tmp_path / "ando"
    home.mkdir()

    def ando(*arguments: str, stdin: str = "") -> str:
        done = secret_service.run([ANDO, *arguments], stdin=stdin, env={"ANDO_HOME": str(home)}, timeout=100)
        assert done.returncode == 0, done.stderr
        return done.stdout

    config = SandboxConfig(
        path=tmp_path / "gateway.db",
        rpc_url=anvil.rpc_url,
        chain_id=anvil.chain_id,
        token=anvil.token,
        escrow=escrow.address,
        payee_key="0x" + payee.key.hex().removeprefix("0x"),
    )
    with Sandbox(config) as gateway:
        (home / "config.toml").write_text(escrow.configuration(gateway.base_url, "delegate = true"))
        ando("wallet", "import", stdin=wallet.to_hex())
        ando("chat", "hi", "--yes")
        assert "canned answer" in ando("chat", "hi")
        [session] = json.loads(ando("session", "list", "--full"))
        on_chain = escrow.channel(session["id"])
        assert on_chain.payer.lower() == wallet.address
        assert on_chain.authorized_signer.lower() not in (wallet.address, "0x" + "0" * 40)
        voucher = json.loads(ando("voucher", "sign", "--channel", session["id"], "--base-units", str(AUTHORISED), "-j"))

    account = Account.from_key(config.payee_key)

    def settle(signature: str) -> int:
        call = escrow.call("settle", session["id"], AUTHORISED, bytes.fromhex(signature[2:]))
        return int(anvil.send(account, [call])["status"])

    by_the_wallet = sign_voucher(
        wallet, session["id"], AUTHORISED, escrow=escrow.address.lower(), chain_id=anvil.chain_id
    )
    assert settle(by_the_wallet) == 0
    assert settle(voucher["signature"]) == 1
    assert escrow.channel(session["id"]).settled == AUTHORISED

    # The gateway is gone: the wallet's key alone asks for the rest.
    assert json.loads(ando("session", "close", "--force", "-j"))["action"] == "close_requested"
