"""The policy: whom we trust, and the least of the limits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ando_cli.errors import PaymentError
from ando_cli.money import amount
from ando_cli.session.decide.policy import (
    Caps,
    Committed,
    Trust,
    check_raise,
    check_trust,
    explicit_deposit,
    fingerprint,
    opening_deposit,
    top_up_amount,
    wished_deposit,
)
from ando_cli.tempo.network import PRECOMPILE
from ando_cli.tempo.protocol import Protocol
from tests.support.session_doubles import ESCROW, MILLION, NETWORK, OTHER_PAYEE, PAYEE, session_request

OTHER = "0x" + "66" * 20


def refusal(trust: Trust, **changes: Any) -> PaymentError:
    with pytest.raises(PaymentError) as caught:
        check_trust(session_request(**changes), trust)
    return caught.value


def test_a_request_within_the_networks_configuration_is_trusted() -> None:
    check_trust(session_request(), Trust(NETWORK))
    check_trust(session_request(), Trust(NETWORK, pinned_payee=PAYEE))


def test_every_escrow_of_the_network_is_trusted() -> None:
    check_trust(session_request(escrow_contract=OTHER), Trust(replace(NETWORK, escrows=(ESCROW, OTHER))))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"session_protocol": "v3"}, "unsupported_session_protocol"),
        ({"chain_id": 4217}, "wrong_chain"),
        ({"escrow_contract": OTHER}, "untrusted_escrow"),
        ({"currency": OTHER}, "wrong_token"),
    ],
)
def test_each_thing_that_is_not_trusted_has_a_refusal_of_its_own(changes: dict[str, Any], code: str) -> None:
    assert refusal(Trust(NETWORK), **changes).code == code


def test_a_gateway_need_not_suggest_a_deposit() -> None:
    check_trust(session_request(suggested_deposit=None), Trust(NETWORK))


def test_a_payee_is_refused_where_another_one_is_pinned() -> None:
    error = refusal(Trust(NETWORK, pinned_payee=PAYEE), recipient=OTHER_PAYEE)
    assert error.code == "payee_changed"
    assert fingerprint(OTHER_PAYEE) in (error.hint or "")
    assert OTHER_PAYEE[2:] not in f"{error.message} {error.hint}"


def test_a_changed_payee_is_accepted_by_its_own_fingerprint_alone() -> None:
    changed = session_request(recipient=OTHER_PAYEE)
    check_trust(changed, Trust(NETWORK, PAYEE, accepted_payee=fingerprint(OTHER_PAYEE)))
    for wrong in (fingerprint(PAYEE), fingerprint(OTHER_PAYEE)[:19], "", OTHER_PAYEE):
        assert refusal(Trust(NETWORK, PAYEE, accepted_payee=wrong), recipient=OTHER_PAYEE).code == "payee_changed"


@pytest.mark.parametrize("name", ["amount", "suggested_deposit", "min_voucher_delta"])
def test_an_amount_that_the_protocol_cannot_hold_is_refused_and_the_largest_that_it_can_is_not(name: str) -> None:
    largest = Protocol.V2.facts.max_amount
    v2: dict[str, Any] = {"session_protocol": "v2", "escrow_contract": PRECOMPILE}
    check_trust(session_request(**v2, **{name: largest}), Trust(NETWORK))
    assert refusal(Trust(NETWORK), **v2, **{name: largest + 1}).code == "amount_too_large"


def test_a_fingerprint_is_as_long_as_the_one_that_a_gateway_announced() -> None:
    assert len(fingerprint(PAYEE)) == 20


def test_a_fingerprint_does_not_depend_on_letter_case() -> None:
    assert fingerprint(PAYEE) == fingerprint("0x" + PAYEE[2:].upper()) != fingerprint(OTHER_PAYEE)


MONEY = st.integers(0, 20 * MILLION)


@given(
    price=st.integers(1, 3 * MILLION), suggested=st.none() | MONEY, max_deposit=st.integers(1, 20 * MILLION),
    max_spend=st.none() | MONEY, deposited=MONEY, balance=MONEY, reserve=st.integers(0, MILLION),
)  # fmt: skip
def test_a_deposit_is_the_least_of_what_is_suggested_allowed_and_there(
    price: int,
    suggested: int | None,
    max_deposit: int,
    max_spend: int | None,
    deposited: int,
    balance: int,
    reserve: int,
) -> None:
    request = session_request(amount=price, suggested_deposit=suggested)
    caps, committed = Caps(max_deposit, max_spend), Committed(deposited=deposited)
    limits = {"max_deposit": max_deposit, "balance": max(0, balance - reserve)}
    if max_spend is not None:
        limits["max_spend"] = max(0, max_spend - deposited)

    def opens(_: int) -> int:
        return opening_deposit(request, suggested or 0, caps, committed, balance, reserve)

    def tops_up(needed: int) -> int:
        return top_up_amount(suggested or 0, caps, committed, needed, balance, reserve)

    for needed, decide in ((price, opens), (price // 2 + 1, tops_up)):
        least = min(limits.values())
        if least >= needed:
            assert decide(needed) == min(least, max(suggested or needed, needed))
            continue
        with pytest.raises(PaymentError) as caught:
            decide(needed)
        which = {"insufficient_balance": "balance"}.get(caught.value.code, caught.value.code.removesuffix("_exceeded"))
        assert limits[which] == least


@pytest.mark.parametrize(
    ("suggested", "budget_left", "wished"),
    [
        (None, None, 100 * MILLION),
        (0, None, 100 * MILLION),
        (None, 3 * MILLION, 3 * MILLION),
        (None, 101 * MILLION, 100 * MILLION),
        (7 * MILLION, None, 7 * MILLION),
        (7 * MILLION, 3 * MILLION, 7 * MILLION),
    ],
)
def test_without_a_suggestion_a_deposit_is_for_many_requests(
    suggested: int | None, budget_left: int | None, wished: int
) -> None:
    assert wished_deposit(session_request(suggested_deposit=suggested), budget_left) == wished


def test_a_wish_below_the_challenge_amount_is_lifted_to_it() -> None:
    assert opening_deposit(session_request(), 1, Caps(5 * MILLION), Committed(), 10**9, 0) == MILLION


def test_a_deposit_that_the_user_named_leaves_what_the_fees_may_take() -> None:
    def decide(balance: int) -> int:
        return explicit_deposit(2 * MILLION, MILLION, Caps(5 * MILLION), Committed(), balance, 7)

    assert decide(2 * MILLION + 7) == 2 * MILLION
    with pytest.raises(PaymentError) as caught:
        decide(2 * MILLION + 6)
    assert "deposit 1.999999 or less" in (caught.value.hint or "")
    with pytest.raises(PaymentError, match="the wallet holds"):
        decide(2 * MILLION - 1)


@pytest.mark.parametrize(
    ("caps", "committed", "balance", "says"),
    [
        (Caps(MILLION - 1), Committed(), 10**9, "max_deposit is 0.999999"),
        (Caps(10**9, MILLION - 1), Committed(), 10**9, "--max-spend leaves 0.999999"),
        (Caps(10**9, 2 * MILLION), Committed(deposited=MILLION + 1), 10**9, "--max-spend leaves 0.999999"),
        (
            Caps(10**9),
            Committed(),
            MILLION + 6,
            "wallet holds 1.000006 (with 0.000007 kept for fees)",
        ),
        (Caps(10**9), Committed(), 0, "the wallet holds 0.00"),
    ],
)
def test_what_is_too_small_is_named_with_its_amount(caps: Caps, committed: Committed, balance: int, says: str) -> None:
    with pytest.raises(PaymentError) as caught:
        opening_deposit(session_request(), 5 * MILLION, caps, committed, balance, 7)
    assert says in caught.value.message
    assert "1.00" in caught.value.message


def test_the_limit_that_the_hint_names_is_enough() -> None:
    caps, committed = Caps(10**9, 2 * MILLION), Committed(deposited=MILLION + 1)
    with pytest.raises(PaymentError) as caught:
        opening_deposit(session_request(), 5 * MILLION, caps, committed, 10**9, 0)
    assert amount(2 * MILLION + 1) in (caught.value.hint or "")
    allowed = Caps(10**9, 2 * MILLION + 1)
    assert opening_deposit(session_request(), 5 * MILLION, allowed, committed, 10**9, 0) == MILLION


def test_a_limit_that_is_used_up_leaves_not_even_a_base_unit() -> None:
    least = session_request(amount=1, suggested_deposit=1)
    used_up = Caps(MILLION, max_spend=MILLION), Committed(deposited=MILLION)
    for caps, committed, balance in ((*used_up, 10**9), (Caps(MILLION), Committed(), 7)):
        with pytest.raises(PaymentError):
            opening_deposit(least, 1, caps, committed, balance, 7)
        assert opening_deposit(least, 1, caps, Committed(deposited=committed.deposited - 1), balance + 1, 7) == 1


def test_a_deposit_that_the_user_named_is_taken_as_it_is_or_refused() -> None:
    def decide(wanted: int, caps: Caps = Caps(5 * MILLION), balance: int = 10**9) -> int:
        return explicit_deposit(wanted, MILLION, caps, Committed(), balance, 0)

    assert decide(2 * MILLION) == 2 * MILLION
    assert decide(MILLION) == MILLION
    assert decide(5 * MILLION) == 5 * MILLION
    for wanted, caps, balance, code in (
        (MILLION - 1, Caps(5 * MILLION), 10**9, "deposit_too_small"),
        (5 * MILLION + 1, Caps(5 * MILLION), 10**9, "max_deposit_exceeded"),
        (2 * MILLION, Caps(5 * MILLION, MILLION), 10**9, "max_spend_exceeded"),
        (2 * MILLION, Caps(5 * MILLION), MILLION, "insufficient_balance"),
    ):
        with pytest.raises(PaymentError) as caught:
            decide(wanted, caps, balance)
        assert caught.value.code == code


@given(by=st.integers(1, 2**128), raised=st.integers(0, 2**128), max_spend=st.integers(0, 2**128))
def test_a_raise_is_allowed_exactly_up_to_max_spend(by: int, raised: int, max_spend: int) -> None:
    check_raise(by, Caps(1), Committed(raised=raised))
    if raised + by <= max_spend:
        check_raise(by, Caps(1, max_spend), Committed(raised=raised))
    else:
        with pytest.raises(PaymentError) as caught:
            check_raise(by, Caps(1, max_spend), Committed(raised=raised))
        assert caught.value.code == "max_spend_exceeded"
