"""The lock for deposits into one channel, and parts that are made once."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ando_cli.errors import AndoError, StoreError, WalletError
from ando_cli.http.deadline import Deadline
from ando_cli.session.act import locks
from tests.support.session_doubles import PAYEE, session_request

if TYPE_CHECKING:
    from tests.support.session_bench import Bench


def test_a_lock_that_another_holds_is_waited_for_and_then_an_error(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "WAIT_SECONDS", 0.1)
    with bench.session.exclusive(bench.key), pytest.raises(StoreError) as caught, bench.make().exclusive(bench.key):
        pass
    assert caught.value.code == "store_busy"
    with bench.make().exclusive(bench.key):
        pass


def test_a_lock_is_waited_for_no_longer_than_the_command_may_take(bench: Bench) -> None:
    hurried = replace(bench.make(), deadline=Deadline(0.2))
    started = time.monotonic()
    with bench.session.exclusive(bench.key), pytest.raises(StoreError), hurried.exclusive(bench.key):
        pass
    assert time.monotonic() - started < 5


def test_a_lock_is_released_when_what_it_guarded_fails(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "WAIT_SECONDS", 0.1)
    with pytest.raises(KeyboardInterrupt), bench.session.exclusive(bench.key):
        raise KeyboardInterrupt
    with bench.make().exclusive(bench.key):
        pass


def test_locks_of_different_channels_do_not_meet(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "WAIT_SECONDS", 0.1)
    other = bench.session.channel_key("https://other.example", session_request())
    with bench.session.exclusive(bench.key), bench.make().exclusive(other):
        pass


def test_a_lock_file_names_nobody_and_is_the_users_alone(bench: Bench) -> None:
    with bench.session.exclusive(bench.key):
        (path,) = (bench.folder / "locks").iterdir()
        assert path.stat().st_mode & 0o777 == 0o600
        assert (bench.folder / "locks").stat().st_mode & 0o777 == 0o700
        assert "gateway" not in path.name
        assert PAYEE[2:] not in path.name


def test_a_lock_that_cannot_be_made_is_an_error_that_says_where(bench: Bench) -> None:
    (bench.folder / "locks").write_text("a file where the folder should be")
    with pytest.raises(AndoError) as caught, bench.session.exclusive(bench.key):
        pass
    assert caught.value.code == "store_unwritable"
    assert str(bench.folder / "locks") in (caught.value.hint or "")


# Parts that are made once


def test_a_part_is_made_once_however_many_threads_need_it() -> None:
    made: list[int] = []

    def make() -> int:
        time.sleep(0.05)
        made.append(1)
        return len(made)

    get = locks.once(make)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: get(), range(8))) == {1}
    assert made == [1]


def test_a_part_that_could_not_be_made_is_made_again() -> None:
    outcomes: list[Exception | None] = [WalletError("locked"), None]

    def make() -> str:
        if (error := outcomes.pop(0)) is not None:
            raise error
        return "made"

    get = locks.once(make)
    with pytest.raises(WalletError):
        get()
    assert (get(), get()) == ("made", "made")
