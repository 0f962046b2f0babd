"""Shell completion: the scripts (``python -m ando_cli.cli.completion FOLDER``), and the answers that they ask for.

The scripts ask ``ando`` for completions, so they stay correct when a command or an option is added. Typer answers, but
``ando`` formats the answers: Typer would load ``rich`` to break an explanation into lines, and a shell would read each
line as another answer.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ando_cli.cli.typer_private import completion_script, register_shells

if TYPE_CHECKING:
    from ando_cli.cli.typer_private import CompletionItem

VARIABLE = "_ANDO_COMPLETE"
"""The variable that the scripts set when they ask ``ando`` for completions."""

FILES = {"bash": "ando.bash", "zsh": "_ando", "fish": "ando.fish"}

_ZSH_REGISTRATION = "compdef _ando_completion ando"
# zsh runs an autoloaded file as the completion itself: the file must answer, not only register a function.
_ZSH_AUTOLOADED = f"""\
if [[ $funcstack[1] == _ando ]]; then
  _ando_completion "$@"
else
  {_ZSH_REGISTRATION}
fi"""


def _for_zsh(item: CompletionItem) -> str:
    # A colon ends the word where it is not escaped.
    value = item.value.replace(":", r"\\:")
    return f'"{value}":"{_plain(item.help)}"' if item.help else f'"{value}"'


def _for_fish(item: CompletionItem) -> str:
    return f"{item.value}\t{_plain(item.help)}" if item.help else str(item.value)


def register() -> None:
    """Let Typer answer the three shells."""
    register_shells({"zsh": _for_zsh, "fish": _for_fish})


def script(shell: str) -> str:
    """Return the completion script for ``shell``, which is a key of ``FILES``."""
    text = completion_script("ando", VARIABLE, shell)
    return text.replace(_ZSH_REGISTRATION, _ZSH_AUTOLOADED) + "\n"


def main() -> None:
    """Write all scripts into the folder that the first argument names."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for shell, name in FILES.items():
        (folder / name).write_text(script(shell), encoding="utf-8")


def _plain(text: str | None) -> str:
    """Return one line without characters that are special to a shell: the zsh script evaluates it."""
    return " ".join("".join(c for c in text or "" if c.isalnum() or c in " \n.,;-_()").split())


if __name__ == "__main__":
    main()
