"""Totals of the ledger's rows: what was spent, and on what. Pure, and exact: integers in base units.

Every base unit that a row says was spent is in exactly one group, whatever the rows are grouped by, and the groups add
up to the total. Requests of unknown cost are counted separately, with the most that they can have cost.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from ando_cli.frozen import frozen
from ando_cli.session.decide.periods import day_name
from ando_cli.session.record.ledger import Outcome, Rail, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

FORGOTTEN = "forgotten"
"""Stands for the sessions whose records were deleted."""


class By(StrEnum):
    """What rows can be grouped by."""

    DAY = "day"
    MODEL = "model"
    PLAN = "plan"
    RAIL = "rail"
    GATEWAY = "gateway"
    SESSION = "session"


@frozen
class Totals:
    """The totals of some rows. Amounts in base units.

    Attributes:
        unknown: requests whose answer was lost.
        uncertain: requests that may have cost something that no receipt told; most of them are the unknown ones.
        at_most: what those can have cost at most, all together, beyond ``spent``; ``None`` where that is not known
            either, because the record of their channel was dropped.
        spent: with what a close took beyond the receipts, so that it agrees with the chain.
        carried: what was spent elsewhere before a channel came on record here; not in ``spent``.
        authorised: by how much vouchers were raised.
        deposited: what was signed to be deposited.
        unproven: closes of which nothing proved yet what the payee took; ``at_most`` covers them too.
        fees: what the network took for the wallet's own transactions; not in ``spent``.
        fees_at_most: what those transactions can have cost beyond ``fees`` whose receipts were not seen.
    """

    requests: int
    answered: int
    failed: int
    unknown: int
    prompt_tokens: int
    completion_tokens: int
    spent: int
    uncertain: int
    at_most: int | None
    carried: int
    authorised: int
    deposited: int
    unproven: int = 0
    fees: int = 0
    fees_at_most: int = 0


@frozen
class Group:
    """The rows that have ``key`` in common. ``None`` where they have no such thing, such as a request without model."""

    key: str | None
    totals: Totals


def of_network(rows: Iterable[Row], network: str) -> tuple[list[Row], list[Row]]:
    """Separate the rows of ``network``, with those that a Virtual Key paid, and the others.

    Money of different networks is never added up.
    """
    here: list[Row] = []
    elsewhere: list[Row] = []
    for row in rows:
        (here if row.network in ("", network) else elsewhere).append(row)
    return here, elsewhere


def total(rows: Sequence[Row]) -> Totals:
    """Add ``rows`` up."""
    requests = [row for row in rows if row.is_request]
    own = [row for row in rows if row.outcome is not Outcome.CARRIED]
    # Requests of one channel can have cost what its vouchers leave, but not each of them.
    leaves = {row.channel_id: row.unspent for row in rows if row.uncertain}
    at_most: int | None = 0
    for unspent in leaves.values():
        at_most = None if at_most is None or unspent is None else at_most + unspent
    return Totals(
        requests=len(requests),
        answered=_count(requests, Outcome.ANSWERED),
        failed=_count(requests, Outcome.FAILED),
        unknown=_count(requests, Outcome.UNKNOWN),
        prompt_tokens=sum(row.prompt_tokens or 0 for row in rows),
        completion_tokens=sum(row.completion_tokens or 0 for row in rows),
        spent=sum(row.spent or 0 for row in own),
        uncertain=sum(row.uncertain for row in requests),
        at_most=at_most,
        carried=sum(row.spent or 0 for row in rows if row.outcome is Outcome.CARRIED),
        authorised=sum(row.authorised for row in own),
        deposited=sum(row.deposited for row in own),
        unproven=_count(rows, Outcome.CLOSE_UNPROVEN),
        fees=sum(row.fee or 0 for row in rows),
        fees_at_most=sum(row.fee_at_most for row in rows if row.fee is None),
    )


def group(rows: Iterable[Row], by: By) -> list[Group]:
    """Group ``rows``: days in their order, anything else by what was spent, the most first."""
    key_of, found = _KEYS[by], dict[str | None, list[Row]]()
    for row in rows:
        found.setdefault(key_of(row), []).append(row)
    groups = [Group(key, total(members)) for key, members in found.items()]
    if by is By.DAY:
        return sorted(groups, key=lambda each: each.key or "")
    return sorted(groups, key=lambda each: (-each.totals.spent, -each.totals.requests, each.key or ""))


def _count(rows: Iterable[Row], outcome: Outcome) -> int:
    return sum(row.outcome is outcome for row in rows)


def _session(row: Row) -> str | None:
    return FORGOTTEN if row.channel_id is None and row.rail is Rail.MPP else row.channel_id


_KEYS: dict[By, Callable[[Row], str | None]] = {
    By.DAY: lambda row: day_name(row.at),
    By.MODEL: lambda row: row.model,
    By.PLAN: lambda row: row.plan,
    By.RAIL: lambda row: str(row.rail),
    By.GATEWAY: lambda row: row.gateway,
    By.SESSION: _session,
}
