"""How a dry run is shown: what would be paid, to whom by realm, and from which channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ando_cli.money import amount
from ando_cli.redact import clean, short
from ando_cli.session.decide.steps import Open, TopUp, Voucher

if TYPE_CHECKING:
    from ando_cli.config.settings import Settings
    from ando_cli.rails.planning import Quote
    from ando_cli.terminal.output import Terminal


def show_quote(terminal: Terminal, quote: Quote | None, settings: Settings) -> None:
    """Print ``quote``.

    Raises:
        PaymentError: the payment would be refused.
    """
    if quote is None:
        if terminal.json_output:
            terminal.json({"dry_run": True, "action": "none", "amount": "0.00"})
        else:
            terminal.answer("nothing: the gateway asks for no payment")
        return
    if quote.refused is not None:
        raise quote.refused
    shown = _describe(quote, settings)
    if terminal.json_output:
        terminal.json(shown)
        return
    symbol = settings.network.token_symbol
    deposit, raised = shown["deposit"], shown["raise"]
    lines = {
        "open": f"open a channel with a deposit of up to {deposit} {symbol}, and authorise {raised} of it",
        "topUp": f"add at least {deposit} {symbol} to the channel, and authorise {raised} more",
        "voucher": "authorise nothing new" if raised == amount(0) else f"authorise {raised} {symbol} more",
        "resolve": "find out on the chain what became of the last deposit, then pay",
    }
    terminal.answer(
        f"would pay:  {shown['realm']} ({settings.network.name})\n"
        f"challenge:  {shown['amount']} {symbol}\n"
        f"channel:    {shown['channel'] or 'none yet'}\n"
        f"would do:   {lines[shown['action']]}"
    )
    terminal.note("dry run: nothing was signed")


def _describe(quote: Quote, settings: Settings) -> dict[str, Any]:
    request, step, channel = quote.request, quote.step, quote.channel
    deposit = raised = 0
    action = "resolve"
    if isinstance(step, Open):
        action, raised = "open", step.cumulative_amount
        deposit = min(max(request.suggested_deposit or 0, request.amount), settings.max_deposit)
    elif isinstance(step, TopUp):
        action, raised, deposit = "topUp", request.amount, step.needed
    elif isinstance(step, Voucher):
        action, raised = "voucher", step.raised_by
    return {
        "dry_run": True,
        "realm": clean(quote.realm, 100),
        "network": settings.network.name,
        "amount": amount(request.amount),
        "action": action,
        "raise": amount(raised),
        "deposit": amount(deposit),
        "channel": short(channel.channel_id) if channel else None,
    }
