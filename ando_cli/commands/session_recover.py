"""``ando session show``, ``sync``, ``recover`` and ``forget``: our records, and what the chain says of them."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ando_cli.cli.help import examples
from ando_cli.cli.options import AcceptPayeeOption, pay_options
from ando_cli.errors import Code, NetworkError, PaymentError, UsageError
from ando_cli.money import amount, parse_amount
from ando_cli.redact import short
from ando_cli.runtime.context import Invocation, invocation
from ando_cli.runtime.wiring import assemble, existing_store
from ando_cli.session.act import comparison, recovery
from ando_cli.session.act.recovery import Found, Outcome, Recovery
from ando_cli.session.channel import FUNDED, LIVE, Channel
from ando_cli.session.decide.policy import fingerprint
from ando_cli.session.record.lookup import find_channel

if TYPE_CHECKING:
    from ando_cli.runtime.context import Invocation
    from ando_cli.runtime.wiring import Parts
    from ando_cli.session.act.comparison import Change, Comparison, Synced
    from ando_cli.session.decide.snapshot import Proven
    from ando_cli.session.record.store import Store

_FULL_ID = r"(0[xX])?[0-9a-fA-F]{64}"

SHOW_EXAMPLES = examples("ando session show", "ando session show --chain 0x8c2f")
SYNC_EXAMPLES = examples("ando session sync", "ando session sync --dry-run -j")
RECOVER_EXAMPLES = examples("ando session recover", "ando session recover --ask-gateway --dry-run")
FORGET_EXAMPLES = examples("ando session forget 0x8c2f")

FullOption = Annotated[bool, typer.Option("--full", help="Show channel ids in full.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would change; record nothing.")]


def show(
    ctx: typer.Context,
    channel_id: Annotated[
        str | None,
        typer.Argument(
            metavar="[ID]", help="The channel: any unique prefix of its id. Not needed where only one is live."
        ),
    ] = None,
    chain: Annotated[bool, typer.Option("--chain", help="Show beside it what the chain says.")] = False,
    full: FullOption = False,
) -> None:
    """Show all that is on record about one channel."""
    state = invocation(ctx)
    compared: Comparison | None = None
    if chain:
        with assemble(state, pay_options(None, False, None, None, None)) as parts, state.terminal.progress():
            channel = _pick(parts.lifecycle.store, channel_id, parts.settings.network.name)
            _check_network(channel, parts.settings.network.name)
            state.terminal.stage("asking the chain")
            compared = comparison.compare(parts.lifecycle, channel)
    else:
        channel = _pick(existing_store(state.settings), channel_id, state.settings.network.name)
    if state.terminal.json_output:
        state.terminal.json({**_record(channel, full), "chain": None if compared is None else chain_shape(compared)})
    else:
        state.terminal.answer(_columns(_record(channel, full), compared))


def compare_all(state: Invocation, channels: list[Channel]) -> list[Comparison | None]:
    """What the chain says of each channel; ``None`` for those of other networks.

    Raises:
        NetworkError: the chain could not be asked.
    """
    with assemble(state, pay_options(None, False, None, None, None)) as parts, state.terminal.progress():
        state.terminal.stage("asking the chain")
        network = parts.settings.network.name
        return [comparison.compare(parts.lifecycle, each) if each.network == network else None for each in channels]


def sync(ctx: typer.Context, full: FullOption = False, dry_run: DryRunOption = False) -> None:
    """Bring the records of this network's channels up to what the chain says. Signs nothing."""
    state = invocation(ctx)
    with assemble(state, pay_options(None, False, None, None, None)) as parts, state.terminal.progress():
        network = parts.settings.network.name
        state.terminal.stage("asking the chain")
        synced = [
            comparison.sync(parts.lifecycle, channel, dry_run=dry_run)
            for channel in parts.lifecycle.store.channels()
            if channel.network == network and channel.state in FUNDED
        ]
    if state.terminal.json_output:
        state.terminal.json({"dry_run": dry_run, "channels": [_synced(each, full) for each in synced]})
        return
    if not synced:
        state.terminal.note("there is no channel on record that could have changed")
    for each in synced:
        shown = _synced(each, full)
        changes = ", ".join(f"{change['field']} {change['before']} → {change['after']}" for change in shown["changes"])
        state.terminal.answer(f"{shown['id']}  {changes or 'unchanged'}")
        if each.note:
            state.terminal.warn(f"{shown['id']}: {each.note}")
    if dry_run:
        state.terminal.note("dry run: nothing was recorded")


