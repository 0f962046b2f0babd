"""The store: private, durable, for many processes at once, and clear about what is wrong with it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ando_cli.errors import InvariantError, StoreError, UntrustedError
from ando_cli.inference.usage import Usage
from ando_cli.session.channel import FUNDED, Pending, State
from ando_cli.session.record import channels, claims, database, ledger
from ando_cli.session.record.ledger import Entry, Outcome
from ando_cli.session.record.store import Store
from ando_cli.session.traffic import Claim
from tests.support.session_doubles import GATEWAY, KEY, MILLION, NETWORK, OTHER_PAYEE, PAYEE, Clock, channel, opening

if TYPE_CHECKING:
    from collections.abc import Callable

    from ando_cli.session.channel import Channel

WORKER = "tests.support.session_worker"
HUGE = 2**128 - 1


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ando" / "sessions.db"


def failure(act: Callable[[], object]) -> str:
    with pytest.raises(StoreError) as caught:
        act()
    return caught.value.code


def raw(path: Path, statement: str) -> list[tuple[object, ...]]:
    """What another SQLite client sees."""
    with sqlite3.connect(path, isolation_level=None) as db:
        return db.execute(statement).fetchall()


def mode(path: Path) -> str:
    return oct(path.stat().st_mode & 0o777)


# The file


def test_file_and_folders_are_the_users_alone_whatever_the_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        store = Store(path)
        store.add(channel())
        assert mode(path) == "0o600"
        assert {mode(other) for other in path.parent.iterdir()} == {"0o600"}
        assert (mode(path.parent), mode(path.parent.parent)) == ("0o700", "0o700")
    finally:
        os.umask(before)


def test_it_is_written_ahead_and_synced_fully(path: Path) -> None:
    store = Store(path)
    assert raw(path, "PRAGMA journal_mode") == [("wal",)]
    for opened in (store, Store(path)):
        assert opened._db.execute("PRAGMA synchronous").fetchone() == (2,)
        assert opened._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_only_what_is_no_signature_may_be_lost_with_the_power(path: Path) -> None:
    store = Store(path)
    store.add(channel())

    def synchronous() -> int:
        return int(store._db.execute("PRAGMA synchronous").fetchone()[0])

    with store.transaction(durable=False):
        store.receipted(channel().channel_id, 1, 1)
        assert synchronous() == 1
    with store.transaction():
        assert synchronous() == 2
    with store.transaction(durable=False):
        pass
    assert store.raise_cumulative(channel().channel_id, MILLION, 2 * MILLION)
    assert synchronous() == 2
    assert raw(path, "SELECT accepted, cumulative_amount FROM channels") == [("1", str(2 * MILLION))]


def test_a_fresh_file_has_the_latest_schema(path: Path) -> None:
    Store(path)
    assert raw(path, "PRAGMA user_version") == [(len(database.MIGRATIONS),)]


def test_a_file_of_an_older_version_is_migrated_and_keeps_what_it_holds(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = Store(path, clock=Clock())
    old.add(channel())
    before = old.channels()
    old.close()
    latest = (*database.MIGRATIONS, "CREATE TABLE next (a INTEGER); CREATE INDEX next_a ON next (a)")
    monkeypatch.setattr(database, "MIGRATIONS", latest)
    assert Store(path).channels() == before
    assert raw(path, "PRAGMA user_version") == [(len(latest),)]
    assert raw(path, "SELECT count(*) FROM next") == [(0,)]


BEFORE_DOTS_COUNTED = len(database.MIGRATIONS) - 1


def test_a_gateway_that_was_recorded_with_a_dot_at_the_end_is_found_without_it(path: Path) -> None:
    dotted = "https://gateway.example."
    old = Store(path, clock=Clock())
    old.add(replace(channel(), gateway=dotted))
    old.pin(dotted, NETWORK.name, PAYEE)
    old.pin(f"{dotted}:8443", NETWORK.name, OTHER_PAYEE)
    old.close()
    raw(path, f"PRAGMA user_version = {BEFORE_DOTS_COUNTED}")
    store = Store(path)
    assert [known.gateway for known in store.channels()] == ["https://gateway.example"]
    assert store.pinned_payee("https://gateway.example", NETWORK.name) == PAYEE
    assert store.pinned_payee("https://gateway.example:8443", NETWORK.name) == OTHER_PAYEE


def test_where_both_spellings_are_in_use_none_is_lost(path: Path) -> None:
    old = Store(path, clock=Clock())
    old.add(replace(channel(), gateway="https://gateway.example"))
    old.add(replace(channel(), channel_id="0x" + "77" * 32, gateway="https://gateway.example."))
    old.close()
    raw(path, f"PRAGMA user_version = {BEFORE_DOTS_COUNTED}")
    assert {known.gateway for known in Store(path).channels()} == {
        "https://gateway.example",
        "https://gateway.example.",
    }


def test_a_migration_that_fails_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store(path).close()
    version = len(database.MIGRATIONS)
    broken = (*database.MIGRATIONS, "CREATE TABLE next (a INTEGER); CREATE TABLE channels (a INTEGER)")
    monkeypatch.setattr(database, "MIGRATIONS", broken)
    failure(lambda: Store(path))
    assert raw(path, "PRAGMA user_version") == [(version,)]
    assert raw(path, "SELECT name FROM sqlite_master WHERE name = 'next'") == []


def test_a_file_of_a_newer_version_is_refused_and_not_touched(path: Path) -> None:
    Store(path).close()
    raw(path, "PRAGMA user_version = 99")
    before = path.read_bytes()
    assert failure(lambda: Store(path)) == "store_newer"
    assert path.read_bytes() == before


@pytest.mark.parametrize("look", [Store, database.examine])
def test_a_file_that_is_one_version_newer_is_refused_and_the_latest_is_not(
    path: Path, look: Callable[[Path], object]
) -> None:
    Store(path).close()
    look(path)
    raw(path, f"PRAGMA user_version = {len(database.MIGRATIONS) + 1}")
    assert failure(lambda: look(path)) == "store_newer"


# Channels


def test_a_channel_comes_back_as_it_was_recorded_by_another_process(path: Path) -> None:
    clock = Clock()
    known = opening(created_at=int(clock.now), updated_at=int(clock.now))
    Store(path, clock=clock).add(known)
    again = Store(path)
    assert again.live(known.key) == again.channel(known.channel_id) == known
    assert again.channels() == [known]


def test_numbers_beyond_64_bits_are_kept_exactly(path: Path) -> None:
    store = Store(path, clock=Clock())
    known = opening(deposit=HUGE, cumulative_amount=HUGE - 2, pending=Pending("0x76", HUGE, 1))
    store.add(known)
    store.opened(known.channel_id, HUGE)
    assert store.raise_cumulative(known.channel_id, HUGE - 2, HUGE - 1)
    store.receipted(known.channel_id, HUGE - 1, 2**64 + 1)
    store.book(None, Entry(known.channel_id, GATEWAY, NETWORK.name, "/p", authorised=HUGE, deposited=HUGE))
    found = store.channel(known.channel_id)
    assert found is not None
    assert (found.deposit, found.cumulative_amount, found.accepted, found.spent) == (
        HUGE,
        HUGE - 1,
        HUGE - 1,
        2**64 + 1,
    )
    assert raw(path, "SELECT authorised, deposited FROM ledger") == [(str(HUGE), str(HUGE))]


def test_nine_is_less_than_ten_although_it_is_text(path: Path) -> None:
    store, known = Store(path), channel()
    store.add(known)
    store.receipted(known.channel_id, 10, 9)
    store.receipted(known.channel_id, 9, 10)
    store.receipted(known.channel_id, 11, 10)
    found = store.channel(known.channel_id)
    assert found is not None
    assert (found.accepted, found.spent) == (11, 10)


@pytest.mark.parametrize("state", [State.OPENING, State.OPEN])
def test_there_is_one_live_channel_for_a_key(path: Path, state: State) -> None:
    store = Store(path)
    store.add(channel(1, state=state))
    assert failure(lambda: store.add(channel(2))) == "store_conflict"
    assert failure(lambda: Store(path).add(opening(salt=3))) == "store_conflict"
    assert len(store.channels()) == 1


@pytest.mark.parametrize("state", [State.CLOSED, State.ABANDONED])
def test_a_channel_that_has_ended_makes_room_for_another(path: Path, state: State) -> None:
    store = Store(path)
    store.add(opening(salt=1))
    store.ended(channel(1).channel_id, state)
    assert store.live(channel().key) is None
    store.add(channel(2))
    ended = store.channel(channel(1).channel_id)
    assert ended is not None
    assert (ended.state, ended.pending) == (state, None)


def test_another_gateway_network_or_payee_has_a_channel_of_its_own(path: Path) -> None:
    store = Store(path)
    store.add(channel(1))
    store.add(channel(2, gateway="https://other.example"))
    store.add(channel(3, network="other"))
    store.add(channel(4, payee=OTHER_PAYEE), replaces=PAYEE)
    assert len(store.channels()) == 4
    found = store.live(channel(4, payee=OTHER_PAYEE).key)
    assert found is not None
    assert found.terms.payee == OTHER_PAYEE


@pytest.mark.parametrize("state", FUNDED)
def test_a_state_in_which_there_may_be_money_ends_no_channel(path: Path, state: State) -> None:
    store = Store(path)
    store.add(channel())
    with pytest.raises(InvariantError):
        store.ended(channel().channel_id, state)
    found = store.channel(channel().channel_id)
    assert found is not None
    assert found.state is State.OPEN


def test_a_channel_that_has_ended_does_not_come_back(path: Path) -> None:
    store, known = Store(path), channel()
    store.add(known)
    store.ended(known.channel_id, State.CLOSED)
    store.opened(known.channel_id, 9)
    assert not store.raise_cumulative(known.channel_id, MILLION, 2 * MILLION)
    assert not store.topping_up(known.channel_id, Pending("0x76", 1, 1))
    found = store.channel(known.channel_id)
    assert found is not None
    assert (found.state, found.cumulative_amount, found.deposit) == (State.CLOSED, MILLION, 5 * MILLION)


@pytest.mark.parametrize("state", State)
def test_nothing_is_paid_from_a_channel_whose_closing_was_requested_unless_it_is_over(path: Path, state: State) -> None:
    store, over = Store(path), state in (State.CLOSED, State.ABANDONED)
    known = channel(state=state, pending=Pending("0x76", 1, 1))
    store.add(known)
    store.closing(known.channel_id, 7)
    (found,) = store.channels()
    assert (found.state, found.closes_at) == ((state, 0) if over else (State.CLOSING, 7))
    assert (found.pending is None) is not over


@pytest.mark.parametrize("state", State)
def test_what_the_chain_shows_opens_a_live_channel_and_corrects_the_deposit_of_one_that_pays_no_more(
    path: Path, state: State
) -> None:
    store, known = Store(path), channel(state=state)
    store.add(known)
    store.opened(known.channel_id, 1)
    (found,) = store.channels()
    live = state in (State.OPENING, State.OPEN)
    assert (found.state, found.deposit) == ((State.OPEN, 1) if live else (state, 5 * MILLION))
    store.seen(known.channel_id, 2)
    assert store.channels()[0].deposit == (2 if state in (State.CLOSING, State.SPARE) else found.deposit)


def test_live_channels_are_listed_before_those_that_have_ended_and_young_ones_before_old_ones(path: Path) -> None:
    clock = Clock()
    store = Store(path, clock=clock)
    for salt in (1, 2, 3):
        store.add(channel(salt, gateway=f"https://g{salt}.example"))
        clock.now += 1
    store.ended(channel(3).channel_id, State.CLOSED)
    assert [known.gateway[9] for known in store.channels()] == ["2", "1", "3"]


def test_a_payee_is_pinned_with_its_first_channel_and_with_nothing_less(path: Path) -> None:
    store = Store(path)
    assert store.pinned_payee(GATEWAY, NETWORK.name) is None
    store.add(channel())
    assert store.pinned_payee(GATEWAY, NETWORK.name) == PAYEE
    assert store.pinned_payee(GATEWAY, "other") is None
    with pytest.raises(StoreError):
        store.add(channel(2))


def test_a_payee_is_pinned_once_unless_the_user_accepts_another_in_the_place_of_that_one(path: Path) -> None:
    store = Store(path)
    store.add(channel())
    for replaces in (None, OTHER_PAYEE):
        with pytest.raises(UntrustedError) as caught:
            store.add(channel(3, payee=OTHER_PAYEE), replaces=replaces)
        assert caught.value.code == "payee_changed"
        assert store.channels() == [store.channel(channel().channel_id)], "nothing of it is recorded"
        with pytest.raises(UntrustedError):
            store.pin(GATEWAY, NETWORK.name, OTHER_PAYEE, replaces=replaces)
    store.adopt(channel(4, payee=OTHER_PAYEE))
    assert store.pinned_payee(GATEWAY, NETWORK.name) == PAYEE
    store.add(channel(3, payee=OTHER_PAYEE, state=State.SPARE), replaces=PAYEE)
    assert store.pinned_payee(GATEWAY, NETWORK.name) == OTHER_PAYEE


def test_the_step_of_an_older_channel_is_its_first_raise(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    latest = database.MIGRATIONS
    at = next(number for number, script in enumerate(latest) if "ADD COLUMN step" in script)
    store = Store(path)
    store.add(channel())
    store.add(channel(2, gateway="https://other.example"))
    for number, amount in ((1, 3 * MILLION), (2, MILLION)):
        store.book(None, Entry(channel().channel_id, GATEWAY, NETWORK.name, f"/{number}", authorised=amount))
    store.carry(channel(2).channel_id, authorised=7, spent=0)
    store.close()
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript("ALTER TABLE channels DROP COLUMN step; ALTER TABLE channels DROP COLUMN doubt")
        db.execute(f"PRAGMA user_version = {at}")
    monkeypatch.setattr(database, "MIGRATIONS", latest[: at + 1])
    assert {known.gateway: known.step for known in Store(path).channels()} == {
        GATEWAY: 3 * MILLION, "https://other.example": 0,
    }  # fmt: skip


# Raising


def test_a_raise_counts_only_on_what_was_the_highest(path: Path) -> None:
    store, known = Store(path), channel()
    store.add(known)
    assert store.raise_cumulative(known.channel_id, MILLION, 2 * MILLION)
    assert not store.raise_cumulative(known.channel_id, MILLION, 3 * MILLION)
    for raised in (2 * MILLION, MILLION):
        with pytest.raises(InvariantError):
            store.raise_cumulative(known.channel_id, 2 * MILLION, raised)
    found = store.channel(known.channel_id)
    assert found is not None
    assert found.cumulative_amount == 2 * MILLION


def test_what_was_signed_is_not_lowered_where_python_skips_assertions_either(path: Path) -> None:
    Store(path).add(channel(cumulative_amount=3 * MILLION))
    lower = (
        "import pathlib, sys; from ando_cli.session.record.store import Store; "
        "Store(pathlib.Path(sys.argv[1])).raise_cumulative(sys.argv[2], 3_000_000, 1_000_000)"
    )
    done = subprocess.run(
        [sys.executable, "-O", "-c", lower, str(path), channel().channel_id], capture_output=True, text=True
    )
    assert "InvariantError" in done.stderr
    assert Store(path).channels()[0].cumulative_amount == 3 * MILLION


def test_an_error_of_an_invariant_has_a_code_and_an_exit_code_of_its_own() -> None:
    error = InvariantError("what happened")
    assert (error.message, error.code, int(error.exit_code)) == ("what happened", "invariant", 70)
    assert error.hint


class Unnumbered:
    """A database that says of no row which one it is."""

    lastrowid = None

    def execute(self, *_: object) -> Unnumbered:
        return self


def test_a_row_that_cannot_be_found_again_is_not_counted_on() -> None:
    nowhere: Any = Unnumbered()
    with pytest.raises(InvariantError):
        claims.write(nowhere, None, Claim("0x01"), 0)
    with pytest.raises(InvariantError):
        ledger.book(nowhere, None, Entry("0x01", GATEWAY, NETWORK.name, "/p"), Outcome.UNKNOWN, 0)


def test_no_second_top_up_is_recorded_over_one_whose_fate_is_unknown(path: Path) -> None:
    store, known, first = Store(path), channel(), Pending("0x76", 1, 1)
    store.add(known)
    assert store.topping_up(known.channel_id, first)
    assert not store.topping_up(known.channel_id, Pending("0x77", 2, 2))
    assert store.channels()[0].pending == first
    store.opened(known.channel_id, MILLION)
    assert store.topping_up(known.channel_id, Pending("0x77", 2, 2))


def test_that_a_gateway_meters_is_learnt_from_one_receipt_and_for_good(path: Path) -> None:
    clock = Clock()
    store, known = Store(path, clock=clock), channel(accepted=MILLION, spent=7)
    store.add(known)
    before = store.channels()
    clock.now += 1
    store.receipted(known.channel_id, MILLION, 7)
    assert store.channels() == before, "nothing new is not written"
    store.receipted(known.channel_id, MILLION, 7, metered=True)
    assert store.channels()[0].metered
    store.receipted(known.channel_id, MILLION, 8)
    assert (store.channels()[0].metered, store.channels()[0].spent) == (True, 8)


def test_a_receipt_for_a_channel_that_was_forgotten_meanwhile_changes_nothing(path: Path) -> None:
    store = Store(path)
    store.add(channel())
    store.forget(channel().channel_id)
    store.receipted(channel().channel_id, MILLION, 1)
    assert store.channels() == []


@pytest.mark.parametrize("name", ["cumulative_amount", "accepted", "spent"])
def test_of_a_channel_that_is_adopted_again_no_amount_falls(path: Path, name: str) -> None:
    store = Store(path)
    store.add(channel(cumulative_amount=3 * MILLION, accepted=2 * MILLION, spent=MILLION))
    known = store.channels()[0]
    for by in (-1, 0, 1):
        store.adopt(replace(known, **{name: getattr(known, name) + by}))
        assert getattr(store.channels()[0], name) == getattr(known, name) + max(0, by)


def test_a_channel_that_is_still_being_opened_is_not_raised(path: Path) -> None:
    store, known = Store(path), opening()
    store.add(known)
    assert not store.raise_cumulative(known.channel_id, MILLION, 2 * MILLION)


def test_of_many_threads_that_raise_from_the_same_amount_one_wins(path: Path) -> None:
    store, known = Store(path), channel()
    store.add(known)
    barrier = threading.Barrier(8)

    def race(number: int) -> bool:
        mine = store if number % 2 else Store(path)  # some share a connection, some have their own
        barrier.wait()
        return mine.raise_cumulative(known.channel_id, MILLION, 2 * MILLION + number)

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(race, range(8))) == [False] * 7 + [True]


def at_once(path: Path, work: str, *numbers: int) -> list[str]:
    """Have a process for each number do ``work``, all at the same moment; what each of them says."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", WORKER, work, str(path), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in numbers
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    return [worker.communicate(timeout=60)[0].strip() for worker in workers]


