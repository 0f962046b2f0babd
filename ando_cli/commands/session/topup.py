"""``ando session topup``: add to the deposit of a channel."""

from __future__ import annotations

from typing import Annotated

import typer

from ando_cli.cli import candidates
from ando_cli.cli.command import Command
from ando_cli.cli.groups import Without, grouped
from ando_cli.cli.help import examples
from ando_cli.cli.options import ConnectionOptions, PaymentOptions
from ando_cli.commands.session._options import FullOption
from ando_cli.errors import UsageError
from ando_cli.money import amount, parse_amount
from ando_cli.rails.management import TopUpBy
from ando_cli.redact import shown_id
from ando_cli.runtime.context import invocation
from ando_cli.runtime.manage import manage, pick
from ando_cli.runtime.wiring import assemble
from ando_cli.session.channel import LIVE

app = typer.Typer(add_completion=False)


@app.command(cls=Command, epilog=examples("ando session topup 2.50", "ando session topup --to 10 --channel 0x8c2f"))
@grouped
def topup(
    ctx: typer.Context,
    *,
    additional: Annotated[
        str | None, typer.Argument(metavar="AMOUNT", help="How much to add, such as 2.50.", show_default=False)
    ] = None,
    to: Annotated[str | None, typer.Option(metavar="AMOUNT", help="Raise the deposit to this amount instead.")] = None,
    channel_id: Annotated[
        str | None,
        typer.Option(
            "--channel",
            metavar="ID",
            help="The channel: any unique prefix of its id.",
            autocompletion=candidates.channels,
        ),
    ] = None,
    full: FullOption = False,
    payment: Annotated[PaymentOptions, Without("accept_payee")],
    connection: ConnectionOptions,
) -> None:
    """Add to the deposit of an open channel, and show the new deposit."""
    state = invocation(ctx)
    if (additional is None) == (to is None):
        raise UsageError("give either an amount to add, or --to and a deposit", hint="ando session topup 5")
    by = parse_amount(additional, "the amount") if additional is not None else 0
    level = parse_amount(to, "--to") if to is not None else 0
    dry_run = payment.dry_run
    with assemble(state, connection.with_channel(payment)) as parts:
        channel = pick(parts, channel_id, LIVE)
        added = by or max(0, level - channel.deposit)
        if added and not dry_run:
            channel = manage(state, parts, TopUpBy(added), channel).channel
    shown = {
        "id": shown_id(channel.channel_id, full=full),
        "dry_run": dry_run,
        "added": amount(added),
        "deposit": amount(channel.deposit + (added if dry_run else 0)),
        "left": amount(channel.left + (added if dry_run else 0)),
    }
    if state.terminal.json_output:
        state.terminal.json(shown)
        return
    if not added:
        state.terminal.note("the deposit is that high already; nothing was sent")
    elif dry_run:
        state.terminal.note("dry run: nothing was signed")
    state.terminal.answer(f"{shown['id']}  deposit {shown['deposit']}, left {shown['left']}")
