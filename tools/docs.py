"""Writes the pages of ``docs/`` that come from the code.

Run ``python tools/docs.py`` to write all of them, ``python tools/docs.py commands`` for some, and add ``--check`` to
find out whether the pages are current without writing anything.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tools import reference

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent


def commands_pages() -> dict[str, str]:
    """Return the pages of the command reference."""
    return {f"docs/commands/{name}": text for name, text in reference.command_pages().items()}


def man_pages() -> dict[str, str]:
    """Return the man page."""
    return {"docs/man/ando.1": reference.man_page()}


PAGES: dict[str, Callable[[], dict[str, str]]] = {"commands": commands_pages, "man": man_pages}
"""What there is to write, by name: the text of each file, by its path."""

FOLDERS = {"commands": "docs/commands"}
"""Folders that hold nothing but what is written here: a page whose command is gone is removed."""


def main(arguments: list[str]) -> int:
    """Write the pages, or check them; return the exit code."""
    parser = argparse.ArgumentParser(description="Write the pages of docs/ that come from the code.")
    parser.add_argument("pages", nargs="*", metavar="PAGE", help=f"one of {', '.join(PAGES)}; all of them if left out")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a page is not current")
    given = parser.parse_args(arguments)
    if unknown := set(given.pages) - set(PAGES):
        parser.error(f"there is no page {', '.join(sorted(unknown))}")
    stale = 0
    for name in given.pages or PAGES:
        for path, text in _stale(name).items():
            if given.check:
                stale += 1
                print(f"{path} is not current: run python tools/docs.py {name}", file=sys.stderr)
            elif text is None:
                (ROOT / path).unlink()
            else:
                (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
                (ROOT / path).write_text(text, encoding="utf-8", newline="\n")
    return 1 if stale else 0


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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
