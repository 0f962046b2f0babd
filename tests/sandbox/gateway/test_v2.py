"""A v2 session at the gateway, from the first 402 to the refund, and what it refuses."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ando_cli.sandbox.chain.ledger import FEE_COLLECTOR
from ando_cli.sandbox.config import CHAIN_ID, ESCROW, TOKEN
from ando_cli.sandbox.faults import Fault
from ando_cli.sandbox.server import Sandbox, SandboxConfig, Settings
from tests.support.sandbox_payer import BODY, COST, MILLION, Payer, challenge_of, code_of, receipt_of, unb64url
from tests.support.sandbox_payer_v2 import RESERVE, ZERO, PayerV2

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FAILED = "mpp_payment_verification_failed"
MALFORMED = "mpp_malformed_credential"
OTHER = "0x" + "34" * 20


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    config = SandboxConfig(path=tmp_path / "sandbox.sqlite", settings=Settings(protocol="v2"))
    with Sandbox(config) as running:
        yield running


@pytest.fixture
def payer(sandbox: Sandbox) -> PayerV2:
    wallet = PayerV2(sandbox)
    sandbox.fund(wallet.address, 100 * MILLION)
    return wallet


def origin(payer: Payer) -> str:
    return payer.sandbox.base_url.removesuffix("/v1")


def settings(payer: Payer, **changes: Any) -> None:
    httpx.post(f"{origin(payer)}/sandbox/settings", json=changes).raise_for_status()


def details(challenge: dict[str, str]) -> dict[str, Any]:
    return unb64url(challenge["request"])["methodDetails"]


def snapshot_of(response: httpx.Response) -> dict[str, Any]:
    return unb64url(response.headers["Payment-Session-Snapshot"])


def offers(response: httpx.Response) -> list[dict[str, str]]:
    values = response.headers.get_list("WWW-Authenticate")
    return [dict(re.findall(r'(\w+)="([^"]*)"', value)) for value in values]


def test_the_challenge_names_the_protocol_and_the_precompile(payer: PayerV2) -> None:
    assert details(payer.challenge()) == {
        "escrowContract": RESERVE,
        "chainId": CHAIN_ID,
        "sessionProtocol": "v2",
    }
    settings(payer, operator=OTHER, fee_payer=True)
    assert details(payer.challenge())["operator"] == OTHER
    assert details(payer.challenge())["feePayer"] is True


def test_v1_is_what_is_offered_unless_told_otherwise(tmp_path: Path) -> None:
    with Sandbox(SandboxConfig(path=tmp_path / "v1.sqlite")) as sandbox:
        assert "sessionProtocol" not in details(Payer(sandbox).challenge())


def test_an_open_is_answered_by_the_model(payer: PayerV2) -> None:
    response = payer.pay(payer.open_payload())
    assert response.status_code == 200, response.text
    receipt = receipt_of(response)
    assert (receipt["channelId"], receipt["acceptedCumulative"], receipt["spent"]) == (
        payer.channel,
        str(MILLION),
        str(COST),
    )
    assert payer.sandbox.rpc("eth_getTransactionReceipt", receipt["txHash"])["status"] == "0x1"
    assert payer.on_chain() == [0, 5 * MILLION, 0]


def test_vouchers_a_top_up_and_a_close(payer: PayerV2) -> None:
    payer.opened()
    assert receipt_of(payer.pay(payer.voucher_payload()))["spent"] == str(2 * COST)
    topped_up = payer.pay(payer.top_up_payload(3 * MILLION))
    assert (topped_up.status_code, topped_up.content) == (204, b"")
    assert payer.on_chain() == [0, 8 * MILLION, 0]
    assert receipt_of(payer.pay(payer.voucher_payload(6 * MILLION)))["acceptedCumulative"] == str(6 * MILLION)

    before, spent = payer.balance(), 3 * COST
    closed = payer.pay(payer.voucher_payload(6 * MILLION, action="close"))
    assert (closed.status_code, closed.content) == (204, b"")
    receipt = receipt_of(closed)
    assert (receipt["acceptedCumulative"], receipt["spent"]) == (str(6 * MILLION), str(spent))
    assert payer.sandbox.rpc("eth_getTransactionReceipt", receipt["txHash"])["status"] == "0x1"
    assert payer.balance() == before + 8 * MILLION - spent, "no more is captured than was spent"
    assert payer.on_chain() == [0, 0, 0]
    again = payer.pay(payer.voucher_payload(6 * MILLION))
    assert (again.status_code, code_of(again)) == (410, "session/channel-finalized")


def test_the_gateway_pays_the_fees_when_it_says_so(payer: PayerV2) -> None:
    settings(payer, fee_payer=True)
    payer.prepare(fee_payer=True)
    payload = payer.voucher_payload(action="open", type="transaction", transaction=payer.open_transaction)
    assert payer.pay(payload).status_code == 200
    assert payer.balance() == 95 * MILLION
    topped_up = payer.top_up_payload(7, transaction=payer.transaction(payer.top_up_call(7), fee_payer=True))
    assert payer.pay(topped_up).status_code == 204
    assert payer.balance() == 95 * MILLION - 7
    assert payer.balance(FEE_COLLECTOR) > 0


def test_an_authorized_signer_signs_the_vouchers_and_may_be_the_source(sandbox: Sandbox) -> None:
    payer = PayerV2(sandbox, signer_key="0x" + "77" * 32)
    sandbox.fund(payer.address, 100 * MILLION)
    payer.opened()
    assert payer.pay(payer.voucher_payload()).status_code == 200
    source = f"did:pkh:eip155:{CHAIN_ID}:{payer.signer}"
    credential = payer.credential(payer.voucher_payload(), payer.challenge(), source)
    assert payer.post(authorization=credential).status_code == 200
    credential = payer.credential(payer.voucher_payload(), payer.challenge(), source.replace(payer.signer, OTHER))
    assert code_of(payer.post(authorization=credential)) == FAILED


def test_an_operator_belongs_into_the_channel(payer: PayerV2) -> None:
    settings(payer, operator=OTHER)
    assert code_of(payer.pay(payer.open_payload())) == FAILED
    payer.operator = OTHER
    assert payer.pay(payer.open_payload()).status_code == 200
    settings(payer, operator=None)
    assert code_of(payer.pay(payer.voucher_payload())) == FAILED


def test_every_payload_describes_its_channel(payer: PayerV2) -> None:
    payer.opened()
    for payload in (payer.voucher_payload(), payer.top_up_payload(5), payer.voucher_payload(COST, action="close")):
        wrong: list[tuple[Any, str]] = [
            (None, MALFORMED),
            ({}, MALFORMED),
            (payer.descriptor | {"salt": "0x12"}, MALFORMED),
            (payer.descriptor | {"more": ZERO}, MALFORMED),
            (payer.descriptor | {"operator": OTHER}, FAILED),
            (payer.descriptor | {"payer": OTHER}, FAILED),
        ]
        for descriptor, code in wrong:
            assert code_of(payer.pay(payload | {"descriptor": descriptor})) == code
        assert code_of(payer.pay({name: payload[name] for name in payload if name != "descriptor"})) == MALFORMED
    assert payer.on_chain() == [0, 5 * MILLION, 0]


def test_an_open_has_to_do_what_it_says(payer: PayerV2) -> None:
    deposit = 5 * MILLION
    opening = payer.open_call(deposit)
    for calls in ((payer.approval(deposit), opening), (opening, opening), (payer.top_up_call(5),)):
        payload = payer.open_payload()
        payer.prepare(calls=calls)
        changes = {"descriptor": payer.descriptor, "channelId": payer.channel, "signature": payer.voucher(MILLION)}
        refused = payer.pay(payload | changes | {"transaction": payer.open_transaction})
        assert code_of(refused) == FAILED
    for changes in (
        {"transaction": payer.transaction(opening)},
        {"transaction": PayerV2(payer.sandbox).open_transaction},
        {"authorizedSigner": OTHER},
        {"signature": payer.voucher(MILLION, "0x" + "12" * 32)},
    ):
        assert code_of(payer.pay(payer.open_payload() | changes)) == FAILED
    assert code_of(payer.pay(payer.open_payload(deposit=MILLION - 1))) == "mpp_session_deposit_below_request_cost"
    payload = payer.open_payload()
    del payload["authorizedSigner"]
    assert payer.pay(payload).status_code == 200, "the descriptor names the signer already"


def test_a_top_up_has_to_do_what_it_says(payer: PayerV2) -> None:
    payer.opened()
    for changes in (
        {"additionalDeposit": "6"},
        {"transaction": payer.transaction(payer.top_up_call(6))},
        {"transaction": payer.transaction(payer.approval(5), payer.top_up_call(5))},
    ):
        assert code_of(payer.pay(payer.top_up_payload(5) | changes)) == FAILED
    assert payer.on_chain() == [0, 5 * MILLION, 0]


def test_amounts_have_ninety_six_bits(payer: PayerV2) -> None:
    payer.opened()
    assert code_of(payer.pay(payer.voucher_payload(2**96 - 1))) == "mpp_session_deposit_below_request_cost"
    large = payer.voucher_payload() | {"cumulativeAmount": str(2**96)}
    assert code_of(payer.pay(large)) == MALFORMED
    assert code_of(payer.pay(payer.top_up_payload(5) | {"additionalDeposit": str(2**96)})) == MALFORMED


def test_a_voucher_of_the_other_protocol_is_worth_nothing(payer: PayerV2) -> None:
    payer.opened()
    v1 = Payer(payer.sandbox, key=payer.key)
    assert code_of(payer.pay(payer.voucher_payload() | {"signature": v1.voucher(MILLION, payer.channel)})) == FAILED
    assert code_of(v1.pay(v1.open_payload())) == MALFORMED


def test_a_channel_that_is_being_closed_is_no_good(payer: PayerV2) -> None:
    payer.opened()
    payer.sandbox.rpc("eth_sendRawTransaction", payer.transaction(payer.channel_call("requestClose")))
    for payload in (payer.voucher_payload(), payer.voucher_payload(COST, action="close"), payer.top_up_payload(5)):
        refused = payer.pay(payload)
        assert (refused.status_code, code_of(refused)) == (410, "session/channel-finalized")


def test_a_channel_that_was_never_opened_is_not_found(payer: PayerV2) -> None:
    refused = payer.pay(payer.voucher_payload())
    assert (refused.status_code, code_of(refused)) == (410, "session/channel-not-found")


def test_a_lost_open_is_not_paid_twice(payer: PayerV2) -> None:
    payload = payer.open_payload()
    payer.sandbox.faults.push(Fault(on="open", drop="after"))
    with pytest.raises(httpx.RemoteProtocolError):
        payer.pay(payload)
    balance = payer.balance()
    assert payer.pay(payload).status_code == 200
    assert payer.balance() == balance


def test_answers_tell_where_the_session_stands(payer: PayerV2) -> None:
    response = payer.pay(payer.open_payload())
    assert response.headers["Payment-Session"] == payer.channel
    assert snapshot_of(response) == {
        "acceptedCumulative": str(MILLION),
        "chainId": CHAIN_ID,
        "channelId": payer.channel,
        "deposit": str(5 * MILLION),
        "descriptor": payer.descriptor,
        "escrow": RESERVE,
        "highestVoucher": {
            "channelId": payer.channel,
            "cumulativeAmount": str(MILLION),
            "signature": payer.voucher(MILLION),
        },
        "requiredCumulative": str(MILLION),
        "settled": "0",
        "spent": str(COST),
        "units": 1,
    }
    assert snapshot_of(payer.pay(payer.top_up_payload(7)))["deposit"] == str(5 * MILLION + 7)
    assert "Payment-Session" not in payer.pay(payer.voucher_payload(COST + 1, action="close")).headers
    settings(payer, snapshots=False)
    assert "Payment-Session" not in payer.opened().pay(payer.voucher_payload()).headers


def test_a_client_that_says_who_it_is_is_told_in_the_challenge(payer: PayerV2) -> None:
    assert "sessionSnapshot" not in details(challenge_of(payer.post(**{"payment-session": payer.channel})))
    payer.opened()
    assert "sessionSnapshot" not in details(payer.challenge())
    for hint in (payer.channel, payer.address, f"did:pkh:eip155:{CHAIN_ID}:{payer.address}", payer.channel.upper()):
        hint = hint.replace("0X", "0x")
        snapshot = details(challenge_of(payer.post(**{"payment-session": hint})))["sessionSnapshot"]
        assert (snapshot["channelId"], snapshot["acceptedCumulative"]) == (payer.channel, str(MILLION))
    for hint in ("", "0x12", OTHER, "0x" + "12" * 32):
        assert "sessionSnapshot" not in details(challenge_of(payer.post(**{"payment-session": hint})))
    again = payer.pay(payer.voucher_payload(), challenge=challenge_of(payer.post(**{"payment-session": payer.channel})))
    assert again.status_code == 200, "a challenge with a snapshot is as good as any"
    refused = payer.pay(payer.voucher_payload(MILLION - 1))
    assert details(challenge_of(refused))["sessionSnapshot"]["channelId"] == payer.channel
    lost = PayerV2(payer.sandbox, key=payer.key)
    refused = lost.pay(lost.voucher_payload(signature="0x"))
    assert "sessionSnapshot" not in (details(challenge_of(refused)) if "WWW-Authenticate" in refused.headers else {})


def test_an_empty_bucket_says_what_it_takes(payer: PayerV2) -> None:
    settings(payer, prices={"Starter": 20_000})  # a turn costs 680,000, and 880,000 at most
    payer.opened()
    refused = payer.pay(payer.voucher_payload(MILLION))
    assert code_of(refused) == "mpp_voucher_bucket_refresh_required"
    assert details(challenge_of(refused))["sessionSnapshot"]["requiredCumulative"] == str(2 * MILLION)
    assert payer.pay(payer.voucher_payload(2 * MILLION), challenge=challenge_of(refused)).status_code == 200


def test_a_channel_being_closed_has_no_snapshot(payer: PayerV2) -> None:
    payer.opened()
    payer.sandbox.rpc("eth_sendRawTransaction", payer.transaction(payer.channel_call("requestClose")))
    assert "sessionSnapshot" not in details(challenge_of(payer.post(**{"payment-session": payer.channel})))


def test_a_snapshot_can_lie(payer: PayerV2) -> None:
    payer.opened()
    lies = {"acceptedCumulative": "5000000", "units": None}
    payer.sandbox.faults.push(
        Fault(on="any", snapshot_lies=lies, times=2), Fault(on="paid", snapshot_lies={"raw": "%"})
    )
    told = details(challenge_of(payer.post(**{"payment-session": payer.channel})))["sessionSnapshot"]
    assert told["acceptedCumulative"] == "5000000"
    assert "units" not in told
    assert details(payer.challenge())["sessionSnapshot"] == {"acceptedCumulative": "5000000"}, "made of lies alone"
    assert payer.pay(payer.voucher_payload()).headers["Payment-Session-Snapshot"] == "%"
    payer.sandbox.faults.push(Fault(on="paid", snapshot_lies={"absent": True}))
    assert "Payment-Session" not in payer.pay(payer.voucher_payload()).headers
    payer.sandbox.faults.push(Fault(on="unpaid", challenge_lies={"operator": OTHER, "sessionProtocol": "v3"}))
    assert (details(payer.challenge())["operator"], "v3") == (OTHER, "v3")


def test_both_protocols_can_be_offered(payer: PayerV2) -> None:
    settings(payer, protocol="both")
    assert [details(offer).get("sessionProtocol") for offer in offers(payer.post())] == ["v2", None]
    settings(payer, first_protocol="v1")
    v1, v2 = offers(payer.post())
    assert (details(v1)["escrowContract"], details(v1).get("sessionProtocol")) == (ESCROW, None)
    assert (details(v2)["escrowContract"], details(v2).get("sessionProtocol")) == (RESERVE, "v2")
    assert payer.post().json()["error"]["challengeId"], "that of the first"
    settings(payer, first_protocol="v2")
    assert [details(offer).get("sessionProtocol") for offer in offers(payer.post())] == ["v2", None]

    older = Payer(payer.sandbox, key=payer.key)
    assert payer.pay(payer.open_payload(), challenge=offers(payer.post())[0]).status_code == 200
    assert older.pay(older.open_payload(), challenge=offers(payer.post())[1]).status_code == 200
    # A challenge is answered in its own protocol or not at all.
    assert code_of(payer.pay(payer.voucher_payload(), challenge=offers(payer.post())[1])) == MALFORMED
    assert code_of(older.pay(older.voucher_payload(), challenge=offers(payer.post())[0])) == MALFORMED

    payer.sandbox.faults.push(Fault(on="unpaid", challenge_lies={"only": "v1", "escrow": OTHER}))
    assert [details(offer)["escrowContract"] for offer in offers(payer.post())] == [RESERVE, OTHER]
    around = {"before": ["Basic"], "after": ["X"]}
    payer.sandbox.faults.push(Fault(on="unpaid", challenge_lies={"escrow": OTHER, **around}))
    values = payer.post().headers.get_list("WWW-Authenticate")
    assert (len(values), values[0], values[-1]) == (4, "Basic", "X")


def test_a_protocol_that_is_no_longer_offered_is_refused(payer: PayerV2) -> None:
    challenge = payer.challenge()
    settings(payer, protocol="v1")
    assert code_of(payer.pay(payer.open_payload(), challenge=challenge)) == "mpp_request_quote_invalid"


def test_the_state_shows_sessions_of_both_protocols(payer: PayerV2) -> None:
    settings(payer, protocol="both")
    older = Payer(payer.sandbox, key=payer.key)
    older.pay(older.open_payload(), challenge=offers(payer.post())[1])
    payer.pay(payer.open_payload(), challenge=offers(payer.post())[0])
    state = httpx.get(f"{origin(payer)}/sandbox/state").json()
    by_channel = {session["channel_id"]: session for session in state["sessions"]}
    assert by_channel[payer.channel]["descriptor"] == payer.descriptor
    assert (by_channel[payer.channel]["protocol"], by_channel[older.channel]["protocol"]) == ("v2", "v1")
    assert {session["deposit"] for session in by_channel.values()} == {str(5 * MILLION)}
    assert (state["balances"]["reserve"], state["balances"]["escrow"]) == (str(5 * MILLION), str(5 * MILLION))
    assert state["network"]["token"] == TOKEN


def test_the_date_can_be_wrong(payer: PayerV2) -> None:
    from email.utils import parsedate_to_datetime

    settings(payer, date_offset=-3600)
    for response in (payer.post(), payer.pay(payer.open_payload()), payer.http.get(f"{payer.sandbox.base_url}/health")):
        (date,) = response.headers.get_list("Date")
        assert parsedate_to_datetime(date).timestamp() - time.time() == pytest.approx(-3600, abs=5)
    payer.sandbox.faults.push(Fault(on="unpaid", headers={"Date": "Thu, 01 Jan 1970 00:00:00 GMT"}))
    assert payer.post().headers.get_list("Date") == ["Thu, 01 Jan 1970 00:00:00 GMT"]


@pytest.mark.parametrize(
    "changes",
    [{"protocol": "v3"}, {"first_protocol": "both"}, {"operator": "0x12"}, {"operator": OTHER.replace("3", "A")}],
)
def test_settings_that_make_no_sense_are_refused(payer: PayerV2, changes: dict[str, Any]) -> None:
    assert httpx.post(f"{origin(payer)}/sandbox/settings", json=changes).status_code == 400


@pytest.mark.parametrize("protocol", ["v1", "v2"])
@pytest.mark.parametrize(
    ("code", "status"), [("mpp_session_close_unavailable", 503), ("mpp_session_close_failed", 502)]
)
def test_a_close_can_be_made_to_fail(payer: PayerV2, protocol: str, code: str, status: int) -> None:
    settings(payer, protocol=protocol)
    closing = payer if protocol == "v2" else Payer(payer.sandbox, key=payer.key)
    closing.opened()
    payer.sandbox.faults.push(Fault(on="close", code=code))
    assert closing.pay(closing.voucher_payload()).status_code == 200, "a voucher is no close"
    refused = closing.pay(closing.voucher_payload(2 * COST, action="close"))
    assert (refused.status_code, code_of(refused)) == (status, code)
    assert "WWW-Authenticate" not in refused.headers
    assert closing.pay(closing.voucher_payload()).status_code == 200, "the session goes on"
    closed = closing.pay(closing.voucher_payload(3 * COST, action="close"))
    assert (closed.status_code, receipt_of(closed)["spent"]) == (204, str(3 * COST))


@pytest.mark.parametrize("protocol", ["v1", "v2"])
def test_a_forced_close_ends_what_the_gateway_takes(payer: PayerV2, protocol: str) -> None:
    settings(payer, protocol=protocol)
    closing = payer if protocol == "v2" else Payer(payer.sandbox, key=payer.key)
    closing.opened()
    sent = payer.sandbox.rpc("eth_sendRawTransactionSync", closing.transaction(closing.channel_call("requestClose")))
    assert sent["status"] == "0x1"
    for _ in range(2):
        refused = closing.pay(closing.voucher_payload())
        assert (refused.status_code, code_of(refused)) == (410, "session/channel-finalized")
    payer.sandbox.rpc("evm_increaseTime", 15 * 60)
    later = {"valid_before": int(payer.sandbox.rpc("eth_getBlockByNumber", "latest")["timestamp"], 16) + 25}
    before = payer.balance()
    withdrawn = payer.sandbox.rpc(
        "eth_sendRawTransactionSync", closing.transaction(closing.channel_call("withdraw"), **later)
    )
    assert withdrawn["status"] == "0x1"
    assert payer.balance() > before + 4.9 * MILLION
    gone = closing.pay(closing.voucher_payload())
    assert gone.status_code == 410


def test_a_wrong_close_is_refused_and_changes_nothing(payer: PayerV2) -> None:
    payer.opened()
    for payload in (
        payer.voucher_payload(COST - 1, action="close"),
        payer.voucher_payload(COST, action="close", signature=payer.voucher(COST + 1)),
        payer.voucher_payload(COST, action="close", signature=payer.voucher(COST)[:-2] + "00"),
    ):
        assert code_of(payer.pay(payload)) == FAILED
    assert payer.on_chain() == [0, 5 * MILLION, 0]
    assert payer.pay(payer.voucher_payload()).status_code == 200


def test_an_unused_channel_is_closed_for_nothing(payer: PayerV2) -> None:
    payer.sandbox.rpc("eth_sendRawTransactionSync", payer.open_transaction)
    closed = payer.pay(payer.voucher_payload(0, action="close"))
    assert (closed.status_code, receipt_of(closed)["spent"]) == (204, "0")
    assert payer.on_chain() == [0, 0, 0]


def test_many_turns_on_one_body(payer: PayerV2) -> None:
    payer.opened()
    for turn in range(2, 6):
        assert receipt_of(payer.pay(payer.voucher_payload(), body=BODY))["spent"] == str(turn * COST)
