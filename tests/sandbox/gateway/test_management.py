"""Requests without a body, which manage a session and buy nothing; closes, steps and malformed credentials."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from eth_account import Account

from ando_cli.sandbox.chain.node import RpcError
from ando_cli.sandbox.chain.voucher import close_digest
from ando_cli.sandbox.config import CHAIN_ID
from ando_cli.sandbox.gateway import cashier
from ando_cli.sandbox.gateway.backend import UNREACHABLE, broadcast
from ando_cli.sandbox.primitives import checksummed, to_hex
from tests.support.sandbox_payer import BODY, COST, MILLION, Payer, challenge_of, code_of, receipt_of, unb64url
from tests.support.sandbox_payer_v2 import RESERVE, PayerV2
from tests.support.vectors import charge_vectors

if TYPE_CHECKING:
    from ando_cli.sandbox.gateway.backend import Backend
    from ando_cli.sandbox.server import Sandbox

FAILED = (402, "mpp_payment_verification_failed")
MALFORMED = "mpp_malformed_credential"


def settings(payer: Payer, **changes: Any) -> None:
    httpx.post(payer.sandbox.base_url.removesuffix("/v1") + "/sandbox/settings", json=changes).raise_for_status()


def answered(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, code_of(response)


def session_of(payer: Payer) -> dict[str, Any]:
    state = httpx.get(payer.sandbox.base_url.removesuffix("/v1") + "/sandbox/state").json()
    return next(session for session in state["sessions"] if session["channel_id"] == payer.channel)


@pytest.fixture
def v2(sandbox: Sandbox) -> PayerV2:
    wallet = PayerV2(sandbox)
    settings(wallet, protocol="v2")
    sandbox.fund(wallet.address, 100 * MILLION)
    assert wallet.pay(wallet.open_payload()).status_code == 200
    return wallet


def test_a_request_without_a_body_gets_a_challenge_without_a_digest(payer: Payer) -> None:
    """protocol-charge-sse.md, sections 6 and 7."""
    response = payer.post(b"")
    assert answered(response) == (402, "payment_required")
    challenge = challenge_of(response)
    assert "digest" not in challenge
    assert unb64url(challenge["request"])["amount"] == "1000000"


@pytest.mark.parametrize(("method", "query"), [("POST", "?a=1"), ("GET", ""), ("HEAD", "")])
def test_a_query_or_another_method_makes_no_management_request(payer: Payer, method: str, query: str) -> None:
    response = payer.http.request(method, payer.url + query)
    assert response.status_code == (400 if query else 405)
    assert "WWW-Authenticate" not in response.headers


def test_a_close_without_a_body_is_taken(payer: Payer) -> None:
    payer.opened()
    closed = payer.pay(payer.voucher_payload(COST, action="close"), body=b"")
    assert (closed.status_code, closed.content) == (204, b"")
    assert receipt_of(closed)["txHash"].startswith("0x")
    assert payer.on_chain()[0] is True


def test_a_top_up_without_a_body_is_taken(payer: Payer) -> None:
    payer.opened()
    assert payer.pay(payer.top_up_payload(7), body=b"").status_code == 204
    assert payer.on_chain()[6] == 5 * MILLION + 7


def test_a_voucher_without_a_body_raises_what_is_accepted_and_buys_nothing(payer: Payer) -> None:
    payer.opened()
    raised = payer.pay(payer.voucher_payload(2 * MILLION), body=b"")
    assert (raised.status_code, raised.content) == (204, b"")
    receipt = receipt_of(raised)
    assert (receipt["acceptedCumulative"], receipt["spent"], receipt["units"]) == ("2000000", str(COST), 1)
    again = payer.pay(payer.voucher_payload(2 * MILLION), body=b"")
    assert receipt_of(again)["acceptedCumulative"] == "2000000", "the same voucher succeeds without effect"
    assert answered(payer.pay(payer.voucher_payload(MILLION), body=b"")) == FAILED
    assert session_of(payer)["spent"] == str(COST)


def test_an_open_without_a_body_buys_nothing(payer: Payer) -> None:
    opened = payer.pay(payer.open_payload(), body=b"")
    assert (opened.status_code, receipt_of(opened)["spent"]) == (204, "0")
    assert payer.on_chain()[6] == 5 * MILLION
    assert receipt_of(payer.pay(payer.voucher_payload()))["spent"] == str(COST)


def test_an_empty_body_does_not_match_a_digest(payer: Payer) -> None:
    """protocol-charge-sse.md, section 6: it is answered with a fresh challenge, which fits."""
    payer.opened()
    payload = payer.voucher_payload(COST, action="close")
    refused = payer.post(b"", authorization=payer.credential(payload, payer.challenge()))
    assert answered(refused) == (402, "mpp_invalid_challenge")
    fresh = challenge_of(refused)
    assert "digest" not in fresh
    assert payer.pay(payload, body=b"", challenge=fresh).status_code == 204


def test_a_challenge_without_a_digest_is_good_without_a_body(payer: Payer) -> None:
    settings(payer, digest_form="none")
    payer.opened()
    payload = payer.voucher_payload(COST, action="close")
    assert payer.pay(payload, body=b"", challenge=payer.challenge()).status_code == 204


def test_the_challenge_of_a_management_request_buys_nothing_else(payer: Payer) -> None:
    payer.opened()
    refused = payer.pay(payer.voucher_payload(), body=BODY, challenge=challenge_of(payer.post(b"")))
    assert answered(refused) == (400, "mpp_body_digest_mismatch")


def test_a_management_request_can_be_retried(payer: Payer) -> None:
    payer.opened()
    credential = payer.credential(payer.voucher_payload(2 * MILLION), challenge_of(payer.post(b"")))
    headers = {"authorization": credential, "idempotency-key": str(uuid.uuid4())}
    first, second = payer.post(b"", **headers), payer.post(b"", **headers)
    assert first.status_code == second.status_code == 204
    assert first.headers["Payment-Receipt"] == second.headers["Payment-Receipt"]


@pytest.mark.parametrize(("status", "challenged"), [(402, True), (400, False)])
def test_a_malformed_credential_is_answered_as_set(payer: Payer, status: int, challenged: bool) -> None:
    """402 with a fresh challenge of stock servers (protocol-charge-sse.md, section 3), or the gateway's own 400."""
    if status == 400:
        settings(payer, malformed_status=400)
    response = payer.post(authorization="Payment !!!")
    assert answered(response) == (status, MALFORMED)
    assert ("WWW-Authenticate" in response.headers) is challenged