def recover(
    ctx: typer.Context,
    channel_id: Annotated[
        str | None,
        typer.Argument(metavar="[ID]", help="The channel's full id. Without it, the escrow's events are searched."),
    ] = None,
    from_block: Annotated[
        int, typer.Option(metavar="N", min=0, help="Search the events from this block on.", show_default=False)
    ] = 0,
    authorised: Annotated[
        str | None,
        typer.Option(metavar="AMOUNT", help="What was signed for before, if you know. Else what the chain settled."),
    ] = None,
    ask_gateway: Annotated[
        bool,
        typer.Option(
            "--ask-gateway", help="Ask the gateway first: where it shows a signature of ours, that amount counts."
        ),
    ] = False,
    accept_payee: AcceptPayeeOption = None,
    full: FullOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Find channels of this wallet that are not on record, and pay from them again. Signs nothing.

    They are taken to belong to the gateway of --base-url.
    """
    state = invocation(ctx)
    terminal = state.terminal
    already = None if authorised is None else parse_amount(authorised, "--authorised")
    if ask_gateway and already is not None:
        raise UsageError("--ask-gateway and --authorised exclude each other", hint="give one of them")
    options = pay_options(None, False, accept_payee, None, None)
    with assemble(state, options) as parts, terminal.progress():
        lifecycle, settings = parts.lifecycle, parts.settings
        wanted = None if channel_id is None else _full_id(lifecycle.store, channel_id, settings.network.name)
        proven = _hinted(state, parts, wanted, accept_payee) if ask_gateway else None
        already = already if proven is None else proven.cumulative_amount
        search = Recovery(lifecycle, settings.gateway, authorised=already, accepted_payee=accept_payee, dry_run=dry_run)
        terminal.stage("asking the chain")
        if proven is not None:
            result = recovery.Search([search.by_terms(proven.terms)])
        elif wanted is not None:
            result = recovery.Search([search.by_id(wanted, from_block)])
        else:
            result = search.search(from_block)
    if result.incomplete is not None:
        terminal.warn(result.incomplete.message)
    if terminal.json_output:
        channels = [_found(each, full) for each in result.found]
        terminal.json({"dry_run": dry_run, "complete": result.incomplete is None, "channels": channels})
        return
    if not result.found:
        terminal.note("this wallet has no open channel in the escrows that are trusted here")
    for each in result.found:
        shown = _found(each, full)
        amounts = f"deposit {shown['deposit']}, settled {shown['settled']}, authorised {shown['authorised']}"
        terminal.answer(f"{shown['id']}  {_OUTCOMES[each.outcome]}: {amounts}")
        hint = _hint(each)
        if hint:
            terminal.note(hint)
    if dry_run:
        terminal.note("dry run: nothing was recorded")


def forget(
    ctx: typer.Context,
    channel_id: Annotated[str, typer.Argument(metavar="ID", help="The channel: any unique prefix of its id.")],
    lose_track: Annotated[
        bool, typer.Option("--yes-lose-track", help="Also where money may be in it: what was signed is then unknown.")
    ] = False,
    full: FullOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Drop the record of a channel. The channel itself stays as it is."""
    state = invocation(ctx)
    store = existing_store(state.settings)
    channel = find_channel(store, channel_id)
    recovery.check_forgettable(channel, lose_track=lose_track)
    assert store is not None  # the channel was found in it
    if not dry_run:
        store.forget(channel.channel_id)
    named = _named(channel, full)
    if state.terminal.json_output:
        state.terminal.json({"id": named, "state": str(channel.state), "forgotten": not dry_run, "dry_run": dry_run})
        return
    state.terminal.answer(f"{named}  {'would be forgotten' if dry_run else 'forgotten'}")
    if channel.state in FUNDED:
        state.terminal.note(f"`ando session recover {channel.channel_id}` finds it again")


_OUTCOMES = {
    Outcome.RECOVERED: "recovered",
    Outcome.SPARE: "recovered as a spare",
    Outcome.DELEGATED: "recovered, its signing key is missing",
    Outcome.CLOSING: "recovered, it is being closed",
    Outcome.RAISED: "raised to what was authorised",
    Outcome.KNOWN: "known",
    Outcome.OTHER_PAYEE: "left alone, it pays another account",
    Outcome.OTHER_TOKEN: "left alone, it holds another token",
}


def _hinted(state: Invocation, parts: Parts, channel_id: str | None, accepted_payee: str | None) -> Proven | None:
    """What the gateway proves of a channel of ours. That it proves nothing is no error: the chain is asked then."""
    from ando_cli.http.client import CHAT_PATH
    from ando_cli.inference.chat import smallest_body
    from ando_cli.rails.hint import HintAuth

    state.terminal.stage("asking the gateway")
    auth = HintAuth(parts.lifecycle, channel_id, gateway_of=parts.settings.gateway_of, accepted_payee=accepted_payee)
    why = "it shows no signature of ours"
    try:
        parts.client(auth).send("POST", CHAT_PATH, [("Content-Type", "application/json")], smallest_body())
    except (NetworkError, PaymentError) as error:
        why = error.message
    if auth.proven is None:
        state.terminal.note(f"nothing was learnt from the gateway: {why}")
    return auth.proven


def _hint(found: Found) -> str | None:
    """What to do next with a channel that was found."""
    named, full_id = short(found.channel.channel_id), found.channel.channel_id
    match found.outcome:
        case Outcome.RECOVERED:
            return f"{found.channel.gateway} is paid from it; if more was authorised, name it with --authorised"
        case Outcome.SPARE:
            return f"another channel is live, so nothing is paid from it: ando session close --force {named}"
        case Outcome.DELEGATED:
            return f"another key signs for it, so nothing is paid from it: ando session close --force {named}"
        case Outcome.CLOSING:
            return f"its close was requested: ando session close --finish {named}"
        case Outcome.OTHER_PAYEE:
            name = fingerprint(found.channel.terms.payee)
            return f"with its gateway's --base-url, or --accept-payee {name}: ando session recover {full_id}"
        case _:
            return None


def _full_id(store: Store, text: str, network: str) -> str:
    """The id of a channel that may not be on record: given in full, or as a prefix of one that is."""
    stripped = text.strip()
    if re.fullmatch(_FULL_ID, stripped):
        found = "0x" + stripped.lower()[-64:]
        known = store.channel(found)
    else:
        try:
            known = find_channel(store, stripped)
        except UsageError as error:
            hint = "a channel that is not on record is named by its full id, 0x and 64 hex digits"
            raise error.with_hint(hint) from None
        found = known.channel_id
    if known is not None:
        _check_network(known, network)
    return found


def _pick(store: Store | None, text: str | None, network: str) -> Channel:
    """The channel that is meant: by its id, or the only live one of this network."""
    if text is not None:
        return find_channel(store, text)
    here = [channel for channel in (store.channels() if store else ()) if channel.network == network]
    live = [channel for channel in here if channel.state in LIVE]
    if len(live) == 1:
        return live[0]
    if not here:
        raise PaymentError("no channel is on record for this network", hint="ando session list", code=Code.NO_CHANNEL)
    named = ", ".join(f"{short(channel.channel_id)} ({channel.state})" for channel in (live or here)[:5])
    count = f"{len(live)} channels are live" if live else "no channel is live"
    raise UsageError(f"{count}: say which one to show", hint=f"there are {named}")


def _check_network(channel: Channel, network: str) -> None:
    if channel.network != network:
        raise UsageError(f"this channel is on the network {channel.network}", hint=f"add --network {channel.network}")


def _named(channel: Channel, full: bool) -> str:
    return channel.channel_id if full else short(channel.channel_id)


def _time(seconds: int) -> str | None:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds)) if seconds else None


