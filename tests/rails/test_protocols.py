"""The payment rail where session protocol v2 is offered, alone or beside v1, and what a gateway hints at."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ando_cli.errors import AndoError, PaymentError
from ando_cli.rails.payment import PaymentAuth
from ando_cli.session.act import deposits
from ando_cli.session.channel import Channel, State
from ando_cli.session.decide.policy import Caps, Trust, check_size, check_trust
from ando_cli.session.decide.snapshot import Proven, adopted
from ando_cli.session.record.store import Store
from ando_cli.tempo.abi import UINT96_MAX
from ando_cli.tempo.keys import PrivateKey
from ando_cli.tempo.network import PRECOMPILE
from ando_cli.tempo.protocol import Protocol
from tests.support.rails_gateway import Gateway, drive
from tests.support.session_doubles import GATEWAY, KEY, MILLION, Clock, FakeChain, make_session, session_request
from tests.support.session_snapshots import PURPOSE, SIGNED, TERMS, on_chain, snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

V1, V2 = Protocol.V1, Protocol.V2
OPERATOR = "0x" + "0a" * 20


class Bench:
    """A wallet, a chain, and a gateway that offers what a test says."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, Clock()
        self.chain = FakeChain(self.clock)
        self.gateway = Gateway(self.chain, self.clock)
        self.store = Store(folder / "sessions.db", clock=self.clock)
        self.stages: list[str] = []

    def send(self, *offered: Protocol, protocol: Protocol | None = None, deposit: int | None = None) -> None:
        """One request, paid or refused, by a command of its own."""
        self.gateway.protocols = offered
        made = make_session(self.folder, self.chain, self.clock, caps=Caps(2**100), store=self.store, deposit=deposit)
        auth = PaymentAuth(made, gateway_of=lambda _: GATEWAY, protocol=protocol, stage=self.stages.append)
        assert drive(auth, self.gateway).is_success

    def fails(self, *offered: Protocol, **options: Any) -> str:
        with pytest.raises(AndoError) as caught:
            self.send(*offered, **options)
        assert (self.gateway.paid_for, self.store.channels()) == ([], [])
        return caught.value.code

    @property
    def opened(self) -> list[Protocol]:
        """The protocols of the channels that there are, oldest first."""
        return [known.terms.protocol for known in sorted(self.store.channels(), key=lambda each: each.created_at)]

    def have(self, amount: int) -> Channel:
        """A channel on the chain, and on record with ``amount`` authorised."""
        self.chain.channels[TERMS.channel_id] = on_chain()
        found = adopted(Proven(TERMS, SIGNED, 0), on_chain(), PURPOSE)
        assert found is not None
        known = replace(found, cumulative_amount=amount, accepted=amount, spent=0)
        self.store.add(known)
        return known


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.store.close()


# v2 alone


def test_every_payload_of_a_v2_channel_carries_its_descriptor(bench: Bench) -> None:
    bench.gateway.v2_details = {"operator": OPERATOR}
    for _ in range(3):
        bench.send(V2)
    [known] = bench.store.channels()
    assert (known.terms.operator, known.terms.escrow) == (OPERATOR, PRECOMPILE)
    sent = [seen.credential["payload"] for seen in bench.gateway.paid_for if seen.credential]
    assert [payload["action"] for payload in sent] == ["open", "voucher", "voucher"]
    assert all(payload["descriptor"] == known.terms.descriptor for payload in sent)
    assert {payload["channelId"] for payload in sent} == {known.channel_id}


def test_a_v1_payload_carries_none(bench: Bench) -> None:
    bench.gateway.details = {"operator": OPERATOR}
    bench.send(V1)
    [seen] = bench.gateway.paid_for
    assert seen.credential is not None
    assert "descriptor" not in seen.credential["payload"]


@pytest.mark.parametrize("member", ["amount", "suggestedDeposit"])
def test_a_challenge_above_ninety_six_bits_is_refused_on_v2_alone(bench: Bench, member: str) -> None:
    bench.gateway.request = {member: str(UINT96_MAX + 1)}
    assert bench.fails(V2) == "amount_too_large"
    bench.gateway.seen.clear()
    if member == "suggestedDeposit":
        bench.chain.funds = MILLION * 10
        bench.send(V1)


def test_a_deposit_above_ninety_six_bits_is_refused_before_anything_is_signed(bench: Bench) -> None:
    bench.chain.funds = 2**100
    assert bench.fails(V2, deposit=UINT96_MAX + 1) == "amount_too_large"


def test_a_top_up_past_ninety_six_bits_is_refused_before_anything_is_signed(bench: Bench) -> None:
    bench.chain.funds = 2**100
    known = bench.have(MILLION)
    made = make_session(bench.folder, bench.chain, bench.clock, caps=Caps(2**100), store=bench.store)
    request = session_request(escrow_contract=PRECOMPILE, session_protocol="v2")
    with pytest.raises(PaymentError) as caught:
        deposits.top_up_by(made, known, request, UINT96_MAX - known.deposit + 1)
    assert caught.value.code == "amount_too_large"
    assert bench.store.channels()[0].pending is None


