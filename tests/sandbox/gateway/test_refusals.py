"""What the gateway does not take: each thing that is not exactly right, with the code that says so."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from eth_abi import encode
from pytempo import Call

from ando_cli.sandbox.config import CHAIN_ID, TOKEN
from ando_cli.sandbox.primitives import SECP256K1_N
from tests.support.sandbox_payer import BODY, COST, MILLION, Payer, b64url, code_of, selector, unb64url

if TYPE_CHECKING:
    from collections.abc import Callable

FAILED = "mpp_payment_verification_failed"
MALFORMED = "mpp_malformed_credential"
INVALID = "mpp_invalid_challenge"
NO_CHANNEL = "0x" + "12" * 32
OTHER = "0x" + "34" * 20


def settings(payer: Payer, **changes: Any) -> None:
    httpx.post(payer.sandbox.base_url.removesuffix("/v1") + "/sandbox/settings", json=changes).raise_for_status()


def high_s(signature: str) -> str:
    """The other signature of the same key over the same digest."""
    raw = bytes.fromhex(signature[2:])
    s = SECP256K1_N - int.from_bytes(raw[32:64], "big")
    return "0x" + (raw[:32] + s.to_bytes(32, "big") + bytes([55 - raw[64]])).hex()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b" ", "invalid_request"),
        (b"[]", "invalid_request"),
        (b"[" * 100_000, "invalid_request"),
        (b'{"a":' * 100_000, "invalid_request"),
        (b"\xff", "invalid_request"),
        (b"{}", "invalid_request"),
        (b'{"messages":[]}', "invalid_request"),
        (b'{"messages":["x"]}', "invalid_request"),
        (b'{"messages":[{"content":"x"}]}', "invalid_request"),
        (b'{"messages":[{"role":"user","content":5}]}', "invalid_request"),
        (BODY.replace(b"Starter", b"Gold"), "invalid_request"),
        (BODY.replace(b'"Starter"', b"[]"), "invalid_request"),
        (BODY.replace(b"32", b"0"), "invalid_request"),
        (BODY.replace(b"32", b'"32"'), "invalid_request"),
        (BODY.replace(b"32", b"true"), "invalid_request"),
        (BODY.replace(b"32", b"3.5"), "invalid_request"),
        (BODY.replace(b"32", b'32,"model":"m"'), "invalid_request"),
        (BODY.replace(b"32", b'32,"model_optimization":false'), "invalid_request"),
        (BODY.replace(b"32", b'32,"model_optimization":"no"'), "invalid_request"),
        (BODY.replace(b"32", b'32,"stream":true'), "mpp_streaming_unavailable"),
        (BODY.replace(b"32", b"500000"), "mpp_request_exceeds_voucher_bucket"),
    ],
)
def test_a_body_that_is_not_right_gets_no_challenge(payer: Payer, body: bytes, code: str) -> None:
    response = payer.post(body)
    assert (response.status_code, code_of(response)) == (400, code)
    assert "WWW-Authenticate" not in response.headers


@pytest.mark.parametrize(
    "body",
    [
        b'{"messages":[{"role":"user","content":"hi"}]}',
        b'{"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]},{"role":"assistant","content":null}]}',
        BODY.replace(b"32", b'32,"stream":false,"temperature":0,"model_optimization":false,"model":"m"'),
        BODY.replace(b"max_tokens", b"max_completion_tokens"),
    ],
)
def test_other_bodies_are_fine(payer: Payer, body: bytes) -> None:
    assert payer.post(body).status_code == 402


def credential_json(payer: Payer) -> dict[str, Any]:
    payload = payer.voucher_payload()
    return unb64url(payer.credential(payload, payer.challenge()).removeprefix("Payment "))


@pytest.mark.parametrize(
    "header",
    ["Payment", "Payment !!!", "Payment e30=", f"Payment {b64url([])}", f"Payment {b64url({})}", "Payment \xe9"],
)
def test_a_credential_that_is_no_json_object_is_malformed(payer: Payer, header: str) -> None:
    response = payer.http.post(payer.url, content=BODY, headers={"authorization": header.encode("latin-1")})
    assert (response.status_code, code_of(response)) == (402, MALFORMED)


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.pop("payload"),
        lambda value: value.pop("challenge"),
        lambda value: value.pop("source"),
        lambda value: value.update(source="did:pkh:eip155:x:0x12"),
        lambda value: value.update(source=7),
        lambda value: value["challenge"].update(realm=7),
        lambda value: value["challenge"].update(id="\ud800"),
        lambda value: value["payload"].pop("action"),
        lambda value: value["payload"].update(action="steal"),
        lambda value: value["payload"].update(action=["voucher"]),
        lambda value: value["payload"].pop("signature"),
        lambda value: value["payload"].update(signature=7),
        lambda value: value["payload"].update(signature="0x123"),
        lambda value: value["payload"].update(channelId="0x12"),
        lambda value: value["payload"].update(cumulativeAmount=MILLION),
        lambda value: value["payload"].update(cumulativeAmount="1e6"),
        lambda value: value["payload"].update(cumulativeAmount="-1"),
        lambda value: value["payload"].update(cumulativeAmount="01"),
        lambda value: value["payload"].update(cumulativeAmount="\uff11"),
        lambda value: value["payload"].update(cumulativeAmount=str(2**128)),
    ],
)
def test_a_credential_with_a_wrong_member_is_malformed(payer: Payer, change: Callable[[dict[str, Any]], Any]) -> None:
    payer.opened()
    value = credential_json(payer)
    change(value)
    response = payer.post(authorization=f"Payment {b64url(value)}")
    assert (response.status_code, code_of(response)) == (402, MALFORMED)


def test_a_virtual_key_does_not_belong_here(payer: Payer) -> None:
    response = payer.post(authorization="Bearer sk-123")
    assert (response.status_code, code_of(response)) == (401, "wrong_route")


@pytest.mark.parametrize("name", ["id", "realm", "request", "expires", "digest", "opaque", "description"])
@pytest.mark.parametrize("how", ["changed", "removed"])
def test_a_challenge_that_was_tampered_with_is_invalid(payer: Payer, name: str, how: str) -> None:
    payer.opened()
    value = credential_json(payer)
    echo = value["challenge"]
    if how == "removed":
        del echo[name]
    else:
        echo[name] = echo[name][:-2] + ("AA" if echo[name][-2:] != "AA" else "BB")
    response = payer.post(authorization=f"Payment {b64url(value)}")
    assert (response.status_code, code_of(response)) == (402, INVALID)
    assert "WWW-Authenticate" in response.headers


def test_a_reencoded_request_is_not_the_one_that_was_issued(payer: Payer) -> None:
    payer.opened()
    value = credential_json(payer)
    request = unb64url(value["challenge"]["request"])
    spaced = json.dumps(request, indent=1).encode()
    value["challenge"]["request"] = base64.urlsafe_b64encode(spaced).rstrip(b"=").decode()
    assert code_of(payer.post(authorization=f"Payment {b64url(value)}")) == INVALID


def test_an_invented_parameter_is_not_echoed(payer: Payer) -> None:
    payer.opened()
    for extra in ({"extra": "x"}, {"header": "Authorization"}):
        value = credential_json(payer)
        value["challenge"].update(extra)
        assert code_of(payer.post(authorization=f"Payment {b64url(value)}")) == INVALID


@pytest.mark.parametrize(("name", "value"), [("method", "stripe"), ("intent", "charge")])
def test_other_methods_and_intents_are_not_supported(payer: Payer, name: str, value: str) -> None:
    credential = credential_json(payer)
    credential["challenge"][name] = value
    response = payer.post(authorization=f"Payment {b64url(credential)}")
    assert (response.status_code, code_of(response)) == (400, "mpp_method_unsupported")


def test_an_expired_challenge_is_invalid(payer: Payer) -> None:
    payer.opened()
    settings(payer, expiry_seconds=0.2)
    challenge = payer.challenge()
    time.sleep(0.3)
    response = payer.pay(payer.voucher_payload(), challenge=challenge)
    assert (response.status_code, code_of(response)) == (402, INVALID)


def test_a_challenge_is_for_one_body(payer: Payer) -> None:
    payer.opened()
    for body in (BODY + b" ", BODY.replace(b"america", b"albania"), BODY.replace(b"Starter", b"Premium")):
        response = payer.pay(payer.voucher_payload(), body=body, challenge=payer.challenge())
        assert (response.status_code, code_of(response)) == (400, "mpp_body_digest_mismatch")


def test_a_challenge_is_for_one_price(payer: Payer) -> None:
    payer.opened()
    challenge = payer.challenge()
    settings(payer, prices={"Starter": 11})
    response = payer.pay(payer.voucher_payload(), challenge=challenge)
    assert (response.status_code, code_of(response)) == (400, "mpp_request_quote_invalid")


def test_a_challenge_of_another_sandbox_is_invalid(payer: Payer, tmp_path: Any) -> None:
    from ando_cli.sandbox.server import Sandbox, SandboxConfig

    payer.opened()
    with Sandbox(SandboxConfig(path=tmp_path / "other.sqlite")) as other:
        foreign = Payer(other).challenge()
    assert code_of(payer.pay(payer.voucher_payload(), challenge=foreign)) == INVALID


def test_a_payer_can_be_turned_away(payer: Payer) -> None:
    payer.opened()
    settings(payer, denied_payers=[payer.address.upper().replace("0X", "0x")])
    response = payer.pay(payer.voucher_payload())
    assert (response.status_code, code_of(response)) == (403, "mpp_payer_not_allowed")


@pytest.mark.parametrize("source", [f"did:pkh:eip155:{CHAIN_ID}:{OTHER}", "did:pkh:eip155:1:{address}"])
def test_the_source_is_the_payer_on_this_chain(payer: Payer, source: str) -> None:
    payer.opened()
    credential = payer.credential(payer.voucher_payload(), payer.challenge(), source.format(address=payer.address))
    assert code_of(payer.post(authorization=credential)) == FAILED


def test_a_voucher_needs_the_right_signature(payer: Payer) -> None:
    payer.opened()
    stranger = Payer(payer.sandbox)
    for signature in (
        stranger.voucher(MILLION, channel=payer.channel),
        payer.voucher(MILLION + 1),
        payer.voucher(MILLION, channel=NO_CHANNEL),
        high_s(payer.voucher(MILLION)),
        payer.voucher(MILLION)[:-2] + "00",
        payer.voucher(MILLION)[:-2],
        "0x" + "00" * 65,
        "0x",
    ):
        response = payer.pay(payer.voucher_payload(signature=signature))
        assert (response.status_code, code_of(response)) == (402, FAILED)
    assert payer.pay(payer.voucher_payload()).status_code == 200


def test_a_voucher_never_falls(payer: Payer) -> None:
    payer.opened()
    assert payer.pay(payer.voucher_payload(2 * MILLION)).status_code == 200
    response = payer.pay(payer.voucher_payload(MILLION))
    assert (response.status_code, code_of(response)) == (402, FAILED)


def test_a_voucher_above_the_deposit_is_not_covered(payer: Payer) -> None:
    payer.opened()
    response = payer.pay(payer.voucher_payload(5 * MILLION + 1))
    assert (response.status_code, code_of(response)) == (402, "mpp_session_deposit_below_request_cost")
    assert payer.pay(payer.voucher_payload(5 * MILLION)).status_code == 200


@pytest.mark.parametrize("action", ["voucher", "close", "topUp"])
def test_a_channel_has_to_exist(payer: Payer, action: str) -> None:
    payload = payer.top_up_payload(5) if action == "topUp" else payer.voucher_payload(action=action)
    response = payer.pay(payload)
    assert (response.status_code, code_of(response)) == (410, "session/channel-not-found")


def test_a_channel_that_is_being_closed_is_no_good(payer: Payer) -> None:
    payer.opened()
    payer.sandbox.rpc("eth_sendRawTransaction", payer.transaction(payer.channel_call("requestClose")))
    response = payer.pay(payer.voucher_payload())
    assert (response.status_code, code_of(response)) == (410, "session/channel-finalized")


def test_a_channel_has_to_pay_this_gateway_in_this_token(payer: Payer) -> None:
    other_token = TOKEN[:-1] + "2"
    payer.sandbox.rpc("sandbox_fund", payer.address, 100, other_token)
    for payee, token in ((OTHER, TOKEN), (payer.sandbox.payee, other_token)):
        wrong = Payer(payer.sandbox, key=payer.key)
        types = ["address", "address", "address", "bytes32", "address", "address", "uint256"]
        from eth_utils import keccak

        from ando_cli.sandbox.config import ESCROW

        values = [wrong.address, payee, token, wrong.salt, wrong.signer, ESCROW, CHAIN_ID]
        identity = "0x" + keccak(encode(types, values)).hex()
        data = selector("approve(address,uint256)") + encode(["address", "uint256"], [ESCROW, 50])
        transaction = wrong.transaction(Call.create(to=token, data=data), wrong.open_call(50, payee=payee, token=token))
        wrong.sandbox.rpc("eth_sendRawTransaction", transaction)
        signature = wrong.voucher(50, channel=identity)
        payload = wrong.voucher_payload(50, channelId=identity, signature=signature)
        assert code_of(wrong.pay(payload)) == FAILED


def test_an_open_has_to_do_what_it_says(payer: Payer) -> None:
    deposit = 5 * MILLION
    approve, opening = payer.approval(deposit), payer.open_call(deposit)
    smuggled = Call.create(
        to=TOKEN, data=selector("transfer(address,uint256)") + encode(["address", "uint256"], [OTHER, 1])
    )
    stranger = Payer(payer.sandbox)
    for transaction in (
        payer.transaction(approve),
        payer.transaction(approve, opening, opening),
        payer.transaction(approve, opening, smuggled),
        payer.transaction(approve, payer.top_up_call(5)),
        payer.transaction(approve, payer.open_call(deposit, payee=OTHER)),
        payer.transaction(approve, Call.create(to=opening.to, data=opening.data[:100])),
        payer.transaction(approve, Call.create(to=opening.to, data=opening.data.replace(b"\0" * 12, b"\1" * 12))),
        payer.transaction(approve, opening, chain_id=1),
        payer.transaction(approve, opening, valid_before=1),
        payer.transaction(opening),
        payer.transaction(approve, opening, gas_limit=100_000),
        stranger.transaction(approve, opening),
        payer.transaction(approve, opening)[:-2] + "05",
        "0x76",
        "0x",
    ):
        response = payer.pay(payer.open_payload(transaction=transaction))
        assert (response.status_code, code_of(response)) == (402, FAILED), transaction
        assert payer.on_chain()[6] == 0
    for changes in (
        {"channelId": NO_CHANNEL},
        {"authorizedSigner": OTHER},
        {"signature": payer.voucher(MILLION + 1)},
        {"signature": high_s(payer.voucher(MILLION))},
    ):
        assert code_of(payer.pay(payer.open_payload(**changes))) == FAILED
        assert payer.on_chain()[6] == 0
    for changes in ({"type": "hash"}, {"transaction": 5}, {"authorizedSigner": "0x12"}):
        assert code_of(payer.pay(payer.open_payload(**changes))) == MALFORMED


def test_an_open_with_too_small_a_deposit_is_not_sent(payer: Payer) -> None:
    response = payer.pay(payer.open_payload(deposit=MILLION - 1))
    assert (response.status_code, code_of(response)) == (402, "mpp_session_deposit_below_request_cost")
    assert payer.on_chain()[6] == 0


def test_an_open_without_money_is_refused(payer: Payer) -> None:
    poor = Payer(payer.sandbox)
    assert code_of(poor.pay(poor.open_payload())) == FAILED
    payer.sandbox.fund(poor.address, 4 * MILLION)
    refused = poor.pay(poor.open_payload())
    assert code_of(refused) == FAILED
    assert "reverted" in refused.text


def test_a_top_up_has_to_do_what_it_says(payer: Payer) -> None:
    payer.opened()
    other = Payer(payer.sandbox, key=payer.key).opened()
    for payload in (
        payer.top_up_payload(5, additionalDeposit="6"),
        payer.top_up_payload(5, transaction=other.top_up_payload(5)["transaction"]),
        payer.top_up_payload(5, transaction=payer.transaction(payer.top_up_call(5))),
        payer.top_up_payload(5, transaction=payer.transaction(payer.approval(5))),
    ):
        assert code_of(payer.pay(payload)) == FAILED
    assert payer.on_chain()[6] == 5 * MILLION


def test_a_close_needs_the_same_proof_as_any_voucher(payer: Payer) -> None:
    payer.opened()
    for payload in (
        payer.voucher_payload(COST, action="close", signature=payer.voucher(COST + 1)),
        payer.voucher_payload(COST, action="close", signature=high_s(payer.voucher(COST))),
    ):
        assert code_of(payer.pay(payload)) == FAILED
    assert payer.on_chain()[0] is False
