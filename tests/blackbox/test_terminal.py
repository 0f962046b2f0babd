"""The command on a terminal and without one: prompts, colours, pipes, locales, signals, help."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from ando_cli import __version__
from ando_cli.sandbox.faults import Fault
from tests.support.cli_box import ANDO, MILLION
from tests.support.forked import constants

if TYPE_CHECKING:
    from tests.support.cli_box import Box, Gateway

ANSWER = "This is a canned answer"
QUESTION = "Open a channel with a deposit of 5.00 token at http://127.0.0.1"
COMMANDS = [
    *(
        [],
        ["chat"],
        ["request"],
        ["session"],
        ["session", "open"],
        ["session", "list"],
        ["sandbox"],
        ["sandbox", "run"],
    ),
    *(["wallet"], ["wallet", "create"], ["wallet", "import"], ["wallet", "export"], ["wallet", "remove"]),
]


def paid(gateway: Gateway) -> bool:
    return gateway.balance < 100 * MILLION


# spending without being asked


def test_without_a_terminal_nothing_is_deposited_unless_it_was_allowed(gateway: Gateway, box: Box) -> None:
    shown = box.run("chat", "hi").refused(4)
    assert "--max-spend 5.00" in shown
    assert "--yes" in shown
    assert box.run("chat", "hi", "-j").error["code"] == "consent_required"
    assert "ANDO_MAX_SPEND" in box.run("chat", "hi", ANDO_MAX_SPEND="none").refused(2)
    assert not paid(gateway)
    assert "open" not in gateway.actions


@pytest.mark.parametrize("way", ["--yes", "ANDO_MAX_SPEND", "config.toml"])
def test_without_a_terminal_a_budget_is_enough(gateway: Gateway, box: Box, way: str) -> None:
    if way == "config.toml":
        gateway.configure('max_spend = "2"')
    box.run("chat", "hi", *([way] if way == "--yes" else []), ANDO_MAX_SPEND="2" if way == "ANDO_MAX_SPEND" else None)
    [session] = box.run("session", "list").worked().json
    assert session["deposit"] == ("5.00" if way == "--yes" else "2.00")


def test_on_a_terminal_it_asks_and_no_is_the_default(gateway: Gateway, box: Box) -> None:
    for refusal in ("n\r", "\r"):
        person = box.terminal("chat", "hi")
        person.until(f"{QUESTION}")
        person.until("[y/N]")
        person.type(refusal)
        done = person.end()
        assert done.code == 4
        assert "the deposit was declined" in done.stderr
    person = box.terminal("chat", "hi")
    person.until("[y/N]")
    person.interrupt()
    assert person.end().code == 130
    assert not paid(gateway)
    assert "open" not in gateway.actions


def test_on_a_terminal_yes_pays_also_while_stdin_and_stdout_are_pipes(gateway: Gateway, box: Box) -> None:
    person = box.terminal("chat", "summarise", piped=b"a report", pipe_out=True)
    assert QUESTION in person.until("[y/N]")
    person.type("y\r")
    assert person.end().worked().stdout.startswith(ANSWER)
    assert gateway.actions[-1] == "open"
    assert ANSWER in box.terminal("chat", "again").end().worked().stderr, "an open channel asks nothing"


def test_ctrl_c_while_waiting_ends_with_130_and_no_traceback(warm: Gateway) -> None:
    warm.fail(Fault(on="unpaid", delay=20))
    waiting = warm.box.start("chat", "hi")
    deadline = time.monotonic() + 20
    while not warm.log and time.monotonic() < deadline:
        time.sleep(0.02)
    waiting.send_signal(signal.SIGINT)
    out, err = waiting.communicate(timeout=20)
    assert waiting.returncode == 130
    assert out == b""
    assert b"Traceback" not in err


# what is on the screen


def test_a_spinner_is_for_a_terminal_only(warm: Gateway) -> None:
    slow, soon = Fault(on="voucher", delay=0.6), constants({"terminal.spinner.DELAY": 0.05})
    warm.fail(slow)
    assert "\x1b[?25l" in warm.box.terminal("chat", "hi", **soon).end().worked().stderr
    for arguments, kind in ([], "dumb"), (["-q"], "xterm"):
        warm.fail(slow)
        done = warm.box.terminal("chat", "hi", *arguments, pipe_out=True, TERM=kind, **soon).end().worked()
        assert (done.stderr, done.stdout.startswith(ANSWER)) == ("", True)
    warm.fail(slow)
    assert warm.box.run("chat", "hi", **soon).worked().stderr == ""


def test_colours_are_for_a_terminal_that_wants_them(box: Box) -> None:
    coloured = box.terminal("chat", " ").end()
    assert coloured.code == 2
    assert "\x1b[31merror:\x1b[0m" in coloured.stderr
    for plain in (box.terminal("chat", piped=b"", NO_COLOR="1"), box.terminal("chat", " ", TERM="dumb")):
        assert "\x1b" not in plain.end().stderr
    assert b"\x1b" not in box.run("chat").err


def test_an_answer_cannot_drive_the_terminal_but_reaches_a_pipe_as_it_is(warm: Gateway) -> None:
    nasty = '{"choices":[{"message":{"content":"a\\u001b]0;x\\u0007\\u202eb"}}]}'
    for _ in range(2):
        warm.fail(Fault(on="voucher", status=200, body_text=nasty))
    assert warm.box.run("chat", "hi", "-q").out == "a\x1b]0;x\x07\u202eb\n".encode()
    shown = warm.box.terminal("chat", "hi", TERM="dumb").end().stderr
    assert shown.splitlines()[-1] == "a]0;xb"


@pytest.mark.parametrize(("locale", "utf8"), [("C", None), ("POSIX", None), ("C", "0")])
def test_an_answer_in_any_language_survives_a_narrow_locale(warm: Gateway, locale: str, utf8: str | None) -> None:
    warm.fail(Fault(on="voucher", status=200, body_text='{"choices":[{"message":{"content":"grüß 東京 🙂"}}]}'))
    done = warm.box.installed("chat", "hi", LC_ALL=locale, PYTHONUTF8=utf8, PYTHONCOERCECLOCALE=utf8)
    assert (done.code, done.stdout) == (0, "grüß 東京 🙂\n")


@pytest.mark.parametrize("arguments", [["--help"], ["chat", "-j"], ["chat", "hi"], ["session", "show"]], ids=" ".join)
def test_what_is_forked_for_the_tests_is_the_command_that_is_installed(warm: Gateway, arguments: list[str]) -> None:
    assert warm.box.run(*arguments) == warm.box.installed(*arguments)


# streams that are not there


def test_a_reader_that_goes_away_is_no_error(warm: Gateway) -> None:
    done = warm.box.shell("ando chat hi | head -c1; echo ${PIPESTATUS[0]}; ando --help | true; echo ${PIPESTATUS[0]}")
    assert done.stdout == "T0\n0\n"
    assert done.stderr == ""


def test_closed_streams_are_survived(warm: Gateway) -> None:
    done = warm.box.shell(
        "ando chat hi <&- ; echo $?; ando chat hi 2>&- ; echo $?; ando chat hi >&- ; echo $? >&2;"
        " ando chat <&- >&- 2>&- ; ando request /nothing-here >&- 2>&-"
    )
    answer = done.stdout.splitlines()
    assert answer[0].startswith(ANSWER)
    assert answer[2].startswith(ANSWER)
    assert (answer[1], answer[3]) == ("0", "0")
    assert done.stderr == "0\n"
    assert done.code == 1


def test_a_full_disk_is_an_error_and_no_traceback(warm: Gateway) -> None:
    done = warm.box.shell("ando chat hi >/dev/full")
    assert done.code not in (0, 130)
    assert done.stderr.startswith("error: ")


# the command line itself


def test_the_version(box: Box) -> None:
    for arguments in (["--version"], ["-V"], ["-q", "--version"]):
        done = box.run(*arguments).worked()
        assert (done.stdout, done.stderr) == (f"ando {__version__}\n", "")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_fits_80_columns_and_shows_no_noise(box: Box, command: list[str]) -> None:
    done = box.run(*command, "--help").worked()
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0].startswith(" ".join(["Usage: ando", *command]))
    assert max(map(len, lines)) <= 80
    for noise in ("<", "bool", "[default: 0]", "None", "\x1b", "│"):
        assert noise not in done.stdout
    for expected in ("Global options:", "--sandbox", "-j, --json-output", "-h, --help"):
        assert expected in done.stdout
    assert all(line[-1:] != " " for line in lines)


def test_ando_alone_shows_its_help_and_so_does_a_group(box: Box) -> None:
    for group in ([], ["session"], ["wallet"], ["sandbox"]):
        assert box.run(*group).worked().stdout == box.run(*group, "-h").worked().stdout


def test_a_slip_of_the_pen_is_answered_with_what_was_meant(box: Box) -> None:
    assert "ando chat" in box.run("caht", "hi").refused(2)
    assert "ando session list" in box.run("session", "lst").refused(2)
    assert "ando --help" in box.run("xyzzy").refused(2)
    assert "--max-tokens" in box.run("chat", "--max-token", "5").refused(2)
    assert "\x1b" not in box.run("\x1b[31mred").refused(2)


def test_with_j_every_refusal_is_json_on_stdout(box: Box) -> None:
    for arguments in (
        ["-j", "caht"],
        ["chat", "-j"],
        ["chat", "--nope", "--json-output"],
        ["-j"],
        ["request", "-j"],
        ["-qj", "chat", "--plan", "x", "hi"],
    ):
        done = box.run(*arguments)
        assert done.code == 2, arguments
        assert done.err == b"", arguments
        error = done.error
        assert error["code"] == "usage"
        assert error["hint"]


def test_toon_is_the_same_as_json_in_another_form(warm: Gateway) -> None:
    assert warm.box.run("chat", "hi", "-t").worked().stdout.startswith("id: chatcmpl-")
    assert warm.box.run("session", "list", "-t").worked().stdout.startswith("[1]{id,gateway,network,")
    failed = warm.box.run("chat", "-t", "--nope")
    assert failed.err == b""
    assert failed.stdout.startswith("error:\n  code: usage\n")
    assert "cannot be used together" in warm.box.run("-j", "session", "list", "-t").error["message"]
    table = warm.box.run("session", "list", ANDO_NO_AUTO_JSON="1").worked().stdout
    assert table.startswith("id ")


def test_global_options_stand_before_and_after_the_subcommand(warm: Gateway) -> None:
    here = ["--base-url", warm.base_url, "--network", "local"]
    shown = [
        warm.box.run(*before, "session", *between, "list", *after).worked().json
        for before, between, after in ([here, [], []], [[], here, []], [[], [], here], [here[:2], here[2:], ["-q"]])
    ]
    assert all(found == shown[0] for found in shown)
    verbose = warm.box.run("-v", "request", "/free", "-v").worked().stderr
    assert "content-type" in verbose, "each -v counts, wherever it stands"
    assert "http" in warm.box.run("--base-url", "nonsense", "chat", "hi").refused(2)
    assert "http" in warm.box.run("chat", "hi", "--base-url", "nonsense").refused(2)


def test_the_last_of_two_equal_options_wins(warm: Gateway) -> None:
    warm.box.run("--base-url", "http://127.0.0.1:1/v1", "request", "/free", "--base-url", warm.base_url).worked()


def test_python_dash_m_is_the_same_command(box: Box) -> None:
    python = ANDO.with_name("python")
    done = subprocess.run(
        [python, "-m", "ando_cli", "--version"], capture_output=True, env=box.environment | {"PATH": os.environ["PATH"]}
    )
    assert re.fullmatch(rb"ando \d+\.\d+\.\d+\S*\n", done.stdout)
