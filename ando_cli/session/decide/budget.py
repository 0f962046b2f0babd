"""Budgets: what may be authorised in a day, in a month, and in total. Pure decisions over frozen data.

A budget counts authorised money, opens included, not spent money: once a voucher is signed, the gateway can take its
full amount. The sum is read from the ledger in the transaction that records the next raise, so that no two raises use
the same money. Amounts are base units.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ando_cli.errors import BudgetExceededError
from ando_cli.frozen import frozen
from ando_cli.money import amount
from ando_cli.session.decide.periods import day_of, month_of
from ando_cli.times import local_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ando_cli.session.decide.periods import Span

WARNING_PERCENT = 80
"""The used share of a budget, in percent, at which the user gets a warning."""


@frozen
class Budget:
    """What may be authorised in a period. ``name`` is the key in the configuration; ``None`` ends no period."""

    name: str
    limit: int
    period: Span | None


@frozen
class Standing:
    """A budget, and how much of it is used."""

    budget: Budget
    used: int

    @property
    def left(self) -> int:
        """How much may still be authorised."""
        return max(0, self.budget.limit - self.used)

    @property
    def renews_at(self) -> int | None:
        """When the budget renews, in Unix seconds; ``None`` if never."""
        return None if self.budget.period is None else self.budget.period.until


@frozen
class Budgets:
    """What the user configured; ``None`` is no limit."""

    day: int | None = None
    month: int | None = None
    total: int | None = None

    def at(self, now: float) -> list[Budget]:
        """Return the configured budgets with their current periods at ``now``; the one that renews last comes first."""
        listed = []
        if self.total is not None:
            listed.append(Budget("budget.total", self.total, None))
        if self.month is not None:
            listed.append(Budget("budget.month", self.month, month_of(now)))
        if self.day is not None:
            listed.append(Budget("budget.day", self.day, day_of(now)))
        return listed


def standings(budgets: Budgets, now: float, authorised: Callable[[list[int]], list[int]]) -> list[Standing]:
    """Return how much of each budget is used.

    Args:
        authorised: returns what was authorised since each of several times.
    """
    listed = budgets.at(now)
    used = authorised([0 if budget.period is None else budget.period.since for budget in listed])
    return [Standing(budget, part) for budget, part in zip(listed, used, strict=True)]


def check(by: int, standings: Iterable[Standing]) -> None:
    """Refuse to authorise ``by`` more than before if it exceeds a budget.

    Raises:
        PaymentError: names the budget that renews last. Nothing was signed.
    """
    for standing in standings:
        if by > standing.left:
            budget, renews_at = standing.budget, standing.renews_at
            again = "it does not renew" if renews_at is None else f"it renews at {local_time(renews_at)}"
            raise BudgetExceededError(
                f"{budget.name} is {amount(budget.limit)}, of which {amount(standing.used)} is used: "
                f"this needs {amount(by)} more",
                hint=f"nothing was signed; {again}; raise it with `ando config set {budget.name} AMOUNT`",
            )


def warning(by: int, standings: Iterable[Standing]) -> str | None:
    """Return the warning about budgets that are nearly used up when ``by`` more is authorised."""
    near = [
        f"{standing.budget.name}: {amount(standing.used + by)} of {amount(standing.budget.limit)} is used"
        for standing in standings
        if (standing.used + by) * 100 >= standing.budget.limit * WARNING_PERCENT
    ]
    return "; ".join(near) or None