def _record(channel: Channel, full: bool) -> dict[str, Any]:
    terms = channel.terms
    return {
        "id": _named(channel, full),
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
        "pending_deposit": None if channel.pending is None else amount(channel.pending.amount),
        "closes_at": _time(channel.closes_at),
        "created_at": _time(channel.created_at),
        "updated_at": _time(channel.updated_at),
    }


def chain_shape(compared: Comparison) -> dict[str, Any]:
    """What the chain says of a channel, for ``-j``."""
    state = compared.state
    return {
        "found": state is not None,
        "deposit": None if state is None else amount(state.deposit),
        "settled": None if state is None else amount(state.settled),
        "close_requested_at": None if state is None else _time(state.close_requested_at),
        "finalized": None if state is None else state.finalized,
        "differences": list(compared.differences),
    }


def _columns(record: dict[str, Any], compared: Comparison | None) -> str:
    """The record in aligned columns: name, ours, and the chain's where it was asked, with what differs marked."""
    beside: dict[str, str] = {}
    if compared is not None and compared.state is None:
        beside = {"state": "not there"}
    elif compared is not None and compared.state is not None:
        state = compared.state
        requested = f"close requested {_time(state.close_requested_at)}"
        beside = {
            "state": "finalized" if state.finalized else requested if state.close_requested_at else "open",
            "deposit": amount(state.deposit),
            "authorised": f"{amount(state.settled)} settled",
        }
    rows = [(name, "-" if value is None else str(value)) for name, value in record.items()]
    if compared is not None:
        rows.insert(0, ("", "on record"))
        beside[""] = "on the chain"
    names = max(len(name) for name, _ in rows)
    values = max(len(value) for name, value in rows if name in beside) if beside else 0
    lines = []
    for name, value in rows:
        line = f"{name.replace('_', ' '):<{names}}  "
        line += f"{value:<{values}}  {beside[name]}" if name in beside else value
        differs = compared is not None and name in compared.differences
        lines.append(line + ("  ! differs" if differs else ""))
    return "\n".join(lines)


def _synced(synced: Synced, full: bool) -> dict[str, Any]:
    return {
        "id": _named(synced.channel, full),
        "state": str(synced.channel.state),
        "changes": [
            {"field": change.field, "before": _value(change, change.before), "after": _value(change, change.after)}
            for change in synced.changes
        ],
        "note": synced.note,
    }


def _value(change: Change, value: str | int) -> str | None:
    if isinstance(value, str):
        return value
    return _time(value) if change.field == "closes_at" else amount(value)


def _found(found: Found, full: bool) -> dict[str, Any]:
    channel = found.channel
    refused = found.outcome in recovery.REFUSED
    return {
        "id": _named(channel, full or refused),
        "gateway": None if refused else channel.gateway,
        "network": channel.network,
        "protocol": str(channel.terms.protocol),
        "outcome": str(found.outcome),
        "state": None if refused else str(channel.state),
        "deposit": amount(channel.deposit),
        "settled": amount(found.settled),
        "authorised": None if refused else amount(channel.cumulative_amount),
    }
