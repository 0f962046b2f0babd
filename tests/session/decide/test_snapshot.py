"""Hints of a gateway: only what our own signature proves counts, whatever else is said."""

from __future__ import annotations

import base64
import copy
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ando_cli.keys.delegates import FileDelegates
from ando_cli.mpp.base64url import encode
from ando_cli.session.act import hints
from ando_cli.session.channel import Channel, State
from ando_cli.session.decide.snapshot import Proven, adopted, from_headers, prove
from ando_cli.session.record.store import Store
from ando_cli.tempo.keys import PrivateKey
from tests.support.session_doubles import KEY, MILLION, OTHER_PAYEE, Clock, FakeChain, LockedDelegates, make_session
from tests.support.session_snapshots import (
    DEPOSIT,
    PURPOSE,
    SETTLED,
    SIGNED,
    SPENT,
    TERMS,
    on_chain,
    signature,
    snapshot,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

THIEF = PrivateKey(b"\x33" * 32)
ABSENT = object()
TRUTH = Proven(TERMS, SIGNED, SPENT)
PROVING = (
    ("acceptedCumulative",),
    ("chainId",),
    ("channelId",),
    ("escrow",),
    *(("descriptor", name) for name in TERMS.descriptor),
    ("descriptor",),
    *(("highestVoucher", name) for name in ("channelId", "cumulativeAmount", "signature")),
    ("highestVoucher",),
)
"""The members that an adoption rests on."""

UNREAD = (("deposit",), ("requiredCumulative",), ("settled",), ("units",), ("closeRequestedAt",), ("anything",))
"""The members that are the chain's to say, or nobody's."""

HEX = st.sampled_from(("0x" + "00" * 20, "0x" + "ab" * 20, "0x" + "ab" * 32, "0x" + "00" * 65, KEY.address))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=80) | HEX
    | st.integers(0, 2**130).map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=6,
)  # fmt: skip


def told(path: tuple[str, ...], value: object) -> dict[str, Any]:
    """The honest snapshot with another value in one place."""
    changed = copy.deepcopy(snapshot())
    holder = changed
    for name in path[:-1]:
        holder = holder[name]
    if value is ABSENT:
        holder.pop(path[-1], None)
    else:
        holder[path[-1]] = value
    return changed


def test_an_honest_hint_proves_the_channel_and_what_was_signed_for_it() -> None:
    assert prove(snapshot(), PURPOSE) == TRUTH
    found = adopted(TRUTH, on_chain(), PURPOSE)
    assert found is not None
    assert (found.channel_id, found.state, found.deposit) == (TERMS.channel_id, State.OPEN, DEPOSIT)
    assert (found.cumulative_amount, found.accepted, found.spent) == (SIGNED, SIGNED, SPENT)
    assert found.key == PURPOSE


@given(path=st.sampled_from(PROVING), value=JSON | st.just(ABSENT))
def test_a_lie_in_any_field_that_proves_something_is_ignored(path: tuple[str, ...], value: object) -> None:
    changed = told(path, value)
    assert prove(changed, PURPOSE) == (TRUTH if changed == snapshot() else None)


@given(path=st.sampled_from(UNREAD), value=JSON | st.just(ABSENT))
def test_what_is_not_proven_is_not_read(path: tuple[str, ...], value: object) -> None:
    assert prove(told(path, value), PURPOSE) == TRUTH


@given(value=JSON | st.just(ABSENT))
def test_what_is_said_to_be_spent_counts_up_to_what_was_signed(value: object) -> None:
    proven = prove(told(("spent",), value), PURPOSE)
    assert proven is None or (proven.cumulative_amount == SIGNED and 0 <= proven.spent <= SIGNED)


@given(junk=st.dictionaries(st.sampled_from([path[0] for path in PROVING] + ["spent"]), JSON))
def test_junk_proves_nothing(junk: dict[str, Any]) -> None:
    assert prove(junk, PURPOSE) is None


@given(claimed=st.integers(0, 2**100).filter(lambda amount: amount != SIGNED))
def test_no_amount_counts_but_the_one_that_was_signed(claimed: int) -> None:
    lie = told(("acceptedCumulative",), str(claimed))
    lie["highestVoucher"]["cumulativeAmount"] = str(claimed)
    assert prove(lie, PURPOSE) is None


