"""``ando conversations``: what is kept, shown to people and to programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ando_cli.conversation.archive import Conversations, Kept
from ando_cli.conversation.model import Conversation, from_json
from ando_cli.inference.prompt import Prompt
from ando_cli.inference.usage import Usage

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Ando


@pytest.fixture
def folder(home: Path) -> Path:
    return home / "state" / "conversations"


@pytest.fixture
def kept(folder: Path) -> Kept:
    """One conversation that is kept."""
    said = Conversation(options=Prompt(plan="Plus")).answered("name a \x1b[31mriver", "The Rhine.", Usage(1500, 2, 3))
    conversations = Conversations(folder)
    return conversations.save(conversations.begin(said))


def test_without_any_there_is_nothing_to_see(ando: Ando, home: Path) -> None:
    assert ando("conversations", "list").worked().json == []
    note = ando("conversations", "list", ANDO_NO_AUTO_JSON="1").worked()
    assert (note.out, "--keep" in note.err) == ("", True)
    assert ando("conversations", "remove", "--all", "--yes", "-j").worked().json == {"removed": []}
    assert "no conversation" in ando("conversations", "show", "1rv").refused()
    assert not home.exists(), "looking makes nothing"


def test_a_list_says_what_they_were_about_and_what_they_came_to(ando: Ando, kept: Kept) -> None:
    [row] = ando("conversations", "list").worked().json
    assert set(row) == {"id", "title", "turns", "rail", "model", "plan", "spent", "created_at", "updated_at"}
    assert (row["id"], row["turns"], row["plan"], row["spent"]) == (kept.id, 1, "Plus", "0.0015")
    table = ando("conversations", "list", ANDO_NO_AUTO_JSON="1").worked().out
    assert "name a [31mriver" in table
    assert "Plus" in table


def test_one_is_shown_and_exported_for_people_and_for_programs(ando: Ando, kept: Kept, tmp_path: Path) -> None:
    markdown = ando("conversations", "show", kept.id[:6], ANDO_NO_AUTO_JSON="1").worked().out
    assert markdown == ando("conversations", "export", kept.id).worked().out
    assert "## Answer\n\nThe Rhine.\n" in markdown
    shown = ando("conversations", "show", kept.id).worked().json
    assert (shown["id"], from_json(shown)) == (kept.id, kept.conversation)
    file = tmp_path / "rivers.json"
    assert ando("conversations", "export", kept.id, "-j", "-o", str(file)).worked().out == ""
    assert json.loads(file.read_text()) == shown
    assert "cannot write" in ando("conversations", "export", kept.id, "-o", str(tmp_path)).refused()


def test_removing_is_asked_about_and_takes_the_file_away(ando: Ando, kept: Kept, folder: Path) -> None:
    assert "--yes" in ando("conversations", "remove", kept.id).refused()
    for wrong in ([], [kept.id, "--all"]):
        assert "--all" in ando("conversations", "remove", *wrong).refused()
    assert [path.stem for path in folder.iterdir()] == [kept.id]
    (folder / "zzzzzzzz.json").write_text("damaged")
    assert "zzzzzzzz" in ando("conversations", "list").worked().err
    assert ando("conversations", "remove", "zz", kept.id, "zzz", "--yes", "-j").worked().json == {
        "removed": ["zzzzzzzz", kept.id]
    }
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["-c"], "no conversation is saved"),
        (["--conversation", "1rv"], "no conversation"),
        (["-c", "--conversation", "1rv"], "cannot be used together"),
        (["-c", "--no-keep"], "stays saved"),
        (["--keep", "--body", "-"], "cannot be part of a conversation"),
    ],
)
def test_a_question_that_can_be_part_of_no_conversation_is_refused(ando: Ando, flags: list[str], why: str) -> None:
    prompt = [] if "--body" in flags else ["hi"]
    assert why in ando("chat", *flags, *prompt, stdin='{"messages":[{}],"max_tokens":1}').refused()
