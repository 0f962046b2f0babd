"""``ando session show``: everything on record about one channel, and its on-chain state on request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ando_cli.cli.command import Command
from ando_cli.cli.help import examples
from ando_cli.commands.session._options import FullOption, OptionalIdArgument
from ando_cli.money import amount, known_amount
from ando_cli.redact import shown_id
from ando_cli.runtime.context import invocation
from ando_cli.runtime.manage import check_network, choose
from ando_cli.runtime.wiring import PayOptions, assemble, existing_store
from ando_cli.session.channel import FUNDED, LIVE, Channel
from ando_cli.times import iso_time

if TYPE_CHECKING:
    from ando_cli.session.decide.comparison import Comparison
    from ando_cli.tempo.channel import ChannelState

app = typer.Typer(add_completion=False)


@app.command(cls=Command, epilog=examples("ando session show", "ando session show --chain 0x8c2f"))
def show(
    ctx: typer.Context,
    channel_id: OptionalIdArgument = None,
    chain: Annotated[bool, typer.Option("--chain", help="Show the on-chain state beside the record.")] = False,
    full: FullOption = False,
) -> None:
    """Show everything on record about one channel."""
    state = invocation(ctx)
    compared: Comparison | None = None
    if chain:
        from ando_cli.session.act import comparison

        with assemble(state, PayOptions()) as parts, state.terminal.progress():
            network = parts.settings.network.name
            channel = choose(parts.session.store, channel_id, network, LIVE, acting=False)
            check_network(channel, network)
            state.terminal.stage("asking the chain")
            compared = comparison.compare(parts.session, channel)
    else:
        with existing_store(state.settings) as store:
            channel = choose(store, channel_id, state.settings.network.name, LIVE, acting=False)
    record = _record(channel, full)
    if not state.terminal.json_output:
        state.terminal.answer(_columns(record, compared))
    elif compared is None:
        state.terminal.json({**record, "chain": None})
    else:
        from ando_cli.commands.session._chain import chain_shape

        state.terminal.json({**record, "chain": chain_shape(compared)})


def _record(channel: Channel, full: bool) -> dict[str, Any]:
    terms = channel.terms
    return {
        "id": shown_id(channel.channel_id, full=full),
        "gateway": channel.gateway,
        "network": channel.network,
        "protocol": str(terms.protocol),
        "state": str(channel.state),
        "signer": "wallet" if terms.signer == terms.payer else "delegated",
        "deposit": amount(channel.deposit),
        "authorised": amount(channel.cumulative_amount),
        "accepted": amount(channel.accepted),
        "spent": amount(channel.spent),
        "left": amount(channel.left if channel.state in FUNDED else 0),
        "captured": known_amount(channel.captured),
        "captured_at_most": amount(channel.captured_at_most),
        "pending_deposit": known_amount(None if channel.pending is None else channel.pending.amount),
        "closes_at": _time(channel.closes_at),
        "created_at": _time(channel.created_at),
        "updated_at": _time(channel.updated_at),
    }


def _time(seconds: int) -> str | None:
    return iso_time(seconds) if seconds else None


def _columns(record: dict[str, Any], compared: Comparison | None) -> str:
    """Return the record in aligned columns: name, our value, the chain's value if asked for, a mark at differences."""
    rows = [(name, "-" if value is None else str(value)) for name, value in record.items()]
    beside: dict[str, str] = {}
    if compared is not None:
        rows.insert(0, ("", "on record"))
        beside = {"": "on the chain", **_on_chain(compared.state)}
    names = max(len(name) for name, _ in rows)
    values = max((len(value) for name, value in rows if name in beside), default=0)
    lines = []
    for name, value in rows:
        line = f"{name.replace('_', ' '):<{names}}  "
        line += f"{value:<{values}}  {beside[name]}" if name in beside else value
        differs = compared is not None and name in compared.differences
        lines.append(line + ("  ! differs" if differs else ""))
    return "\n".join(lines)


def _on_chain(state: ChannelState | None) -> dict[str, str]:
    """Return the chain's values by the names of their counterparts on record."""
    if state is None:
        return {"state": "not there"}
    requested = f"close requested {_time(state.close_requested_at)}"
    return {
        "state": "finalized" if state.finalized else requested if state.close_requested_at else "open",
        "deposit": amount(state.deposit),
        "authorised": f"{amount(state.settled)} settled",
    }
