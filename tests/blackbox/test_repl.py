"""A conversation on a terminal, as somebody has it who types and looks at the screen."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any

import pexpect
import pytest

from ando_cli.sandbox.faults import Fault
from tests.support.cli_person import Person
from tests.support.forked import ANDO

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cli_box import Box, Gateway

ANSWER = "This is a canned answer"
MODEL = "Qwen/Qwen3-8B-AWQ"
QUESTION = "Open a channel with a deposit of 5.00 token at"
TURN = ["unpaid", "voucher"]
KEY_RAIL = ("chat", "--rail", "key", "-m", MODEL)


def kept(box: Box) -> dict[str, Any]:
    """The one conversation that is kept."""
    [row] = box.run("conversations", "list").worked().json
    return dict(box.run("conversations", "show", row["id"]).worked().json)


def asked(conversation: dict[str, Any]) -> list[str]:
    return [message["content"] for message in conversation["messages"] if message["role"] == "user"]


def test_a_newcomer_talks_tops_up_leaves_and_comes_back_and_every_base_unit_is_accounted_for(
    gateway: Gateway, box: Box
) -> None:
    person = Person(box, "chat", "--keep")
    person.is_asked()
    assert person.status == "mpp · Starter · 0 tokens · spent 0.00 token · left unknown"
    person.type("question 1\r")
    assert QUESTION in person.sees("[y/N]")
    person.type("y\r")
    for number in range(2, 6):
        assert ANSWER in person.says(f"question {number}")[1]
    person.type("/topup 2\r")
    person.sees("Top up the channel with a deposit of 2.00 token")
    person.type("y\r")
    person.sees("deposit 7.00, left 6.99")
    for number in range(6, 11):
        person.says(f"question {number}")
    assert "left 6.98" in person.status
    person.leaves()
    assert gateway.actions == ["unpaid", "open", *TURN * 4, "unpaid", "topUp", *TURN * 5]

    person = Person(box, "chat", "-c")
    assert "continuing after 10 turns" in person.sees(ANSWER)
    person.says("question 11")
    shown = "\n".join(person.says("/usage"))
    person.leaves()

    conversation = kept(box)
    assert asked(conversation) == [f"question {number}" for number in range(1, 12)]
    [session] = box.run("session", "list").worked().json
    assert session["deposit"] == "7.00"
    assert conversation["spent"] == session["spent"]
    assert f"spent from channels: {session['spent']} token" in shown
    assert "11 turns" in shown
    box.run("spend", "--check").worked()
    box.run("session", "close").worked()
    box.run("spend", "--check").worked()


def test_a_cancelled_turn_and_a_failed_one_leave_the_conversation_as_it_was_ready_to_retry(warm: Gateway) -> None:
    person = Person(warm.box, "chat", "--keep")
    person.says("first")
    warm.fail(Fault(on="unpaid", delay=60))
    person.type("second\r")
    person.sees("asking")
    person.interrupt()
    person.sees("cancelled: nothing was charged")
    warm.fail(Fault(on="voucher", delay=60))
    person.type("/retry\r")
    person.sees("waiting for the answer")
    person.interrupt()
    person.sees("may still be charged")
    person.is_asked()
    assert warm.box.records()["claims"] == [], "nobody waits for a request that was given up"
    assert "+?" in person.status
    warm.fail(Fault(on="voucher", code="mpp_commit_failed"))
    assert any(row.startswith("error: ") for row in person.says("/retry"))
    assert ANSWER in "\n".join(person.says("/retry"))
    assert "+?" not in person.status, "a receipt tells of all that was spent"
    person.says("third")
    person.leaves()
    conversation = kept(warm.box)
    warm.box.run("conversations", "remove", "--all", "--yes").worked()
    assert asked(conversation) == ["first", "second", "third"]
    unknown = [row for row in warm.box.records()["ledger"] if "unknown" in row]
    assert len(unknown) == 2, "the one that was cancelled too late, and the one that was not committed"


def test_an_answer_on_the_key_rail_is_drawn_while_it_arrives(warm: Gateway) -> None:
    answer = "# Two rivers\n\n1. the **Rhine**\n2. the `Danube`\n\n```python\nprint(1)\n```\n\nThat is all."
    warm.change(answer=answer)
    person = Person(warm.box, *KEY_RAIL, ANDO_VIRTUAL_KEY=warm.sandbox.virtual_key)
    warm.fail(Fault(on="chat", stream={"event_delay": 60, "delay_after": 12}))
    person.is_asked()
    person.type("two rivers?\r")
    person.sees("the Rhine")
    person.interrupt()
    person.sees("may still be charged")
    shown = person.says("/retry")
    person.leaves()
    warm.change(answer=None)
    assert [row for row in shown[1:] if row] == [
        "Two rivers", " 1 the Rhine", " 2 the Danube", "```python", "print(1)", "```", "That is all."
    ]  # fmt: skip
    assert warm.actions == ["chat", "chat"], "one round trip a turn"


def test_running_out_of_the_deposit_asks_once_and_goes_on(gateway: Gateway, box: Box) -> None:
    box.run("session", "open", "--deposit", "1", "--yes").worked()
    gateway.change(prices=dict.fromkeys(("Starter", "Plus", "Premium"), 25_000))
    person = Person(box, "chat", "--max-tokens", "8")
    person.says("a")
    person.type("b\r\r\r")  # what was typed before the question is no answer to it
    person.sees("Top up the channel with a deposit of")
    person.type("n\r")
    person.sees("the deposit was declined")
    person.is_asked()
    person.type("/retry\r")
    person.sees("[y/N]")
    person.type("y\r")
    person.sees(ANSWER)
    person.is_asked()
    assert gateway.actions.count("topUp") == 1
    person.leaves()


def test_what_is_typed_is_remembered_in_a_file_of_ones_own_unless_it_is_not_to_be(warm: Gateway) -> None:
    box = warm.box
    file = box.home / "state" / "history"
    file.unlink(missing_ok=True)
    for arguments, variables in ((["--no-history"], {}), ([], {"ANDO_HISTORY": "0"})):
        person = Person(box, "chat", *arguments, **variables)
        person.says("a passing thought")
        person.leaves()
    assert not file.exists()
    person = Person(box, "chat")
    person.is_asked()
    person.type("\x1b[200~line one\nline two\x1b[201~")  # pasted
    person.sees("line two")
    person.type("\x1b\rline three\r")
    assert ANSWER in person.sees(ANSWER)
    person.is_asked()
    person.type("thrown away\x03")
    person.is_asked()
    person.leaves()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [json.loads(line) for line in file.read_text().splitlines()] == ["line one\nline two\nline three"]
    person = Person(box, "chat")
    person.is_asked()
    person.type("\x1b[A")
    person.sees("line three")
    person.type("\x03")
    person.leaves()
    state = {path for path in (box.home / "state").rglob("*") if path.is_file() and b"line two" in path.read_bytes()}
    assert state == {file}, "the history is the only place"


def test_the_commands_do_what_they_say(warm: Gateway, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nprintf "a better question" > "$1"\n')
    editor.chmod(0o755)
    variables = {"EDITOR": str(editor), "VISUAL": None, "ANDO_VIRTUAL_KEY": warm.sandbox.virtual_key}
    person = Person(warm.box, "chat", size=(100, 40), **variables)

    def says(line: str) -> str:
        return "\n".join(person.says(line)[1:])

    assert "/topup AMOUNT" in says("/help")
    assert "did you mean /model?" in says("/modle x")
    assert "nothing was asked yet" in says("/retry")
    assert "no channel" not in says("/session")
    assert "plan: Plus" in says("/plan plus")
    assert "choose one of Starter" in says("/plan gold")
    assert "system: be brief" in says("/system be brief")
    assert "the gateway picks one" in says("/model")
    assert ANSWER in says("//etc is what?")
    assert ANSWER in says("a question")
    assert "removed: a question" in says("/undo")
    assert ANSWER in says("/edit")
    file = warm.box.folder / "talk.json"
    assert "written to talk.json" in says("/save talk.json")
    assert "written to talk.md" in says("/save 'talk.md'")
    person.type("/save talk.json\r")
    person.sees("Overwrite it? [y/N]")
    person.type("\r")
    person.sees("nothing was written")
    saved = json.loads(file.read_text())
    assert asked(saved) == ["a better question"]
    assert (saved["system"], saved["plan"]) == ("be brief", "Plus")
    assert file.with_name("talk.md").read_text().startswith("# a better question\n")
    assert "a new conversation" in says("/clear")
    assert "0 tokens" in person.status
    assert "continuing after 1 turn: a better question" in says("/load talk.json")
    assert "cannot read" in says("/load nowhere.json")
    assert "is not JSON" in says("/load talk.md")
    assert "needs a model" in says("/rail key")
    assert "give one with -m" in says("a question without a model")
    assert f"model: {MODEL}" in says(f"/model {MODEL}")
    assert ANSWER in says("/retry")
    assert "not a channel" in says("/topup 1")
    assert person.status.startswith(f"key · {MODEL} · ")
    person.type("/exit\r")
    person.end().worked()


@pytest.mark.parametrize(("width", "marks"), [(80, {}), (40, {"NO_COLOR": "1"})])
def test_a_long_answer_is_whole_on_any_screen(warm: Gateway, width: int, marks: dict[str, str]) -> None:
    words = [f"word{number}" for number in range(300)]
    warm.change(answer="\n".join(f"- {' '.join(words[start : start + 30])}" for start in range(0, 300, 30)))
    person = Person(warm.box, *KEY_RAIL, size=(width, 12), ANDO_VIRTUAL_KEY=warm.sandbox.virtual_key, **marks)
    warm.fail(Fault(on="chat", stream={"event_delay": 0.002}))
    shown = person.says("many words")
    person.leaves()
    warm.change(answer=None)
    assert " ".join(" ".join(shown[1:]).replace("•", "").split()) == " ".join(words)
    if marks:
        assert "\x1b[36m" not in person.screen


def test_a_terminal_that_can_do_nothing_takes_lines(warm: Gateway) -> None:
    person = warm.box.terminal("chat", TERM="dumb")
    person.until("> ")
    person.type("hello\r")
    person.until(ANSWER)
    person.type("/modle\r")
    person.until("did you mean /model?")
    person.type("\x04")
    done = person.end().worked()
    assert "\x1b" not in done.stderr


def test_it_is_for_somebody_at_a_terminal(warm: Gateway) -> None:
    assert "needs a terminal" in warm.box.run("chat", "-i").refused()
    assert "takes no -j" in warm.box.terminal("chat", "-i", "--dry-run").end().stderr
    assert "empty" in warm.box.terminal("chat", pipe_out=True).end().stderr
    person = Person(warm.box, "chat", "-i", "the first question")
    person.sees(ANSWER)
    person.leaves()


def test_the_installed_command_talks_too(box: Box) -> None:
    environment = box.environ({"PROMPT_TOOLKIT_NO_CPR": "1", "TERM": "xterm"})
    with pexpect.spawn(str(ANDO), ["--sandbox", "chat"], env=environment, cwd=box.folder, timeout=30) as talk:  # type: ignore[arg-type]
        for typed, shown in (("hello", "Ctrl-D leaves"), ("/session", ANSWER), ("/exit", "left +4.99")):
            talk.expect(shown)
            talk.expect_exact("\x1b[?2004h")  # pasting is possible: so is typing
            talk.send(f"{typed}\r")
        talk.expect(pexpect.EOF)
    assert talk.exitstatus == 0


def test_it_works_whole_in_the_sandbox(box: Box) -> None:
    person = Person(box, "--sandbox", "chat", "--keep", "-u")
    assert "deposited: 5.00" in "\n".join(person.says("hello"))
    assert "deposit 6.00" in "\n".join(person.says("/topup 1"))
    person.leaves()
    assert box.run("--sandbox", "chat", "-c", "again").worked().stdout.startswith(ANSWER)
    assert box.run("--sandbox", "spend", "--check").worked()
