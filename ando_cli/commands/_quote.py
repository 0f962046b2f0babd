"""Showing a dry run: what would be paid, to which realm, and from which channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ando_cli.money import amount
from ando_cli.redact import clean, short
from ando_cli.runtime.quoting import ask_price, reckon
from ando_cli.session.decide.steps import Agree, Open, TopUp, Voucher

if TYPE_CHECKING:
    from ando_cli.http.client import AndoClient
    from ando_cli.inference.request import Request
    from ando_cli.rails.planning import Quote
    from ando_cli.runtime.quoting import Price
    from ando_cli.runtime.wiring import Parts
    from ando_cli.terminal.output import Terminal


def dry_run(terminal: Terminal, parts: Parts, client: AndoClient, request: Request) -> None:
    """Ask what ``request`` would cost, and print it.

    Raises:
        AndoError: the gateway did not say, or the payment would be refused.
    """
    show_quote(terminal, parts, ask_price(client, request))


def show_quote(terminal: Terminal, parts: Parts, quote: Quote | None) -> None:
    """Print a quote: what would be paid, and from which channel.

    Raises:
        PaymentError: the payment would be refused.
        NetworkError: the chain could not be asked for the balance.
    """
    if quote is None:
        if terminal.json_output:
            nothing = amount(0)
            terminal.json({"dry_run": True, "action": "none", "amount": nothing, "at_most": nothing})
        else:
            terminal.answer("nothing: the gateway asks for no payment")
        return
    network = parts.settings.network
    shown = _describe(reckon(parts.session, quote), network.name)
    if terminal.json_output:
        terminal.json(shown)
        return
    symbol = network.token_symbol
    deposit, raised = shown["deposit"], shown["raise"]
    lines = {
        "open": f"open a channel with a deposit of {deposit} {symbol}, and authorise {raised} of it",
        "topUp": f"add {deposit} {symbol} to the channel, and authorise {raised} more",
        "voucher": "authorise nothing new" if raised == amount(0) else f"authorise {raised} {symbol} more",
        "resolve": "look up the last deposit on the chain, then pay",
    }
    terminal.answer(
        f"would pay:  {shown['realm']} ({shown['network']})\n"
        f"challenge:  {shown['amount']} {symbol}\n"
        f"at most:    {shown['at_most']} {symbol}\n"
        f"channel:    {shown['channel'] or 'none yet'}\n"
        f"would do:   {lines[shown['action']]}"
    )
    terminal.note("dry run: nothing was signed")


def _describe(price: Price, network: str) -> dict[str, Any]:
    quote = price.quote
    actions = {Open: "open", TopUp: "topUp", Voucher: "voucher", Agree: "voucher"}
    return {
        "dry_run": True,
        "realm": clean(quote.realm, 100),
        "network": network,
        "amount": amount(quote.request.amount),
        "action": actions.get(type(quote.step), "resolve"),
        "raise": amount(price.raised),
        "deposit": amount(price.deposit),
        "at_most": amount(price.at_most),
        "channel": short(quote.channel.channel_id) if quote.channel else None,
    }
