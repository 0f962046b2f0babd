"""The command line: slips of the pen, screens of any width, narrow encodings."""

from __future__ import annotations

import io
import json
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, Any

import pytest

from ando_cli.app import run
from ando_cli.terminal.output import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Ando


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("chat --max-spent 5 hi", "--max-spend"),
        ("chat hi --temperatur=3", "--temperature"),
        ("session list --cahin", "--chain"),
        ("--sandbx chat hi", "--sandbox"),
        ("chat hi --jsn-output", "--json-output"),
        ("session close --al", "--all"),
        ("chat --json hi", "--json-output"),
    ],
)
def test_an_option_that_is_misspelt_is_answered_with_the_one_that_was_meant(ando: Ando, line: str, meant: str) -> None:
    assert f"try: did you mean {meant}?" in ando(*line.split()).refused(2)


def test_an_option_that_is_like_no_other_is_answered_with_the_help_page(ando: Ando) -> None:
    for option in ("--zzz", "--stopwatch"):
        shown = ando("chat", option, "hi").refused(2)
        assert "try: ando chat --help" in shown
        assert "--stop " not in shown.replace(option, ""), "what is merely a little alike is not offered"


@pytest.mark.parametrize("width", [40, 59, 60, 80, 200])
@pytest.mark.parametrize("command", [[], ["chat"], ["session", "open"], ["voucher", "verify"]], ids=" ".join)
def test_a_help_page_fits_the_screen(ando: Ando, command: list[str], width: int) -> None:
    page = ando(*command, "--help", COLUMNS=str(width)).worked().out.partition("Examples:")[0]
    assert max(map(len, page.splitlines())) <= min(width, 80)
    assert "--sandbox" in page


class Narrow(io.TextIOWrapper):
    """A stream whose encoding has but a few characters."""

    def __init__(self, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, write_through=True)

    @property
    def written(self) -> bytes:
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue()


@contextmanager
def narrow() -> Iterator[tuple[Narrow, Narrow]]:
    """stdout and stderr that take ASCII only. Not a fixture: pytest sets the streams anew before each test."""
    out, err = Narrow("ascii"), Narrow("ascii")
    with redirect_stdout(out), redirect_stderr(err):
        yield out, err


def test_what_an_encoding_has_not_is_written_in_another_way() -> None:
    with narrow() as (out, err):
        terminal = Terminal.standard()
        terminal.note("0x12…34 · a → b — \udcff 東")
        terminal.answer("naïve…")
        terminal.table(("id", "städt"), [("0x12…34", "köln")], right=(), fold=())
    assert err.written == b"0x12...34 - a -> b - ? ?\n"
    assert out.written.splitlines()[0] == b"na?ve..."
    assert b"k?ln" in out.written


def test_data_loses_nothing_in_a_narrow_encoding() -> None:
    value: Any = {"id": "0x12…34", "name": "東\ud800"}
    with narrow() as (out, _):
        Terminal.standard().json(value)
    assert json.loads(out.written) == value


@pytest.mark.parametrize(
    "arguments", [["--help"], ["\udcff"], ["config", "get", "\udcff"], ["chat", "\udcff", "--body", "x"], ["skill"]]
)
def test_no_command_fails_over_an_encoding(arguments: list[str]) -> None:
    with narrow() as (out, err):
        assert run(arguments) in (0, 2)
    assert out.written or err.written


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {}])
def test_a_table_in_a_pipe_or_without_colour_has_no_escape_sequence(ando: Ando, variables: dict[str, str]) -> None:
    shown = ando("config", "list", ANDO_NO_AUTO_JSON="1", FORCE_COLOR="", **variables).worked().out
    assert "\x1b" not in shown
    assert shown.startswith("key ")
