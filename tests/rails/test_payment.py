"""The payment rail, driven as a generator against a gateway without a socket."""

from __future__ import annotations

import json
import sqlite3
import tempfile
import uuid
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ando_cli.errors import AndoError, NetworkError, PaymentError, StoreError
from ando_cli.http.client import AndoClient
from ando_cli.http.extensions import CREDENTIAL, PAID, RESENT
from ando_cli.inference.request import Request
from ando_cli.mpp.problem import ProblemCode
from ando_cli.rails.payment import MAX_UNPAID_REQUESTS, Paid, PaymentAuth, Quoted
from ando_cli.session.channel import Channel, Pending, State
from ando_cli.session.decide.budget import Budgets
from ando_cli.session.decide.planner import MAX_PAID_ATTEMPTS, Open, Refuse, Voucher
from ando_cli.session.decide.policy import Caps, fingerprint
from ando_cli.session.record import claims as traffic
from ando_cli.session.record.claims import Claim, Hold, Traffic
from ando_cli.session.record.store import Store
from tests.support.rails_fuse import FUSE, KilledError, MortalStore
from tests.support.rails_gateway import BODY, URL, Gateway, Seen, b64url, drive, outgoing, refuse
from tests.support.session_doubles import (
    CHAIN_ID,
    ESCROW,
    GATEWAY,
    KEY,
    MILLION,
    NETWORK,
    NOW,
    OTHER_PAYEE,
    PAYEE,
    TOKEN,
    Clock,
    Consent,
    FakeChain,
    channel,
    lifecycle,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager


@dataclass
class Bench:
    """One wallet with its store, a chain, a gateway, and the rail between them."""

    folder: Path
    caps: Caps = field(default_factory=lambda: Caps(5 * MILLION))
    accepted_payee: str | None = None
    store_class: type[Store] = Store
    budgets: Budgets | None = None

    def __post_init__(self) -> None:
        self.clock = Clock()
        self.chain = FakeChain(self.clock)
        self.gateway = Gateway(self.chain, self.clock)
        self.consent = Consent()
        self.warnings: list[str] = []
        self.start()

    def start(self) -> None:
        """A new command: all that the last one had in memory is gone."""
        self.store = self.store_class(self.folder / "sessions.db", clock=self.clock)
        self.lifecycle = lifecycle(
            self.folder, self.chain, self.clock, caps=self.caps, consent=self.consent, store=self.store,
            budgets=self.budgets, warn=self.warnings.append,
        )  # fmt: skip
        self.auth = PaymentAuth(
            self.lifecycle,
            gateway_of=lambda _: GATEWAY,
            accepted_payee=self.accepted_payee,
            warn=self.warnings.append,
        )

    def send(self, request: httpx.Request | None = None) -> httpx.Response:
        return drive(self.auth, self.gateway, request)

    def fails(self, request: httpx.Request | None = None) -> str:
        """The code of the error that sending ends with."""
        with pytest.raises(AndoError) as caught:
            self.send(request)
        return caught.value.code

    def have(self, known: Channel) -> Channel:
        """Have ``known`` on record, on the chain and at the gateway."""
        self.store.add(known)
        self.chain.show(known)
        self.gateway.accepted[known.channel_id] = known.cumulative_amount
        self.gateway.spent[known.channel_id] = known.spent
        return known

    @property
    def live(self) -> Channel:
        (found,) = [known for known in self.store.channels() if known.state in (State.OPEN, State.OPENING)]
        return found

    def ledger(self) -> list[dict[str, Any]]:
        with sqlite3.connect(self.folder / "sessions.db") as db:
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute("SELECT * FROM ledger ORDER BY id")]

    def outcomes(self) -> list[str]:
        return [row["outcome"] for row in self.ledger()]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.store.close()


def paid(response: httpx.Response) -> Paid:
    found = response.extensions[PAID]
    assert isinstance(found, Paid)
    return found


def over_http(bench: Bench, error: BaseException, credentials: int = 0) -> AndoClient:
    """The request core on its way to the gateway, where sending fails with ``error`` after so many credentials."""
    sent = 0

    def carry(request: httpx.Request) -> httpx.Response:
        nonlocal sent
        if "Authorization" in request.headers:
            sent += 1
            if sent > credentials:
                raise error
        return bench.gateway(request)

    return AndoClient(GATEWAY, bench.auth, connect_timeout=1, timeout=1, transport=httpx.MockTransport(carry))


def lost(answer: httpx.Response) -> httpx.Response:
    """``answer`` as the transport marks it where the first try was not answered."""
    answer.extensions[RESENT] = True
    return answer


