"""Writes the pages of ``docs/`` that come from the code.

Run ``python tools/docs.py`` to write all of them, ``python tools/docs.py errors`` for one, and add ``--check`` to find
out whether the pages are current without writing anything.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from ando_cli import errors
from ando_cli.cli.describe import EXIT_CODES
from ando_cli.errors import AndoError, Code, ExitCode, codes
from ando_cli.mpp import problem
from ando_cli.session.decide.planner import reactions_table
from tools import reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "ando_cli"


@dataclass
class Raised:
    """How a code is raised: by which classes, and whether a place decides by itself if it can be tried again."""

    classes: set[str] = field(default_factory=set)
    decides: bool = False


def error_classes() -> list[type[AndoError]]:
    """Return the classes of errors, each after the ones that it derives from."""
    listed = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, AndoError)]
    return sorted(listed, key=lambda cls: ([each.__name__ for each in reversed(_line(cls))], cls.__name__))


def meanings(module: ModuleType, enum: str) -> dict[str, str]:
    """Return the text below each member of an enumeration, by the name of the member."""
    found: dict[str, str] = {}
    tree = ast.parse(inspect.getsource(module))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == enum)
    for member, text in pairwise(body):
        if isinstance(member, ast.Assign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            assert isinstance(member.targets[0], ast.Name)
            found[member.targets[0].id] = " ".join(str(text.value.value).split())
    return found


def raised() -> dict[Code, Raised]:
    """Return how each code is raised, as the calls of the error classes in the package say.

    The codes of the classes right below ``AndoError`` are for whoever gives none, so they count as raised.
    """
    found: defaultdict[Code, Raised] = defaultdict(Raised)
    classes = {cls.__name__: cls for cls in error_classes()}
    for name, cls in classes.items():
        if cls.__bases__ == (AndoError,):
            found[Code(cls.default_code)].classes.add(name)
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.is_relative_to(PACKAGE / "errors") or path.is_relative_to(PACKAGE / "sandbox"):
            continue
        for name, call in _errors_made(ast.parse(path.read_text(encoding="utf-8")), set(classes)):
            named = {keyword.arg: keyword.value for keyword in call.keywords}
            code = named.get("code")
            own = [Code[each] for each in _members(code)] if code is not None else []
            if code is None or (isinstance(code, ast.Attribute) and code.attr == "code"):
                own.append(Code(classes[name].default_code))  # a server may give no code
            for each in own:
                found[each].classes.add(name)
                found[each].decides |= "retryable" in named
    return dict(found)


def errors_page() -> str:
    """Return the page of error codes."""
    found, texts = raised(), meanings(codes, "Code")
    lines = [
        "# Errors",
        "",
        "<!-- Written by tools/docs.py from ando_cli/errors and ando_cli/mpp/problem.py. Do not edit it. -->",
        "",
        "An error is two lines on stderr: what happened, and what to do. With `-j` it is one object on stdout:",
        "",
        "```json",
        '{"error": {"code": "rate_limited", "message": "…", "hint": "…", "exit_code": 1,',
        '           "retryable": true, "retry_after": 12, "request_id": "req-5f3a"}}',
        "```",
        "",
        "- `code` is stable, and `message` and `hint` are texts for people that can change.",
        "- `retryable` says whether the same command can be run again as it is, without the risk of paying twice.",
        "- `retry_after` is how many seconds to wait before that, or `null` where that is not known.",
        "- `request_id` is the id that the gateway gave the request, or `null`. Quote it to the gateway's operator.",
        "",
        "## Exit codes",
        "",
        *_table(("Exit code", "Meaning"), [(str(int(code)), EXIT_CODES[code]) for code in ExitCode]),
        "",
        "## Classes",
        "",
        "Python code catches these classes of `ando_cli.errors`. A class catches those that are indented below it.",
        "",
        *(f"{'  ' * (len(_line(cls)) - 1)}- {_named(cls)}: {_first_line(cls)}" for cls in error_classes()),
        "",
        "## Codes of ando",
        "",
        "Where a code can be tried again *sometimes*, `retryable` of the error at hand says whether.",
        "",
        *_table(
            ("Code", "Class", "Exit code", "Try again", "Meaning", "What to do"),
            [_row(code, found.get(code, Raised()), texts.get(code.name, "")) for code in Code],
        ),
        "",
        "## Codes of gateways",
        "",
        "Where a gateway gives a code, `code` is that code, in lower case and otherwise as the gateway wrote it, with",
        "exit code 4 where the gateway turned a payment down, and 1 where the error is about something else. `ando`",
        "knows the codes below. It passes any other code through in the same way, so `code` can hold a value that this",
        "page does not list. Where a gateway gives no code, `code` is `payment`, `payment_rejected`, `answer_failed`,",
        "`refused` or `server`.",
        "",
        *_table(("Code", "Meaning", "What to do"), _gateway_rows()),
        "",
        "These codes of the specifications count as one of the above:",
        "",
        *_table(("Code", "Counts as"), [(f"`{name}`", f"`{code}`") for name, code in problem.CANONICAL.items()]),
        "",
    ]
    return "\n".join(lines)


def commands_pages() -> dict[str, str]:
    """Return the pages of the command reference by path."""
    return {f"docs/commands/{name}": text for name, text in reference.command_pages().items()}


def architecture() -> dict[str, str]:
    """Return ``ARCHITECTURE.md`` with the planner's table in the place that is marked for it."""
    text = _current("ARCHITECTURE.md")
    if text is None:
        return {}
    before, mark, rest = text.partition("<!-- reactions -->\n")
    _, end, after = rest.partition("<!-- /reactions -->")
    return {"ARCHITECTURE.md": f"{before}{mark}{reactions_table()}{end}{after}"}


