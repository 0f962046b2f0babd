"""What was typed, across runs."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from ando_cli.repl import history
from ando_cli.repl.history import History

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "history"


def test_what_was_typed_comes_back_in_order_and_whole(file: Path) -> None:
    History(file).add("first")
    History(file).add("of two\nlines, grüß \udcff")
    assert History(file).load() == ["first", "of two\nlines, grüß \udcff"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_without_a_file_there_is_no_history_and_looking_makes_none(file: Path) -> None:
    assert History(file).load() == []
    assert not file.parent.exists()


def test_lines_that_are_damaged_are_left_out(file: Path) -> None:
    History(file).add("good")
    with file.open("ab") as damaged:
        damaged.write(b'{"not": "a text"}\n\xff\xfe\n[[[\n"torn of')
    assert History(file).load() == ["good"]


def test_it_does_not_grow_without_end(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "LARGEST", 1000)
    for number in range(50):
        History(file).add(f"{number:>40}")
    assert History(file).load()[-1].strip() == "49"
    assert file.stat().st_size <= 500
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_is_too_long_or_cannot_be_written_is_done_without(file: Path) -> None:
    History(file).add("x" * (history.LONGEST + 1))
    assert not file.exists()
    file.parent.write_text("in the way")
    History(file).add("x")
    assert History(file).load() == []
