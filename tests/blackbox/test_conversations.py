"""``ando chat`` that is kept: one question after the other, each with all that was said before."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ando_cli.sandbox.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.cli_box import Box, Gateway

ANSWER = "This is a canned answer"
MODEL = "Qwen/Qwen3-8B-AWQ"


@pytest.fixture
def keeper(warm: Gateway) -> Iterator[Box]:
    """A machine with a Virtual Key at hand, on which nothing is kept yet."""
    yield warm.box
    warm.box.run("conversations", "remove", "--all", "--yes").worked()


def kept(box: Box) -> list[dict[str, Any]]:
    """All that is kept, the last one first."""
    rows = box.run("conversations", "list").worked().json
    return [box.run("conversations", "show", row["id"]).worked().json for row in rows]


def said(conversation: dict[str, Any]) -> list[str]:
    return [message["content"] for message in conversation["messages"]]


def test_nothing_is_kept_unless_somebody_says_so(warm: Gateway, keeper: Box) -> None:
    keeper.run("chat", "a secret wish").worked()
    keeper.run("chat", "a secret wish", "--no-keep", ANDO_KEEP="1").worked()
    assert kept(keeper) == []
    state = keeper.home / "state"
    assert not [path for path in state.rglob("*") if path.is_file() and b"secret wish" in path.read_bytes()]


def test_a_question_goes_on_with_what_was_said(warm: Gateway, keeper: Box) -> None:
    first = keeper.run("chat", "--keep", "-s", "be short", "--plan", "Plus", "one?").worked()
    [begun] = kept(keeper)
    assert f"saved as {begun['id']}" in first.stderr
    second = keeper.run("chat", "-c", "and", stdin="two?").worked()
    assert second.stderr == ""
    [after] = kept(keeper)
    assert (after["system"], after["plan"], after["rail"]) == ("be short", "Plus", "mpp")
    assert [text[:23] for text in said(after)] == ["one?", ANSWER, "two?\n\nand", ANSWER]
    assert float(after["spent"]) > float(begun["spent"]) > 0
    assert after["prompt_tokens"] > 2 * begun["prompt_tokens"], "all that was said is sent again"
    assert len(warm.log) == 4


def test_it_goes_on_on_its_own_rail_and_with_its_model(warm: Gateway, keeper: Box) -> None:
    environment = {"ANDO_VIRTUAL_KEY": warm.sandbox.virtual_key}
    keeper.run("chat", "--rail", "key", "-m", MODEL, "--keep", "streamed?", **environment).worked()
    answer = keeper.run("chat", "-c", "buffered?", "-j", **environment).worked().json
    assert answer["model"] == MODEL
    [after] = kept(keeper)
    assert (after["rail"], after["model"]) == ("key", MODEL)
    assert [text[:23] for text in said(after)] == ["streamed?", ANSWER, "buffered?", ANSWER]
    assert {entry.schemes for entry in warm.log} == {("Bearer",)}


def test_every_one_is_kept_where_that_is_configured(warm: Gateway, keeper: Box) -> None:
    keeper.run("chat", "first", ANDO_KEEP="1").worked()
    keeper.run("chat", "second", ANDO_KEEP="1").worked()
    body = json.dumps({"messages": [{"role": "user", "content": "whole"}], "max_tokens": 4})
    keeper.run("chat", stdin=body, ANDO_KEEP="1").worked()
    second, first = kept(keeper)
    assert (first["title"], second["title"]) == ("first", "second")
    keeper.run("chat", "--conversation", first["id"], "third").worked()
    assert [each["title"] for each in kept(keeper)] == ["first", "second"]


def test_a_question_without_an_answer_leaves_the_conversation_as_it_was(warm: Gateway, keeper: Box) -> None:
    keeper.run("chat", "--keep", "one?").worked()
    before = kept(keeper)
    warm.fail(Fault(on="voucher", code="mpp_commit_failed"))
    assert keeper.run("chat", "-c", "two?").code == 4
    keeper.run("chat", "-c", "--dry-run", "three?").worked()
    warm.fail(Fault(on="voucher", status=200, body_text="{}"))
    odd = keeper.run("chat", "-c", "-j", "four?").worked()
    assert "holds no text" in odd.stderr
    assert kept(keeper) == before


def test_an_answer_is_given_also_where_it_cannot_be_kept(warm: Gateway, keeper: Box) -> None:
    folder = keeper.home / "state" / "conversations"
    if folder.exists():
        folder.rmdir()
    folder.write_text("in the way")
    done = keeper.run("chat", "--keep", "hi").worked()
    folder.unlink()
    assert done.stdout.startswith(ANSWER)
    assert "was not saved" in done.stderr
