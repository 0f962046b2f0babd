"""Which challenge of a 402 is answered, and which is refused before anything is signed."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from ando_cli.http.extensions import CREDENTIAL
from ando_cli.session.decide.policy import fingerprint
from ando_cli.tempo.protocol import Protocol
from tests.support.rails_bench import Bench
from tests.support.rails_gateway import Gateway, Seen, b64url, drive, outgoing, refuse
from tests.support.session_doubles import (
    CHAIN_ID,
    ESCROW,
    GATEWAY,
    MILLION,
    NETWORK,
    OTHER_PAYEE,
    PAYEE,
    TOKEN,
    channel,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx


def test_of_several_challenges_the_one_that_fits_is_answered(bench: Bench) -> None:
    def several(seen: Seen) -> httpx.Response:
        make = bench.gateway.challenge_header
        other_chain = b64url({
            "amount": "1", "currency": TOKEN, "recipient": PAYEE,
            "methodDetails": {"escrowContract": ESCROW, "chainId": CHAIN_ID + 1},
        })  # fmt: skip
        response = refuse("payment_required")
        response.headers["WWW-Authenticate"] = (
            'Bearer realm="x, Payment", ' + make(seen.body, method="stripe") + ", "
            + make(seen.body, request=other_chain) + ", " + make(seen.body, digest="sha-256=AAAA") + ", "
            + make(seen.body, id="the-one")
        )  # fmt: skip
        bench.gateway.outstanding = {"the-one"}
        return response

    bench.gateway.unpaid = several  # type: ignore[method-assign]
    assert bench.send().status_code == 200
    credential = bench.gateway.paid_for[0].credential
    assert credential is not None
    assert credential["challenge"]["id"] == "the-one"


def test_the_credential_goes_into_the_header_that_the_challenge_names(bench: Bench) -> None:
    bench.gateway.params = {"header": "Payment-Authorization"}
    bench.gateway.header = "Payment-Authorization"
    assert bench.send().status_code == 200
    assert "Authorization" not in bench.gateway.seen[1].headers


FRAMING = ["Host", "cookie", "Content-Length", "Transfer-Encoding", "Proxy-Authorization"]
OURS = ["Idempotency-Key", "accept-payment", "Content-Type"]


@pytest.mark.parametrize("header", FRAMING + OURS)
def test_a_header_that_has_another_purpose_carries_no_credential(bench: Bench, header: str) -> None:
    bench.gateway.params = {"header": header}
    assert bench.fails() == "malformed_challenge"
    assert bench.gateway.paid_for == []


def test_no_credential_is_left_on_a_request_for_a_fresh_challenge(bench: Bench) -> None:
    bench.have(channel())
    bench.gateway.params = {"header": "X-Pay"}
    bench.gateway.header = "X-Pay"
    bench.gateway.script = [lambda _: refuse("mpp_invalid_challenge")]
    sent: list[tuple[bool, bool]] = []

    def watched(request: httpx.Request) -> httpx.Response:
        sent.append(("X-Pay" in request.headers, bool(request.extensions.get(CREDENTIAL))))
        return bench.gateway(request)

    drive(bench.auth, watched)
    assert sent == [(False, False), (True, True), (False, False), (True, True)]


REFUSED: dict[str, tuple[str, Callable[[Gateway], object]]] = {
    "malformed": ("malformed_challenge", lambda g: g.params.update(request="!!!")),
    "no amount": ("malformed_challenge", lambda g: g.request.update(amount=None)),
    "negative amount": ("malformed_challenge", lambda g: g.request.update(amount="-1")),
    "zero amount": ("malformed_challenge", lambda g: g.request.update(amount="0")),
    "no id": ("malformed_challenge", lambda g: g.params.update(id=None)),
    "another digest": ("digest_mismatch", lambda g: g.params.update(digest="sha-256=:AAAA:")),
    "another chain": ("wrong_chain", lambda g: g.details.update(chainId=1)),
    "another escrow": ("untrusted_escrow", lambda g: g.details.update(escrowContract="0x" + "66" * 20)),
    "another token": ("wrong_token", lambda g: g.request.update(currency="0x" + "66" * 20)),
    "another protocol": ("unsupported_session_protocol", lambda g: g.details.update(sessionProtocol="v3")),
    "another method": ("no_challenge", lambda g: g.params.update(method="stripe")),
    "another intent": ("no_challenge", lambda g: g.params.update(intent="charge")),
    "above max_deposit": ("max_deposit_exceeded", lambda g: g.request.update(amount=str(5 * MILLION + 1))),
    "absurd": ("max_deposit_exceeded", lambda g: g.request.update(amount=str(2**128 - 1))),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_challenge_that_cannot_be_trusted_is_refused_before_anything_is_signed(bench: Bench, case: str) -> None:
    code, bend = REFUSED[case]
    bend(bench.gateway)
    assert bench.fails() == code
    assert bench.gateway.actions == [None]
    assert (bench.store.channels(), bench.ledger(), bench.chain.deposits) == ([], [], 0)


def test_a_402_without_any_challenge_is_refused(bench: Bench) -> None:
    bench.gateway.unpaid = lambda seen: refuse("payment_required")  # type: ignore[method-assign]
    assert bench.fails() == "no_challenge"


def test_an_unpaid_answer_that_is_another_error_is_handed_on(bench: Bench) -> None:
    bench.gateway.unpaid = lambda seen: refuse("overloaded", 503)  # type: ignore[method-assign]
    assert bench.send().status_code == 503


def test_nothing_is_paid_over_plain_http_to_another_machine(bench: Bench) -> None:
    assert bench.fails(outgoing("http://gateway.example/v1/mpp/chat/completions")) == "insecure_transport"
    assert bench.store.channels() == []
    assert bench.send(outgoing("http://127.0.0.1:1/v1/mpp/chat/completions")).status_code == 200


def test_a_changed_payee_is_refused_until_its_fingerprint_is_accepted(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.send()
    bench.gateway.request = {"recipient": OTHER_PAYEE}
    assert bench.fails() == "payee_changed"
    assert len(bench.store.channels()) == 1
    bench.accepted_payee = fingerprint(OTHER_PAYEE)
    bench.start()
    bench.send()
    assert {known.terms.payee for known in bench.store.channels()} == {PAYEE, OTHER_PAYEE}
    assert bench.store.pinned_payee(GATEWAY, NETWORK.name) == OTHER_PAYEE


def test_a_payee_that_changes_within_one_negotiation_is_refused(bench: Bench) -> None:
    bench.have(channel())

    def switch(_: Seen) -> httpx.Response:
        bench.gateway.request = {"recipient": OTHER_PAYEE}
        return refuse("mpp_invalid_challenge")

    bench.gateway.script = [switch]
    assert bench.fails() == "payee_changed"
    assert len(bench.gateway.paid_for) == 1


def test_the_channel_that_the_challenge_names_is_not_asked_for(bench: Bench) -> None:
    mine = bench.have(channel())
    bench.gateway.details = {"channelId": "0x" + "99" * 32, "sessionSnapshot": {"acceptedCumulative": str(9 * MILLION)}}
    bench.send()
    credential = bench.gateway.paid_for[0].credential
    assert credential is not None
    assert credential["payload"]["channelId"] == mine.channel_id
    assert credential["payload"]["cumulativeAmount"] == str(MILLION)


def offering(bench: Bench, *headers: Callable[[bytes], str]) -> None:
    """Have the gateway answer the first unpaid request with these challenges, and later ones as ever."""
    usual = bench.gateway.unpaid
    pending = [headers]

    def unpaid(seen: Seen) -> httpx.Response:
        if not pending:
            return usual(seen)
        response = refuse("payment_required")
        response.headers["WWW-Authenticate"] = ", ".join(make(seen.body) for make in pending.pop())
        return response

    bench.gateway.unpaid = unpaid  # type: ignore[method-assign]


EXPIRED = {"expires": "2020-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    "changes",
    [
        EXPIRED,
        {"request": "!"},
        {"request": b64url({"amount": "1"})},
        {"method": "stripe"},
        {"intent": "charge"},
        {"digest": "sha-256=AAAA"},
        {"id": ""},
        {"header": "Content-Length"},
    ],
    ids=str,
)
def test_a_challenge_that_cannot_be_answered_hides_no_other(bench: Bench, changes: dict[str, str]) -> None:
    make = bench.gateway.challenge_header
    good = [lambda body: make(body, id="good")]
    bad = [lambda body: make(body, **changes)]
    for order in (bad + good, good + bad, bad + good + bad):
        bench.gateway.seen.clear()
        offering(bench, *order)
        bench.gateway.outstanding = {"good"}
        assert bench.send().status_code == 200
        credential = bench.gateway.paid_for[0].credential
        assert credential is not None
        assert credential["challenge"]["id"] == "good"
        assert bench.gateway.actions[0] is None
        assert len(bench.gateway.actions) == 2, "no other challenge was asked for"


@pytest.mark.parametrize("turned", [False, True])
def test_where_no_challenge_can_be_answered_the_one_that_came_closest_says_why(bench: Bench, turned: bool) -> None:
    make = bench.gateway.challenge_header

    def names(**details: object) -> str:
        request = {"amount": "1", "currency": TOKEN, "recipient": PAYEE, "methodDetails": {
            "escrowContract": ESCROW, "chainId": CHAIN_ID} | details}  # fmt: skip
        return b64url(request)

    closer = [
        ({"request": b64url({})}, "malformed_challenge"),
        ({"request": names(sessionProtocol="v3")}, "unsupported_session_protocol"),
        ({"request": names(chainId=1)}, "wrong_chain"),
        ({"request": names(escrowContract="0x" + "66" * 20)}, "untrusted_escrow"),
        ({"digest": "sha-256=AAAA"}, "digest_mismatch"),
    ]
    for (worse, _), (better, code) in pairwise(closer):
        order = [better, worse] if turned else [worse, better]
        offering(bench, *(lambda body, changes=changes: make(body, **changes) for changes in order))  # type: ignore[misc]
        assert bench.fails() == code
    assert bench.store.channels() == []


def test_a_channel_that_is_there_goes_before_an_offer_for_another_one(bench: Bench) -> None:
    bench.gateway.protocols = (Protocol.V2,)
    bench.send()
    make = bench.gateway.challenge_header

    def v1(body: bytes) -> str:
        bench.gateway.protocols = (Protocol.V1,)
        return make(body)

    def v2(body: bytes) -> str:
        bench.gateway.protocols = (Protocol.V2,)
        return make(body, **EXPIRED)

    offering(bench, v1, v2)
    assert bench.send().status_code == 200
    assert len(bench.store.channels()) == 1


def test_a_challenge_that_was_answered_is_not_answered_again(bench: Bench) -> None:
    bench.have(channel())
    sent: list[str] = []

    def again(seen: Seen) -> httpx.Response:
        assert seen.credential is not None
        sent.append(seen.credential["challenge"]["id"])
        response = refuse("mpp_invalid_challenge")
        response.headers["WWW-Authenticate"] = bench.gateway.challenge_header(seen.body, id=sent[-1])
        return response

    bench.gateway.script = [again]
    assert bench.send().status_code == 200
    assert bench.gateway.actions == [None, "voucher", None, "voucher"]

    bench.gateway.params = {"id": "always"}
    bench.gateway.outstanding.add("always")
    bench.gateway.script = [again]
    assert bench.fails() == "no_fresh_challenge"
    assert bench.gateway.actions[4:] == [None, "voucher", None]


def with_own(authorization: str = "Bearer mine", **headers: str) -> httpx.Request:
    request = outgoing()
    request.headers.update({"Authorization": authorization} | headers)
    return request


def test_the_callers_own_authorization_goes_beside_a_credential_in_another_header(bench: Bench) -> None:
    bench.gateway.params = {"header": "Payment-Authorization"}
    bench.gateway.header = "Payment-Authorization"
    bench.gateway.script = [lambda _: refuse("mpp_invalid_challenge")]
    bench.have(channel())
    assert bench.send(with_own()).status_code == 200
    assert bench.gateway.actions == [None, "voucher", None, "voucher"]
    assert {seen.headers["Authorization"] for seen in bench.gateway.seen} == {"Bearer mine"}


def test_the_callers_own_authorization_is_never_replaced(bench: Bench) -> None:
    assert bench.send(with_own()).status_code == 402
    assert bench.gateway.actions == [None]
    assert bench.store.channels() == []


def test_what_the_caller_accepts_to_pay_with_goes_before_what_ando_does(bench: Bench) -> None:
    request = outgoing()
    request.headers["Accept-Payment"] = "tempo/session;q=0.5, tempo/charge"
    bench.send(request)
    bench.send()
    accepted = [seen.headers["Accept-Payment"] for seen in bench.gateway.seen]
    assert accepted == ["tempo/session;q=0.5, tempo/charge"] * 2 + ["tempo/session"] * 2


def test_of_two_first_requests_at_once_that_are_named_different_payees_one_is_refused(bench: Bench) -> None:
    def meanwhile() -> None:
        bench.consent.meanwhile = lambda: None
        other = bench.gateway.request
        bench.gateway.request = {"recipient": OTHER_PAYEE}
        assert bench.send().status_code == 200
        bench.gateway.request = other

    bench.consent.meanwhile = meanwhile
    assert bench.fails() == "payee_changed"
    assert [known.terms.payee for known in bench.store.channels()] == [OTHER_PAYEE]
    assert bench.store.pinned_payee(GATEWAY, NETWORK.name) == OTHER_PAYEE
    assert bench.chain.deposits == 5 * MILLION
    assert len(bench.gateway.paid_for) == 1
