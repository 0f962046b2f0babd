"""What was typed: a question, a command, or a slip."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ando_cli
from ando_cli.config.settings import Flags, load
from ando_cli.errors import UsageError
from ando_cli.repl import actions
from ando_cli.repl.slash import COMMANDS, Called, Said, help_text, read


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("", None),
        (" \n ", None),
        ("  hello\nthere ", Said("hello\nthere")),
        ("/help", Called("help")),
        (" /HELP ", Called("help")),
        ("/quit", Called("exit")),
        ("/model", Called("model")),
        ("/model  Qwen/Qwen3 ", Called("model", "Qwen/Qwen3")),
        ("/system be brief\nand kind", Called("system", "be brief\nand kind")),
        ("//help", Said("/help")),
        ("/usr/bin/env: what is it?", Said("/usr/bin/env: what is it?")),
        ("/* a comment */\nint main()", Said("/* a comment */\nint main()")),
    ],
)
def test_a_line_is_a_question_or_a_command(line: str, meant: Said | Called | None) -> None:
    assert read(line) == meant


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("/modle x", "no command /modle", "did you mean /model?"),
        ("/zzz", "no command /zzz", "/help lists"),
        ("/", "no command /", "/help lists"),
        ("/topup", "/topup needs an argument", "/topup AMOUNT"),
        ("/undo twice", "/undo takes no argument", "/undo alone"),
    ],
)
def test_a_slip_is_answered_with_what_was_meant(line: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(line)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


@given(st.text())
def test_any_line_is_read_or_refused(line: str) -> None:
    try:
        typed = read(line)
    except UsageError:
        return
    if isinstance(typed, Called):
        assert typed.name in COMMANDS


def test_every_command_is_carried_out_by_somebody() -> None:
    assert {*actions.ACTIONS, "exit"} == set(COMMANDS)


@pytest.mark.parametrize("width", [30, 39, 79, 200])
def test_the_help_fits_the_screen(width: int) -> None:
    lines = help_text(width).splitlines()
    assert max(map(len, lines)) <= width
    assert all(any(line.startswith(f"/{name}") for line in lines) for name in COMMANDS)


def test_a_command_that_is_typed_is_completed(tmp_path: Path) -> None:
    home = Path(ando_cli.__file__).parent
    settings = load(Flags(sandbox=True), {"ANDO_HOME": str(tmp_path)})

    def offered(text: str) -> list[str]:
        return [word for word, _ in actions.offers(text, settings)]

    assert offered("/s") == ["/system", "/session", "/save"]
    assert offered("/plan p") == ["Plus", "Premium"]
    assert offered("/rail ") == ["mpp", "key"]
    assert offered(f"/load {home}/inference/prom") == [f"{home}/inference/prompt.py"]
    assert offered(f"/save {home}/repl") == [f"{home}/repl/"]
    assert offered("/model ") == []
    settings.folders.state.mkdir(parents=True)
    (settings.folders.state / "models.json").write_text(json.dumps({"models": ["org/one", "org/two", 3]}))
    assert offered("/model ORG/o") == ["org/one"]
    for text in ("hello", "//s", "/system a b", "/load /nowhere/at", "/plan x\n"):
        assert offered(text) == []
