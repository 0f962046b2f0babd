"""Who allows a deposit: the user on a terminal, or a limit or a budget that the user set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ando_cli.errors import Code, ConsentRequiredError, PaymentDeclinedError
from ando_cli.money import amount
from ando_cli.session.act.session import Deposit, Rise

if TYPE_CHECKING:
    from collections.abc import Callable

    from ando_cli.config.settings import Settings
    from ando_cli.runtime.wiring import PayOptions
    from ando_cli.session.decide.budget import Budgets
    from ando_cli.terminal.output import Terminal


def find_budgets(settings: Settings) -> Budgets | None:
    """Return the configured budgets; ``None`` if there are none."""
    limits = (settings.budget_day, settings.budget_month, settings.budget_total)
    if limits == (None, None, None):
        return None
    from ando_cli.session.decide.budget import Budgets

    return Budgets(*limits)


def by_budget(terminal: Terminal, settings: Settings, options: PayOptions, max_spend: int | None) -> bool:
    """Return whether only a budget allows a deposit."""
    return not (settings.sandbox or options.assume_yes or max_spend or terminal.attended)


def consent_of(
    terminal: Terminal, settings: Settings, options: PayOptions, limit: int | Budgets | None
) -> Callable[[Deposit | Rise], None]:
    """Ask on a terminal; without one, a limit or a budget that the user set is the consent."""

    def ask(asked: Deposit | Rise) -> None:
        if settings.sandbox or options.assume_yes:
            return
        if isinstance(asked, Deposit):
            ask_deposit(asked)
        else:
            ask_rise(asked)

    def ask_deposit(deposit: Deposit) -> None:
        what = "Open a channel" if deposit.opening else "Top up the channel"
        money = f"{amount(deposit.amount)} {deposit.symbol}"
        steps = f" (vouchers rise by {amount(deposit.step)})" if deposit.step else ""
        why = ""
        if deposit.price is not None:
            covered = max(1, deposit.amount // deposit.price)
            why = f"The gateway suggested no deposit; this one covers at least {covered} requests. "
        answer = terminal.ask(f"{why}{what} with a deposit of {money} at {deposit.gateway}{steps}?")
        if answer is None and limit is None:
            raise ConsentRequiredError(
                f"cannot {what.lower()} with a deposit of {money}: there is no terminal to ask on",
                hint=f"allow it with --max-spend {amount(deposit.amount)} (or ANDO_MAX_SPEND), a budget, or --yes",
            )
        if answer is False:
            raise PaymentDeclinedError("the deposit was declined", hint="nothing was signed")

    def ask_rise(rise: Rise) -> None:
        more, agreed = f"{amount(rise.amount)} {rise.symbol}", amount(rise.step)
        answer = terminal.ask(f"Raise the voucher by {more} at {rise.gateway}, although {agreed} was agreed on?")
        if answer is None and limit is None:
            raise ConsentRequiredError(
                f"the gateway asks to raise the voucher by {more}, and {agreed} was agreed on for one request",
                hint=f"nothing was signed; allow it with --max-spend {amount(rise.amount)}, a budget, or --yes",
                code=Code.STEP_EXCEEDED,
            )
        if answer is False:
            raise PaymentDeclinedError("the raise was declined", hint="nothing was signed")

    return ask
