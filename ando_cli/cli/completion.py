"""Shell completion: the scripts (``python -m ando_cli.cli.completion FOLDER``), and the answers that they ask for.

The scripts ask what a word can become, so they stay right when a command or an option is added. Typer answers, except
for how an answer looks: it would load ``rich`` to break an explanation into lines, each of which a shell takes for
another answer.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from typer._click.shell_completion import add_completion_class
from typer._completion_classes import BashComplete, FishComplete, ZshComplete
from typer._completion_shared import get_completion_script

if TYPE_CHECKING:
    from typer._click.shell_completion import CompletionItem

VARIABLE = "_ANDO_COMPLETE"
"""Set by the scripts: ``ando`` is to answer them, and nothing else."""

FILES = {"bash": "ando.bash", "zsh": "_ando", "fish": "ando.fish"}

_ZSH_REGISTRATION = "compdef _ando_completion ando"
# zsh runs an autoloaded file as the very completion that was asked for: it must answer, not only say who will.
_ZSH_AUTOLOADED = f"""\
if [[ $funcstack[1] == _ando ]]; then
  _ando_completion "$@"
else
  {_ZSH_REGISTRATION}
fi"""


class _Zsh(ZshComplete):
    def format_completion(self, item: CompletionItem) -> str:
        # A colon ends the word where it is not escaped.
        value = item.value.replace(":", r"\\:")
        return f'"{value}":"{_plain(item.help)}"' if item.help else f'"{value}"'


class _Fish(FishComplete):
    def format_completion(self, item: CompletionItem) -> str:
        return f"{item.value}\t{_plain(item.help)}" if item.help else str(item.value)


def register() -> None:
    """Let Typer answer the three shells. It registers its own only where its own entry point is called."""
    add_completion_class(BashComplete, "bash")
    add_completion_class(_Zsh, "zsh")
    add_completion_class(_Fish, "fish")


def script(shell: str) -> str:
    """The completion script for ``shell``, which is a key of ``FILES``."""
    text = get_completion_script(prog_name="ando", complete_var=VARIABLE, shell=shell)
    return text.replace(_ZSH_REGISTRATION, _ZSH_AUTOLOADED) + "\n"


def main() -> None:
    """Write all of them into the folder that is named."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for shell, name in FILES.items():
        (folder / name).write_text(script(shell), encoding="utf-8")


def _plain(text: str | None) -> str:
    """One line without what a shell could read as its own: the zsh script evaluates it."""
    return " ".join("".join(c for c in text or "" if c.isalnum() or c in " \n.,;-_()").split())


if __name__ == "__main__":
    main()