def test_a_voucher_rises_by_the_least_step_or_not_at_all(payer: Payer) -> None:
    settings(payer, min_voucher_delta=500_000)
    request = unb64url(payer.challenge()["request"])
    assert request["methodDetails"]["minVoucherDelta"] == "500000"
    payer.opened()
    for body in (BODY, b""):
        refused = payer.pay(payer.voucher_payload(MILLION + 499_999), body=body)
        assert answered(refused) == (402, "session/delta-too-small")
        assert "WWW-Authenticate" in refused.headers
    assert payer.pay(payer.voucher_payload(MILLION)).status_code == 200, "the same voucher does not rise"
    assert payer.pay(payer.voucher_payload(MILLION + 500_000)).status_code == 200


@pytest.mark.parametrize("cumulative", [COST - 1, 1])
def test_a_close_that_is_too_low_is_told_how_much(payer: Payer, cumulative: int) -> None:
    payer.opened()
    refused = payer.pay(payer.voucher_payload(cumulative, action="close"))
    assert answered(refused) == FAILED
    assert refused.json()["error"]["message"] == f"close voucher amount must be >= {COST} (spent)"


def settled_on_chain(tmp_path: Any, amount: int) -> Any:
    """A v2 payer whose payee settled ``amount`` by itself."""
    from ando_cli.sandbox.server import Sandbox, SandboxConfig, Settings

    key = "0x" + "42" * 32
    config = SandboxConfig(path=tmp_path / "settled.sqlite", payee_key=key, settings=Settings(protocol="v2"))
    with Sandbox(config) as sandbox:
        wallet, payee = PayerV2(sandbox), PayerV2(sandbox, key=key)
        sandbox.fund(wallet.address, 100 * MILLION)
        assert wallet.pay(wallet.open_payload()).status_code == 200
        signature = bytes.fromhex(wallet.voucher(amount)[2:])
        call = wallet.described("settle", ["uint96", "bytes"], amount, signature)
        assert sandbox.rpc("eth_sendRawTransactionSync", payee.transaction(call))["status"] == "0x1"
        yield wallet


@pytest.fixture
def settled(tmp_path: Any) -> Any:
    yield from settled_on_chain(tmp_path, 600_000)


def test_a_close_captures_what_was_settled_if_that_is_more(settled: PayerV2) -> None:
    """protocol-charge-sse.md, section 7: at least what was spent and settled; the larger is captured."""
    refused = settled.pay(settled.voucher_payload(599_999, action="close"), body=b"")
    assert answered(refused) == FAILED
    assert refused.json()["error"]["message"] == "close voucher amount must be >= 600000 (on-chain settled)"
    before = settled.balance()
    assert settled.pay(settled.voucher_payload(700_000, action="close"), body=b"").status_code == 204
    assert settled.balance() == before + 5 * MILLION - 600_000


def close_signature(key: str, channel: str, amount: int) -> str:
    """The authorization of a close, by eth_account."""
    message = {
        "domain": {"name": "TIP20 Channel Reserve", "version": "1", "chainId": CHAIN_ID, "verifyingContract": RESERVE},
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            "CloseAuthorization": [
                {"name": "channelId", "type": "bytes32"},
                {"name": "cumulativeAmount", "type": "uint96"},
            ],
        },
        "primaryType": "CloseAuthorization",
        "message": {"channelId": bytes.fromhex(channel[2:]), "cumulativeAmount": amount},
    }
    return "0x" + bytes(Account.sign_typed_data(key, full_message=message).signature).hex()