PAGES: dict[str, Callable[[], dict[str, str]]] = {
    "commands": commands_pages,
    "errors": lambda: {"docs/errors.md": errors_page()},
    "man": lambda: {"docs/man/ando.1": reference.man_page()},
    "reactions": architecture,
}
"""What there is to write, by name: the text of each file, by its path."""

FOLDERS = {"commands": "docs/commands"}
"""Folders that hold nothing else: a page whose command is gone is removed."""


def main(arguments: list[str]) -> int:
    """Write the pages, or check them; return the exit code."""
    parser = argparse.ArgumentParser(description="Write the pages of docs/ that come from the code.")
    parser.add_argument("pages", nargs="*", metavar="PAGE", help=f"one of {', '.join(PAGES)}; all of them if left out")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a page is not current")
    given = parser.parse_args(arguments)
    if unknown := set(given.pages) - set(PAGES):
        parser.error(f"there is no page {', '.join(sorted(unknown))}")
    stale = {path: (name, text) for name in given.pages or PAGES for path, text in _stale(name).items()}
    for path, (name, text) in stale.items():
        if given.check:
            print(f"{path} is not current: run python tools/docs.py {name}", file=sys.stderr)
        elif text is None:
            (ROOT / path).unlink()
        else:
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / path).write_text(text, encoding="utf-8", newline="\n")
    return 1 if given.check and stale else 0


def _stale(name: str) -> dict[str, str | None]:
    """Return the files of a page that are not current, by path: what they are to hold, ``None`` if nothing."""
    wanted = PAGES[name]()
    found: dict[str, str | None] = {path: text for path, text in wanted.items() if _current(path) != text}
    if folder := FOLDERS.get(name):
        there = (path.relative_to(ROOT).as_posix() for path in sorted((ROOT / folder).glob("*")))
        found |= {path: None for path in there if path not in wanted}
    return found


def _current(path: str) -> str | None:
    file = ROOT / path
    return file.read_text(encoding="utf-8") if file.is_file() else None


def _errors_made(tree: ast.AST, names: set[str]) -> Iterator[tuple[str, ast.Call]]:
    """Yield each call that makes an error, with its class; a subclass elsewhere counts as the class that it extends."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            yield node.func.id, node
        elif isinstance(node, ast.ClassDef):
            bases = [base.id for base in node.bases if isinstance(base, ast.Name) and base.id in names]
            calls = (each for each in ast.walk(node) if isinstance(each, ast.Call)) if bases else ()
            for call in calls:
                if ast.unparse(call.func) == "super().__init__":
                    yield bases[0], call


def _members(expression: ast.expr) -> list[str]:
    return [
        node.attr
        for node in ast.walk(expression)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Code"
    ]


def _row(code: Code, how: Raised, text: str) -> tuple[str, ...]:
    names = sorted(how.classes)
    exits = sorted({int(getattr(errors, name).exit_code) for name in names})
    again = "sometimes" if how.decides else "yes" if code in errors.RETRYABLE else "no"
    return (
        f"`{code}`",
        ", ".join(f"`{name}`" for name in names),
        ", ".join(map(str, exits)),
        again,
        *_sentences(text),
    )


def _gateway_rows() -> list[tuple[str, ...]]:
    texts = meanings(problem, "ProblemCode")
    return [(f"`{code}`", *_sentences(texts.get(code.name, ""))) for code in problem.ProblemCode]


def _sentences(text: str) -> tuple[str, str]:
    """Split a text into its first sentence, what the code means, and the rest, what to do."""
    meaning, _, rest = text.replace("``", "`").partition(". ")
    return f"{meaning}.", rest


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows)]


def _line(cls: type[AndoError]) -> list[type[AndoError]]:
    """The class, and the first base of each up to ``AndoError``."""
    line = [cls]
    while line[-1] is not AndoError:
        line.append(line[-1].__bases__[0])
    return line


def _named(cls: type[AndoError]) -> str:
    others = "".join(f", also below `{base.__name__}`" for base in cls.__bases__[1:])
    return f"`{cls.__name__}` (exit code {int(cls.exit_code)}{others})"


def _first_line(cls: type[AndoError]) -> str:
    text = re.split(r"\n\s*\n", inspect.getdoc(cls) or "")[0]
    return " ".join(text.replace("``", "`").split())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
