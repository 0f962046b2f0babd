"""Which challenge of a 402 is answered, and which is refused before anything is signed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ando_cli.http.extensions import CREDENTIAL
from ando_cli.session.decide.policy import fingerprint
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
