"""Everything that the gateway can be told to do wrong."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from ando_cli.sandbox.faults import Fault
from ando_cli.sandbox.problems import SPECIFICATION_CODES, STABLE_CODES, STOCK_CODES, kind_of
from tests.support.sandbox_payer import BODY, COST, MILLION, Payer, challenge_of, code_of, receipt_of, unb64url

OTHER = "0x" + "34" * 20


def origin(payer: Payer) -> str:
    return payer.sandbox.base_url.removesuffix("/v1")


def log(payer: Payer) -> list[dict[str, Any]]:
    return httpx.get(f"{origin(payer)}/sandbox/log").json()


def spent(payer: Payer) -> int:
    sessions = httpx.get(f"{origin(payer)}/sandbox/state").json()["sessions"]
    return sum(int(session["spent"]) for session in sessions)


def test_there_are_sixteen_stable_codes() -> None:
    assert len(STABLE_CODES) == 16


@pytest.mark.parametrize("code", [*STABLE_CODES, *SPECIFICATION_CODES, *STOCK_CODES])
def test_every_code_can_be_produced(payer: Payer, code: str) -> None:
    payer.opened()
    kind = kind_of(code, malformed_status=402)
    payer.sandbox.faults.push(Fault(on="voucher", code=code))
    response = payer.pay(payer.voucher_payload())
    assert (response.status_code, code_of(response)) == (kind.status, code)
    assert ("WWW-Authenticate" in response.headers) is kind.challenged
    assert "Payment-Receipt" not in response.headers
    assert spent(payer) == COST, "the request was not handled"
    assert payer.pay(payer.voucher_payload()).status_code == 200, "it happened once"


@pytest.mark.parametrize("shape", ["openai", "bare", "rfc9457"])
def test_an_error_can_be_embellished(payer: Payer, shape: str) -> None:
    fault = Fault(
        on="unpaid",
        code="mpp_reservation_failed",
        status=429,
        challenge=True,
        shape=shape,
        message="later",
        extensions={"requiredTopUp": "9"},
        headers={"Retry-After": "3"},
    )
    payer.sandbox.faults.push(fault)
    response = payer.post()
    assert (response.status_code, code_of(response)) == (429, "mpp_reservation_failed")
    assert response.headers["Retry-After"] == "3"
    assert challenge_of(response)["id"] == response.json().get("error", response.json())["challengeId"]
    assert response.json().get("error", response.json())["requiredTopUp"] == "9"
    assert "later" in response.text


def test_a_challenge_can_be_withheld(payer: Payer) -> None:
    payer.sandbox.faults.push(Fault(on="unpaid", code="payment_required", challenge=False))
    response = payer.post()
    assert response.status_code == 402
    assert "WWW-Authenticate" not in response.headers


def test_a_status_alone_is_an_error(payer: Payer) -> None:
    payer.sandbox.faults.push(Fault(on="unpaid", status=503))
    assert payer.post().status_code == 503


def test_faults_wait_for_the_request_they_are_for_in_order(payer: Payer) -> None:
    payer.sandbox.faults.push(
        Fault(on="voucher", status=501),
        Fault(on="paid", status=502, times=2),
        Fault(on="unpaid", status=503),
        Fault(on="close", status=504, times=None),
    )
    challenge = payer.http.post(payer.url, content=BODY)
    assert challenge.status_code == 503
    assert payer.pay(payer.open_payload()).status_code == 502
    assert payer.pay(payer.voucher_payload()).status_code == 501
    assert payer.pay(payer.voucher_payload()).status_code == 502
    assert payer.pay(payer.open_payload()).status_code == 200
    for _ in range(3):
        assert payer.pay(payer.voucher_payload(COST, action="close")).status_code == 504
    payer.sandbox.faults.clear()
    assert payer.pay(payer.voucher_payload(COST, action="close")).status_code == 204


def test_an_answer_can_be_slow(payer: Payer) -> None:
    payer.sandbox.faults.push(Fault(on="any", delay=0.4))
    start = time.monotonic()
    assert payer.post().status_code == 402
    assert time.monotonic() - start > 0.4


def test_a_connection_can_be_lost_before_anything_happens(payer: Payer) -> None:
    payer.sandbox.faults.push(Fault(on="open", drop="before"))
    with pytest.raises(httpx.RemoteProtocolError):
        payer.pay(payer.open_payload())
    assert payer.on_chain()[6] == 0
    assert log(payer)[-1]["dropped"] == payer.sandbox.gateway.log[-1].dropped == "before"


@pytest.mark.parametrize("when", ["after", "headers"])
def test_an_answer_can_be_lost_after_it_took_effect(payer: Payer, when: str) -> None:
    payload, challenge = payer.open_payload(), payer.challenge()
    payer.sandbox.faults.push(Fault(on="open", drop=when))
    with pytest.raises(httpx.RemoteProtocolError):
        payer.pay(payload, challenge=challenge, key="one")
    assert payer.on_chain()[6] == 5 * MILLION
    assert spent(payer) == COST
    assert (log(payer)[-1]["status"], log(payer)[-1]["dropped"]) == (200, when)

    again = payer.pay(payload, challenge=challenge, key="one")
    assert again.status_code == 200
    assert receipt_of(again)["spent"] == str(COST)
    assert spent(payer) == COST


def test_the_headers_of_a_lost_answer_arrive(payer: Payer) -> None:
    payer.sandbox.faults.push(Fault(on="unpaid", drop="headers"))
    with payer.http.stream("POST", payer.url, content=BODY) as response:
        assert response.status_code == 402
        assert challenge_of(response)["id"]
        with pytest.raises(httpx.RemoteProtocolError):
            response.read()


@pytest.mark.parametrize(
    ("lie", "path", "value"),
    [
        ("amount", ["amount"], "999999999"),
        ("currency", ["currency"], OTHER),
        ("recipient", ["recipient"], OTHER),
        ("suggestedDeposit", ["suggestedDeposit"], "1"),
        ("chainId", ["methodDetails", "chainId"], 1),
        ("escrow", ["methodDetails", "escrowContract"], OTHER),
        ("feePayer", ["methodDetails", "feePayer"], True),
        ("sessionProtocol", ["methodDetails", "sessionProtocol"], "v2"),
    ],
)
def test_a_challenge_can_lie(payer: Payer, lie: str, path: list[str], value: Any) -> None:
    payer.opened()
    payer.sandbox.faults.push(Fault(on="unpaid", challenge_lies={lie: value}))
    challenge = payer.challenge()
    request: Any = unb64url(challenge["request"])
    for name in path:
        request = request[name]
    assert request == value
    # It is sealed like the truth: nothing but its content gives it away.
    payer.sandbox.faults.push(Fault(on="unpaid", challenge_lies={lie: None}))
    assert path[-1] not in str(unb64url(payer.challenge()["request"]))


def test_a_challenge_can_have_false_parameters(payer: Payer) -> None:
    payer.sandbox.faults.push(
        Fault(on="unpaid", challenge_lies={"params": {"expires": "past", "digest": "sha-256=AAAA", "header": "X-Pay"}}),
        Fault(on="unpaid", challenge_lies={"params": {"id": None, "realm": "elsewhere"}}),
        Fault(on="unpaid", challenge_lies={"request": "%%%"}),
        Fault(on="unpaid", challenge_lies={"raw": 'Payment id="'}),
    )
    false = payer.challenge()
    assert (false["expires"][:4], false["digest"], false["header"]) == ("2020", "sha-256=AAAA", "X-Pay")
    anonymous = payer.challenge()
    assert "id" not in anonymous
    assert anonymous["realm"] == "elsewhere"
    assert payer.challenge()["request"] == "%%%"
    assert payer.post().headers["WWW-Authenticate"] == 'Payment id="'


def test_a_garbled_challenge_is_recognised_and_refused_when_it_comes_back(payer: Payer) -> None:
    payer.opened()
    for lies in ({"request": "%%%"}, {"params": {"expires": "tomorrow"}}, {"params": {"opaque": "e30"}}):
        payer.sandbox.faults.push(Fault(on="unpaid", challenge_lies=lies))
        assert code_of(payer.pay(payer.voucher_payload())) == "mpp_invalid_challenge"
    payer.sandbox.faults.push(Fault(on="unpaid", challenge_lies={"recipient": OTHER}))
    assert code_of(payer.pay(payer.voucher_payload())) == "mpp_request_quote_invalid"


def test_other_challenges_can_stand_around_the_good_one(payer: Payer) -> None:
    others = {"before": ['Bearer realm="x"', "Payment method=stripe"], "after": ["Basic"]}
    payer.sandbox.faults.push(Fault(on="unpaid", challenge_lies=others))
    values = payer.post().headers.get_list("WWW-Authenticate")
    assert [value.split()[0] for value in values] == ["Bearer", "Payment", "Payment", "Basic"]
    assert 'method="tempo"' in values[2]


def test_a_lie_can_come_with_a_refusal_of_a_paid_request(payer: Payer) -> None:
    payer.opened()
    code = "mpp_voucher_bucket_refresh_required"
    payer.sandbox.faults.push(Fault(on="voucher", code=code, challenge_lies={"amount": "77"}))
    refused = payer.pay(payer.voucher_payload())
    assert unb64url(challenge_of(refused)["request"])["amount"] == "77"


def test_a_receipt_can_lie(payer: Payer) -> None:
    payer.opened()
    payer.sandbox.faults.push(
        Fault(on="voucher", receipt_lies={"acceptedCumulative": "5000000", "spent": "4999999", "units": None}),
        Fault(on="voucher", receipt_lies={"channelId": "0x" + "00" * 32}),
        Fault(on="voucher", receipt_lies={"raw": "%%%"}),
        Fault(on="voucher", receipt_lies={"absent": True}),
    )
    receipt = receipt_of(payer.pay(payer.voucher_payload()))
    assert (receipt["acceptedCumulative"], receipt["spent"]) == ("5000000", "4999999")
    assert "units" not in receipt
    assert receipt_of(payer.pay(payer.voucher_payload()))["channelId"] == "0x" + "00" * 32
    assert payer.pay(payer.voucher_payload()).headers["Payment-Receipt"] == "%%%"
    silent = payer.pay(payer.voucher_payload())
    assert silent.status_code == 200
    assert "Payment-Receipt" not in silent.headers
    assert receipt_of(payer.pay(payer.voucher_payload()))["spent"] == str(6 * COST), "the accounts stay true"


def test_an_error_can_be_a_hundred_megabytes_long(payer: Payer) -> None:
    size = 100_000_000
    payer.sandbox.faults.push(*[Fault(on="unpaid", code="server_error", body_bytes=size)] * 2)
    with payer.http.stream("POST", payer.url, content=BODY) as response:
        assert response.status_code == 500
        assert sum(len(chunk) for chunk in response.iter_bytes()) == size
    with payer.http.stream("POST", payer.url, content=BODY) as response:
        assert len(next(response.iter_bytes())) < size
    assert payer.http.get(f"{payer.sandbox.base_url}/health").status_code == 200, "a reader may give up"


def test_an_error_can_be_any_text(payer: Payer) -> None:
    text = "\x1b]0;owned\x07\x1b[2J\u202eevil\r\n"
    payer.sandbox.faults.push(Fault(on="unpaid", status=402, body_text=text))
    response = payer.post()
    assert (response.status_code, response.text) == (402, text)


def test_an_answer_can_be_a_redirect(payer: Payer) -> None:
    payer.sandbox.faults.push(
        Fault(on="paid", redirect="http://example.invalid/"), Fault(on="free", status=302, redirect="/v1/health")
    )
    response = payer.pay(payer.open_payload())
    assert (response.status_code, response.headers["Location"]) == (307, "http://example.invalid/")
    assert payer.http.get(f"{payer.sandbox.base_url}/free").status_code == 302


def test_the_chain_can_fail_too(payer: Payer) -> None:
    call = {"id": 1, "method": "eth_chainId", "params": []}
    payer.sandbox.faults.push(Fault(on="rpc", status=503), Fault(on="rpc", drop="before"), Fault(on="any", status=500))
    assert httpx.post(payer.sandbox.rpc_url, json=call).status_code == 503
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(payer.sandbox.rpc_url, json=call)
    assert httpx.post(payer.sandbox.rpc_url, json=call).status_code == 200, "any means any request of the gateway"


def test_faults_can_be_added_over_http(payer: Payer) -> None:
    url = f"{origin(payer)}/sandbox/faults"
    assert httpx.post(url, json={"on": "unpaid", "status": 503, "times": None}).json() == {"added": 1}
    assert [payer.post().status_code for _ in range(2)] == [503, 503]
    assert httpx.delete(url).status_code == 200
    assert httpx.post(url, json=[{"on": "unpaid", "code": "mpp_commit_failed"}, {"on": "unpaid"}]).json() == {
        "added": 2
    }
    assert [payer.post().status_code for _ in range(2)] == [500, 402]


@pytest.mark.parametrize(
    "fault",
    [
        {"on": "never"},
        {"code": "nonsense"},
        {"drop": "sometimes"},
        {"shape": "round"},
        {"times": 0},
        {"delay": -1},
        {"delay": "long"},
        {"body_bytes": -1},
        {"nonsense": 1},
        {"challenge_lies": {"nonsense": 1}},
        7,
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(payer: Payer, fault: Any) -> None:
    assert httpx.post(f"{origin(payer)}/sandbox/faults", json=fault).status_code == 400


def test_a_client_that_hangs_up_is_charged_nevertheless(payer: Payer) -> None:
    payer.opened()
    payer.sandbox.faults.push(Fault(on="voucher", delay=0.3))
    payload, challenge = payer.voucher_payload(), payer.challenge()
    impatient = httpx.Client(timeout=0.1)
    with pytest.raises(httpx.ReadTimeout):
        impatient.post(payer.url, content=BODY, headers={"authorization": payer.credential(payload, challenge)})
    impatient.close()
    deadline = time.monotonic() + 10
    while spent(payer) == COST and time.monotonic() < deadline:
        time.sleep(0.05)
    assert spent(payer) == 2 * COST
