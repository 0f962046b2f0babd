"""Vouchers by hand: the guard before one is signed, and the check of one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ando_cli.errors import PaymentError, StoreError
from ando_cli.session.act.vouchers import record_voucher
from ando_cli.session.channel import Channel, State
from ando_cli.session.drawer import Drawer
from ando_cli.session.record.store import Store
from ando_cli.tempo.protocol import Protocol
from tests.support.session_doubles import CHAIN_ID, ESCROW, KEY, MILLION, PAYEE, channel, opening

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

protocols = st.sampled_from(Protocol)
ids = st.binary(min_size=32, max_size=32).map(lambda value: "0x" + value.hex())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "sessions.db")
    yield opened
    opened.close()


class Consent:
    """Says yes, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, raised_by: int) -> None:
        self.asked.append(raised_by)


def recorded(store: Store, found: Channel) -> int:
    now = store.channel(found.channel_id)
    assert now is not None
    return now.cumulative_amount


def test_a_raise_is_allowed_and_then_recorded(store: Store) -> None:
    open_ = channel()
    store.add(open_)
    consent = Consent()
    assert record_voucher(store, open_, 3 * MILLION, consent) == 2 * MILLION
    assert consent.asked == [2 * MILLION]
    assert recorded(store, open_) == 3 * MILLION


@pytest.mark.parametrize("amount", [0, 1, MILLION])
def test_what_was_signed_for_before_is_neither_asked_nor_recorded(store: Store, amount: int) -> None:
    consent = Consent()
    for found in (channel(), opening(), channel(state=State.CLOSED)):
        assert record_voucher(store, found, amount, consent) == 0
    assert consent.asked == []


def test_a_refusal_leaves_the_record_alone(store: Store) -> None:
    def refuse(_: int) -> None:
        raise PaymentError("no")

    open_ = channel()
    store.add(open_)
    with pytest.raises(PaymentError, match="no"):
        record_voucher(store, open_, 2 * MILLION, refuse)
    with pytest.raises(PaymentError, match="above the deposit"):
        record_voucher(store, open_, 5 * MILLION + 1, Consent())
    assert recorded(store, open_) == MILLION


@pytest.mark.parametrize("state", [State.OPENING, State.CLOSING, State.CLOSED, State.ABANDONED])
def test_only_an_open_channel_is_raised(store: Store, state: State) -> None:
    with pytest.raises(PaymentError) as caught:
        record_voucher(store, channel(state=state), 2 * MILLION, Consent())
    assert caught.value.code == "channel_not_open"


@pytest.mark.parametrize(("meanwhile", "by"), [(2 * MILLION, MILLION), (3 * MILLION, 0), (4 * MILLION, 0)])
def test_a_race_that_is_lost_is_planned_again_and_asked_once(store: Store, meanwhile: int, by: int) -> None:
    stale = channel()
    store.add(replace(stale, cumulative_amount=meanwhile))
    consent = Consent()
    assert record_voucher(store, stale, 3 * MILLION, consent) == by
    assert consent.asked == [2 * MILLION]
    assert recorded(store, stale) == max(meanwhile, 3 * MILLION)


def test_a_channel_that_closes_or_goes_meanwhile_is_not_signed_for(store: Store) -> None:
    stale = channel()
    with pytest.raises(StoreError, match="gone"):
        record_voucher(store, stale, 2 * MILLION, Consent())
    store.add(stale)
    store.closing(stale.channel_id, 0)
    with pytest.raises(PaymentError, match="closing"):
        record_voucher(store, stale, 2 * MILLION, Consent())
    assert recorded(store, stale) == MILLION


@settings(deadline=None)
@given(protocols, ids, st.integers(0, 2**96 - 1))
def test_what_is_signed_is_found_good_in_both_forms_and_for_nothing_else(
    protocol: Protocol, channel_id: str, amount: int
) -> None:
    drawer = Drawer(channel_id, ESCROW, CHAIN_ID, protocol)
    signature = drawer.sign(KEY, amount)
    raw = bytes.fromhex(signature[2:])
    compact = "0x" + (raw[:32] + bytes([raw[32] | (raw[64] - 27) << 7]) + raw[33:64]).hex()
    for form in (signature, compact):
        assert drawer.fault(amount, form, KEY.address) is None
        assert drawer.fault(amount, form, PAYEE) is not None
        assert drawer.fault(amount ^ 1, form, KEY.address) is not None
        for other in (
            replace(drawer, chain_id=CHAIN_ID + 1),
            replace(drawer, escrow=PAYEE),
            replace(drawer, protocol=Protocol.V2 if protocol is Protocol.V1 else Protocol.V1),
        ):
            assert other.fault(amount, form, KEY.address) is not None


@given(protocols, st.text(max_size=140) | st.binary(max_size=70).map(lambda value: "0x" + value.hex()))
def test_whatever_the_signature_is_the_fault_does_not_quote_it(protocol: Protocol, signature: str) -> None:
    fault = Drawer("0x" + "c4" * 32, ESCROW, CHAIN_ID, protocol).fault(1, signature, KEY.address)
    assert fault is not None
    assert len(signature) < 20 or signature not in fault
