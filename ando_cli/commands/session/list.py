"""``ando session list``: the channels on record."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from ando_cli.cli.command import Command
from ando_cli.cli.help import examples
from ando_cli.commands.session._options import FullOption
from ando_cli.commands.session._shape import channel_shape
from ando_cli.runtime.context import invocation
from ando_cli.runtime.wiring import existing_store
from ando_cli.times import age

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ando_cli.session.channel import Channel
    from ando_cli.session.decide.comparison import Comparison
    from ando_cli.terminal.output import Terminal

app = typer.Typer(add_completion=False)


@app.command(
    "list",
    cls=Command,
    epilog=examples(
        "ando session list",
        "ando session list --chain --full -j",
    ),
)
def list_(
    ctx: typer.Context,
    chain: Annotated[bool, typer.Option("--chain", help="Compare each channel with its on-chain state.")] = False,
    full: FullOption = False,
) -> None:
    """List the channels on record, as they were last seen.

    You can spend what is left of a deposit, or get it back with a close. Close a channel in state closing
    with `ando session close --finish`, and a spare one with `ando session close --force`.
    """
    state = invocation(ctx)
    with existing_store(state.settings) as store:
        channels = [] if store is None else store.channels()
    compared = None
    if chain:
        from ando_cli.commands.session._chain import chain_shape, compare_all

        compared = compare_all(state, channels)
    if not state.terminal.structured:
        _draw(state.terminal, channels, compared, full=full)
        return
    shown = [channel_shape(channel, full=full) for channel in channels]
    for row, on_chain in zip(shown, compared or (), strict=compared is not None):
        row["chain"] = on_chain and chain_shape(on_chain)
    state.terminal.json(shown)


def _draw(
    terminal: Terminal, channels: Sequence[Channel], compared: Sequence[Comparison | None] | None, *, full: bool
) -> None:
    if not channels:
        terminal.note("no channels yet: the first paid request opens one, or `ando session open`")
        return
    now = int(time.time())
    rows = []
    for channel, on_chain in zip(channels, compared or [None] * len(channels), strict=True):
        row = {name: str(value) for name, value in channel_shape(channel, full=full).items()}
        row |= {"gateway": row["gateway"].partition("://")[2], "age": age(now - channel.created_at)}
        row["chain"] = "?" if on_chain is None else ", ".join(on_chain.differences) or "agrees"
        rows.append(row)
    # What all channels have in common is printed once: that leaves room for what differs. Amounts are never folded.
    common = {name: rows[0][name] for name in ("gateway", "network") if len({row[name] for row in rows}) == 1}
    columns = ["id", "gateway", "network", "deposit", "authorised", "spent", "left", "state", "age"]
    columns = [name for name in columns if name not in common] + ([] if compared is None else ["chain"])
    if common:
        terminal.note(" on ".join(common.values()))
    terminal.table(
        columns,
        [[row[name] for name in columns] for row in rows],
        right=("deposit", "authorised", "spent", "left", "age"),
        fold=("gateway", "network", "chain", *(("id",) if full else ())),
        spare=("authorised", "age"),
    )
