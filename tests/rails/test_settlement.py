"""What is recorded of an answer: receipts that lie, answers without one, a store that fails."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from ando_cli.errors import StoreError
from ando_cli.session.channel import Doubt
from tests.support.rails_bench import Bench, paid
from tests.support.rails_gateway import b64url, refuse
from tests.support.session_doubles import (
    MILLION,
    channel,
)

if TYPE_CHECKING:
    from collections.abc import Callable


RECEIPTS: dict[str, Callable[[dict[str, Any]], dict[str, Any] | str | None]] = {
    "none": lambda _: None,
    "not base64": lambda _: "%%%",
    "not a receipt": lambda _: b64url({"status": "success"}),
    "failed": lambda r: r | {"status": "failed"},
    "more accepted than signed": lambda r: r | {"acceptedCumulative": str(MILLION + 1)},
    "more spent than accepted": lambda r: r | {"acceptedCumulative": "5", "spent": "6"},
    "far too much": lambda r: r | {"acceptedCumulative": str(2**128 - 1), "spent": str(2**128 - 1)},
    "another channel": lambda r: r | {"channelId": "0x" + "99" * 32},
    "another request": lambda r: r | {"challengeId": "challenge-0"},
    "no rise": lambda r: r | {"spent": "5"},
    "a fall": lambda r: r | {"spent": "4"},
    "amounts as numbers": lambda r: r | {"acceptedCumulative": 1_000_000, "spent": 1},
}


BEHIND = ("no rise", "a fall")


@pytest.mark.parametrize("case", RECEIPTS)
def test_a_receipt_that_cannot_be_believed_warns_and_changes_no_record(bench: Bench, case: str) -> None:
    before = bench.have(channel(accepted=10, spent=5))
    bench.gateway.receipt = RECEIPTS[case]
    response = bench.send()
    assert response.status_code == 200
    assert len(bench.warnings) == 1
    assert (paid(response).spent, paid(response).channel.left) == (None, 4 * MILLION)
    after = bench.store.channel(before.channel_id)
    assert after is not None
    assert (after.cumulative_amount, after.accepted, after.spent) == (MILLION, 10, 5)
    readable = case not in ("none", "not base64", "not a receipt", "failed", "amounts as numbers")
    assert [(row["outcome"], row["spent"]) for row in bench.ledger()] == [("unknown" if readable else "answered", None)]
    assert after.doubt is (Doubt.RECEIPTS if case in BEHIND else Doubt.REQUEST)
    assert after.left == 4 * MILLION, "it is never said to be more than it may be"


def test_that_a_gateway_meters_is_learnt_from_its_receipts_and_never_unlearnt(bench: Bench) -> None:
    bench.gateway.price = MILLION
    assert not paid(bench.send()).channel.metered
    assert not bench.live.metered
    bench.gateway.price = MILLION // 2
    for _ in range(2):  # the second half makes the sum a multiple of the full amount again
        assert paid(bench.send()).channel.metered
        assert bench.live.metered
    assert bench.live.spent == 2 * MILLION


def test_a_receipt_that_goes_back_does_not_lower_the_record(bench: Bench) -> None:
    before = bench.have(channel(accepted=MILLION, spent=MILLION // 2))
    bench.gateway.receipt = lambda r: r | {"acceptedCumulative": "3", "spent": "2"}
    assert paid(bench.send()).spent is None
    after = bench.store.channel(before.channel_id)
    assert after is not None
    assert (after.accepted, after.spent) == (MILLION, MILLION // 2)


def test_a_gateway_that_sends_the_price_of_each_request_is_found_out_and_never_believed_again(bench: Bench) -> None:
    bench.gateway.price = MILLION // 4
    bench.gateway.receipt = lambda r: r | {"spent": str(MILLION // 4)}
    assert paid(bench.send()).spent == MILLION // 4
    for _ in range(2):
        assert paid(bench.send()).spent is None
    assert len(bench.warnings) == 1, "it is said once"
    assert bench.outcomes() == ["answered", "unknown", "unknown"]
    assert bench.live.left == bench.live.deposit - bench.live.cumulative_amount
    bench.gateway.receipt = lambda r: r | {"spent": str(MILLION // 2)}
    bench.send()
    assert bench.live.left == bench.live.deposit - bench.live.cumulative_amount


def test_a_receipt_that_rises_tells_what_an_earlier_one_kept_back(bench: Bench) -> None:
    bench.gateway.receipt = lambda _: None
    assert paid(bench.send()).channel.left == 4 * MILLION
    bench.gateway.receipt = lambda r: r
    assert paid(bench.send()).channel.left == bench.live.left == 5 * MILLION - MILLION // 2


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


def test_what_cannot_be_written_into_the_ledger_is_not_authorised_either(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise StoreError("the disk is full")

    known = bench.have(channel(spent=MILLION))
    monkeypatch.setattr(bench.store, "book", broken)
    assert bench.fails() == "store"
    found = bench.store.channel(known.channel_id)
    assert found is not None
    assert found.cumulative_amount == MILLION


def test_an_answer_is_synced_to_the_disk_where_it_shows_that_a_channel_is_open_and_not_for_its_receipt_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, synced = bench.store.opened, []
    receipted = bench.store.receipted

    def note(call: Callable[..., None], *arguments: object, **named: object) -> None:
        synced.append(bench.store._durable)
        call(*arguments, **named)

    monkeypatch.setattr(bench.store, "opened", partial(note, opened))
    monkeypatch.setattr(bench.store, "receipted", partial(note, receipted))
    bench.send()
    assert synced == [True, True]
    bench.send()
    assert synced == [True, True, False]
