"""``ando conversations``: list, show, export and remove saved conversations."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ando_cli.cli import candidates
from ando_cli.cli.command import Command
from ando_cli.cli.globals import SharedOptionsGroup
from ando_cli.conversation.keeping import kept_conversations
from ando_cli.errors import DeclinedError, UsageError
from ando_cli.money import amount
from ando_cli.runtime.context import invocation
from ando_cli.terminal.output import check_writable
from ando_cli.times import age

if TYPE_CHECKING:
    from ando_cli.conversation.archive import Kept

app = typer.Typer(
    cls=SharedOptionsGroup,
    add_completion=False,
    help="List, show, export and remove saved conversations.",
    epilog="""\
Nothing is saved unless you ask for it: ando chat --keep saves one conversation, ando config set keep true all of them.
They are files in the state folder that only you can read.

Examples:
  ando chat --keep "name three rivers"
  ando chat -c "and three more"
  ando conversations list
""",
)

IdArgument = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="Any unique prefix of its id.",
        autocompletion=candidates.conversations,
    ),
]


@app.command(
    "list",
    cls=Command,
    epilog="""\
Examples:
  ando conversations list
  ando conversations list -j | jq -r '.[].title'
""",
)
def list_(ctx: typer.Context) -> None:
    """List the saved conversations, the most recent first."""
    state = invocation(ctx)
    terminal = state.terminal
    found, damaged = kept_conversations(state.settings).all()
    if damaged:
        terminal.warn(f"cannot be read: {', '.join(damaged)}; `ando conversations remove` removes them")
    if terminal.structured:
        terminal.json([_row(kept) for kept in found])
        return
    if not found:
        terminal.note("no conversation is saved: `ando chat --keep` saves one")
        return
    now = time.time()
    rows = []
    for kept in found:
        row = _row(kept)
        shown = {"with": row["model"] or row["plan"] or "", "age": age(int(now - kept.updated))}
        rows.append([str((row | shown)[column]) for column in ("id", "title", "turns", "rail", "with", "spent", "age")])
    columns = ("id", "title", "turns", "rail", "with", "spent", "age")
    terminal.table(columns, rows, right=("turns", "spent", "age"), fold=("title", "with"))


@app.command(
    cls=Command,
    epilog="""\
Examples:
  ando conversations show 1rv7
""",
)
def show(ctx: typer.Context, conversation: IdArgument) -> None:
    """Show a conversation."""
    state = invocation(ctx)
    kept = kept_conversations(state.settings).find(conversation)
    if state.terminal.structured:
        state.terminal.json(kept.to_json())
    else:
        state.terminal.answer(kept.conversation.to_markdown())


@app.command(
    cls=Command,
    epilog="""\
Examples:
  ando conversations export 1rv7 -o rivers.md
  ando conversations export 1rv7 -j -o rivers.json
""",
)
def export(
    ctx: typer.Context,
    conversation: IdArgument,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it to FILE.", show_default="stdout")
    ] = None,
) -> None:
    """Export a conversation as Markdown, or with -j as JSON. `/load` reads the JSON."""
    state = invocation(ctx)
    kept = kept_conversations(state.settings).find(conversation)
    if output is not None:
        check_writable(output)
    if state.terminal.json_output:
        data = state.terminal.document(json.dumps(kept.to_json(), ensure_ascii=False, indent=1).encode() + b"\n")
    else:
        data = kept.conversation.to_markdown().encode()
    if output is None:
        state.terminal.answer_bytes(data)
    else:
        state.terminal.save(output, data)


@app.command(
    cls=Command,
    epilog="""\
Examples:
  ando conversations remove 1rv7
  ando conversations remove --all --yes
""",
)
def remove(
    ctx: typer.Context,
    conversations: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ID",
            help="Any unique prefix of each id.",
            autocompletion=candidates.conversations,
            show_default=False,
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Remove all of them.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove conversations from this machine. What they cost stays in the ledger."""
    state = invocation(ctx)
    terminal = state.terminal
    if every == bool(conversations):
        raise UsageError("name a conversation, or use --all", hint="`ando conversations list` shows the ids")
    kept = kept_conversations(state.settings)
    names = kept.ids() if every else list(dict.fromkeys(kept.named(text) for text in conversations or ()))
    if names and not yes:
        answer = terminal.ask(f"Remove {len(names)} conversation{'' if len(names) == 1 else 's'}?")
        if answer is None:
            raise UsageError("there is no terminal to ask on", hint="remove them with --yes")
        if not answer:
            raise DeclinedError("nothing was removed")
    for name in names:
        kept.remove(name)
    if terminal.json_output:
        terminal.json({"removed": names})
    else:
        terminal.note(f"removed {', '.join(names)}" if names else "there was nothing to remove")


def _row(kept: Kept) -> dict[str, Any]:
    conversation = kept.conversation
    whole = kept.to_json()
    named = {name: whole[name] for name in ("id", "title", "created_at", "updated_at", "rail")}
    options = {name: getattr(conversation.options, name) for name in ("model", "plan")}
    return {**named, **options, "turns": conversation.turns, "spent": amount(conversation.totals.spent)}
