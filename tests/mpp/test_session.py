"""The request of a session challenge."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ando_cli.mpp import fields
from ando_cli.mpp.malformed import MalformedError
from ando_cli.mpp.session import SessionRequest, parse_session_request
from tests.support.mpp_builders import CHANNEL, ESCROW, PAYEE, PAYER, REQUEST, TOKEN, challenge, session_request

AMOUNTS = ["amount", "suggestedDeposit", "minVoucherDelta"]
ADDRESSES = ["currency", "recipient", "escrowContract", "operator"]


def parse(**changes: Any) -> SessionRequest:
    return parse_session_request(challenge(session_request(**changes)))


def test_a_request_with_everything_is_read() -> None:
    assert parse(
        suggestedDeposit="5000000",
        unitType="token",
        channelId=CHANNEL,
        minVoucherDelta="10",
        feePayer=True,
        operator=PAYER,
        sessionProtocol="v2",
        sessionSnapshot={"spent": "1"},
    ) == SessionRequest(
        amount=1_000_000,
        currency=TOKEN,
        recipient=PAYEE,
        suggested_deposit=5_000_000,
        unit_type="token",
        escrow_contract=ESCROW,
        chain_id=42431,
        channel_id=CHANNEL,
        min_voucher_delta=10,
        fee_payer=True,
        operator=PAYER,
        session_protocol="v2",
        session_snapshot={"spent": "1"},
    )


def test_what_is_optional_has_its_default() -> None:
    request = parse()
    assert (request.suggested_deposit, request.unit_type, request.channel_id, request.operator) == (None,) * 4
    assert (request.min_voucher_delta, request.fee_payer, request.session_snapshot) == (0, False, None)


def test_no_session_protocol_means_the_first() -> None:
    assert parse().session_protocol == "v1"


def test_null_counts_as_absent() -> None:
    optional = ["suggestedDeposit", "unitType", "channelId", "minVoucherDelta", "feePayer", "operator"]
    assert parse(**dict.fromkeys([*optional, "sessionProtocol", "sessionSnapshot"])) == parse()


def test_unknown_members_are_ignored() -> None:
    assert parse_session_request(challenge(REQUEST | {"new": 1})) == parse()
    assert parse(newer=[2]) == parse()


@pytest.mark.parametrize("name", ["amount", "currency", "recipient", "methodDetails", "escrowContract"])
def test_a_required_member_cannot_be_missing(name: str) -> None:
    with pytest.raises(MalformedError, match=name):
        parse(without=name)
    with pytest.raises(MalformedError, match=name):
        parse(**{name: None})


@pytest.mark.parametrize("name", AMOUNTS)
@pytest.mark.parametrize(
    "value",
    [
        "",
        "-1",
        "+1",
        "1.0",
        "1e6",
        " 1",
        "1 ",
        "1_000",
        "0x1",
        "\u0661",
        "²",
        "a",
        1,
        1.5,
        True,
        [],
        {},
        "1" * 40,
        "0" * 39 + "1",
        "1" * 5_000,
        str(2**128),
    ],
    ids=repr,
)
def test_an_amount_is_digits_and_fits_a_voucher(name: str, value: object) -> None:
    with pytest.raises(MalformedError, match=name):
        parse(**{name: value})


def test_the_largest_amount_a_voucher_can_carry_is_accepted() -> None:
    request = parse(amount=str(2**128 - 1), suggestedDeposit=str(2**128 - 1))
    assert (request.amount, request.suggested_deposit) == (2**128 - 1, 2**128 - 1)


@pytest.mark.parametrize("at", [0, 1, 2, 3, 41])
def test_every_digit_of_an_address_is_looked_at(at: int) -> None:
    address = "0x" + "ab" * 20
    assert fields.address(address, "recipient") == address
    with pytest.raises(MalformedError):
        fields.address(address[:at] + "g" + address[at + 1 :], "recipient")


@pytest.mark.parametrize("zero", ["0", "000"])
def test_an_amount_of_nothing_is_refused(zero: str) -> None:
    with pytest.raises(MalformedError, match="zero"):
        parse(amount=zero)


@pytest.mark.parametrize("name", ADDRESSES)
@pytest.mark.parametrize(
    "value",
    [
        "",
        "0x",
        PAYEE[2:],
        PAYEE[:-1],
        PAYEE + "0",
        "0X" + PAYEE[2:],
        "0x" + "g" * 40,
        "0x" + "_1" * 20,
        " " + PAYEE,
        1,
        [],
    ],
    ids=repr,
)
def test_an_address_is_twenty_bytes_of_hex(name: str, value: object) -> None:
    with pytest.raises(MalformedError, match=name):
        parse(**{name: value})


@pytest.mark.parametrize("value", ["", PAYEE, CHANNEL[:-1], CHANNEL + "00", CHANNEL[2:] + "ab", 5], ids=repr)
def test_a_channel_id_is_thirty_two_bytes_of_hex(value: object) -> None:
    with pytest.raises(MalformedError, match="channelId"):
        parse(channelId=value)


def test_hex_becomes_lower_case() -> None:
    shouted = {name: "0x" + PAYEE[2:].upper() for name in ADDRESSES}
    request = parse(channelId="0x" + CHANNEL[2:].upper(), **shouted)
    assert {request.currency, request.recipient, request.escrow_contract, request.operator} == {PAYEE}
    assert request.channel_id == CHANNEL


@pytest.mark.parametrize("value", [0, -1, True, 1.0, 42431.0, "42431", 2**53, [1]], ids=repr)
def test_a_chain_id_is_a_positive_json_integer(value: object) -> None:
    with pytest.raises(MalformedError, match="chainId"):
        parse(chainId=value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("methodDetails", []),
        ("unitType", 1),
        ("feePayer", 1),
        ("feePayer", "true"),
        ("feePayer", {}),
        ("sessionProtocol", 1),
        ("sessionProtocol", ""),
        ("sessionSnapshot", []),
        ("sessionSnapshot", "x"),
    ],
)
def test_a_member_of_the_wrong_kind_is_refused(name: str, value: object) -> None:
    with pytest.raises(MalformedError, match=name):
        parse(**{name: value})


@pytest.mark.parametrize(("method", "intent"), [("tempo", "charge"), ("stripe", "session"), ("TEMPO", "session")])
def test_a_challenge_for_another_way_to_pay_is_refused(method: str, intent: str) -> None:
    with pytest.raises(MalformedError, match="not a tempo session"):
        parse_session_request(challenge(method=method, intent=intent))


@pytest.mark.parametrize("text", ["", "!", "W10", "bm8"])
def test_a_request_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(MalformedError, match=r"JSON|base64url"):
        parse_session_request(replace(challenge(), request=text))


def test_messages_do_not_quote_the_request() -> None:
    for name in [*AMOUNTS, *ADDRESSES, "channelId", "sessionSnapshot", "feePayer", "chainId"]:
        with pytest.raises(MalformedError) as caught:
            parse(**{name: "secret"})
        assert "secret" not in str(caught.value)


def test_the_repr_shows_no_party_and_no_channel() -> None:
    shown = repr(parse(channelId=CHANNEL, operator=PAYER, sessionSnapshot={"payer": PAYER}))
    assert "1000000" in shown
    for identifier in (PAYEE, PAYER, CHANNEL):
        assert identifier not in shown


ANYTHING = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from([PAYEE, CHANNEL, [], {}])
MEMBERS = [*AMOUNTS, *ADDRESSES, "chainId", "channelId", "feePayer", "sessionProtocol", "sessionSnapshot", "unitType"]


@given(st.dictionaries(st.sampled_from([*MEMBERS, "methodDetails"]), ANYTHING))
def test_no_request_raises_anything_but_malformed(changes: dict[str, object]) -> None:
    with contextlib.suppress(MalformedError):
        assert 0 < parse(**changes).amount < 2**128


@pytest.mark.parametrize("named", [{}, {"sessionProtocol": "v1"}, {"chainId": None}])
def test_a_v1_request_without_a_chain_means_mainnet(named: dict[str, object]) -> None:
    details = {"escrowContract": ESCROW} | named
    assert parse_session_request(challenge(REQUEST | {"methodDetails": details})).chain_id == 4217


@pytest.mark.parametrize("protocol", ["v2", "v3"])
def test_any_other_request_names_its_chain(protocol: str) -> None:
    details = {"escrowContract": ESCROW, "sessionProtocol": protocol}
    with pytest.raises(MalformedError, match="chainId"):
        parse_session_request(challenge(REQUEST | {"methodDetails": details}))