def test_the_bounds_are_the_protocols_own() -> None:
    check_size(UINT96_MAX, V2)
    check_size(UINT96_MAX + 1, V1)
    with pytest.raises(PaymentError):
        check_size(UINT96_MAX + 1, V2)
    with pytest.raises(PaymentError):
        check_size(2**128, V1)


@pytest.mark.parametrize(
    "changes", [{"escrow_contract": PRECOMPILE}, {"session_protocol": "v2"}, {"min_voucher_delta": 2**128}]
)
def test_a_request_that_contradicts_its_protocol_is_not_trusted(changes: dict[str, Any]) -> None:
    from tests.support.session_doubles import NETWORK

    with pytest.raises(PaymentError):
        check_trust(session_request(**changes), Trust(NETWORK))


@pytest.mark.parametrize("lie", [{"channelId": "0x" + "ab" * 32}, {"descriptor": TERMS.descriptor}, {"salt": "0x01"}])
def test_a_channel_that_the_challenge_names_is_not_the_one_that_is_paid_from(bench: Bench, lie: dict[str, Any]) -> None:
    bench.gateway.v2_details = lie
    for _ in range(2):
        bench.send(V2)
    [known] = bench.store.channels()
    named = [seen.credential["payload"] for seen in bench.gateway.paid_for if seen.credential]
    assert [(each["channelId"], each["descriptor"]) for each in named] == [
        (known.channel_id, known.terms.descriptor)
    ] * 2


# Both


@pytest.mark.parametrize("order", [(V1, V2), (V2, V1)])
def test_the_first_that_fits_is_taken_and_its_channel_is_kept(bench: Bench, order: tuple[Protocol, Protocol]) -> None:
    bench.send(*order)
    for offered in (order, order[::-1], order[::-1]):
        bench.send(*offered)
    assert bench.opened == [order[0]]
    assert [seen.action for seen in bench.gateway.paid_for] == ["open", "voucher", "voucher", "voucher"]


def test_of_two_channels_the_youngest_pays(bench: Bench) -> None:
    bench.send(V1, V2)
    bench.clock.sleep(1)
    bench.send(V1, V2, protocol=V2)
    bench.send(V1, V2)
    bench.send(V2, V1)
    assert bench.opened == [V1, V2]
    paid_with = ["descriptor" in seen.credential["payload"] for seen in bench.gateway.paid_for if seen.credential]
    assert paid_with == [False, True, True, True]


def test_a_chosen_protocol_is_refused_where_it_is_not_offered(bench: Bench) -> None:
    assert bench.fails(V1, protocol=V2) == "protocol_not_offered"
    assert bench.fails(V2, protocol=V1) == "protocol_not_offered"


# Hints


def test_a_channel_that_the_store_lost_is_used_instead_of_opening_another(bench: Bench) -> None:
    bench.chain.channels[TERMS.channel_id] = on_chain()
    bench.gateway.v2_details = {"sessionSnapshot": snapshot()}
    bench.send(V2)
    assert [seen.action for seen in bench.gateway.paid_for] == ["voucher"]
    [known] = bench.store.channels()
    assert (known.channel_id, known.cumulative_amount, known.state) == (TERMS.channel_id, SIGNED, State.OPEN)


@pytest.mark.parametrize("shown", [True, False])
def test_a_hint_without_our_signature_or_that_the_chain_denies_is_ignored(bench: Bench, shown: bool) -> None:
    if shown:
        bench.chain.channels[TERMS.channel_id] = on_chain()
    bench.gateway.v2_details = {"sessionSnapshot": snapshot(key=PrivateKey(b"\x33" * 32)) if shown else snapshot()}
    bench.send(V2)
    assert [seen.action for seen in bench.gateway.paid_for] == ["open"]
    assert "the gateway's hint was ignored" in bench.stages


@pytest.mark.parametrize("where", ["challenge", "header"])
def test_a_record_that_is_behind_catches_up_from_a_rejection(bench: Bench, where: str) -> None:
    known = bench.have(MILLION)
    bench.gateway.accepted[known.channel_id] = SIGNED
    if where == "challenge":
        bench.gateway.v2_details = {"sessionSnapshot": snapshot()}
    else:
        from tests.support.rails_gateway import Seen, b64url

        def reject(seen: Seen) -> Any:
            response = bench.gateway.challenge(seen, "mpp_payment_verification_failed")
            response.headers["Payment-Session-Snapshot"] = b64url(snapshot())
            return response

        bench.gateway.script = [reject]
    bench.send(V2)
    assert [seen.cumulative for seen in bench.gateway.paid_for] == [MILLION, SIGNED]
    assert bench.store.channels()[0].cumulative_amount == SIGNED


def test_a_rejection_that_proves_nothing_raises_nothing(bench: Bench) -> None:
    known = bench.have(MILLION)
    bench.gateway.accepted[known.channel_id] = 2 * MILLION
    lie = snapshot()
    lie["highestVoucher"]["signature"] = snapshot(SIGNED + 1)["highestVoucher"]["signature"]
    bench.gateway.v2_details = {"sessionSnapshot": lie}
    with pytest.raises(AndoError) as caught:
        bench.send(V2)
    assert caught.value.code == "mpp_payment_verification_failed"
    assert bench.store.channels()[0].cumulative_amount == MILLION
    assert bench.gateway.highest == {known.channel_id: MILLION}
    assert known.terms.payer == KEY.address
