"""Challenges that must not be paid, and the caps that hold whatever a challenge asks for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from ando_cli.sandbox.config import CHAIN_ID, ESCROW, TOKEN
from ando_cli.sandbox.faults import Fault
from ando_cli.sandbox.server import Sandbox, SandboxConfig
from ando_cli.sandbox.wire import encode_json, header_value
from tests.support.badluck import ASK, BODY, Answer, Purse, Seen, ask, paid, purse, relaying
from tests.support.cli_box import Box, Gateway

if TYPE_CHECKING:
    from pathlib import Path

SOMEBODY = "0x" + "5b" * 20
DETAILS: dict[str, Any] = {"escrowContract": ESCROW, "chainId": CHAIN_ID}
REQUEST: dict[str, Any] = {"amount": "1000000", "currency": TOKEN, "recipient": SOMEBODY, "methodDetails": DETAILS}


def challenge(request: dict[str, Any] | str = REQUEST, **changes: str) -> str:
    """A ``WWW-Authenticate`` value that nobody sealed."""
    encoded = request if isinstance(request, str) else encode_json(request)
    return header_value({"id": "x", "realm": "r", "method": "tempo", "intent": "session", "request": encoded} | changes)


MALFORMED = {
    "nothing": "Payment",
    "no request": 'Payment id="x", realm="r", method="tempo", intent="session"',
    "an empty id": challenge(id=""),
    "a parameter twice": challenge() + ', id="y"',
    "an open quote": challenge()[:-1],
    "backslashes": 'Payment id="' + "\\" * 12_000,
    "not base64url": challenge("e30="),
    "not an object": challenge("W10"),
    "too long": challenge("A" * 17_000),
    "no members": challenge({}),
    "no chain for v2": challenge(REQUEST | {"methodDetails": {"escrowContract": ESCROW, "sessionProtocol": "v2"}}),
    "a payee that is none": challenge(REQUEST | {"recipient": "0x12"}),
    "an amount of zero": challenge(REQUEST | {"amount": "0"}),
    "a negative amount": challenge(REQUEST | {"amount": "-1"}),
    "a fraction": challenge(REQUEST | {"amount": "1.5"}),
    "a number too large for the voucher": challenge(REQUEST | {"amount": str(2**128)}),
    "an amount that is no text": challenge(REQUEST | {"amount": 1_000_000}),
    "the credential in the place of the body's length": challenge(header="Content-Length"),
}


@pytest.mark.parametrize("header", list(MALFORMED.values()), ids=list(MALFORMED))
def test_a_malformed_challenge_is_refused_before_anything_is_signed(warm: Gateway, header: str) -> None:
    before = purse(warm)
    warm.fail(Fault(on="unpaid", challenge_lies={"raw": header}))
    error = ask(warm, "-j").error
    assert (error["exit_code"], error["code"]) == (4, "malformed_challenge")
    assert warm.actions == ["unpaid"]
    assert purse(warm) == before


LIES: dict[str, dict[str, Any]] = {
    "wrong_chain": {"chainId": 4217},
    "wrong_token": {"currency": SOMEBODY},
    "untrusted_escrow": {"escrow": SOMEBODY},
    "payee_changed": {"recipient": SOMEBODY},
    "unsupported_session_protocol": {"sessionProtocol": "v3"},
    "digest_mismatch": {"params": {"digest": "sha-256=" + "A" * 43 + "="}},
    "no_challenge": {"params": {"method": "stripe"}},
}


@pytest.mark.parametrize("code", list(LIES))
def test_a_challenge_that_names_what_is_not_trusted_is_refused_before_anything_is_signed(
    warm: Gateway, code: str
) -> None:
    before = purse(warm)
    warm.fail(Fault(on="unpaid", challenge_lies=LIES[code], times=2))
    error = ask(warm, "-j").error
    assert (error["exit_code"], error["code"]) == (4, code)
    assert "--json" not in ask(warm).refused(4)
    assert warm.actions == ["unpaid", "unpaid"]
    assert purse(warm) == before


@pytest.mark.parametrize("lie", [{"chainId": 1}, {"currency": SOMEBODY}, {"escrow": SOMEBODY}])
def test_nor_is_a_channel_opened_for_it(gateway: Gateway, lie: dict[str, Any]) -> None:
    gateway.fail(Fault(on="unpaid", challenge_lies=lie))
    ask(gateway).refused(4)
    assert gateway.actions == ["unpaid"]
    assert purse(gateway) == Purse(0, 0, 0, 0)


def test_a_lie_that_comes_with_a_rejection_is_not_paid_either(warm: Gateway) -> None:
    before = purse(warm)
    lie = {"escrow": SOMEBODY}
    warm.fail(Fault(code="mpp_voucher_bucket_refresh_required", challenge_lies=lie))
    warm.fail(Fault(on="unpaid"), Fault(on="unpaid", challenge_lies=lie))
    assert ask(warm, "-j").error["code"] == "untrusted_escrow"
    assert len(paid(warm)) == 1
    assert purse(warm) == before


def test_an_expired_challenge_is_replaced_by_a_fresh_one(warm: Gateway) -> None:
    before = purse(warm)
    warm.fail(Fault(on="unpaid", challenge_lies={"params": {"expires": "past"}}))
    ask(warm).worked()
    assert warm.actions == ["unpaid", "unpaid", "voucher"]
    assert purse(warm) == before


def test_challenges_that_are_always_expired_are_not_asked_for_without_end(warm: Gateway) -> None:
    before = purse(warm)
    warm.fail(Fault(on="unpaid", challenge_lies={"params": {"expires": "past"}}, times=None))
    assert ask(warm, "-j").error["code"] == "no_fresh_challenge"
    assert set(warm.actions) == {"unpaid"}
    assert len(warm.log) <= 4
    assert purse(warm) == before


def test_an_expiry_that_cannot_be_read_counts_as_expired(warm: Gateway) -> None:
    warm.fail(Fault(on="unpaid", challenge_lies={"params": {"expires": "tomorrow"}}, times=None))
    assert ask(warm, "-j").error["code"] == "no_fresh_challenge"
    assert set(warm.actions) == {"unpaid"}


def test_of_several_challenges_in_several_lines_the_one_that_fits_is_paid(warm: Gateway) -> None:
    before = purse(warm)
    others = [
        'Bearer realm="Payment, please", error="invalid_token"',
        "Negotiate dG9rZW4=",
        challenge(method="stripe", intent="charge"),
        challenge(REQUEST | {"methodDetails": DETAILS | {"chainId": 1}}),
        'Payment id="broken"',
    ]
    warm.fail(Fault(on="unpaid", challenge_lies={"before": others, "after": ['Basic realm="x"', *others[:2]]}))
    ask(warm).worked()
    assert warm.actions == ["unpaid", "voucher"]
    assert purse(warm) == before


def test_several_schemes_in_one_line_are_told_apart(warm: Gateway) -> None:
    def join(seen: Seen, answer: Answer) -> Answer:
        if answer.status == 402:
            lines = [
                ", ".join(['Digest realm="a\\"Payment id=b", nonce=c', *answer.header("www-authenticate"), "Basic"])
            ]
            answer.headers = [*answer.without("www-authenticate"), ("WWW-Authenticate", lines[0])]
        return answer

    with relaying(warm) as relay:
        relay.tamper = join
        done = ask(warm)
    # The channel belongs to another gateway than the relay, so this opened one; what counts is that it was understood.
    done.worked()
    assert [bool(seen.credential) for seen in relay.seen] == [False, True]


def test_a_402_without_a_challenge_is_not_paid(warm: Gateway) -> None:
    before = purse(warm)
    warm.fail(Fault(on="unpaid", status=402, body_text="pay!"))
    assert ask(warm, "-j").error["code"] == "no_challenge"
    assert purse(warm) == before


@pytest.mark.parametrize("fault", [LIES["untrusted_escrow"], {"params": {"method": "stripe"}}])
def test_request_prints_the_402_that_it_does_not_pay(warm: Gateway, fault: dict[str, Any]) -> None:
    warm.fail(Fault(on="unpaid", challenge_lies=fault))
    done = warm.box.run("request", "--yes", "--json", BODY, "/mpp/chat/completions")
    assert done.code == 4
    assert done.json["error"]["code"] == "payment_required"
    assert done.stderr.startswith("error: ")
    assert paid(warm) == []


# A changed payee


def test_a_changed_payee_is_refused_with_the_line_that_accepts_it_which_holds_for_that_payee_alone(
    box: Box, tmp_path: Path
) -> None:
    def served(key: str, port: int = 0) -> Sandbox:
        return Sandbox(SandboxConfig(path=tmp_path / "chain.db", port=port, payee_key="0x" + key * 32))

    with served("11") as first:
        ask(Gateway(first, box)).worked()
    port = int(first.base_url.rpartition(":")[2].removesuffix("/v1"))
    with served("22", port) as second:
        gateway = Gateway(second, box)
        before = purse(gateway)
        refusal = ask(gateway).refused(4)
        line = re.search(r"--accept-payee (\w+)", refusal)
        assert line is not None, refusal
        assert second.payee not in refusal
        assert ask(gateway, "--accept-payee", "0" * 20).refused(4) == refusal
        assert paid(gateway) == []
        assert purse(gateway) == before
        ask(gateway, *line.group().split()).worked()
        assert [entry.action for entry in paid(gateway)] == ["open"]
        gateway.forget_log()
        ask(gateway).worked()  # now the pinned one
        assert gateway.actions == ["unpaid", "voucher"]
    with served("33", port) as third:
        gateway = Gateway(third, box)
        assert "payee" in ask(gateway, *line.group().split()).refused(4)
        assert paid(gateway) == []
    with served("11", port) as first:
        gateway = Gateway(first, box)
        back = re.search(r"--accept-payee (\w+)", ask(gateway).refused(4))
        assert back is not None
        assert paid(gateway) == []
        for options in (back.group().split(), []):  # the first payee's channel is still open, and pinned once more
            ask(gateway, *options).worked()
        assert {entry.action for entry in paid(gateway)} == {"voucher"}


# Caps


@pytest.mark.parametrize(
    ("amount", "options", "code", "says"),
    [
        (6_000_000, ["--max-spend", "2"], "max_spend_exceeded", "--max-spend leaves 2.00"),
        (6_000_000, ["--yes"], "max_deposit_exceeded", "max_deposit is 5.00"),
        (200_000_000, ["--yes"], "insufficient_balance", "the wallet holds 100.00"),
        (6_000_000, [], "max_deposit_exceeded", "max_deposit is 5.00"),
        (1_000_000, [], "consent_required", "no terminal to ask on"),
    ],
)
@pytest.mark.parametrize("is_open", [False, True], ids=["no channel yet", "a channel that is too small"])
def test_a_challenge_above_a_cap_is_refused_and_the_cap_is_named(
    gateway: Gateway, amount: int, options: list[str], code: str, says: str, is_open: bool
) -> None:
    if is_open:
        # A deposit for one bucket, which the gateway then says is used up.
        gateway.change(suggested_deposit=1_000_000)
        gateway.warm_up()
        gateway.change(suggested_deposit=5_000_000)
        gateway.fail(Fault(on="voucher", code="mpp_voucher_bucket_refresh_required"))
    gateway.change(amount=amount)
    before = purse(gateway)
    if is_open and code == "max_deposit_exceeded":
        options = ["--yes"]  # a larger raise needs consent, before any limit matters
    limit = "500" if code == "insufficient_balance" else None
    done = gateway.box.run(*ASK, "-j", *options, ANDO_MAX_DEPOSIT=limit)
    assert (done.code, done.error["code"]) == (4, code)
    assert says in done.error["message"] or is_open
    assert gateway.actions == (["unpaid", "voucher"] if is_open else ["unpaid"])
    assert purse(gateway) == before


def test_max_spend_bounds_what_an_open_channel_is_asked_for(warm: Gateway) -> None:
    before = purse(warm)
    warm.fail(Fault(code="mpp_voucher_bucket_refresh_required", times=3))
    refused = warm.box.run(*ASK, "-j", "--max-spend", "0.5")
    assert refused.error["code"] == "max_spend_exceeded"
    assert warm.box.run(*ASK, "-j", ANDO_MAX_SPEND="0.5").error["code"] == "max_spend_exceeded"
    assert purse(warm) == before
    warm.box.run(*ASK, "--max-spend", "1").worked()
    assert purse(warm).authorised == before.authorised + 1_000_000


def test_an_amount_that_changes_between_challenges_is_raised_once_and_never_past_the_limits(gateway: Gateway) -> None:
    gateway.warm_up()
    before = purse(gateway)
    lie = {"amount": "11000000"}
    gateway.fail(Fault(on="voucher", code="mpp_voucher_bucket_refresh_required", challenge_lies=lie, times=None))
    assert ask(gateway, "-j").error["code"] == "max_deposit_exceeded"
    assert gateway.box.run(*ASK, "-j", "--max-spend", "5").error["code"] == "max_spend_exceeded"
    assert purse(gateway) == before
    gateway.faults.clear()
    smaller = {"amount": "2000000"}
    gateway.fail(Fault(on="voucher", code="mpp_voucher_bucket_refresh_required", challenge_lies=smaller, times=None))
    assert ask(gateway, "-j").error["code"] == "second_raise_refused"
    assert purse(gateway).authorised == before.authorised + 2_000_000
    assert purse(gateway).moved == before.moved
