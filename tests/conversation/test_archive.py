"""The files of kept conversations: private, whole, and robust against each other and against damage."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import pytest

from ando_cli.conversation import archive as conversations
from ando_cli.conversation.archive import Conversations
from ando_cli.conversation.model import Conversation
from ando_cli.errors import StoreError, UsageError
from ando_cli.inference.usage import Usage

if TYPE_CHECKING:
    from pathlib import Path


class Clock:
    """A clock that is set by hand; unix seconds."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        self.now += 1.0014
        return self.now


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "conversations"


@pytest.fixture
def kept(folder: Path) -> Conversations:
    return Conversations(folder, clock=Clock())


def said(text: str) -> Conversation:
    return Conversation().answered(text, "an answer", Usage(1, 2, 3))


def test_a_conversation_is_read_as_it_was_saved(kept: Conversations) -> None:
    saved = kept.save(kept.begin(said("hello")))
    assert kept.find(saved.id) == saved
    assert kept.latest().conversation == said("hello")


def test_nothing_is_written_before_something_is_kept(kept: Conversations, folder: Path) -> None:
    kept.begin(said("hello"))
    with pytest.raises(UsageError, match="no conversation is saved"):
        kept.latest()
    assert not folder.parent.exists()


def test_the_files_are_the_users_alone(kept: Conversations, folder: Path) -> None:
    kept.save(kept.save(kept.begin(said("hello"))))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder.parent, folder, *folder.iterdir())}
    assert modes == {"state": 0o700, "conversations": 0o700, f"{kept.latest().id}.json": 0o600}


def test_the_last_one_is_the_one_that_went_on_last(kept: Conversations) -> None:
    first, second = kept.save(kept.begin(said("first"))), kept.save(kept.begin(said("second")))
    assert [each.id for each in kept.all()[0]] == [second.id, first.id]
    kept.save(first)
    assert kept.latest().id == first.id


def test_ids_are_short_and_in_the_order_of_beginning(kept: Conversations) -> None:
    ids = [kept.save(kept.begin(said("x"))).id for _ in range(5)]
    assert ids == sorted(ids)
    assert {len(name) for name in ids} == {8}


def test_any_unique_beginning_of_an_id_names_it(kept: Conversations) -> None:
    first, second = kept.save(kept.begin(said("first"))), kept.save(kept.begin(said("second")))
    assert kept.find(first.id[:6]).id == first.id
    assert kept.find(f" {second.id.upper()} ").id == second.id
    for text, why in ((first.id[:2], "2 conversations"), ("zzz", "no conversation"), ("", "no conversation")):
        with pytest.raises(UsageError, match=why):
            kept.named(text)


def test_two_that_go_on_with_the_same_one_both_keep_what_was_said(kept: Conversations) -> None:
    start = kept.save(kept.begin(said("hello")))
    here = kept.save(conversations.replace(start, conversation=said("here")))
    there = kept.save(conversations.replace(start, conversation=said("there")))
    assert here.id == start.id != there.id
    assert {each.conversation.title for each in kept.all()[0]} == {"here", "there"}


def test_an_id_that_is_taken_is_not_taken_again(kept: Conversations, monkeypatch: pytest.MonkeyPatch) -> None:
    names = iter(["aaaaaaaa", "aaaaaaaa", "aaaaaaab"])
    monkeypatch.setattr(conversations, "_new_id", lambda now: next(names))
    assert kept.save(kept.begin(said("one"))).id == "aaaaaaaa"
    assert kept.save(kept.begin(said("two"))).id == "aaaaaaab"
    assert kept.find("aaaaaaaa").conversation == said("one")


@pytest.mark.parametrize(
    "damage",
    ["", "{", "[]", "null", "\udcff", '{"messages": []}', '{"messages": 1}', pytest.param("[" * 10**5, id="deep")],
)
def test_a_damaged_file_is_named_and_stands_in_nobodys_way(kept: Conversations, folder: Path, damage: str) -> None:
    good, bad = kept.save(kept.begin(said("good"))), kept.save(kept.begin(said("bad")))
    (folder / f"{bad.id}.json").write_bytes(damage.encode(errors="surrogateescape"))
    (folder / "notes.txt").write_text("not one of ours")
    assert kept.all() == ([good], [bad.id])
    assert kept.latest() == good
    with pytest.raises(StoreError, match=bad.id):
        kept.find(bad.id)
    kept.remove(kept.named(bad.id))
    assert kept.all() == ([good], [])
    (folder / f"{good.id}.json").write_text("")
    with pytest.raises(StoreError, match="cannot be read"):
        kept.latest()


def test_what_is_too_large_is_not_kept_and_not_read(
    kept: Conversations, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = kept.save(kept.begin(said("small")))
    monkeypatch.setattr(conversations, "LARGEST", 1000)
    with pytest.raises(StoreError, match="larger"):
        kept.save(conversations.replace(small, conversation=said("x" * 1000)))
    assert kept.find(small.id) == small, "it stays as it was"
    path = folder / f"{small.id}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"padding": "x" * 1000}))
    with pytest.raises(StoreError, match="damaged"):
        kept.find(small.id)


def test_a_folder_that_is_none_is_an_error(kept: Conversations, folder: Path) -> None:
    folder.parent.mkdir()
    folder.write_text("in the way")
    with pytest.raises(StoreError, match="cannot be written"):
        kept.save(kept.begin(said("x")))
    with pytest.raises(StoreError, match="cannot be read"):
        kept.all()
