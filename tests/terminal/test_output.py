"""The terminal as one object: what goes to which stream, in which form."""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from toon_format import decode

from ando_cli.errors import AndoError, ExitCode, UsageError
from ando_cli.terminal.output import Terminal, check_writable

if TYPE_CHECKING:
    from pathlib import Path


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal(*, out: io.StringIO | None = None, err: io.StringIO | None = None, keys: str = "", **env: str) -> Terminal:
    return Terminal(Screen(keys), out or io.StringIO(), err or Screen(), env)


def written(stream: object) -> str:
    assert isinstance(stream, io.StringIO)
    return stream.getvalue()


def test_an_error_is_two_lines_on_stderr_or_one_object_on_stdout() -> None:
    error = UsageError("it is wrong", hint="mend it")
    plain = terminal(err=io.StringIO())
    assert plain.fail(error) is ExitCode.USAGE
    assert (written(plain.stdout), written(plain.stderr)) == ("", "error: it is wrong\ntry: mend it\n")
    asked = terminal()
    asked.json_output = True
    asked.fail(error)
    assert written(asked.stderr) == ""
    assert json.loads(written(asked.stdout)) == {
        "error": {
            "code": "usage",
            "message": "it is wrong",
            "hint": "mend it",
            "exit_code": 2,
            "retryable": False,
            "retry_after": None,
            "request_id": None,
        }
    }


def test_colours_need_a_terminal_that_takes_them() -> None:
    assert terminal().colour
    assert not terminal(err=io.StringIO()).colour
    assert not terminal(NO_COLOR="1").colour
    assert terminal(NO_COLOR="").colour, "empty is unset, as no-color.org says"
    assert not terminal(TERM="dumb").colour


def test_quiet_silences_notes_and_not_warnings() -> None:
    quiet = terminal(err=io.StringIO())
    quiet.quiet = True
    quiet.note("fine")
    quiet.warn("look")
    assert written(quiet.stderr) == "warning: look\n"


def test_details_come_with_their_level() -> None:
    some = terminal(err=io.StringIO())
    some.verbose = 1
    some.detail(1, "first")
    some.detail(2, "second")
    some.stage("third")
    assert written(some.stderr) == "first\nthird\n"


def test_control_characters_are_kept_from_a_person_only() -> None:
    pipe, person = terminal(), terminal(out=Screen())
    for each in (pipe, person):
        each.answer("a\x1b[2J\u202eb")
    assert written(pipe.stdout) == "a\x1b[2J\u202eb\n"
    assert written(person.stdout) == "a[2Jb\n"


def test_json_is_indented_for_a_person() -> None:
    pipe, person = terminal(), terminal(out=Screen())
    for each in (pipe, person):
        each.json({"é": 1})
    assert written(pipe.stdout) == '{"é": 1}\n'
    assert written(person.stdout) == '{\n  "é": 1\n}\n'


def in_toon() -> Terminal:
    asked = terminal()
    asked.json_output = asked.toon_output = True
    return asked


def test_answers_and_errors_can_be_toon() -> None:
    rows = [{"id": "0x1", "left": "1.00"}, {"id": "0x2", "left": "0.50"}]
    answering, failing = in_toon(), in_toon()
    answering.json(rows)
    assert written(answering.stdout) == '[2]{id,left}:\n  0x1,"1.00"\n  0x2,"0.50"\n'
    assert decode(written(answering.stdout)) == rows
    failing.fail(UsageError("it is wrong: all of it", hint="mend it"))
    assert decode(written(failing.stdout)) == {
        "error": {
            "code": "usage",
            "message": "it is wrong: all of it",
            "hint": "mend it",
            "exit_code": 2,
            "retryable": False,
            "retry_after": None,
            "request_id": None,
        }
    }


def test_a_servers_json_is_left_as_it_is_unless_toon_is_asked_for() -> None:
    body = b'{ "choices": [{"content": "h\\u00e9, \\u001b[2J"}] }'
    assert terminal().document(body) == body
    shown = in_toon().document(body)
    assert decode(shown.decode()) == json.loads(body)
    assert b"\x1b" not in shown


@pytest.mark.parametrize("body", [b"<html>", b"\xff", b"[" * 100_000])
def test_what_is_no_json_was_paid_for_all_the_same(body: bytes) -> None:
    asked = in_toon()
    assert asked.document(body) == body
    assert "not JSON" in written(asked.stderr)