def test_a_voucher_that_somebody_else_signed_proves_nothing() -> None:
    assert prove(snapshot(key=THIEF), PURPOSE) is None
    assert prove(told(("highestVoucher", "signature"), signature(SIGNED + 1)), PURPOSE) is None


@pytest.mark.parametrize("name", ["chain_id", "escrow", "token", "payee", "payer"])
def test_a_channel_for_another_purpose_is_ignored(name: str) -> None:
    other: Any = 1 if name == "chain_id" else OTHER_PAYEE
    assert prove(snapshot(), replace(PURPOSE, **{name: other})) is None


def test_a_voucher_of_another_channel_of_ours_proves_nothing() -> None:
    other = replace(TERMS, salt=f"0x{8:064x}")
    changed = snapshot()
    changed["highestVoucher"] = snapshot(terms=other)["highestVoucher"]
    assert prove(changed, PURPOSE) is None


@pytest.mark.parametrize(
    "state",
    [
        None,
        on_chain(deposit=0),
        on_chain(requested=1_800_000_000),
        on_chain(deposit=SIGNED - 1),
        on_chain(settled=SIGNED + 1),
    ],
)
def test_a_chain_that_does_not_agree_overrules_the_hint(state: Any) -> None:
    assert adopted(TRUTH, state, PURPOSE) is None


@pytest.mark.parametrize("state", [on_chain(deposit=SIGNED), on_chain(settled=SIGNED)])
def test_a_chain_that_holds_exactly_what_was_signed_agrees(state: Any) -> None:
    found = adopted(TRUTH, state, PURPOSE)
    assert found is not None
    assert (found.deposit, found.cumulative_amount) == (state.deposit, SIGNED)


def test_what_the_chain_settled_was_spent_at_least() -> None:
    found = adopted(replace(TRUTH, spent=0), on_chain(), PURPOSE)
    assert found is not None
    assert found.spent == SETTLED


# Beside an answer


def header(value: object) -> str:
    return encode(json.dumps(value).encode())


def test_a_hint_beside_an_answer_is_read_with_the_id_that_names_it() -> None:
    told_id = TERMS.channel_id
    assert from_headers({"Payment-Session-Snapshot": header(snapshot())}) == snapshot()
    beside = {"Payment-Session-Snapshot": header(snapshot()), "Payment-Session": told_id}
    assert from_headers(beside) == snapshot()
    assert from_headers(beside | {"Payment-Session": "0x" + "00" * 32}) is None
    assert from_headers({"Payment-Session": told_id}) is None


@pytest.mark.parametrize("padding", range(3))
def test_a_hint_beside_an_answer_is_read_in_plain_base64_too(padding: int) -> None:
    document = json.dumps(snapshot() | {"note": "?>" * 20})
    document += " " * ((padding - len(document)) % 3)
    plain = base64.b64encode(document.encode()).decode()
    assert "+" in plain
    assert "/" in plain
    assert plain.endswith("=" * (-padding % 3))
    assert from_headers({"Payment-Session-Snapshot": plain}) == json.loads(document)


@pytest.mark.parametrize("value", ["", "=", "%", "bm90IGpzb24", header([1]), header("x"), "A" * 40_000])
def test_a_header_that_cannot_be_read_is_ignored(value: str) -> None:
    assert from_headers({"Payment-Session-Snapshot": value}) is None


# Taken on record


class Bench:
    """A session whose store knows nothing, and a chain that shows the channel."""

    def __init__(self, folder: Path) -> None:
        clock = Clock()
        self.chain = FakeChain(clock)
        self.chain.channels[TERMS.channel_id] = on_chain()
        self.store = Store(folder / "sessions.db", clock=clock)
        self.session = make_session(folder, self.chain, clock, store=self.store)

    def have(self, **changes: Any) -> Channel:
        found = adopted(TRUTH, on_chain(), PURPOSE)
        assert found is not None
        known = replace(found, **({"cumulative_amount": MILLION, "accepted": MILLION, "spent": 0} | changes))
        self.store.add(known)
        return known

    @property
    def known(self) -> Channel:
        found = self.store.channel(TERMS.channel_id)
        assert found is not None
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.store.close()


def test_a_channel_whose_record_was_lost_is_adopted_at_what_was_signed(bench: Bench) -> None:
    assert hints.adopt(bench.session, PURPOSE, snapshot()) is not None
    live = bench.store.live(PURPOSE)
    assert live is not None
    assert (live.channel_id, live.cumulative_amount, live.deposit) == (TERMS.channel_id, SIGNED, DEPOSIT)
    assert bench.session.tally.committed.raised == 0


