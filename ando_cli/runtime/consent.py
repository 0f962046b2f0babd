"""Who allows a deposit: the user on a terminal, or a limit or a budget that the user set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ando_cli.errors import ConsentRequiredError, PaymentDeclinedError
from ando_cli.money import amount

if TYPE_CHECKING:
    from collections.abc import Callable

    from ando_cli.config.settings import Settings
    from ando_cli.runtime.wiring import PayOptions
    from ando_cli.session.act.session import Deposit
    from ando_cli.session.decide.budget import Budgets
    from ando_cli.terminal.output import Terminal


def find_budgets(settings: Settings) -> Budgets | None:
    """Return the budgets that are configured; ``None`` where there are none."""
    limits = (settings.budget_day, settings.budget_month, settings.budget_total)
    if limits == (None, None, None):
        return None
    from ando_cli.session.decide.budget import Budgets

    return Budgets(*limits)


def by_budget(terminal: Terminal, settings: Settings, options: PayOptions, max_spend: int | None) -> bool:
    """Tell whether nobody but a budget would allow a deposit."""
    return not (settings.sandbox or options.assume_yes or max_spend or terminal.attended)


def consent_of(
    terminal: Terminal, settings: Settings, options: PayOptions, limit: int | Budgets | None
) -> Callable[[Deposit], None]:
    """Ask on a terminal; without one, a limit or a budget that the user set is the consent."""

    def ask(deposit: Deposit) -> None:
        if settings.sandbox or options.assume_yes:
            return
        what = "Open a channel" if deposit.opening else "Top up the channel"
        money = f"{amount(deposit.amount)} {deposit.symbol}"
        why = ""
        if deposit.price is not None:
            why = f" The gateway suggests none: it is for at least {max(1, deposit.amount // deposit.price)} requests."
        answer = terminal.ask(f"{what} with a deposit of {money} at {deposit.gateway}?{why}")
        if answer is None and limit is None:
            raise ConsentRequiredError(
                f"{what.lower()} with a deposit of {money}: there is no terminal to ask on",
                hint=f"allow it with --max-spend {amount(deposit.amount)} (or ANDO_MAX_SPEND), a budget, or --yes",
            )
        if answer is False:
            raise PaymentDeclinedError("the deposit was declined", hint="nothing was signed")

    return ask
