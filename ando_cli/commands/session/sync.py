"""``ando session sync``: update the records of channels from the chain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from ando_cli.cli.command import Command
from ando_cli.cli.help import examples
from ando_cli.commands.session._options import FullOption, TryOption
from ando_cli.money import amount
from ando_cli.redact import shown_id
from ando_cli.runtime.context import invocation
from ando_cli.runtime.manage import channels_in_use
from ando_cli.runtime.wiring import PayOptions, assemble
from ando_cli.session.act import comparison
from ando_cli.session.channel import State
from ando_cli.times import iso_time

if TYPE_CHECKING:
    from ando_cli.session.act.comparison import Synced
    from ando_cli.session.decide.comparison import Change

app = typer.Typer(add_completion=False)


@app.command(cls=Command, epilog=examples("ando session sync", "ando session sync --dry-run -j"))
def sync(ctx: typer.Context, full: FullOption = False, dry_run: TryOption = False) -> None:
    """Update the records of this network's channels from the chain. Signs nothing.

    It looks at every channel that may hold money, and at those that are over without proof: a closed one of which it is
    not known what was taken, and one that was given up because the chain did not show it.
    """
    terminal = invocation(ctx).terminal
    with assemble(invocation(ctx), PayOptions()) as parts, terminal.progress():
        terminal.stage("asking the chain")
        session, known = parts.session, channels_in_use(parts, tuple(State))
        doubtful = [channel for channel in known if comparison.doubtful(session, channel)]
        synced = [comparison.sync(session, channel, dry_run=dry_run) for channel in doubtful]
    if terminal.json_output:
        terminal.json({"dry_run": dry_run, "channels": [_shape(each, full) for each in synced]})
        return
    if not synced:
        terminal.note("no channel on record could have changed")
    for each in synced:
        shown = _shape(each, full)
        changes = ", ".join(
            f"{change['field']} {change['before'] or 'unknown'} → {change['after'] or 'unknown'}"
            for change in shown["changes"]
        )
        terminal.answer(f"{shown['id']}  {changes or 'unchanged'}")
        if each.note:
            terminal.warn(f"{shown['id']}: {each.note}")
    if dry_run:
        terminal.note("dry run: nothing was recorded")


def _shape(synced: Synced, full: bool) -> dict[str, Any]:
    return {
        "id": shown_id(synced.channel.channel_id, full=full),
        "state": str(synced.channel.state),
        "changes": [
            {"field": change.field, "before": _value(change, change.before), "after": _value(change, change.after)}
            for change in synced.changes
        ],
        "note": synced.note,
    }


def _value(change: Change, value: str | int) -> str | None:
    if isinstance(value, str):
        return None if change.field == "captured" else value
    if change.field == "closes_at":
        return iso_time(value) if value else None
    return amount(value)