def test_of_a_channel_that_a_hint_led_to_no_more_is_used_than_one_deposit_may_be(bench: Bench) -> None:
    bench.chain.channels[TERMS.channel_id] = on_chain(deposit=500 * MILLION)
    assert hints.adopt(bench.session, PURPOSE, snapshot()) is not None
    assert bench.known.deposit == bench.session.limits.caps.max_deposit == 5 * MILLION


def delegated(bench: Bench, folder: Path, kept: FileDelegates | None) -> tuple[dict[str, Any], PrivateKey]:
    """A hint about a channel that a key of its own signs for, which is in ``folder``, to one who has ``kept``."""
    key = FileDelegates(folder).make()
    terms = replace(TERMS, authorized_signer=key.address)
    bench.chain.channels[terms.channel_id] = on_chain()
    bench.session = make_session(folder, bench.chain, Clock(), store=bench.store, delegates=kept)
    return snapshot(terms=terms, key=key), key


def test_a_channel_whose_own_key_is_here_is_adopted_and_signed_for_with_it(bench: Bench, tmp_path: Path) -> None:
    told_of, key = delegated(bench, tmp_path, FileDelegates(tmp_path))
    assert hints.adopt(bench.session, PURPOSE, told_of) is not None
    live = bench.store.live(PURPOSE)
    assert live is not None
    assert (live.cumulative_amount, live.terms.signer) == (SIGNED, key.address)
    assert bench.session.keys.signer(live) == key


@pytest.mark.parametrize("kept", [None, FileDelegates, LockedDelegates])
def test_a_channel_whose_own_key_is_not_to_be_had_is_not_adopted(
    bench: Bench, tmp_path: Path, kept: type[FileDelegates] | None
) -> None:
    told_of, _ = delegated(bench, tmp_path, kept and kept(tmp_path / "elsewhere"))
    assert prove(told_of, PURPOSE) is not None
    assert hints.adopt(bench.session, PURPOSE, told_of) is None
    assert bench.store.channels() == []


@pytest.mark.parametrize("state", [State.CLOSING, State.SPARE, State.CLOSED])
def test_a_channel_that_is_on_record_is_left_as_it_is(bench: Bench, state: State) -> None:
    bench.have(state=state)
    assert hints.adopt(bench.session, PURPOSE, snapshot()) is None
    assert bench.known.state is state


def test_a_record_that_is_behind_catches_up_with_what_was_signed_elsewhere(bench: Bench) -> None:
    before = bench.have(deposit=2 * MILLION)
    assert hints.catch_up(bench.session, before, snapshot())
    known = bench.known
    [row] = bench.store.ledger()
    moved = SIGNED - before.cumulative_amount, SPENT - before.spent
    assert (row.outcome, row.authorised, row.spent) == ("carried", *moved)
    assert (known.cumulative_amount, known.accepted, known.spent) == (SIGNED, SIGNED, SPENT)
    assert known.deposit == SIGNED < DEPOSIT, "more than was signed for is one node's word"
    assert bench.session.tally.committed.raised == 0


def test_a_record_never_falls_back(bench: Bench) -> None:
    known = bench.have(cumulative_amount=4 * MILLION)
    assert not hints.catch_up(bench.session, known, snapshot())
    assert bench.known.cumulative_amount == 4 * MILLION


def test_without_a_signature_of_our_own_nothing_is_raised(bench: Bench) -> None:
    known = bench.have()
    for lie in (snapshot(key=THIEF), told(("highestVoucher",), ABSENT), told(("acceptedCumulative",), str(DEPOSIT))):
        assert not hints.catch_up(bench.session, known, lie)
    assert bench.known == bench.store.channel(known.channel_id)
    assert bench.known.cumulative_amount == MILLION


@pytest.mark.parametrize("state", [None, on_chain(deposit=SIGNED - 1), on_chain(requested=1)])
def test_the_chain_overrules_a_catching_up_too(bench: Bench, state: Any) -> None:
    known = bench.have()
    bench.chain.channels.pop(TERMS.channel_id)
    if state is not None:
        bench.chain.channels[TERMS.channel_id] = state
    assert not hints.catch_up(bench.session, known, snapshot())
    assert bench.known.cumulative_amount == MILLION
