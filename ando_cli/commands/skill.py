"""``ando skill``: print instructions for agents that use ando."""

from __future__ import annotations

from pathlib import Path

import typer

import ando_cli
from ando_cli.cli.command import Command
from ando_cli.runtime.context import invocation

SKILL = Path(ando_cli.__file__).with_name("SKILL.md")

app = typer.Typer(add_completion=False)


@app.command(
    cls=Command,
    epilog="""\
Examples:
  ando skill
  ando skill > SKILL.md
""",
)
def skill(ctx: typer.Context) -> None:
    """Print instructions for agents that use ando: ways to pay, rules of money, exit codes, JSON."""
    terminal = invocation(ctx).terminal
    text = SKILL.read_text(encoding="utf-8")
    if terminal.json_output:
        terminal.json({"skill": text})
    else:
        terminal.answer(text)
