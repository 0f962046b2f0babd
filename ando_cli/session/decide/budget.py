"""Budgets: what may be authorised in a day, in a month, and in all. Pure decisions over frozen data.

What counts is by how much vouchers were raised, openings included: that is what can be taken, whether or not it was
spent. It is read from the ledger in the transaction that records the next raise, so that no two of them are allowed
with the same money. Amounts are base units.
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
"""How much of a budget is used when the user is warned."""


@frozen
class Budget:
    """What may be authorised in a period. ``name`` is the key in the configuration; ``None`` ends no period."""

    name: str
    limit: int
    period: Span | None


@frozen
class Standing:
    """A budget, and what of it is used."""

    budget: Budget
    used: int

    @property
    def left(self) -> int:
        """What may still be authorised."""
        return max(0, self.budget.limit - self.used)

    @property
    def renews_at(self) -> int | None:
        """When all of it is there again, in unix seconds; ``None`` where it never is."""
        return None if self.budget.period is None else self.budget.period.until


@frozen
class Budgets:
    """What the user configured; ``None`` is no limit."""

    day: int | None = None
    month: int | None = None
    total: int | None = None

    def at(self, now: float) -> list[Budget]:
        """Those that there are, with the periods that ``now`` is in; the one that is there again last comes first."""
        listed = []
        if self.total is not None:
            listed.append(Budget("budget.total", self.total, None))
        if self.month is not None:
            listed.append(Budget("budget.month", self.month, month_of(now)))
        if self.day is not None:
            listed.append(Budget("budget.day", self.day, day_of(now)))
        return listed


def standings(budgets: Budgets, now: float, authorised: Callable[[list[int]], list[int]]) -> list[Standing]:
    """What of each budget is used.

    Args:
        authorised: tells what was authorised from each of several times on.
    """
    listed = budgets.at(now)
    used = authorised([0 if budget.period is None else budget.period.since for budget in listed])
    return [Standing(budget, part) for budget, part in zip(listed, used, strict=True)]


def check(by: int, standings: Iterable[Standing]) -> None:
    """Refuse to authorise ``by`` more than before where it passes a budget.

    Raises:
        PaymentError: names the one that is there again last. Nothing was signed.
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
    """What to tell the user of budgets that are nearly used up when ``by`` more is authorised."""
    near = [
        f"{standing.budget.name}: {amount(standing.used + by)} of {amount(standing.budget.limit)} is used"
        for standing in standings
        if (standing.used + by) * 100 >= standing.budget.limit * WARNING_PERCENT
    ]
    return "; ".join(near) or None
