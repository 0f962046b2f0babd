"""``ando session recover``: find channels of this wallet that are not on record."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ando_cli.cli import candidates
from ando_cli.cli.command import Command
from ando_cli.cli.help import examples
from ando_cli.cli.options import AcceptPayeeOption, ConnectionOptions, PaymentOptions
from ando_cli.commands.session._options import FullOption, TryOption
from ando_cli.errors import NetworkError, PaymentError, UsageError
from ando_cli.money import amount, parse_amount
from ando_cli.redact import short, shown_id
from ando_cli.runtime.context import invocation
from ando_cli.runtime.manage import check_network
from ando_cli.runtime.wiring import assemble
from ando_cli.session.act.recovery import REFUSED, Found, Outcome, Recovery, Search
from ando_cli.session.decide.policy import fingerprint
from ando_cli.session.record.lookup import find_channel

if TYPE_CHECKING:
    from ando_cli.runtime.context import Invocation
    from ando_cli.runtime.wiring import Parts
    from ando_cli.session.decide.snapshot import Proven
    from ando_cli.session.record.store import Store
    from ando_cli.terminal.output import Terminal

_FULL_ID = r"(0[xX])?[0-9a-fA-F]{64}"

app = typer.Typer(add_completion=False)


@app.command(cls=Command, epilog=examples("ando session recover", "ando session recover --ask-gateway --dry-run"))
def recover(
    ctx: typer.Context,
    channel_id: Annotated[
        str | None,
        typer.Argument(
            metavar="ID",
            help="The full id of the channel. Without it, search the escrow's events.",
            autocompletion=candidates.channels,
        ),
    ] = None,
    from_block: Annotated[
        int, typer.Option(metavar="N", min=0, help="Search the events from this block on.", show_default=False)
    ] = 0,
    authorised: Annotated[
        str | None,
        typer.Option(
            metavar="AMOUNT", help="What you authorised before, if known. Default: what is settled on the chain."
        ),
    ] = None,
    ask_gateway: Annotated[
        bool,
        typer.Option(
            "--ask-gateway", help="Ask the gateway first. It must show your own signature as proof of the amount."
        ),
    ] = False,
    accept_payee: AcceptPayeeOption = None,
    full: FullOption = False,
    dry_run: TryOption = False,
) -> None:
    """Find channels of this wallet that are not on record, and record them. Signs nothing.

    Recovered channels can pay again. They are assumed to belong to the gateway of --base-url.
    """
    state = invocation(ctx)
    terminal = state.terminal
    already = None if authorised is None else parse_amount(authorised, "--authorised")
    if ask_gateway and already is not None:
        raise UsageError("--ask-gateway and --authorised cannot be used together", hint="give one of them")
    options = ConnectionOptions().with_channel(PaymentOptions(accept_payee=accept_payee))
    with assemble(state, options) as parts, terminal.progress():
        session, settings = parts.session, parts.settings
        wanted = None if channel_id is None else _full_id(session.store, channel_id, settings.network.name)
        proven = _hinted(state, parts, wanted, accept_payee) if ask_gateway else None
        search = Recovery(session, settings.gateway, authorised=already, accepted_payee=accept_payee, dry_run=dry_run)
        terminal.stage("asking the chain")
        if proven is not None:
            result = _beside(search, search.by_terms(proven.terms, proven.cumulative_amount), wanted, from_block)
        elif wanted is not None:
            result = Search([search.by_id(wanted, from_block)])
        else:
            result = search.search(from_block)
    _show(terminal, result, full=full, dry_run=dry_run)


def _beside(search: Recovery, first: Found, wanted: str | None, from_block: int) -> Search:
    """What the gateway told of, and where no channel was named, what the chain shows beside it."""
    if wanted is not None:
        return Search([first])
    try:
        rest = search.search(from_block)
    except NetworkError as error:
        return Search([first], error)
    return Search([first, *rest.found], rest.incomplete)


def _show(terminal: Terminal, result: Search, *, full: bool, dry_run: bool) -> None:
    if result.incomplete is not None:
        terminal.warn(result.incomplete.message)
    if terminal.json_output:
        channels = [_found(each, full) for each in result.found]
        terminal.json({"dry_run": dry_run, "complete": result.incomplete is None, "channels": channels})
        return
    if not result.found:
        terminal.note("this wallet has no open channel in a trusted escrow")
    for each in result.found:
        shown = _found(each, full)
        amounts = f"deposit {shown['deposit']}, settled {shown['settled']}, authorised {shown['authorised']}"
        terminal.answer(f"{shown['id']}  {_OUTCOMES[each.outcome]}: {amounts}")
        hint = _hint(each)
        if hint:
            terminal.note(hint)
    if dry_run:
        terminal.note("dry run: nothing was recorded")


_OUTCOMES = {
    Outcome.RECOVERED: "recovered",
    Outcome.SPARE: "recovered as a spare",
    Outcome.DELEGATED: "recovered, its signing key is missing",
    Outcome.CLOSING: "recovered, it is being closed",
    Outcome.RAISED: "raised to what was authorised",
    Outcome.KNOWN: "known",
    Outcome.OTHER_PAYEE: "not used, it pays another account",
    Outcome.OTHER_TOKEN: "not used, it holds another token",
}


def _hinted(state: Invocation, parts: Parts, channel_id: str | None, accepted_payee: str | None) -> Proven | None:
    """Return what the gateway proves about a channel of ours. If it proves nothing, the chain is asked instead."""
    from ando_cli.inference import paid
    from ando_cli.rails.hint import HintAuth

    state.terminal.stage("asking the gateway")
    auth = HintAuth(parts.session, channel_id, gateway_of=parts.settings.gateway_of, accepted_payee=accepted_payee)
    why = "it shows no signature of yours"
    try:
        parts.client(auth).send(paid.smallest())
    except (NetworkError, PaymentError) as error:
        why = error.message
    if auth.proven is None:
        state.terminal.note(f"the gateway proved nothing: {why}")
    return auth.proven


def _hint(found: Found) -> str | None:
    """Return what to do next with a channel that was found."""
    named, full_id = short(found.channel.channel_id), found.channel.channel_id
    match found.outcome:
        case Outcome.RECOVERED:
            return f"{found.channel.gateway} is paid from it; if you authorised more, say so with --authorised"
        case Outcome.SPARE:
            return f"another channel is in use, so nothing is paid from this one: ando session close --force {named}"
        case Outcome.DELEGATED:
            return f"another key signs for it, so nothing can be paid from it: ando session close --force {named}"
        case Outcome.CLOSING:
            return f"its close was requested: ando session close --finish {named}"
        case Outcome.OTHER_PAYEE:
            name = fingerprint(found.channel.terms.payee)
            return f"to use it: ando session recover {full_id}, with its gateway's --base-url, or --accept-payee {name}"
        case _:
            return None


def _full_id(store: Store, text: str, network: str) -> str:
    """Return the id of a channel that may not be on record: given in full, or as a prefix of one that is."""
    stripped = text.strip()
    if re.fullmatch(_FULL_ID, stripped):
        found = "0x" + stripped.lower()[-64:]
        known = store.channel(found)
    else:
        try:
            known = find_channel(store, stripped)
        except UsageError as error:
            hint = "give the full id of a channel that is not on record: 0x and 64 hex digits"
            raise error.with_hint(hint) from None
        found = known.channel_id
    if known is not None:
        check_network(known, network)
    return found


def _found(found: Found, full: bool) -> dict[str, Any]:
    channel = found.channel
    refused = found.outcome in REFUSED
    return {
        "id": shown_id(channel.channel_id, full=full or refused),
        "gateway": None if refused else channel.gateway,
        "network": channel.network,
        "protocol": str(channel.terms.protocol),
        "outcome": str(found.outcome),
        "state": None if refused else str(channel.state),
        "deposit": amount(channel.deposit),
        "settled": amount(found.settled),
        "authorised": None if refused else amount(channel.cumulative_amount),
    }