def test_of_the_raises_of_many_processes_none_is_lost_and_none_counts_twice(path: Path) -> None:
    Store(path).add(channel(cumulative_amount=0))
    assert at_once(path, "climb", 15, 15, 15) == ["climbed"] * 3
    assert Store(path).channels()[0].cumulative_amount == 45


def test_processes_that_create_the_file_at_once_agree_on_one_channel(tmp_path: Path) -> None:
    for attempt in range(3):
        path = tmp_path / str(attempt) / "sessions.db"
        assert sorted(at_once(path, "add", 1, 2, 3, 4)) == ["added", *["store_conflict"] * 3]
        assert len(Store(path).channels()) == 1


def test_threads_that_create_the_file_at_once_all_get_a_store(tmp_path: Path) -> None:
    for attempt in range(10):
        path = tmp_path / str(attempt) / "sessions.db"
        barrier = threading.Barrier(6)

        def create(_: int, path: Path = path, barrier: threading.Barrier = barrier) -> list[object]:
            barrier.wait()
            return list(Store(path).channels())

        with ThreadPoolExecutor(6) as pool:
            assert list(pool.map(create, range(6))) == [[]] * 6


# One step or none


def test_a_transaction_is_on_the_disk_as_a_whole_or_not_at_all(path: Path) -> None:
    store, known = Store(path), channel()
    store.add(known)

    def interrupted() -> None:
        with store.transaction():
            store.raise_cumulative(known.channel_id, MILLION, 2 * MILLION)
            store.book(None, Entry(known.channel_id, GATEWAY, NETWORK.name, "/p"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    found = store.channel(known.channel_id)
    assert found is not None
    assert found.cumulative_amount == MILLION
    assert raw(path, "SELECT count(*) FROM ledger") == [(0,)]
    with store.transaction():
        store.raise_cumulative(known.channel_id, MILLION, 2 * MILLION)
        assert Store(path).channels()[0].cumulative_amount == MILLION
    assert Store(path).channels()[0].cumulative_amount == 2 * MILLION


def test_nothing_is_lost_when_the_process_is_killed_right_after_a_commit(path: Path) -> None:
    assert at_once(path, "die", 2 * MILLION) == [""]
    (found,) = Store(path).channels()
    assert found.cumulative_amount == 2 * MILLION


def test_the_books_are_as_they_were_at_one_moment(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, known = Store(path), channel()
    store.add(known)
    read = channels.read

    def meanwhile(db: sqlite3.Connection) -> list[Channel]:
        found = read(db)
        another = Store(path)
        another.raise_cumulative(known.channel_id, MILLION, 2 * MILLION)
        another.book(None, Entry(known.channel_id, GATEWAY, NETWORK.name, "/p", authorised=MILLION))
        return found

    monkeypatch.setattr(channels, "read", meanwhile)
    recorded, rows = store.books()
    monkeypatch.undo()
    assert ([found.cumulative_amount for found in recorded], rows) == ([MILLION], [])
    assert (len(store.ledger()), store.channels()[0].cumulative_amount) == (1, 2 * MILLION)


# The ledger


def test_a_row_of_the_ledger_starts_as_unknown_and_is_completed(path: Path) -> None:
    store, known = Store(path, clock=Clock()), channel()
    store.add(known)
    entry = Entry(known.channel_id, GATEWAY, NETWORK.name, "/v1/mpp", "model", "Plus", authorised=1)
    row = store.book(None, entry)
    look = "SELECT outcome, authorised, deposited, spent, prompt_tokens, completion_tokens FROM ledger"
    assert raw(path, look) == [("unknown", "1", "0", None, None, None)]
    assert store.book(row, replace(entry, authorised=2, deposited=3)) == row
    store.finish(row, Outcome.ANSWERED, Usage(4, 5, 6))
    assert raw(path, look) == [("answered", "2", "3", "4", 5, 6)]


def test_what_a_forgotten_channel_was_paid_is_not_taken_for_what_the_next_one_was(path: Path) -> None:
    store, known, another = Store(path), channel(), channel(2)
    store.add(known)
    store.book(None, Entry(known.channel_id, GATEWAY, NETWORK.name, "/v1/mpp"))
    store.forget(known.channel_id)
    store.add(another)
    store.book(None, Entry(another.channel_id, GATEWAY, NETWORK.name, "/v1/mpp"))
    of_another = "SELECT count(*) FROM ledger WHERE session = (SELECT rowid FROM channels)"
    assert (raw(path, of_another), raw(path, "SELECT min(session) FROM ledger")) == ([(1,)], [(0,)])


def test_the_ledger_names_no_channel_key_address_or_transaction(path: Path) -> None:
    store, known = Store(path), opening()
    store.add(known)
    store.book(None, Entry(known.channel_id, GATEWAY, NETWORK.name, "/v1/mpp"))
    ((*row,),) = raw(path, "SELECT * FROM ledger")
    written = " ".join(map(str, row))
    for secret in (known.channel_id, KEY.address, KEY.to_hex(), PAYEE, known.terms.salt, "0x"):
        assert secret not in written


def test_the_key_is_nowhere_in_the_file(path: Path) -> None:
    store = Store(path)
    store.add(opening())
    store.close()
    assert KEY.to_hex()[2:].encode() not in path.read_bytes()
    assert KEY.secret not in path.read_bytes()


# Bad luck


def test_a_file_in_place_of_the_folder_is_an_error_that_says_where(path: Path) -> None:
    # Root may write wherever the mode forbids it, but not even root makes a folder below a file.
    path.parent.parent.mkdir()
    path.parent.write_text("")
    with pytest.raises(StoreError) as caught:
        Store(path)
    assert caught.value.code == "store_unwritable"
    assert str(path.parent) in (caught.value.hint or "")


def test_a_folder_that_cannot_be_made_is_an_error() -> None:
    # Nobody, root included, makes a folder in /proc.
    assert failure(lambda: Store(Path("/proc/ando/sessions.db"))) == "store_unwritable"


def test_a_folder_in_place_of_the_file_is_an_error(path: Path) -> None:
    path.mkdir(parents=True)
    assert failure(lambda: Store(path)) == "store_unwritable"


def test_a_store_that_became_read_only_refuses_to_record(path: Path) -> None:
    store, known = Store(path), channel()
    store.add(known)
    store._db.execute("PRAGMA query_only = ON")  # what a read-only file system answers, also to root
    assert failure(lambda: store.raise_cumulative(known.channel_id, MILLION, 2 * MILLION)) == "store_unwritable"
    assert store.channels()[0].cumulative_amount == MILLION


def test_a_file_that_is_no_store_is_reported_and_kept(path: Path) -> None:
    content = b"this is no database, and long enough to be read as a header" * 20
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(StoreError) as caught:
        Store(path)
    assert caught.value.code == "store_damaged"
    assert path.name in (caught.value.hint or "")
    assert path.read_bytes() == content


def test_a_store_that_is_damaged_in_the_middle_is_reported(path: Path) -> None:
    store = Store(path)
    store.add(channel())
    store.close()
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)
    assert failure(lambda: Store(path).channels()) == "store_damaged"
    assert failure(lambda: database.examine(path)) == "store_damaged"


def test_a_store_is_examined_without_being_changed(path: Path) -> None:
    Store(path).close()
    before = path.read_bytes()
    assert database.examine(path) == len(database.MIGRATIONS)
    assert path.read_bytes() == before
    assert failure(lambda: database.examine(path.with_name("other.db"))) == "store"
    assert not path.with_name("other.db").exists()


def test_the_shell_is_told_of_live_channels_before_those_that_have_ended_and_of_young_ones_before_old_ones(
    path: Path,
) -> None:
    clock = Clock()
    store = Store(path, clock=clock)
    for salt, state in enumerate((State.OPEN, State.OPENING, State.CLOSED, State.SPARE)):
        store.add(channel(salt, gateway=f"https://g{salt}.example", state=state))
        clock.now += 1
    listed = channels.channel_states(path)
    assert [(state, gateway[9]) for _, state, gateway in listed] == [
        ("opening", "1"), ("open", "0"), ("spare", "3"), ("closed", "2"),
    ]  # fmt: skip
    assert listed[0][0] == channel(1).channel_id


def test_a_store_that_another_process_holds_is_waited_for_and_then_busy(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    store, known = Store(path), channel()
    store.add(known)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert failure(lambda: store.raise_cumulative(known.channel_id, MILLION, 2 * MILLION)) == "store_busy"
    assert store.channels()[0].cumulative_amount == MILLION  # reading is not in the way of writing
    holder.execute("ROLLBACK")
    holder.close()
    assert store.raise_cumulative(known.channel_id, MILLION, 2 * MILLION)


def test_a_file_that_is_locked_before_it_has_a_schema_is_busy_and_not_damaged(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    path.parent.mkdir(parents=True)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    assert failure(lambda: Store(path)) == "store_busy"
    holder.close()
    assert Store(path).channels() == []


class Raced(sqlite3.Connection):
    """SQLite as it is while another process makes the same new file: it refuses to switch and does not wait."""

    refusals = 2

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        if statement == "PRAGMA journal_mode = WAL" and Raced.refusals > 0:
            Raced.refusals -= 1
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY  # as SQLite sets it on its own errors
            raise error
        return super().execute(statement, *values)


def test_a_switch_to_writing_ahead_that_another_process_is_making_too_is_tried_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Raced))
    monkeypatch.setattr(Raced, "refusals", 2)
    assert Store(path).channels() == []
    assert raw(path, "PRAGMA journal_mode") == [("wal",)]
    monkeypatch.setattr(Raced, "refusals", 10**9)
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    assert failure(lambda: Store(path.with_name("other.db"))) == "store_busy"


def test_a_full_disk_is_reported_and_takes_nothing_back(path: Path) -> None:
    store, known = Store(path), channel()
    store.add(known)
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    big = "x" * 10_000
    entry = Entry(known.channel_id, GATEWAY, NETWORK.name, big)

    def record() -> None:
        with store.transaction():
            store.raise_cumulative(known.channel_id, MILLION, 2 * MILLION)
            store.book(None, entry)

    with pytest.raises(StoreError, match="full"):
        record()
    assert store.channels()[0].cumulative_amount == MILLION
    store._db.execute("PRAGMA max_page_count = 100000")
    assert store.raise_cumulative(known.channel_id, MILLION, 2 * MILLION)
