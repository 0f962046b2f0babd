"""What a credential carries: what is on record, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ando_cli.errors import InvariantError
from ando_cli.mpp.credential import OpenPayload, VoucherPayload
from ando_cli.session.act import deposits, signing
from ando_cli.session.decide.policy import Committed
from ando_cli.session.decide.steps import Voucher
from ando_cli.tempo.keys import recover
from ando_cli.tempo.voucher import voucher_digest
from tests.support.session_doubles import CHAIN_ID, ESCROW, KEY, MILLION, channel, session_request

if TYPE_CHECKING:
    from tests.support.session_bench import Bench


def test_the_payload_of_an_open_carries_the_recorded_transaction_and_a_voucher_for_the_recorded_amount(
    bench: Bench,
) -> None:
    opened = deposits.open_channel(bench.session, bench.key, session_request())
    payload = signing.payload(bench.session, opened)
    assert isinstance(payload, OpenPayload)
    assert opened.pending is not None
    assert payload.transaction == opened.pending.transaction
    digest = voucher_digest(opened.channel_id, MILLION, escrow=ESCROW, chain_id=CHAIN_ID)
    assert recover(digest, bytes.fromhex(payload.signature[2:])) == KEY.address


def test_a_close_is_signed_up_to_what_was_authorised_and_no_further(bench: Bench) -> None:
    known = bench.have(channel())
    assert signing.close_payload(bench.session, known, MILLION).cumulative_amount == MILLION
    with pytest.raises(InvariantError, match="more than was authorised"):
        signing.close_payload(bench.session, known, MILLION + 1)


def test_a_raise_is_recorded_and_counted_once(bench: Bench) -> None:
    known = bench.have(channel())
    assert signing.record_raise(bench.session, known, Voucher(2 * MILLION, MILLION))
    assert not signing.record_raise(bench.session, known, Voucher(2 * MILLION, MILLION))
    assert bench.session.tally.committed == Committed(raised=MILLION)
    found = bench.store.channel(known.channel_id)
    assert found is not None
    assert found.cumulative_amount == 2 * MILLION


def test_the_same_voucher_again_writes_nothing(bench: Bench) -> None:
    known = bench.have(channel())
    bench.clock.now += 5
    assert signing.record_raise(bench.session, known, Voucher(MILLION))
    assert bench.store.channel(known.channel_id) == known
    payload = signing.payload(bench.session, known)
    assert isinstance(payload, VoucherPayload)
    assert payload.cumulative_amount == MILLION
