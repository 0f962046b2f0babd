"""Inspecting: everything that is sent is recognised, and what could pay or tell who pays is not shown."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ando_cli.mpp.malformed import MalformedError
from ando_cli.session.drawer import Drawer
from ando_cli.session.report.inspection import HIDDEN, Kind, inspect
from ando_cli.tempo.keys import PrivateKey
from ando_cli.tempo.protocol import Protocol

KEY = PrivateKey(b"\x11" * 32)
PAYEE = "0xe87c415061f02709e7cc5957c5cc0a4a3ca941d3"
TOKEN = "0x20c0000000000000000000000000000000000000"
ESCROW = "0xe1c4d3dce17bc111181ddf716f75bae49e61a336"
CHANNEL = "0xc596fcf72857c8c0121077f7b10770a62c606e6b0f2c6394f3ea89fd0b8622bc"
SIGNATURE = "0x" + "a7" * 64 + "1b"
TRANSACTION = "0x76" + "b3" * 300
CHALLENGE_ID = "qZ3v9kX0b1"
SECRETS = (PAYEE, TOKEN, ESCROW, CHANNEL, SIGNATURE, TRANSACTION, CHALLENGE_ID)


def b64(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


REQUEST = {
    "amount": "1000000", "currency": TOKEN, "recipient": PAYEE,
    "methodDetails": {"escrowContract": ESCROW, "chainId": 42431, "channelId": CHANNEL},
}  # fmt: skip
ECHO = {"id": CHALLENGE_ID, "realm": "api.example", "method": "tempo", "intent": "session", "request": b64(REQUEST)}
PARAMS = ", ".join(f'{name}="{value}"' for name, value in ECHO.items())
PAYLOADS: list[dict[str, Any]] = [
    {"action": "voucher", "channelId": CHANNEL, "cumulativeAmount": "7", "signature": SIGNATURE},
    {"action": "close", "channelId": CHANNEL, "cumulativeAmount": "7", "signature": SIGNATURE},
    {"action": "topUp", "type": "transaction", "channelId": CHANNEL, "transaction": TRANSACTION},
    {"action": "open", "transaction": TRANSACTION, "authorizedSigner": PAYEE, "signature": SIGNATURE,
     "descriptor": {"payer": PAYEE, "salt": CHANNEL}},
]  # fmt: skip
RECEIPT = {
    "method": "tempo", "intent": "session", "status": "success", "timestamp": "2026-01-02T03:04:05Z",
    "reference": CHANNEL, "challengeId": CHALLENGE_ID, "channelId": CHANNEL, "acceptedCumulative": "2000000",
    "spent": "1234567", "txHash": CHANNEL,
}  # fmt: skip


def credential(payload: dict[str, Any], **more: object) -> str:
    return b64({"challenge": ECHO, "payload": payload, "source": f"did:pkh:eip155:42431:{PAYEE}", **more})


def voucher(protocol: Protocol, amount: int = 1_250_000) -> dict[str, Any]:
    drawer = Drawer(CHANNEL, ESCROW, 42431, protocol)
    return {
        "channelId": CHANNEL,
        "cumulativeAmount": str(amount),
        "signature": drawer.sign(KEY, amount),
        "digest": drawer.digest(amount),
        "domain": drawer.domain,
    }


def leaks(shown: object, *secrets: str) -> list[str]:
    text = json.dumps(shown).lower()
    return [secret for secret in (*SECRETS, *secrets) if secret.lower().removeprefix("0x") in text]


@pytest.mark.parametrize(
    "text", [f"Payment {PARAMS}", PARAMS, f"payment {PARAMS}", f"WWW-Authenticate: Payment {PARAMS}\r\n",
             f'Bearer realm="x", Payment {PARAMS}'],
)  # fmt: skip
def test_a_challenge_is_decoded(text: str) -> None:
    found = inspect(text)
    assert (found.kind, found.pays, found.faults) == (Kind.CHALLENGE, False, ())
    assert isinstance(found.shown, dict)
    assert found.shown["request"]["amount"] == "1000000"
    assert found.shown["request"]["recipient"] == "0xe87c4150…41d3"
    assert found.shown["id"] == HIDDEN
    assert leaks(found.shown) == []
    assert inspect(text, reveal=True).shown == {"type": "challenge", **ECHO, "request": REQUEST}


def test_several_challenges_are_a_list_and_the_malformed_ones_are_told_of() -> None:
    found = inspect(f'Payment {PARAMS}\nPayment id="x"\nPayment {PARAMS}')
    assert isinstance(found.shown, list)
    assert len(found.shown) == 2
    assert len(found.faults) == 1


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: str(payload["action"]))
@pytest.mark.parametrize("form", ["{}", "Payment {}", "Authorization: Payment  {}\n"])
def test_a_credential_is_decoded(payload: dict[str, Any], form: str) -> None:
    text = form.format(credential(payload))
    found = inspect(text)
    assert (found.kind, found.pays) == (Kind.CREDENTIAL, True)
    assert leaks(found.shown, b64(REQUEST)) == []
    revealed = inspect(text, reveal=True).shown
    assert isinstance(revealed, dict)
    assert revealed["payload"] == payload
    assert revealed["challenge"]["request"] == REQUEST


def test_a_receipt_is_decoded() -> None:
    for text in (b64(RECEIPT), f"Payment-Receipt: {b64(RECEIPT)}"):
        found = inspect(text)
        assert (found.kind, found.pays) == (Kind.RECEIPT, False)
        assert isinstance(found.shown, dict)
        assert (found.shown["spent"], found.shown["challengeId"]) == ("1234567", HIDDEN)
        assert leaks(found.shown) == []
        assert inspect(text, reveal=True).shown == {"type": "receipt", **RECEIPT}


@pytest.mark.parametrize("protocol", Protocol)
def test_a_voucher_is_decoded_and_checked(protocol: Protocol) -> None:
    signed = voucher(protocol)
    found = inspect(json.dumps(signed, indent=1))
    assert found.pays
    assert isinstance(found.shown, dict)
    assert (found.shown["protocol"], found.shown["signer"][:6]) == (protocol.value, KEY.address[:6])
    assert leaks(found.shown, signed["signature"], KEY.address) == []
    revealed = inspect(json.dumps(signed), reveal=True).shown
    assert revealed == {"type": "voucher", **signed, "protocol": protocol.value, "signer": KEY.address}
    broken = inspect(json.dumps(signed | {"signature": SIGNATURE})).shown
    assert isinstance(broken, dict)
    assert broken["signer"] is None
    assert "high s" in broken["fault"]
    strange = inspect(json.dumps(signed | {"domain": {"name": "Another"}})).shown
    assert isinstance(strange, dict)
    assert strange["protocol"] is None


@pytest.mark.parametrize(
    "text",
    [
        "", " \n\t", "x", "!", "Payment", "Payment x", "Bearer realm=x", f"Payment {b64([1])}", b64({}), b64({"a": 1}),
        b64({"payload": {}}), b64({"payload": {}, "challenge": {}}), b64({"status": "success"}),
        b64({"payload": {}, "challenge": ECHO | {"request": "!"}}), b64(RECEIPT | {"spent": -1}),
        "{", "[]", "{}", '{"a":1,"a":2}', '{"channelId":"\udcff"}', '{"x":"\\ud800"}',
        json.dumps(voucher(Protocol.V1) | {"digest": CHANNEL}),
        json.dumps(voucher(Protocol.V1) | {"cumulativeAmount": 7}),
        json.dumps(voucher(Protocol.V2) | {"cumulativeAmount": str(2**96)}),
        json.dumps(voucher(Protocol.V2) | {"domain": 1}),
        credential(PAYLOADS[0], deep=json.loads("[" * 60 + "]" * 60)),
        credential(PAYLOADS[0]) + "=", "a" * 1_000_000, '{"a":' * 50_000,
    ],
)  # fmt: skip
@pytest.mark.parametrize("reveal", [False, True])
def test_anything_else_is_malformed(text: str, reveal: bool) -> None:
    with pytest.raises(MalformedError) as caught:
        inspect(text, reveal=reveal)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_a_number_that_is_no_number_does_not_become_json() -> None:
    text = base64.urlsafe_b64encode(
        json.dumps({"challenge": ECHO, "payload": {"x": 0}}).replace('"x": 0', '"x": 1e999').encode()
    )
    with pytest.raises(MalformedError, match="too large"):
        inspect(text.rstrip(b"=").decode(), reveal=True)


def test_the_input_does_not_say_itself_what_it_is() -> None:
    shown = inspect(credential(PAYLOADS[0], type="receipt")).shown
    assert isinstance(shown, dict)
    assert shown["type"] == "credential"


names = st.text(max_size=12)
secrets = st.sampled_from(
    [SIGNATURE, TRANSACTION, CHANNEL, PAYEE, SIGNATURE[2:], PAYEE.upper().replace("X", "x"), PAYEE[2:]]
)
around = st.sampled_from(["", " ", "-", "_", "/", ":", "did:pkh:eip155:1:", "x", "é", "0x", "\n", '"', "%"])


@given(names, secrets, around, around, st.booleans(), st.integers(0, 3))
def test_no_secret_is_shown_under_any_name_in_any_surroundings(
    name: str, secret: str, before: str, after: str, as_name: bool, depth: int
) -> None:
    text = before + secret + after
    member: Any = {text: name} if as_name else {name: text}
    for _ in range(depth):
        member = {"more": [member]}
    shown = inspect(credential(PAYLOADS[0] | {"extra": member}, extra=member)).shown
    assert leaks(shown) == []


@given(st.text(max_size=300))
def test_any_text_is_read_or_malformed(text: str) -> None:
    for form in (text, f"Payment {text}", f"Payment {PARAMS}, {text}", f"{{{text}}}"):
        with suppress(MalformedError):
            json.dumps(inspect(form).shown)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=10,
)


@given(json_values)
def test_revealing_shows_the_very_values(value: Any) -> None:
    shown = inspect(credential(PAYLOADS[0], extra=value), reveal=True).shown
    assert isinstance(shown, dict)
    assert json.dumps(shown["extra"]) == json.dumps(value)
