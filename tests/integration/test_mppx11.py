"""What ``ando`` sends on protocol v2, as npm's mppx 0.11 reads it: another implementation of the same specification."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from eth_utils import keccak

from ando_cli.mpp.challenge import Challenge
from ando_cli.mpp.credential import (
    ClosePayload,
    OpenPayload,
    Payload,
    TopUpPayload,
    VoucherPayload,
    authorization,
)
from ando_cli.sandbox.chain import escrow, reserve
from ando_cli.sandbox.chain.node import RpcError
from ando_cli.sandbox.config import ESCROW, TOKEN
from ando_cli.sandbox.server import Sandbox, SandboxConfig, Settings
from ando_cli.session.decide.snapshot import from_headers
from ando_cli.tempo.channel import ChannelTerms
from ando_cli.tempo.fees import Fees
from ando_cli.tempo.keys import PrivateKey
from ando_cli.tempo.network import PRECOMPILE
from ando_cli.tempo.protocol import Protocol
from ando_cli.tempo.transaction import open_transaction, top_up_transaction
from ando_cli.tempo.voucher import sign_voucher
from tests.support import real_parts
from tests.support.sandbox_payer import BODY, MILLION

pytestmark = pytest.mark.integration

PEER = Path(__file__).parent / "mppx11"
CHAIN_ID = 42431
KEY = PrivateKey.parse("5a" * 32)
DELEGATE = PrivateKey.parse("5b" * 32)
FEES = Fees(gas_limit=2_000_000, max_fee_per_gas=40_000_000_000, max_priority_fee_per_gas=1)
VALID_BEFORE = 1_900_000_000


def run_mppx(script: str, asked: object) -> str:
    """What a script with mppx 0.11 writes when it is given ``asked``."""
    node = real_parts.program("node", "install Node.js 20 or newer")
    if not (PEER / "node_modules" / "mppx").is_dir():
        real_parts.missing("mppx 0.11", "run `npm install` in tests/integration/mppx11")
    done = subprocess.run([node, PEER / script], input=json.dumps(asked), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def read_by_mppx(*authorizations: str) -> list[dict[str, Any]]:
    """What mppx 0.11 makes of these ``Authorization`` values."""
    asked = {"chainId": CHAIN_ID, "escrow": PRECOMPILE, "authorizations": authorizations}
    found = json.loads(run_mppx("read.mjs", asked))
    assert isinstance(found, list)
    return found


def challenge() -> Challenge:
    return Challenge(
        id="an-id", realm="ando", method="tempo", intent="session", request="eyJhbW91bnQiOiIxIn0",
        expires="2030-01-01T00:00:00Z", digest="sha-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    )  # fmt: skip


def credentials(terms: ChannelTerms, signer: PrivateKey, *, fee_payer: bool) -> list[str]:
    """An open, a top-up, a voucher and a close of the channel that ``terms`` describe, as the rail sends them."""
    signed = open_transaction(terms, 5_000_000, key=KEY, fees=FEES, valid_before=VALID_BEFORE, fee_payer=fee_payer)
    channel_id = signed.terms.channel_id

    def voucher(amount: int) -> str:
        return sign_voucher(signer, channel_id, amount, escrow=PRECOMPILE, chain_id=CHAIN_ID, protocol=Protocol.V2)

    added = top_up_transaction(
        signed.terms, 2_000_000, key=KEY, fees=FEES, valid_before=VALID_BEFORE, fee_payer=fee_payer
    )
    payloads: list[Payload] = [
        OpenPayload(channel_id, signed.transaction, terms.authorized_signer, 1_000_000, voucher(1_000_000)),
        TopUpPayload(channel_id, added, 2_000_000),
        VoucherPayload(channel_id, 2_000_000, voucher(2_000_000)),
        ClosePayload(channel_id, 1_234_567, voucher(1_234_567)),
    ]
    return [
        authorization(challenge(), payload, chain_id=CHAIN_ID, payer=KEY.address, descriptor=signed.terms.descriptor)
        for payload in payloads
    ]


@pytest.mark.parametrize("fee_payer", [False, True])
@pytest.mark.parametrize("signer", [KEY, DELEGATE], ids=["the wallet signs", "a delegate signs"])
def test_mppx_reads_each_v2_credential_as_we_mean_it(signer: PrivateKey, fee_payer: bool) -> None:
    terms = ChannelTerms(
        payer=KEY.address, payee="0x" + "11" * 20, token="0x20c0000000000000000000000000000000000001",
        salt="0x" + "22" * 32, authorized_signer=signer.address, escrow=PRECOMPILE, chain_id=CHAIN_ID,
        protocol=Protocol.V2, operator="0x" + "33" * 20,
    )  # fmt: skip
    found = read_by_mppx(*credentials(terms, signer, fee_payer=fee_payer))
    assert [each["action"] for each in found] == ["open", "topUp", "voucher", "close"]
    assert {each["challengeId"] for each in found} == {"an-id"}
    assert {each["source"] for each in found} == {f"did:pkh:eip155:{CHAIN_ID}:{KEY.address}"}
    assert all(each["namesItsChannel"] for each in found)
    assert [each["signerAccepts"] for each in found] == [True, None, True, True]
    assert found[0]["boundToItsTransaction"] is True


def test_mppx_does_not_accept_a_voucher_of_somebody_else() -> None:
    terms = ChannelTerms(
        payer=KEY.address, payee="0x" + "11" * 20, token="0x20c0000000000000000000000000000000000001",
        salt="0x" + "22" * 32, authorized_signer=KEY.address, escrow=PRECOMPILE, chain_id=CHAIN_ID,
        protocol=Protocol.V2,
    )  # fmt: skip
    found = read_by_mppx(*credentials(terms, DELEGATE, fee_payer=False))
    assert [each["signerAccepts"] for each in found] == [False, None, False, False]


def test_what_mppx_tells_of_a_session_beside_an_answer_is_read() -> None:
    account, word = "0x" + "ab" * 20, "0x" + "cd" * 32
    told = [
        {
            "acceptedCumulative": "1000000", "chainId": CHAIN_ID, "channelId": word, "deposit": "5000000",
            "descriptor": {
                "authorizedSigner": account, "expiringNonceHash": word, "operator": account, "payee": account,
                "payer": account, "salt": word, "token": account,
            },
            "escrow": PRECOMPILE,
            "highestVoucher": {"channelId": word, "cumulativeAmount": "1000000", "signature": "0x" + "ef" * 65},
            "requiredCumulative": "1000000", "settled": "0", "spent": spent,
        }
        for spent in ("1", "12", "123")  # one for each length of padding
    ]  # fmt: skip
    written = json.loads(run_mppx("snapshot.mjs", told))
    assert [from_headers({"Payment-Session": word, "Payment-Session-Snapshot": each}) for each in written] == told


@pytest.mark.parametrize("fee_payer", [False, True], ids=["the payer pays the fees", "the gateway pays the fees"])
def test_mppx_pays_the_sandbox_on_v2(tmp_path: Path, fee_payer: bool) -> None:
    """Open, vouchers, a top-up and a close, as a stock client of today makes them, against our stand-in."""
    prices = {"Starter": 8_000, "Plus": 8_000, "Premium": 8_000}
    settings = Settings(protocol="v2", fee_payer=fee_payer, prices=prices)
    config = SandboxConfig(path=tmp_path / "sandbox.sqlite", chain_id=CHAIN_ID, settings=settings)
    with Sandbox(config) as sandbox:
        sandbox.fund(KEY.address, 100 * MILLION)
        asked = {
            "url": f"{sandbox.base_url}/mpp/chat/completions",
            "rpcUrl": sandbox.rpc_url,
            "privateKey": KEY.to_hex(),
            "body": BODY.decode(),
            "topUp": "2",
        }
        done = json.loads(run_mppx("pay.mjs", asked))
        assert [answer["status"] for answer in done["answers"]] == [200] * 3
        spent = [int(answer["receipt"]["spent"]) for answer in done["answers"]]
        assert spent == [spent[0], 2 * spent[0], 3 * spent[0]]
        assert done["toppedUp"]["txHash"].startswith("0x")
        assert done["closed"]["spent"] == str(spent[2])
        assert [(entry.action, entry.status) for entry in sandbox.gateway.log if entry.action != "unpaid"] == [
            ("open", 200),
            ("voucher", 200),
            # What manages a session comes without a body, so that the challenge of a body does not fit: once more.
            ("topUp", 402),
            ("topUp", 204),
            ("voucher", 200),
            ("close", 402),
            ("close", 204),
        ]
        data = "0x70a08231" + KEY.address[2:].rjust(64, "0")
        left = int(sandbox.rpc("eth_call", {"to": TOKEN, "data": data}, "latest"), 16)
        paid = 100 * MILLION - left
        assert paid == spent[2] if fee_payer else spent[2] < paid < spent[2] + 50_000


# Nobody calls these here.
LEFT_OUT = {"eip712Domain()", "getChannelsBatch(bytes32[])"}


def test_the_sandboxes_escrows_have_the_functions_and_events_that_mppx_knows(tmp_path: Path) -> None:
    paths = {"v1": "legacy/session/escrow.abi.js", "v2": "session/precompile/escrow.abi.js"}
    known = json.loads(run_mppx("abi.mjs", paths))
    unknown = "0x" + keccak(text="UnknownFunctionSelector(bytes4)")[:4].hex()
    missing: set[str] = set()
    with Sandbox(SandboxConfig(path=tmp_path / "sandbox.sqlite")) as sandbox:
        for name, address in (("v1", ESCROW), ("v2", PRECOMPILE)):
            for function in known[name]["functions"]:
                data = "0x" + keccak(text=function)[:4].hex()
                try:
                    sandbox.rpc("eth_call", {"to": address, "data": data}, "latest")
                except RpcError as error:  # without arguments most refuse
                    missing |= {function} if error.data == unknown else set()
    assert missing == LEFT_OUT
    for name, module in (("v1", escrow), ("v2", reserve)):
        ours = {getattr(module, event) for event in EVENTS if hasattr(module, event)}
        assert ours == set(known[name]["events"])


EVENTS = ("OPENED", "TOPPED_UP", "SETTLED", "CLOSE_REQUESTED", "CLOSE_REQUEST_CANCELLED", "CLOSED", "EXPIRED")
