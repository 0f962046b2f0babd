"""``ando session forget``: delete the record of a channel."""

from __future__ import annotations

from typing import Annotated

import typer

from ando_cli.cli.command import Command
from ando_cli.cli.help import examples
from ando_cli.commands.session._options import FullOption, IdArgument, TryOption
from ando_cli.redact import shown_id
from ando_cli.runtime.context import invocation
from ando_cli.runtime.wiring import existing_store
from ando_cli.session.act.recovery import check_forgettable
from ando_cli.session.channel import FUNDED
from ando_cli.session.record.lookup import find_channel

app = typer.Typer(add_completion=False)


@app.command(cls=Command, epilog=examples("ando session forget 0x8c2f"))
def forget(
    ctx: typer.Context,
    channel_id: IdArgument,
    lose_track: Annotated[
        bool,
        typer.Option("--yes-lose-track", help="Forget it even if it may hold money; what was signed is then unknown."),
    ] = False,
    full: FullOption = False,
    dry_run: TryOption = False,
) -> None:
    """Delete the record of a channel. The channel itself does not change."""
    state = invocation(ctx)
    with existing_store(state.settings) as store:
        channel = find_channel(store, channel_id)
        check_forgettable(channel, lose_track=lose_track)
        if store is not None and not dry_run:
            store.forget(channel.channel_id)
    named = shown_id(channel.channel_id, full=full)
    if state.terminal.json_output:
        state.terminal.json({"id": named, "state": str(channel.state), "forgotten": not dry_run, "dry_run": dry_run})
        return
    state.terminal.answer(f"{named}  {'would be forgotten' if dry_run else 'forgotten'}")
    if channel.state in FUNDED:
        state.terminal.note(f"`ando session recover {channel.channel_id}` finds it again")