# The happy paths


def test_what_is_answered_without_asking_for_money_is_left_alone(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    response = drive(bench.auth, lambda _: httpx.Response(200, text="free"))
    assert response.text == "free"
    assert PAID not in response.extensions
    assert bench.store.channels() == []


def test_a_cold_request_opens_a_channel_and_is_answered_by_it(bench: Bench) -> None:
    response = bench.send()
    assert response.status_code == 200
    assert bench.gateway.actions == [None, "open"]
    assert bench.live.state is State.OPEN
    assert (bench.live.deposit, bench.live.cumulative_amount, bench.live.spent) == (5 * MILLION, MILLION, MILLION // 4)
    assert bench.live.pending is None
    assert bench.chain.deposits == 5 * MILLION
    assert replace(paid(response), channel=None) == Paid(None, MILLION, 5 * MILLION, MILLION // 4)  # type: ignore[arg-type]


def test_a_warm_request_pays_with_the_same_voucher_and_asks_neither_chain_nor_user(bench: Bench) -> None:
    bench.have(channel())
    response = bench.send()
    assert bench.gateway.actions == [None, "voucher"]
    assert bench.gateway.seen[1].cumulative == MILLION
    assert (bench.chain.asked, bench.consent.asked) == (0, [])
    assert (paid(response).raised, paid(response).deposited) == (0, 0)


def test_every_try_sends_the_same_bytes_under_the_same_key(bench: Bench) -> None:
    bench.have(channel(spent=0, cumulative_amount=MILLION))
    bench.gateway.script = [
        lambda seen: bench.gateway.challenge(seen, "mpp_reservation_failed"),
        lambda seen: bench.gateway.challenge(seen, "mpp_voucher_bucket_refresh_required"),
    ]
    bench.send()
    assert len(bench.gateway.seen) == 5
    assert {(seen.method, seen.url, seen.body) for seen in bench.gateway.seen} == {("POST", URL, BODY)}
    keys = {seen.headers["Idempotency-Key"] for seen in bench.gateway.seen}
    assert len(keys) == 1
    assert uuid.UUID(keys.pop())
    assert {seen.headers["Accept-Payment"] for seen in bench.gateway.seen} == {"tempo/session"}


def test_an_idempotency_key_that_the_caller_chose_is_kept(bench: Bench) -> None:
    request = outgoing()
    request.headers["Idempotency-Key"] = "mine"
    bench.send(request)
    assert {seen.headers["Idempotency-Key"] for seen in bench.gateway.seen} == {"mine"}


def test_two_requests_have_two_keys(bench: Bench) -> None:
    bench.send()
    bench.send()
    assert len({seen.headers["Idempotency-Key"] for seen in bench.gateway.seen}) == 2


def test_the_challenge_is_echoed_as_it_came(bench: Bench) -> None:
    bench.gateway.params = {"opaque": b64url({"z": 1, "a": [2]}), "description": "a, b"}
    bench.send()
    credential = bench.gateway.seen[1].credential
    assert credential is not None
    assert credential["challenge"]["opaque"] == bench.gateway.params["opaque"]
    assert credential["challenge"]["description"] == "a, b"


def test_a_challenge_that_comes_with_a_rejection_is_used_for_the_next_try(bench: Bench) -> None:
    bench.have(channel(spent=MILLION - 1))
    bench.send()
    assert bench.gateway.actions == [None, "voucher", "voucher"]
    assert [seen.cumulative for seen in bench.gateway.paid_for] == [MILLION, 2 * MILLION]


def test_a_rejection_without_a_challenge_is_followed_by_asking_for_one(bench: Bench) -> None:
    bench.have(channel())
    bench.gateway.script = [lambda _: refuse("mpp_voucher_bucket_refresh_required")]
    bench.send()
    assert bench.gateway.actions == [None, "voucher", None, "voucher"]


def test_a_challenge_that_ran_out_is_replaced_before_anything_is_sent(bench: Bench) -> None:
    bench.have(channel())
    real = bench.gateway.unpaid

    def late(seen: Seen) -> httpx.Response:
        response = real(seen)
        if len(bench.gateway.seen) == 1:
            bench.clock.now += 61
        return response

    bench.gateway.unpaid = late  # type: ignore[method-assign]
    assert bench.send().status_code == 200
    assert bench.gateway.actions == [None, None, "voucher"]


def test_challenges_that_are_always_over_end_it_unpaid(bench: Bench) -> None:
    bench.gateway.lifetime = -1
    assert bench.fails() == "no_fresh_challenge"
    assert bench.gateway.actions == [None] * MAX_UNPAID_REQUESTS
    assert bench.store.channels() == []


def test_an_open_that_the_user_thought_about_for_long_goes_out_with_a_fresh_challenge(bench: Bench) -> None:
    def slow(_: object) -> None:
        bench.clock.now += 3600

    bench.lifecycle._consent = slow
    assert bench.send().status_code == 200
    assert bench.gateway.actions == [None, None, "open"]
    assert bench.chain.deposits == 5 * MILLION
    assert len(bench.store.channels()) == 1


def test_a_top_up_that_the_user_thought_about_for_long_goes_out_with_a_fresh_challenge(bench: Bench) -> None:
    bench.have(channel(deposit=MILLION, spent=MILLION - 1))

    def slow(_: object) -> None:
        bench.clock.now += 3600

    bench.lifecycle._consent = slow
    assert bench.send().status_code == 200
    assert bench.gateway.actions == [None, "voucher", None, "topUp", None, "voucher"]
    assert bench.chain.deposits == 6 * MILLION


def test_a_top_up_is_another_request_with_a_key_of_its_own(bench: Bench) -> None:
    bench.have(channel(deposit=MILLION, spent=MILLION - 1))
    response = bench.send()
    assert bench.gateway.actions == [None, "voucher", "topUp", None, "voucher"]
    keys = [seen.headers["Idempotency-Key"] for seen in bench.gateway.seen]
    assert keys[2] not in (keys[0], keys[1])
    assert len(set(keys)) == 2
    assert (paid(response).raised, paid(response).deposited) == (MILLION, 5 * MILLION)
    assert bench.live.deposit == bench.chain.deposits == 6 * MILLION


def test_a_receipt_that_says_all_is_spent_raises_the_next_voucher_without_being_told(bench: Bench) -> None:
    bench.gateway.price = MILLION
    bench.send()
    bench.send()
    assert bench.gateway.actions == [None, "open", None, "voucher"]
    assert bench.gateway.seen[3].cumulative == 2 * MILLION


def test_an_exhausted_channel_with_no_deposit_left_is_topped_up_before_it_is_raised(bench: Bench) -> None:
    bench.have(channel(deposit=MILLION, spent=MILLION))
    bench.send()
    assert bench.gateway.actions == [None, "topUp", None, "voucher"]
    assert bench.gateway.seen[3].cumulative == 2 * MILLION


def test_the_answer_is_booked_with_its_tokens_and_nothing_secret(bench: Bench) -> None:
    bench.send(outgoing(URL + "?token=secret-query"))
    (row,) = bench.ledger()
    assert (row["outcome"], row["authorised"], row["deposited"], row["spent"]) == (
        "answered", "1000000", "5000000", "250000",
    )  # fmt: skip
    assert (row["plan"], row["model"], row["prompt_tokens"], row["completion_tokens"]) == ("Starter", None, 3, 2)
    written = json.dumps(row)
    receipt_id = bench.live.channel_id
    for secret in (
        "secret",
        KEY.address[2:],
        PAYEE[2:],
        receipt_id[2:],
        bench.gateway.seen[0].headers["Idempotency-Key"],
    ):
        assert secret not in written


# Which challenge is answered


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


# Dry run


def test_a_dry_run_signs_and_records_nothing(bench: Bench) -> None:
    with pytest.raises(Quoted) as cold:
        bench.send(outgoing(dry_run=True))
    assert (cold.value.quote.step, cold.value.quote.channel) == (Open(MILLION), None)
    known = bench.have(channel())
    with pytest.raises(Quoted) as warm:
        bench.send(outgoing(dry_run=True))
    assert warm.value.quote.step == Voucher(MILLION)
    assert warm.value.quote.channel == bench.store.channel(known.channel_id)
    assert bench.gateway.actions == [None, None]
    assert (bench.ledger(), bench.chain.asked, bench.consent.asked) == ([], 0, [])


# Receipts that lie, and answers without one


RECEIPTS: dict[str, Callable[[dict[str, Any]], dict[str, Any] | str | None]] = {
    "none": lambda _: None,
    "not base64": lambda _: "%%%",
    "not a receipt": lambda _: b64url({"status": "success"}),
    "failed": lambda r: r | {"status": "failed"},
    "more accepted than signed": lambda r: r | {"acceptedCumulative": str(MILLION + 1)},
    "more spent than accepted": lambda r: r | {"acceptedCumulative": "5", "spent": "6"},
    "far too much": lambda r: r | {"acceptedCumulative": str(2**128 - 1), "spent": str(2**128 - 1)},
    "another channel": lambda r: r | {"channelId": "0x" + "99" * 32},
    "amounts as numbers": lambda r: r | {"acceptedCumulative": 1_000_000, "spent": 1},
}


@pytest.mark.parametrize("case", RECEIPTS)
def test_a_receipt_that_cannot_be_believed_warns_and_changes_no_record(bench: Bench, case: str) -> None:
    before = bench.have(channel(accepted=10, spent=5))
    bench.gateway.receipt = RECEIPTS[case]
    response = bench.send()
    assert response.status_code == 200
    assert len(bench.warnings) == 1
    assert paid(response).spent is None
    after = bench.store.channel(before.channel_id)
    assert after is not None
    assert (after.cumulative_amount, after.accepted, after.spent) == (MILLION, 10, 5)
    assert [(row["outcome"], row["spent"]) for row in bench.ledger()] == [("answered", None)]


def test_a_receipt_that_goes_back_does_not_lower_the_record(bench: Bench) -> None:
    before = bench.have(channel(accepted=MILLION, spent=MILLION // 2))
    bench.gateway.receipt = lambda r: r | {"acceptedCumulative": "3", "spent": "2"}
    assert paid(bench.send()).spent == 0
    after = bench.store.channel(before.channel_id)
    assert after is not None
    assert (after.accepted, after.spent) == (MILLION, MILLION // 2)


def test_a_store_that_fails_after_the_answer_does_not_lose_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise StoreError("the disk is full")

    bench.have(channel())
    monkeypatch.setattr(bench.store, "receipted", broken)
    response = bench.send()
    assert response.json()["choices"][0]["message"]["content"] == "hi"
    assert paid(response).spent is None
    assert "the disk is full" in bench.warnings[0]


def test_a_store_that_fails_while_a_refusal_is_booked_does_not_hide_the_refusal(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise StoreError("the disk is full")

    bench.have(channel())
    monkeypatch.setattr(bench.store, "finish", broken)
    bench.gateway.script = [lambda _: refuse("mpp_payer_not_allowed")]
    assert bench.fails() == "mpp_payer_not_allowed"
    assert "the disk is full" in bench.warnings[0]


# Rejections


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("code", [*ProblemCode, "weather", None])
def test_a_gateway_that_only_ever_says_one_thing_is_paid_a_bounded_number_of_times(
    bench: Bench, code: str | None, warm: bool
) -> None:
    before = bench.have(channel()).cumulative_amount if warm else 0
    bench.gateway.script = [lambda seen: bench.gateway.challenge(seen, code or "")] * 50
    assert bench.fails()
    assert len(bench.gateway.paid_for) <= MAX_PAID_ATTEMPTS
    assert len(bench.gateway.seen) - len(bench.gateway.paid_for) <= MAX_UNPAID_REQUESTS
    assert max(seen.cumulative for seen in bench.gateway.paid_for) <= before + MILLION
    assert len(bench.store.channels()) == 1


def test_a_failed_reservation_is_tried_again_after_a_while_with_the_same_voucher(bench: Bench) -> None:
    bench.have(channel())
    bench.gateway.script = [lambda seen: bench.gateway.challenge(seen, "mpp_reservation_failed")] * 3
    assert bench.send().status_code == 200
    assert bench.clock.slept == [0.5, 1.0, 2.0]
    assert [seen.cumulative for seen in bench.gateway.paid_for] == [MILLION] * 4


@pytest.mark.parametrize("code", ["mpp_commit_failed", "internal-payment-error"])
def test_a_failed_commit_is_not_tried_again_and_stays_unknown(bench: Bench, code: str) -> None:
    bench.have(channel())
    bench.gateway.script = [lambda _: refuse(code, 500)]
    assert bench.fails() == "mpp_commit_failed"
    assert bench.gateway.actions == [None, "voucher"]
    assert bench.outcomes() == ["unknown"]


def test_what_a_rejection_means_goes_before_what_is_wrong_with_its_challenge(bench: Bench) -> None:
    bench.have(channel())

    def bent(seen: Seen) -> httpx.Response:
        bench.gateway.details = {"chainId": 1}
        return bench.gateway.challenge(seen, "mpp_commit_failed")

    bench.gateway.script = [bent]
    assert bench.fails() == "mpp_commit_failed"
    assert bench.outcomes() == ["unknown"]


def test_another_error_after_paying_is_handed_on_and_booked_as_failed(bench: Bench) -> None:
    bench.have(channel())
    bench.gateway.script = [lambda _: httpx.Response(503, text="<html>")]
    assert bench.send().status_code == 503
    assert bench.outcomes() == ["failed"]


def test_a_refusal_carries_the_body_of_the_answer_that_caused_it(bench: Bench) -> None:
    bench.have(channel())
    bench.gateway.script = [lambda _: refuse("mpp_payer_not_allowed", 403)]
    with pytest.raises(PaymentError) as caught:
        bench.send()
    assert json.loads(caught.value.body or b"")["error"]["code"] == "mpp_payer_not_allowed"
    assert bench.outcomes() == ["failed"]


def test_a_gateway_that_claims_the_channel_is_gone_gets_no_second_one(bench: Bench) -> None:
    bench.have(channel())
    bench.gateway.script = [lambda seen: bench.gateway.challenge(seen, "session/channel-not-found")] * 9
    assert bench.fails() == "channel_disputed"
    assert len(bench.store.channels()) == 1
    assert bench.consent.asked == []


def test_a_channel_that_the_chain_shows_closed_is_followed_by_another(bench: Bench) -> None:
    old = bench.have(channel())
    bench.chain.show(old, finalized=True)
    bench.gateway.script = [lambda seen: bench.gateway.challenge(seen, "session/channel-finalized")]
    assert bench.send().status_code == 200
    assert [known.state for known in bench.store.channels()] == [State.OPEN, State.CLOSED]
    assert [(row.channel_id, row.outcome, row.authorised, row.spent) for row in bench.store.ledger()] == [
        (old.channel_id, "failed", 0, None),
        (bench.live.channel_id, "answered", MILLION, MILLION // 4),
    ]


def test_a_gateway_that_closes_the_channel_it_had_raised_gets_no_second_amount(bench: Bench) -> None:
    old = bench.have(channel(spent=MILLION - 1))

    def close(seen: Seen) -> httpx.Response:
        bench.chain.show(old, finalized=True)
        return bench.gateway.challenge(seen, "session/channel-finalized")

    bench.gateway.script = [lambda seen: bench.gateway.challenge(seen, "mpp_voucher_bucket_refresh_required"), close]
    assert bench.fails() == "second_raise_refused"
    assert len(bench.store.channels()) == 1
    assert sum(bench.gateway.highest.values()) == 2 * MILLION


@pytest.mark.parametrize("claim", [0, 1, 3 * MILLION, 2**128 - 1])
def test_a_forged_claim_in_a_rejection_raises_by_the_challenge_amount_and_no_more(bench: Bench, claim: int) -> None:
    bench.have(channel())

    def forge(seen: Seen) -> httpx.Response:
        response = bench.gateway.challenge(seen, "x")
        body = {"code": "session/insufficient-balance"} | dict.fromkeys(
            ("requiredTopUp", "requiredCumulative", "acceptedCumulative", "spent"), str(claim)
        )
        return httpx.Response(402, json=body, headers=response.headers)

    bench.gateway.script = [forge]
    bench.send()
    assert [seen.cumulative for seen in bench.gateway.paid_for] == [MILLION, 2 * MILLION]
    assert bench.live.deposit == 5 * MILLION


# Lost answers


def test_a_lost_answer_that_comes_the_second_time_is_an_answer(bench: Bench) -> None:
    bench.have(channel())
    bench.gateway.script = [lambda seen: lost(bench.gateway.paid(seen))]
    assert bench.send().status_code == 200
    assert bench.outcomes() == ["answered"]


@pytest.mark.parametrize("status", [402, 409, 500, 302])
@pytest.mark.parametrize("code", ["mpp_voucher_bucket_refresh_required", "mpp_reservation_failed", "weather", None])
def test_a_lost_answer_that_is_then_rejected_is_unknown_and_gets_no_new_voucher(
    bench: Bench, code: str | None, status: int
) -> None:
    known = bench.have(channel())
    bench.gateway.script = [lambda _: lost(refuse(code, status))]
    assert bench.fails() == "outcome_unknown"
    assert bench.gateway.actions == [None, "voucher"]
    assert bench.store.channel(known.channel_id) == replace(
        known, created_at=int(bench.clock.now), updated_at=int(bench.clock.now)
    )
    assert bench.outcomes() == ["unknown"]


def test_a_lost_answer_followed_by_a_challenge_that_cannot_be_answered_is_unknown(bench: Bench) -> None:
    bench.have(channel())

    def bent(seen: Seen) -> httpx.Response:
        bench.gateway.details = {"chainId": 1}
        return lost(bench.gateway.challenge(seen, "payment_required"))

    bench.gateway.script = [bent]
    assert bench.fails() == "outcome_unknown"
    assert bench.outcomes() == ["unknown"]


def test_a_connection_that_breaks_for_good_leaves_the_outcome_unknown(bench: Bench) -> None:
    def broken(_: Seen) -> httpx.Response:
        raise httpx.ReadError("gone")

    bench.gateway.script = [broken]
    with pytest.raises(httpx.ReadError):
        bench.send()
    assert bench.outcomes() == ["unknown"]
    assert bench.live.state is State.OPENING


@pytest.mark.parametrize("error", [httpx.ConnectError("x"), httpx.ConnectTimeout("x"), httpx.ProxyError("x")])
def test_a_credential_that_never_left_is_booked_as_failed(bench: Bench, error: Exception) -> None:
    bench.have(channel())
    bench.gateway.script = [lambda _: refuse("mpp_invalid_challenge")]
    for credentials in (0, 1):
        with pytest.raises(NetworkError, match="cannot connect"):
            over_http(bench, error, credentials).send(Request(URL, BODY))
    assert bench.outcomes() == ["failed", "failed"]


@pytest.mark.parametrize("error", [httpx.ReadError("x"), KeyboardInterrupt()])
def test_a_credential_that_may_have_arrived_stays_unknown(bench: Bench, error: BaseException) -> None:
    bench.have(channel())
    with pytest.raises((NetworkError, KeyboardInterrupt)):
        over_http(bench, error).send(Request(URL, BODY))
    assert bench.outcomes() == ["unknown"]


def test_a_rejected_request_that_is_broken_off_before_the_next_credential_is_booked_as_failed(bench: Bench) -> None:
    bench.have(channel())

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    bench.lifecycle.sleep = interrupted
    bench.gateway.script = [lambda _: refuse("mpp_reservation_failed")]
    with pytest.raises(KeyboardInterrupt):
        bench.send()
    assert bench.outcomes() == ["failed"]


def test_an_answer_that_came_is_not_booked_as_failed_because_booking_it_was_broken_off(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.have(channel())

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bench.store, "receipted", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bench.send()
    assert bench.outcomes() == ["unknown"]


def test_an_open_whose_answer_was_lost_is_found_on_the_chain_and_not_paid_twice(bench: Bench) -> None:
    def broken(seen: Seen) -> httpx.Response:
        bench.gateway.paid(seen)
        raise httpx.ReadError("gone")

    bench.gateway.script = [broken]
    with pytest.raises(httpx.ReadError):
        bench.send()
    bench.start()
    assert bench.send().status_code == 200
    assert bench.gateway.actions == [None, "open", None, "voucher"]
    assert bench.chain.deposits == 5 * MILLION


def test_an_open_that_never_arrived_is_sent_again_as_it_was(bench: Bench) -> None:
    def broken(_: Seen) -> httpx.Response:
        raise httpx.ReadError("gone")

    bench.gateway.script = [broken]
    with pytest.raises(httpx.ReadError):
        bench.send()
    bench.start()
    assert bench.send().status_code == 200
    first, second = (seen.credential["payload"] for seen in bench.gateway.paid_for if seen.credential)
    assert first == second
    assert len(bench.store.channels()) == 1


def test_an_open_that_is_turned_down_and_not_on_the_chain_is_sent_again_once(bench: Bench) -> None:
    bench.gateway.script = [lambda seen: bench.gateway.challenge(seen, "mpp_invalid_challenge")] * 9
    assert bench.fails() == "deposit_in_flight"
    assert bench.gateway.actions == [None, "open", "open"]
    assert bench.live.state is State.OPENING


# Others at work on the same channel


def test_a_voucher_that_another_process_outran_is_followed_by_the_higher_one(bench: Bench) -> None:
    known = bench.have(channel())

    def outrun(seen: Seen) -> httpx.Response:
        assert bench.store.raise_cumulative(known.channel_id, MILLION, 2 * MILLION)
        bench.gateway.accepted[known.channel_id] = 2 * MILLION
        return bench.gateway.paid(seen)

    bench.gateway.script = [outrun]
    response = bench.send()
    assert [seen.cumulative for seen in bench.gateway.paid_for] == [MILLION, 2 * MILLION]
    assert paid(response).raised == 0


def test_a_voucher_is_sent_as_such_while_another_process_tops_the_channel_up(bench: Bench) -> None:
    known = bench.have(channel())

    def outrun(seen: Seen) -> httpx.Response:
        assert bench.store.raise_cumulative(known.channel_id, MILLION, 2 * MILLION)
        assert bench.store.topping_up(known.channel_id, Pending("0x76dd", MILLION, NOW + 25))
        bench.gateway.accepted[known.channel_id] = 2 * MILLION
        return bench.gateway.paid(seen)

    bench.gateway.script = [outrun]
    assert bench.send().status_code == 200
    assert bench.gateway.actions == [None, "voucher", "voucher"]
    assert bench.live.pending == Pending("0x76dd", MILLION, NOW + 25)


def test_a_raise_that_another_process_made_first_is_not_made_twice(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = bench.have(channel(spent=MILLION))
    real = bench.store.transaction

    def raced() -> AbstractContextManager[None]:
        monkeypatch.setattr(bench.store, "transaction", real)
        assert bench.store.raise_cumulative(known.channel_id, MILLION, 2 * MILLION)
        return real()

    monkeypatch.setattr(bench.store, "transaction", raced)
    response = bench.send()
    assert paid(response).raised == 0
    assert bench.gateway.highest == {known.channel_id: 2 * MILLION}


def test_a_channel_that_others_keep_to_themselves_is_waited_for_and_not_for_ever(bench: Bench) -> None:
    known = bench.have(channel())
    bench.store.claim(None, Claim(known.channel_id, hold=Hold.EVERYTHING))
    assert bench.fails() == "store_busy"
    assert 120 <= sum(bench.clock.slept) < 121
    assert not bench.gateway.paid_for


def test_a_request_that_fails_claims_nothing_any_more(bench: Bench) -> None:
    known = bench.have(channel(spent=MILLION))
    bench.gateway.script = [lambda _: refuse("mpp_payer_not_allowed")]
    assert bench.fails() == "mpp_payer_not_allowed"
    assert bench.store.traffic(known.channel_id, None) == Traffic()


def test_a_request_that_is_abandoned_claims_nothing_any_more(bench: Bench) -> None:
    known = bench.have(channel(spent=MILLION))
    flow = bench.auth.sync_auth_flow(outgoing())
    credential = flow.send(bench.gateway(next(flow)))
    assert "Authorization" in credential.headers
    assert bench.store.traffic(known.channel_id, None).in_flight == 1
    flow.close()
    assert bench.store.traffic(known.channel_id, None) == Traffic()


# Caps


def test_a_budget_bounds_what_is_raised_over_all_commands_until_it_renews(tmp_path: Path) -> None:
    bench = Bench(tmp_path, budgets=Budgets(day=2 * MILLION))
    bench.gateway.price = MILLION
    bench.send()
    assert bench.warnings == []
    bench.start()
    bench.send()
    assert bench.warnings == ["budget.day: 2.00 of 2.00 is used"]
    records = bench.store.channels(), bench.ledger()
    bench.start()
    assert bench.fails() == "budget_exceeded"
    with pytest.raises(Quoted) as dry:
        bench.send(outgoing(dry_run=True))
    assert isinstance(dry.value.quote.step, Refuse)
    assert (bench.store.channels(), bench.ledger()) == records
    assert sum(bench.gateway.highest.values()) == 2 * MILLION
    bench.clock.now += 86_400
    assert bench.send().status_code == 200


def test_a_budget_is_asked_before_a_top_up_for_a_raise_that_it_does_not_allow(tmp_path: Path) -> None:
    bench = Bench(tmp_path, budgets=Budgets(total=MILLION // 2))
    bench.have(channel(cumulative_amount=5 * MILLION, spent=5 * MILLION))
    assert bench.fails() == "budget_exceeded"
    assert (bench.chain.deposits, bench.consent.asked, bench.gateway.paid_for) == (5 * MILLION, [], [])


def test_a_request_that_raises_nothing_needs_no_budget(tmp_path: Path) -> None:
    bench = Bench(tmp_path, budgets=Budgets(day=1))
    bench.have(channel(spent=MILLION // 4))
    assert bench.send().status_code == 200
    assert bench.warnings == []


def test_max_spend_bounds_what_is_deposited_and_what_is_raised_over_all_requests_of_a_command(tmp_path: Path) -> None:
    bench = Bench(tmp_path, caps=Caps(5 * MILLION, max_spend=2 * MILLION))
    bench.gateway.price = MILLION
    bench.send()
    bench.send()
    assert bench.fails() == "max_spend_exceeded"
    assert bench.chain.deposits == 2 * MILLION
    assert sum(bench.gateway.highest.values()) == 2 * MILLION


def test_a_deposit_that_is_declined_leaves_nothing_behind(bench: Bench) -> None:
    bench.consent.refusal = PaymentError("no", code="declined")
    assert bench.fails() == "declined"
    assert (bench.store.channels(), bench.ledger(), bench.gateway.paid_for) == ([], [], [])


# A gateway that does anything at all


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_gateway_gets_more_than_was_agreed_to(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), caps=Caps(5 * MILLION, data.draw(st.sampled_from([None, MILLION, 3 * MILLION]))))
        start = data.draw(st.sampled_from([None, channel(), channel(deposit=MILLION), channel(spent=MILLION)]))
        if start is not None:
            bench.have(start)

        def anything(seen: Seen) -> httpx.Response | None:
            bench.gateway.request["amount"] = str(data.draw(st.sampled_from([1, MILLION, 2 * MILLION, 2**100])))
            kind = data.draw(st.sampled_from(["honest", "reject", "answer", "lost", "finalize", "mine"]))
            credential = seen.credential
            assert credential is not None
            channel_id = credential["payload"]["channelId"]
            if kind == "finalize" and channel_id in bench.chain.channels:
                bench.chain.channels[channel_id] = replace(bench.chain.channels[channel_id], finalized=True)
            if kind == "mine" and "transaction" in credential["payload"]:
                bench.chain.broadcast(credential["payload"]["transaction"], channel_id)
            if kind == "answer" and seen.action != "topUp":
                claim = str(data.draw(st.integers(0, 2**128 - 1)))
                bench.gateway.receipt = lambda r: r | {"acceptedCumulative": claim, "spent": claim}
                return bench.gateway.answer(seen)
            if kind == "honest":
                return None
            code = data.draw(st.sampled_from([*ProblemCode, "weather"]))
            status = data.draw(st.sampled_from([402, 410, 500]))
            rejection = bench.gateway.challenge(seen, code) if status == 402 else refuse(code, status)
            return lost(rejection) if kind == "lost" else rejection

        bench.gateway.script = [anything] * 20
        before = {known.channel_id: known.cumulative_amount for known in bench.store.channels()}
        with suppress(AndoError):
            bench.send()
        assert len(bench.gateway.paid_for) <= MAX_PAID_ATTEMPTS
        assert len(bench.gateway.seen) <= MAX_PAID_ATTEMPTS + MAX_UNPAID_REQUESTS
        raised = {key: amount - before.get(key, 0) for key, amount in bench.gateway.highest.items()}
        assert sum(raised.values()) in (0, 1, MILLION, 2 * MILLION)
        assert sum(raised.values()) <= (bench.caps.max_spend or 2 * MILLION)
        assert sum(deposit.amount for deposit in bench.consent.asked) <= (bench.caps.max_spend or 10 * MILLION)
        for known in bench.store.channels():
            assert bench.gateway.highest.get(known.channel_id, 0) <= known.cumulative_amount
            assert known.cumulative_amount <= known.deposit
        bench.store.close()


# Killed anywhere


def cold(_: Bench) -> None:
    pass


def refresh(bench: Bench) -> None:
    bench.have(channel(spent=MILLION - 1))


def exhausted(bench: Bench) -> None:
    bench.have(channel(spent=MILLION))


def topping_up(bench: Bench) -> None:
    bench.have(channel(deposit=MILLION, spent=MILLION - 1))


@pytest.mark.parametrize("pause", [0, 100], ids=["at once", "when the transaction is over"])
@pytest.mark.parametrize("prepare", [cold, refresh, exhausted, topping_up])
def test_killed_anywhere_and_run_again_it_ends_where_it_would_have_ended(
    tmp_path: Path, prepare: Callable[[Bench], None], pause: int
) -> None:
    def run(folder: Path, at: int) -> tuple[bool, tuple[int, int, int]]:
        FUSE.at = 0
        bench = Bench(folder, store_class=MortalStore)
        prepare(bench)

        def mortal(request: httpx.Request) -> httpx.Response:
            FUSE.touch()  # the request is on its way and never arrives
            response = bench.gateway(request)
            FUSE.touch()  # it arrived, and nobody is there for the answer
            return response

        FUSE.at, FUSE.touched = at, 0
        killed = False
        try:
            drive(bench.auth, mortal)
        except KilledError:
            killed = True
        FUSE.at = 0
        traffic._names.clear()  # who runs next is somebody else
        bench.store.close()
        bench.clock.now += pause
        bench.start()
        assert bench.send().status_code == 200
        assert bench.live.pending is None
        signed = {key: amount for key, amount in bench.gateway.highest.items() if key in bench.chain.channels}
        assert max(signed.values()) <= bench.live.cumulative_amount
        end = (bench.chain.deposits, sum(signed.values()), bench.live.cumulative_amount)
        bench.store.close()
        return killed, end

    _, uninterrupted = run(tmp_path / "uninterrupted", 0)
    points = 0
    while True:
        killed, end = run(tmp_path / f"killed-{points + 1}", points + 1)
        if not killed:
            break
        points += 1
        assert end == uninterrupted, f"killed at point {points}"
    assert points >= 6