@pytest.mark.parametrize(
    ("screen", "json_output", "variable", "data"),
    [
        (True, False, None, False),
        (True, True, None, True),
        (False, False, None, True),
        (False, False, "", True),
        (False, False, "0", True),
        (False, False, "1", False),
        (False, False, "true", False),
        (False, True, "1", True),
    ],
)
def test_a_table_is_for_a_person(screen: bool, json_output: bool, variable: str | None, data: bool) -> None:
    asked = terminal(out=Screen() if screen else None, **({} if variable is None else {"ANDO_NO_AUTO_JSON": variable}))
    asked.json_output = json_output
    assert asked.structured is data


@pytest.mark.parametrize(
    ("keys", "answer"), [("y\n", True), (" YES \n", True), ("n\n", False), ("\n", False), ("", False), ("yup\n", False)]
)
def test_only_yes_is_yes(keys: str, answer: bool) -> None:
    asked = terminal(keys=keys)
    assert asked.ask("Pay?") is answer
    assert written(asked.stderr) == "Pay? [y/N] "


def test_nobody_is_asked_where_nobody_sees_it() -> None:
    assert terminal(err=io.StringIO(), keys="y\n").ask("Pay?") is None


def test_progress_is_nothing_without_a_terminal() -> None:
    for silent in (terminal(err=io.StringIO()), terminal(TERM="dumb")):
        with silent.progress():
            pass
        assert written(silent.stderr) == ""


def test_a_table_keeps_numbers_whole_on_a_narrow_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "24")
    drawn = terminal()
    drawn.table(("where", "left"), [("https://gateway.example", "123.456789")], right=("left",), fold=("where",))
    assert "123.456789" in written(drawn.stdout)
    assert max(map(len, written(drawn.stdout).splitlines())) <= 24


def test_a_file_is_checked_before_it_is_paid_for(tmp_path: Path) -> None:
    check_writable(tmp_path / "new")
    for wrong in (tmp_path, tmp_path / "no" / "folder"):
        with pytest.raises(UsageError, match="cannot write"):
            check_writable(wrong)


def test_a_paid_answer_that_cannot_be_saved_goes_to_stdout(tmp_path: Path) -> None:
    out = io.BytesIO()
    saving = Terminal(Screen(), io.TextIOWrapper(out, encoding="utf-8"), Screen(), {})
    with pytest.raises(AndoError, match="cannot write"):
        saving.save(tmp_path, b"dear words\n")
    assert out.getvalue() == b"dear words\n"


class Narrow(Screen):
    """A screen whose encoding has no blocks to draw bars with."""

    encoding = "latin-1"  # type: ignore[assignment]


TABLE: dict[str, Any] = {
    "columns": ("day", "tokens", "spent"),
    "rows": [["2026-11-01", "1,000,000,000", "1.00"], ["2026-11-02", "5", "0.25"]],
    "right": ("tokens", "spent"),
    "fold": (),
}


def drawn(screen: Screen, monkeypatch: pytest.MonkeyPatch, columns: int, **more: Any) -> list[str]:
    """A table on a screen of that width."""
    monkeypatch.setenv("COLUMNS", str(columns))
    terminal(out=screen, NO_COLOR="1").table(**TABLE, **more)
    return [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in written(screen).splitlines()]


def test_a_table_has_bars_as_far_as_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = drawn(Screen(), monkeypatch, 50, bars=[1_000_000, 250_000])
    assert lines == [
        "day               tokens spent",
        "2026-11-01 1,000,000,000  1.00 ###################",
        "2026-11-02             5  0.25 ####",
    ], "where nobody says what the encoding is"
    assert len(drawn(Screen(), monkeypatch, 200, bars=[4, 1])[1]) <= 80
    assert "#" not in "".join(drawn(Screen(), monkeypatch, 36, bars=[4, 1])), "too short to say anything"


def test_bars_are_blocks_where_the_encoding_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "█" in drawn(type("Utf8", (Screen,), {"encoding": "utf-8"})(), monkeypatch, 80, bars=[4, 1])[1]
    assert "#" in drawn(Narrow(), monkeypatch, 80, bars=[4, 1])[1]


def test_a_narrow_terminal_does_without_what_can_be_spared_so_that_amounts_stay_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = drawn(Screen(), monkeypatch, 20, spare=("tokens",))
    assert lines == ["day        spent", "2026-11-01  1.00", "2026-11-02  0.25"]


def test_csv_leaves_empty_what_is_not_known() -> None:
    shown = terminal()
    shown.csv(("name", "spent"), [["a,b", None], ['"', "-0.25"]])
    assert written(shown.stdout) == 'name,spent\n"a,b",\n"""",-0.25\n'


@pytest.mark.parametrize("text", ["=1+1", "+a", "-2+3", "@x", "-"])
def test_csv_holds_no_formula(text: str) -> None:
    shown = terminal()
    shown.csv(("name",), [[text]])
    assert written(shown.stdout) == f"name\n'{text}\n"
