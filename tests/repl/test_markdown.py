"""Answers as lines for a terminal, whole and while they arrive."""

from __future__ import annotations

import io
import re
from typing import IO, TYPE_CHECKING, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from ando_cli.redact import printable
from ando_cli.repl import markdown
from ando_cli.repl.markdown import Look, render, split
from ando_cli.repl.screen import Arriving, Screen
from ando_cli.terminal.output import Terminal
from tests.support.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest

PARTS = st.sampled_from(
    ["# Title\n", "para\n", "\n", "word ", "- item\n", "  - inner\n", "1. one\n", "```python\n", "```\n", "> quote\n",
     "| a | b |\n|---|---|\n", "| 1 | 2 |\n", "---\n", "**bold** ", "`code`", "    indented\n", "===\n", "<b>\n",
     "東京 ", "#", "-", "=", "[a](http://b.c)", "*", "x" * 30, "\t"]
)  # fmt: skip
ANSWERS = st.lists(PARTS, max_size=25).map("".join)


def look(width: int = 40, **environ: str) -> Look:
    return Look(width, {"TERM": "xterm-256color", **environ})


def plain(text: str, width: int = 40) -> list[str]:
    """What is read of an answer that is one block."""
    return [re.sub(r"\x1b\[[0-9;]*m", "", line.text).rstrip() for line in render(text, look(width))]


class Small(Screen):
    """A screen of ten rows."""

    def size(self) -> tuple[int, int]:
        return cast("Emulator", self.stdout).columns, 10


def screen(terminal: Emulator) -> Small:
    stream = cast("IO[str]", terminal)
    return Small(Terminal(io.StringIO(), stream, stream, {"TERM": "xterm"}))


def arrive(pieces: Iterable[str], columns: int = 40) -> list[str]:
    """What a terminal of ten rows shows of an answer that came in these pieces."""
    terminal = Emulator(columns, 10)
    arriving = Arriving(screen(terminal))
    for piece in pieces:
        arriving.add(piece)
        arriving.draw()
    arriving.end()
    return terminal.lines


@settings(max_examples=40)
@given(ANSWERS, st.data())
def test_in_whatever_pieces_an_answer_arrives_it_ends_as_if_it_had_come_whole(answer: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(answer)), max_size=12)))
    pieces = [answer[start:end] for start, end in zip([0, *cuts], [*cuts, len(answer)], strict=True)]
    assert arrive(pieces) == arrive([answer])


@settings(max_examples=60)
@given(ANSWERS)
def test_the_blocks_are_all_of_the_text(answer: str) -> None:
    blocks, rest = split(answer, whole=False)
    assert "".join(blocks) + rest == answer
    assert "".join(split(answer, whole=True)[0]).strip() in ("", answer.strip())


@settings(max_examples=60)
@given(ANSWERS | st.text(max_size=80).map(printable), st.integers(10, 60))
def test_no_line_is_wider_than_the_screen(answer: str, width: int) -> None:
    for block in split(answer, whole=True)[0]:
        for line in render(block, look(width)):
            assert line.cells <= width
            assert "\n" not in line.text


def test_what_a_model_writes_is_all_there() -> None:
    assert plain("a poem\nof two lines") == ["a poem", "of two lines"]
    assert plain("<think>so</think> it is") == ["<think>so</think> it is"]
    assert plain("[here](https://evil.example) and <https://a.b>", 79) == [
        "here (https://evil.example) and https://a.b"
    ]  # fmt: skip
    assert plain("```sh\nls -l   \n\n```") == ["```sh", "ls -l", "```"]
    assert plain("# One\n") == ["One"]
    assert plain("".join(f"{'  ' * depth}- at {depth}\n" for depth in range(60)))[-1].endswith("at 59")


def test_colours_are_for_those_who_want_them() -> None:
    text = "**bold** `code`\n\n```python\nprint(1)\n```"
    coloured, without = ("".join(line.text for line in render(text, look(**{name: "1"}))) for name in ("X", "NO_COLOR"))
    assert re.search(r"\x1b\[[0-9;]*3[0-7]m", coloured)
    assert not re.search(r"\x1b\[[0-9;]*[349][0-7]m", without)
    assert "\x1b[1m" in without


def test_a_screen_without_the_characters_gets_others() -> None:
    lines = render("- item\n\n> quote", Look(40, {"TERM": "xterm"}, unicode=False))
    assert all(line.text.isascii() for line in lines)


def test_a_block_that_is_too_long_to_be_read_as_markdown_is_shown_as_it_is() -> None:
    words = "**word** " * (markdown.LONGEST_BLOCK // 8)
    assert "".join(plain(words, 80)).replace(" ", "") == words.replace(" ", "")
    assert arrive([words, "and **on**"], 80)[-1] == "and on"


def test_an_answer_that_cannot_be_drawn_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(block: str, look: Look) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr(markdown, "_draw", fail)
    assert plain("**all of it**") == ["**all of it**"]


def test_escapes_do_not_reach_the_terminal() -> None:
    assert arrive(["a\x1b]0;title\x07\x1b[31m", "b\u202e\x9bc"]) == ["a]0;title[31mbc"]


def test_what_is_said_meanwhile_stands_above_what_can_still_change() -> None:
    terminal = Emulator(40, 10)
    shown = screen(terminal)
    arriving = Arriving(shown)
    arriving.add("The answer has")
    arriving.draw()
    shown.warn("no receipt")
    arriving.add(" arrived.")
    arriving.end()
    assert terminal.lines == ["warning: no receipt", "The answer has arrived."]