def test_the_digest_of_a_close_is_that_of_the_vector() -> None:
    case = charge_vectors()["v2Close"][0]
    channel, amount = bytes.fromhex(case["channelId"][2:]), int(case["cumulativeAmount"])
    found = close_digest(channel, amount, escrow=case["escrow"], chain_id=case["chainId"])
    assert to_hex(found) == case["closeAuthorization"]["digest"]


def test_a_close_signature_is_verified_where_it_is(v2: PayerV2) -> None:
    """protocol-charge-sse.md, section 7."""
    for wrong in (
        close_signature(v2.key, v2.channel, COST + 1),
        close_signature("0x" + "66" * 32, v2.channel, COST),
        v2.voucher(COST),
        "0x12",
    ):
        payload = v2.voucher_payload(COST, action="close", closeSignature=wrong)
        assert answered(v2.pay(payload, body=b"")) == FAILED
    malformed = v2.voucher_payload(COST, action="close", closeSignature="zz")
    assert answered(v2.pay(malformed, body=b"")) == (402, MALFORMED)
    good = v2.voucher_payload(COST, action="close", closeSignature=close_signature(v2.key, v2.channel, COST))
    assert v2.pay(good, body=b"").status_code == 204


def test_a_close_signature_may_be_missing_unless_it_is_required(v2: PayerV2) -> None:
    settings(v2, require_close_signature=True)
    payload = v2.voucher_payload(COST, action="close")
    assert answered(v2.pay(payload, body=b"")) == FAILED
    assert v2.on_chain()[1] == 5 * MILLION
    settings(v2, require_close_signature=False)
    assert v2.pay(payload, body=b"").status_code == 204


def test_the_payer_of_a_delegated_channel_may_authorize_its_close(sandbox: Sandbox) -> None:
    wallet = PayerV2(sandbox, signer_key="0x" + "77" * 32)
    settings(wallet, protocol="v2", require_close_signature=True)
    sandbox.fund(wallet.address, 100 * MILLION)
    assert wallet.pay(wallet.open_payload()).status_code == 200
    signature = close_signature(wallet.key, wallet.channel, COST)
    payload = wallet.voucher_payload(COST, action="close", closeSignature=signature)
    assert wallet.pay(payload, body=b"").status_code == 204


def with_source(payer: Payer, source: str) -> str:
    return payer.credential(payer.voucher_payload(), payer.challenge(), source)


def test_a_source_with_a_wrong_checksum_is_malformed(payer: Payer) -> None:
    """protocol-charge-sse.md, section 3: all lower case is accepted, a wrong checksum is not."""
    payer.opened()
    right = checksummed(payer.address)
    assert right == Account.from_key(payer.key).address
    prefix = f"did:pkh:eip155:{CHAIN_ID}:"
    assert payer.post(authorization=with_source(payer, prefix + right)).status_code == 200
    wrong = "0x" + right[2:].swapcase()
    assert answered(payer.post(authorization=with_source(payer, prefix + wrong))) == (402, MALFORMED)


def test_a_lost_node_says_nothing_about_the_money(payer: Payer, monkeypatch: pytest.MonkeyPatch) -> None:
    """protocol-charge-sse.md, section 3: broadcast, node's answer lost."""

    async def lost(backend: Backend, raw: bytes) -> dict[str, Any]:
        await broadcast(backend, raw)
        raise RpcError(UNREACHABLE, "lost")

    payload = payer.open_payload()
    with monkeypatch.context() as patch:
        patch.setattr(cashier, "broadcast", lost)
        response = payer.pay(payload)
    assert answered(response) == (500, "internal-payment-error")
    assert challenge_of(response)["id"], "a fresh challenge does not mean that no money moved"
    assert payer.on_chain()[6] == 5 * MILLION, "it arrived"
    assert payer.pay(payload).status_code == 200, "and is not sent again"


def test_a_realm_may_have_letters_that_a_header_cannot_carry(payer: Payer) -> None:
    """protocol-charge-sse.md, section 7: they are escaped, and the echo has them as they are."""
    settings(payer, realm='a "café" \\ ☕ 🙂')
    header = payer.post().headers["WWW-Authenticate"]
    assert 'realm="a \\"caf\\u00e9\\" \\\\ \\u2615 \\ud83d\\ude42"' in header
    challenge = challenge_of(payer.post())
    parameters = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', header)) | {"realm": 'a "café" \\ ☕ 🙂'}
    assert set(parameters) == set(challenge) | {"realm"}
    assert payer.pay(payer.open_payload(), challenge=parameters).status_code == 200
