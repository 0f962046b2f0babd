"""Channels that only the chain knows, taken on record at an amount that is safe, and records brought up to date."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from ando_cli.errors import AndoError, NetworkError, PaymentError, UsageError
from ando_cli.keys.delegates import FileDelegates
from ando_cli.session.act import comparison
from ando_cli.session.act.recovery import Found, Outcome, Recovery, Search, check_forgettable
from ando_cli.session.channel import FUNDED, Channel, Pending, State
from ando_cli.session.decide.planner import plan
from ando_cli.session.decide.policy import Caps, fingerprint
from ando_cli.session.decide.situation import Progress, Situation
from ando_cli.session.decide.steps import Refuse, TopUp, Voucher
from ando_cli.session.record.store import Store
from ando_cli.session.traffic import Hold
from ando_cli.tempo.abi import ZERO_HASH
from ando_cli.tempo.channel import ChannelState
from ando_cli.tempo.history import IncompleteSearchError
from ando_cli.tempo.network import PRECOMPILE
from ando_cli.tempo.protocol import Protocol
from tests.support.session_doubles import (
    ESCROW,
    GATEWAY,
    MILLION,
    NOW,
    OTHER_PAYEE,
    PAYEE,
    Clock,
    FakeChain,
    LockedDelegates,
    channel,
    channel_terms,
    make_session,
    opening,
    problem,
    session_request,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ando_cli.tempo.channel import ChannelTerms
    from ando_cli.tempo.keys import PrivateKey

GRACE = 900
OTHER_SIGNER = "0x" + "5a" * 20
CAPS = Caps(max_deposit=5 * MILLION)


@dataclass
class Archive(FakeChain):
    """A chain that remembers who opened what, on the contract and on the precompile."""

    events: list[ChannelTerms] = field(default_factory=list)
    failure: Exception | None = None

    def channel(
        self, escrow: str, channel_id: str, protocol: object = None, block: int | None = None
    ) -> ChannelState | None:
        assert escrow == (PRECOMPILE if protocol is Protocol.V2 else ESCROW)
        state = self.channels.get(channel_id)
        on_v2 = any(terms.protocol is Protocol.V2 for terms in self.events if terms.channel_id == channel_id)
        return state if on_v2 == (protocol is Protocol.V2) else None

    def close_grace_period(self, escrow: str, protocol: Protocol) -> int:
        return GRACE

    def opened_channels(
        self, escrow: str, payer: str, *, protocol: Protocol, from_block: int = 0
    ) -> list[ChannelTerms]:
        found = [each for each in self.events if (each.escrow, each.protocol, each.payer) == (escrow, protocol, payer)]
        if self.failure is not None:
            raise self.failure
        return found[from_block:]

    def open(self, terms: ChannelTerms, **changes: Any) -> str:
        """Have a channel of 5.00 opened, as long ago as possible."""
        state = ChannelState(
            finalized=False, close_requested_at=0, payer=terms.payer, payee=terms.payee, token=terms.token,
            authorized_signer=terms.authorized_signer, deposit=5 * MILLION, settled=0,
        )  # fmt: skip
        if terms.protocol is Protocol.V2:
            state = replace(state, payer=None, payee=None, token=None, authorized_signer=None)
        self.events.append(terms)
        self.channels[terms.channel_id] = replace(state, **changes)
        return terms.channel_id

    def change(self, channel_id: str, **changes: Any) -> None:
        self.channels[channel_id] = replace(self.channels[channel_id], **changes)


class Bench:
    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.chain = Archive(self.clock)
        self.store = Store(folder / "sessions.db", clock=self.clock)
        self.session = make_session(folder, self.chain, self.clock, store=self.store)

    def search(self, **options: Any) -> Search:
        return Recovery(self.session, GATEWAY, **options).search()

    def outcomes(self, **options: Any) -> list[Outcome]:
        return [found.outcome for found in self.search(**options).found]

    def by_id(self, channel_id: str, **options: Any) -> Found:
        return Recovery(self.session, GATEWAY, **options).by_id(channel_id)

    def refusal(self, channel_id: str, **options: Any) -> AndoError:
        with pytest.raises(AndoError) as caught:
            self.by_id(channel_id, **options)
        return caught.value

    def recorded(self, channel_id: str) -> Channel:
        found = self.store.channel(channel_id)
        assert found is not None
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.store.close()


def v2_terms() -> ChannelTerms:
    return replace(
        channel_terms(), escrow=PRECOMPILE, protocol=Protocol.V2, expiring_nonce_hash="0x" + "9" * 64, known_id=""
    )


# At which amount


@pytest.mark.parametrize("settled", [0, 1, 2 * MILLION])
def test_what_the_chain_shows_as_settled_counts_as_authorised(bench: Bench, settled: int) -> None:
    channel_id = bench.chain.open(channel_terms(), settled=settled)
    assert bench.outcomes() == [Outcome.RECOVERED]
    found = bench.recorded(channel_id)
    assert (found.state, found.deposit) == (State.OPEN, 5 * MILLION)
    assert (found.cumulative_amount, found.accepted, found.spent) == (settled, settled, settled)
    assert bench.store.pinned_payee(GATEWAY, "local") == PAYEE


def test_what_the_user_knows_counts_between_what_is_settled_and_what_is_deposited(bench: Bench) -> None:
    channel_id = bench.chain.open(channel_terms(), settled=2 * MILLION)
    assert bench.refusal(channel_id, authorised=5 * MILLION + 1).code == "above_deposit"
    assert bench.refusal(channel_id, authorised=2 * MILLION - 1).code == "below_settled"
    assert bench.store.channels() == []
    bench.by_id(channel_id, authorised=5 * MILLION)
    assert bench.recorded(channel_id).cumulative_amount == 5 * MILLION


def test_what_is_on_record_is_raised_and_never_lowered(bench: Bench) -> None:
    channel_id = bench.chain.open(channel_terms(), settled=MILLION)
    bench.by_id(channel_id, authorised=2 * MILLION)
    assert bench.by_id(channel_id).outcome is Outcome.KNOWN
    assert bench.recorded(channel_id).cumulative_amount == 2 * MILLION
    assert bench.by_id(channel_id, authorised=3 * MILLION).outcome is Outcome.RAISED
    assert bench.by_id(channel_id, authorised=2 * MILLION).outcome is Outcome.KNOWN
    assert bench.recorded(channel_id).cumulative_amount == 3 * MILLION


def test_a_voucher_that_was_signed_meanwhile_is_not_undone(bench: Bench) -> None:
    known = channel(cumulative_amount=3 * MILLION, spent=2 * MILLION)
    bench.store.add(known)
    bench.store.adopt(replace(known, cumulative_amount=MILLION, spent=0))
    assert bench.recorded(known.channel_id).cumulative_amount == 3 * MILLION
    assert bench.recorded(known.channel_id).spent == 2 * MILLION


def test_a_dry_run_records_nothing(bench: Bench) -> None:
    bench.chain.open(channel_terms())
    bench.chain.open(channel_terms(salt=2))
    assert bench.outcomes(dry_run=True) == [Outcome.RECOVERED, Outcome.SPARE]
    assert bench.store.channels() == []
    assert bench.store.pinned_payee(GATEWAY, "local") is None


# Paying from it


def test_where_nothing_was_authorised_yet_the_first_voucher_is_a_raise(bench: Bench) -> None:
    known = channel(cumulative_amount=0)
    assert known.exhausted
    step = plan(Situation(session_request(), CAPS, known))
    assert step == Voucher(MILLION, raised_by=MILLION, hold=Hold.EVERYTHING)
    settled = channel(cumulative_amount=5 * MILLION, spent=5 * MILLION)
    assert plan(Situation(session_request(), CAPS, settled)) == TopUp(MILLION)


@pytest.mark.parametrize(
    ("code", "even_if_accepted"), [("mpp_payment_verification_failed", True), ("session/delta-too-small", False)]
)
def test_a_gateway_that_holds_a_higher_voucher_leads_to_authorised(code: str, even_if_accepted: bool) -> None:
    sent = Progress(paid_attempts=1, sent=MILLION, raised=True)
    step = plan(Situation(session_request(), CAPS, channel(accepted=0), problem(code), sent))
    assert isinstance(step, Refuse)
    assert step.outrun
    step = plan(Situation(session_request(), CAPS, channel(accepted=MILLION), problem(code), sent))
    assert isinstance(step, Refuse)
    assert step.outrun is even_if_accepted, "a store that was restored is below what was accepted since"


# Which channels


def test_an_id_is_enough_although_the_chain_does_not_tell_the_salt(bench: Bench) -> None:
    terms = channel_terms(salt=77)
    channel_id = bench.chain.open(terms)
    bench.by_id(channel_id)
    found = bench.recorded(channel_id)
    assert found.terms.channel_id == channel_id == found.terms.known_id
    assert found.terms.salt == ZERO_HASH
    assert replace(found.terms, salt=terms.salt, known_id="") == terms


def test_of_a_v2_channel_the_event_tells_what_it_is_made_of(bench: Bench) -> None:
    channel_id = bench.chain.open(v2_terms())
    assert bench.by_id(channel_id).outcome is Outcome.RECOVERED
    assert bench.recorded(channel_id).terms == v2_terms()
    with pytest.raises(ValueError, match="known_id"):
        replace(v2_terms(), known_id=channel_id)


def test_a_v2_channel_whose_event_is_not_found_is_an_error_that_says_how_to_go_on(bench: Bench) -> None:
    channel_id = bench.chain.open(v2_terms())
    with pytest.raises(PaymentError) as caught:
        Recovery(bench.session, GATEWAY).by_id(channel_id, from_block=1)
    assert "--from-block" in (caught.value.hint or "")
    bench.chain.failure = IncompleteSearchError("rpc.invalid", [], 40)
    assert bench.refusal(channel_id).code == "rpc_search_incomplete"
    bench.chain.failure = IncompleteSearchError("rpc.invalid", [v2_terms()], 40)
    assert bench.by_id(channel_id).outcome is Outcome.RECOVERED


def test_a_search_that_is_incomplete_takes_what_it_found(bench: Bench) -> None:
    bench.chain.open(channel_terms())
    bench.chain.failure = IncompleteSearchError("rpc.invalid", [channel_terms()], 40)
    search = bench.search()
    assert [found.outcome for found in search.found] == [Outcome.RECOVERED]
    assert search.incomplete is bench.chain.failure


def test_channels_that_are_closed_or_gone_are_passed_over(bench: Bench) -> None:
    closed = bench.chain.open(channel_terms(), finalized=True)
    gone = bench.chain.open(channel_terms(salt=2))
    del bench.chain.channels[gone]
    assert bench.search().found == []
    assert bench.refusal(closed).code == "channel_closed"
    assert bench.refusal(gone).code == "no_channel"


def test_a_channel_of_another_wallet_token_or_payee_is_left_alone(bench: Bench) -> None:
    foreign = bench.chain.open(replace(channel_terms(), payer=OTHER_SIGNER))
    assert bench.refusal(foreign).code == "other_payer"
    token = bench.chain.open(replace(channel_terms(), token="0x20c0" + "0" * 35 + "2"))
    assert bench.refusal(token).code == "wrong_token"
    bench.store.pin(GATEWAY, "local", PAYEE)
    payee = bench.chain.open(channel_terms(payee=OTHER_PAYEE))
    assert bench.refusal(payee).code == "payee_changed"
    assert bench.outcomes() == [Outcome.OTHER_TOKEN, Outcome.OTHER_PAYEE]
    assert bench.store.channels() == []
    assert bench.store.pinned_payee(GATEWAY, "local") == PAYEE
    assert bench.by_id(payee, accepted_payee=fingerprint(OTHER_PAYEE)).outcome is Outcome.RECOVERED
    assert bench.store.pinned_payee(GATEWAY, "local") == OTHER_PAYEE


@pytest.mark.parametrize("dry_run", [True, False])
def test_one_gateway_is_paid_at_one_account_only(bench: Bench, dry_run: bool) -> None:
    bench.chain.open(channel_terms())
    bench.chain.open(channel_terms(payee=OTHER_PAYEE))
    assert bench.outcomes(dry_run=dry_run) == [Outcome.RECOVERED, Outcome.OTHER_PAYEE]


def test_a_channel_whose_key_is_missing_can_be_closed_but_not_used(bench: Bench) -> None:
    channel_id = bench.chain.open(replace(channel_terms(), authorized_signer=OTHER_SIGNER))
    assert bench.outcomes() == [Outcome.DELEGATED]
    assert bench.recorded(channel_id).state is State.SPARE
    assert bench.outcomes() == [Outcome.KNOWN]
    assert bench.store.live(bench.recorded(channel_id).key) is None


def delegated(bench: Bench, folder: Path, kept: FileDelegates) -> tuple[str, PrivateKey]:
    """A channel that a key of its own signs for, which is in ``folder``, found by a machine that has ``kept``."""
    key = FileDelegates(folder).make()
    bench.session = make_session(folder, bench.chain, bench.clock, store=bench.store, delegates=kept)
    return bench.chain.open(replace(channel_terms(), authorized_signer=key.address)), key


def test_a_channel_whose_own_key_is_here_is_used_again(bench: Bench, tmp_path: Path) -> None:
    channel_id, key = delegated(bench, tmp_path, FileDelegates(tmp_path))
    assert bench.outcomes() == [Outcome.RECOVERED]
    found = bench.recorded(channel_id)
    assert bench.store.live(found.key) == found
    assert bench.session.keys.signer(found) == key


@pytest.mark.parametrize("kept", [FileDelegates, LockedDelegates])
def test_a_channel_whose_own_key_is_not_to_be_had_is_used_again_once_it_is(
    bench: Bench, tmp_path: Path, kept: type[FileDelegates]
) -> None:
    channel_id, key = delegated(bench, tmp_path, kept(tmp_path / "elsewhere"))
    assert bench.outcomes() == [Outcome.DELEGATED]
    assert bench.store.live(bench.recorded(channel_id).key) is None
    bench.session = make_session(
        tmp_path, bench.chain, bench.clock, store=bench.store, delegates=FileDelegates(tmp_path)
    )
    assert bench.outcomes() == [Outcome.RECOVERED]
    assert bench.session.keys.signer(bench.recorded(channel_id)) == key


def test_a_channel_in_use_stays_the_one_that_is_used_while_its_own_key_is_locked_away(
    bench: Bench, tmp_path: Path
) -> None:
    channel_id, _ = delegated(bench, tmp_path, FileDelegates(tmp_path))
    assert bench.outcomes() == [Outcome.RECOVERED]
    known = bench.recorded(channel_id)
    locked = LockedDelegates(tmp_path)
    bench.session = make_session(tmp_path, bench.chain, bench.clock, store=bench.store, delegates=locked)
    assert bench.outcomes() == [Outcome.KNOWN]
    assert bench.recorded(channel_id) == known


def test_a_zero_signer_is_the_payer(bench: Bench) -> None:
    bench.chain.open(replace(channel_terms(), authorized_signer="0x" + "0" * 40))
    assert bench.outcomes() == [Outcome.RECOVERED]


def test_a_channel_whose_close_was_requested_is_on_record_as_closing(bench: Bench) -> None:
    channel_id = bench.chain.open(channel_terms(), close_requested_at=NOW - 10)
    assert bench.outcomes() == [Outcome.CLOSING]
    found = bench.recorded(channel_id)
    assert (found.state, found.closes_at) == (State.CLOSING, NOW - 10 + GRACE)


def test_never_are_two_channels_live_for_one_key(bench: Bench) -> None:
    ids = [bench.chain.open(channel_terms(salt=salt)) for salt in (1, 2, 3)]
    assert bench.outcomes() == [Outcome.RECOVERED, Outcome.SPARE, Outcome.SPARE]
    assert bench.by_id(ids[1]).outcome is Outcome.KNOWN
    bench.store.ended(ids[0], State.CLOSED)
    bench.chain.change(ids[0], finalized=True)
    assert bench.by_id(ids[1]).outcome is Outcome.RECOVERED
    assert bench.store.live(channel().key) == bench.recorded(ids[1])


def test_one_amount_is_not_taken_for_several_channels(bench: Bench) -> None:
    for salt in (1, 2):
        bench.chain.open(channel_terms(salt=salt))
    with pytest.raises(UsageError, match="2 are open"):
        bench.search(authorised=MILLION)
    assert bench.store.channels() == []


def test_a_channel_that_was_given_up_too_early_comes_back_with_all_that_was_signed(bench: Bench) -> None:
    known = opening(cumulative_amount=MILLION)
    bench.store.add(known)
    bench.store.ended(known.channel_id, State.ABANDONED)
    bench.chain.open(known.terms)
    assert bench.outcomes() == [Outcome.RECOVERED]
    assert bench.recorded(known.channel_id).cumulative_amount == MILLION


def test_a_deposit_under_way_is_left_to_whoever_made_it(bench: Bench) -> None:
    known = channel(pending=Pending("0x76", MILLION, NOW + 25))
    bench.store.add(known)
    bench.chain.open(known.terms)
    assert bench.by_id(known.channel_id).outcome is Outcome.KNOWN
    assert bench.refusal(known.channel_id, authorised=2 * MILLION).code == "deposit_in_flight"
    assert bench.recorded(known.channel_id).pending == known.pending


def test_a_chain_that_cannot_be_asked_says_so(bench: Bench) -> None:
    def silent(*_: object) -> None:
        raise NetworkError("no answer")

    bench.chain.channel = silent  # type: ignore[assignment,method-assign]
    assert isinstance(bench.refusal("0x" + "ab" * 32), NetworkError)


# Records and the chain


def synced(bench: Bench, known: Channel, **changes: Any) -> comparison.Synced:
    """What ``sync`` makes of ``known``, with this on the chain."""
    bench.store.add(known)
    bench.chain.open(known.terms, **changes)
    return comparison.sync(bench.session, known)


def fields(found: comparison.Synced) -> dict[str, tuple[object, object]]:
    return {change.field: (change.before, change.after) for change in found.changes}


def test_sync_changes_nothing_where_both_agree(bench: Bench) -> None:
    found = synced(bench, channel())
    assert (found.changes, found.note) == ((), None)


@pytest.mark.parametrize("state", [State.OPEN, State.SPARE, State.CLOSING])
def test_sync_takes_the_deposit_from_the_chain_and_keeps_the_state(bench: Bench, state: State) -> None:
    requested = NOW if state is State.CLOSING else 0
    found = synced(
        bench, channel(state=state, closes_at=requested and NOW + GRACE), deposit=7, close_requested_at=requested
    )
    assert fields(found) == {"deposit": (5 * MILLION, 7)}
    assert bench.recorded(found.channel.channel_id).deposit == 7
    assert bench.recorded(found.channel.channel_id).state is state


@pytest.mark.parametrize("state", [State.OPEN, State.SPARE, State.CLOSING])
def test_sync_sees_that_a_channel_is_closed(bench: Bench, state: State) -> None:
    found = synced(bench, channel(state=state), finalized=True, settled=MILLION)
    proven = {"spent": (0, MILLION), "captured": ("unknown", MILLION)}
    assert fields(found) == {"state": (state, "closed"), **proven}
    assert bench.recorded(found.channel.channel_id).state is State.CLOSED


@pytest.mark.parametrize("state", [State.OPEN, State.SPARE])
def test_sync_sees_a_close_that_was_requested_elsewhere(bench: Bench, state: State) -> None:
    found = synced(bench, channel(state=state), close_requested_at=NOW)
    assert fields(found) == {"state": (state, "closing"), "closes_at": (0, NOW + GRACE)}
    assert bench.recorded(found.channel.channel_id).closes_at == NOW + GRACE


def test_sync_settles_a_pending_transaction(bench: Bench) -> None:
    found = synced(bench, opening())
    assert fields(found) == {"state": ("opening", "open"), "pending_deposit": (5 * MILLION, 0)}
    assert bench.recorded(found.channel.channel_id).pending is None


def test_sync_never_touches_what_was_authorised_and_says_where_more_was_settled(bench: Bench) -> None:
    found = synced(bench, channel(), settled=2 * MILLION)
    assert found.changes == ()
    assert "session recover" in (found.note or "")
    assert bench.recorded(found.channel.channel_id).cumulative_amount == MILLION


def test_sync_says_that_a_close_did_not_reach_the_chain(bench: Bench) -> None:
    known = channel(state=State.CLOSING)
    bench.store.add(known)
    bench.store.owe(known.channel_id, "0x" + "1" * 64, "requestClose", 1)
    bench.chain.open(known.terms)
    found = comparison.sync(bench.session, known)
    assert found.changes == ()
    assert "--force" in (found.note or "")


def test_sync_opens_a_channel_again_that_nobody_asked_to_close(bench: Bench) -> None:
    assert fields(synced(bench, channel(state=State.CLOSING)))["state"] == ("closing", "open")


def test_sync_waits_for_a_young_channel_and_gives_up_an_old_one(bench: Bench) -> None:
    known = channel()
    bench.store.add(known)
    assert "does not prove" in (comparison.sync(bench.session, known).note or "")
    bench.clock.now += 10_000
    assert fields(comparison.sync(bench.session, known)) == {"state": ("open", "abandoned")}


@pytest.mark.parametrize("state", [State.OPEN, State.SPARE, State.CLOSING])
def test_a_v2_channel_that_is_not_there_any_more_is_closed(bench: Bench, state: State) -> None:
    terms = v2_terms()
    known = channel(channel_id=terms.channel_id, terms=terms, state=state, spent=7)
    bench.store.add(known)
    bench.clock.now += 10_000
    assert fields(comparison.sync(bench.session, known)) == {"state": (state, "closed")}
    assert bench.recorded(known.channel_id).spent == 7


def test_a_dry_sync_records_nothing(bench: Bench) -> None:
    known = channel(deposit=9 * MILLION)
    bench.store.add(known)
    bench.chain.open(known.terms)
    assert fields(comparison.sync(bench.session, known, dry_run=True)) == {"deposit": (9 * MILLION, 5 * MILLION)}
    assert bench.recorded(known.channel_id).deposit == 9 * MILLION


@pytest.mark.parametrize("state", [State.OPEN, State.SPARE])
def test_no_word_of_the_chain_raises_what_may_be_signed(bench: Bench, state: State) -> None:
    found = synced(bench, channel(state=state, deposit=2 * MILLION), deposit=500 * MILLION)
    assert found.changes == ()
    assert "session recover" in (found.note or "")
    assert bench.recorded(found.channel.channel_id).deposit == 2 * MILLION
    assert "deposit" in comparison.compare(bench.session, found.channel).differences
    taken = bench.by_id(found.channel.channel_id)
    assert (taken.outcome, bench.recorded(taken.channel.channel_id).deposit) == (Outcome.RAISED, 500 * MILLION)


def test_a_record_that_was_given_up_is_looked_at_again(bench: Bench) -> None:
    known = channel(state=State.ABANDONED)
    bench.store.add(known)
    bench.chain.open(known.terms)
    assert comparison.compare(bench.session, known).differences == ("state",)
    assert fields(comparison.sync(bench.session, known)) == {"state": ("abandoned", "open")}
    assert bench.store.live(known.key) is not None


def test_a_record_that_was_given_up_comes_back_beside_the_one_that_followed_it(bench: Bench) -> None:
    known = channel(state=State.ABANDONED)
    bench.store.add(known)
    bench.store.add(channel(2))
    bench.chain.open(known.terms, close_requested_at=0)
    assert fields(comparison.sync(bench.session, known)) == {"state": ("abandoned", "spare")}


def test_a_node_that_is_behind_revives_no_channel_whose_end_is_proven(bench: Bench) -> None:
    known = channel(state=State.CLOSED, captured=MILLION)
    bench.store.add(known)
    bench.store.owe(known.channel_id, "0x" + "ab" * 32, "open", 10)
    bench.chain.open(known.terms)
    assert comparison.sync(bench.session, known).changes == ()
    assert bench.recorded(known.channel_id).state is State.CLOSED


def test_sync_goes_back_to_a_close_whose_amount_is_unknown(bench: Bench) -> None:
    known = channel(spent=MILLION // 2)
    bench.store.add(known)
    bench.chain.open(known.terms, finalized=True, deposit=0, settled=0)
    assert fields(comparison.sync(bench.session, known)) == {"state": ("open", "closed")}
    closed = bench.recorded(known.channel_id)
    assert (closed.spent, closed.captured, closed.unproven) == (MILLION // 2, None, True)
    [row] = bench.store.ledger()
    assert (row.outcome, row.spent, row.uncertain, row.unspent) == ("close_unproven", None, True, MILLION // 2)
    again = comparison.sync(bench.session, closed)
    assert (again.changes, bench.recorded(known.channel_id)) == ((), closed)
    assert "not known, up to 1.00" in (again.note or "")
    bench.chain.taken[known.channel_id] = MILLION
    found = comparison.sync(bench.session, closed)
    assert fields(found) == {"spent": (MILLION // 2, MILLION), "captured": ("unknown", MILLION)}
    [row] = bench.store.ledger()
    assert (row.outcome, row.spent, row.uncertain) == ("closed", MILLION // 2, False)
    assert not comparison.doubtful(bench.session, bench.recorded(known.channel_id))


@pytest.mark.parametrize(
    ("known", "on_chain", "differences"),
    [
        ({}, {}, ()),
        ({}, {"deposit": 1}, ("deposit",)),
        ({}, {"settled": MILLION}, ()),
        ({}, {"settled": MILLION + 1}, ("authorised",)),
        ({}, {"close_requested_at": NOW}, ("state",)),
        ({"state": State.CLOSING}, {"close_requested_at": NOW}, ()),
        ({"state": State.CLOSING}, {}, ("state",)),
        ({}, {"finalized": True}, ("state",)),
        ({"state": State.CLOSED, "spent": MILLION}, {"finalized": True, "settled": MILLION, "deposit": 1}, ()),
        ({"state": State.CLOSED}, {}, ("state",)),
    ],
)
def test_what_differs_is_named(
    bench: Bench, known: dict[str, Any], on_chain: dict[str, Any], differences: tuple[str, ...]
) -> None:
    on_record = channel(**known)
    bench.chain.open(on_record.terms, **on_chain)
    assert comparison.compare(bench.session, on_record).differences == differences


def test_a_channel_that_is_not_on_the_chain_differs_where_it_should_be_there(bench: Bench) -> None:
    for state in State:
        found = comparison.compare(bench.session, channel(state=state))
        assert found.state is None
        assert bool(found.differences) == (state in (State.OPEN, State.CLOSING, State.SPARE)), state


# Forgetting


def test_a_record_is_not_dropped_while_money_may_be_in_the_channel() -> None:
    for state in State:
        known = channel(state=state)
        check_forgettable(known, lose_track=True)
        if state in FUNDED:
            with pytest.raises(PaymentError, match=r"5\.00"):
                check_forgettable(known, lose_track=False)
        else:
            check_forgettable(known, lose_track=False)
