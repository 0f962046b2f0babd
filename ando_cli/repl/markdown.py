"""Markdown answers as lines for a terminal, also while they arrive.

A server's text never controls the terminal: escapes are stripped first, links are shown with their addresses, and HTML
is shown as text.
"""

from __future__ import annotations

import io
import re
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt
from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.markdown import CodeBlock, Heading, Markdown
from rich.segment import Segment
from rich.style import Style
from rich.syntax import Syntax
from rich.theme import Theme

from ando_cli.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from markdown_it.token import Token
    from rich.console import ConsoleOptions, RenderResult

LONGEST_BLOCK = 20_000
"""The most characters of one block to read as Markdown; a longer block is shown as plain text."""

_RESET = "\x1b[0m"
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
_ASCII = str.maketrans({"•": "*", "▌": "|", "─": "-", "━": "-", "│": "|", "…": ".", "🌆": "image:"})


@frozen
class Line:
    """One line of the terminal: its text with colours, and how many columns it takes."""

    text: str
    cells: int


@frozen
class Look:
    """What a terminal can show: its columns, whether it has all characters, and its environment."""

    width: int
    environ: Mapping[str, str]
    unicode: bool = True


class _Code(CodeBlock):
    """Code between its fences, so that it can be copied."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        dim = Style(dim=True)
        lexer = "" if self.lexer_name == "text" else self.lexer_name
        yield Segment(f"```{lexer}", dim)
        yield Segment.line()
        yield Syntax(str(self.text).rstrip(), self.lexer_name, theme=self.theme, word_wrap=True)
        yield Segment("```", dim)
        yield Segment.line()


class _Heading(Heading):
    LEVEL_ALIGN = dict.fromkeys(Heading.LEVEL_ALIGN, "left")


class _Answer(Markdown):
    elements = Markdown.elements | {"fence": _Code, "code_block": _Code, "heading_open": _Heading}

    def __init__(self, tokens: list[Token]) -> None:
        super().__init__("", code_theme="ansi_dark", hyperlinks=False)
        self.parsed = tokens


def split(text: str, *, whole: bool) -> tuple[list[str], str]:
    """Return the blocks of a text that cannot change any more, and the rest of the text.

    Args:
        text: without control characters (``redact.printable``).
        whole: whether the text is complete, so that the last block cannot change either.
    """
    # A line that is not complete can turn out to belong to the block before it.
    settled = text if whole else text[: text.rfind("\n") + 1]
    starts = [
        token.map[0] for token in _parser().parse(settled) if token.level == 0 and token.map and token.nesting >= 0
    ]
    if not starts:
        return [], "" if whole else text
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    starts[0] = 0
    ends = [*starts[1:], len(lines)]
    blocks = ["".join(lines[start:end]) for start, end in zip(starts, ends, strict=True)]
    return (blocks, "") if whole else (blocks[:-1], blocks[-1])


def render(block: str, look: Look) -> list[Line]:
    """Return the lines of one block without control characters, and without empty lines around it."""
    shown = None
    if len(block) <= LONGEST_BLOCK:
        # The answer was paid for, so what cannot be drawn is shown as plain text.
        with suppress(Exception):
            shown = _draw(block, look)
    text = _plain(block, look.width) if shown is None else shown
    if not look.unicode:
        text = text.translate(_ASCII)
    lines = [Line(line, cell_len(_ESCAPES.sub("", line))) for line in map(_trimmed, text.split("\n"))]
    while lines and not lines[-1].cells:
        lines.pop()
    while lines and not lines[0].cells:
        lines.pop(0)
    return lines


def _draw(block: str, look: Look) -> str:
    tokens = list(_readable(_parser().parse(block)))
    # A list is indented by three columns for each list around it, as long as there is room for its words.
    if 3 * max((token.level for token in tokens), default=0) > 2 * look.width:
        raise ValueError("too deep")
    console = _console(look)
    with console.capture() as capture:
        console.print(_Answer(tokens))
    return capture.get()


def _plain(block: str, width: int) -> str:
    """Return ``block`` as plain text, in lines of at most ``width`` columns."""
    lines = (line.expandtabs(4) for line in block.split("\n"))
    return "\n".join(part for line in lines for part in (chop_cells(line, width) or [""]))


def _readable(tokens: Iterable[Token]) -> Iterable[Token]:
    """Return ``tokens`` with the text's line breaks, and without repeated addresses."""
    for token in tokens:
        children = list(token.children or ())
        for index, child in enumerate(children):
            if child.type == "softbreak":
                child.type = "hardbreak"
            bare = [each.type for each in children[index : index + 3]] == ["link_open", "text", "link_close"]
            if bare and children[index + 1].content == child.attrs.get("href"):
                children[index].hidden = children[index + 2].hidden = True
        token.children = [child for child in children if not child.hidden] if children else token.children
        yield token


def _trimmed(line: str) -> str:
    """Return ``line`` without trailing spaces."""
    reset = _RESET if line.endswith(_RESET) else ""
    return line.removesuffix(reset).rstrip(" ") + reset


@cache
def _parser() -> MarkdownIt:
    # Unlike rich, which drops all HTML and whatever else a model puts between angle brackets.
    return MarkdownIt("commonmark", {"html": False, "maxNesting": 100}).enable(["strikethrough", "table"])


def _console(look: Look) -> Console:
    return Console(
        file=io.StringIO(),
        force_terminal=True,
        legacy_windows=False,
        width=look.width,
        no_color=bool(look.environ.get("NO_COLOR")),
        highlight=False,
        markup=False,
        emoji=False,
        theme=Theme({"markdown.code": "bold cyan", "markdown.table.header": "bold"}),
        _environ=look.environ,
    )
