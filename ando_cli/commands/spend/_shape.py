"""What was spent, as data: for ``-j`` and for CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ando_cli.money import amount, known_amount
from ando_cli.redact import short, shown_id
from ando_cli.session.report.spending import By, Group, Totals
from ando_cli.times import iso_time

if TYPE_CHECKING:
    from ando_cli.session.decide.budget import Standing
    from ando_cli.session.record.ledger import Row

TOTAL_COLUMNS = (
    "requests", "answered", "failed", "unknown", "prompt_tokens", "completion_tokens", "spent", "uncertain", "at_most",
    "carried", "authorised", "deposited", "unproven", "fees", "fees_at_most",
)  # fmt: skip
ROW_COLUMNS = (
    "at", "rail", "gateway", "network", "session", "path", "model", "plan", "outcome", "prompt_tokens",
    "completion_tokens", "spent", "at_most", "authorised", "deposited", "fee",
)  # fmt: skip


def totals_shape(totals: Totals) -> dict[str, Any]:
    """Return the totals of some rows."""
    return {
        "requests": totals.requests,
        "answered": totals.answered,
        "failed": totals.failed,
        "unknown": totals.unknown,
        "prompt_tokens": totals.prompt_tokens,
        "completion_tokens": totals.completion_tokens,
        "spent": amount(totals.spent),
        "uncertain": totals.uncertain,
        "at_most": known_amount(totals.at_most),
        "carried": amount(totals.carried),
        "authorised": amount(totals.authorised),
        "deposited": amount(totals.deposited),
        "unproven": totals.unproven,
        "fees": amount(totals.fees),
        "fees_at_most": amount(totals.fees_at_most),
    }


def group_shape(each: Group, by: By, full: bool) -> dict[str, Any]:
    """Return a group of rows as data: its name, under the name of the grouping, and its totals."""
    return {str(by): group_name(each, by, full), **totals_shape(each.totals)}


def group_name(each: Group, by: By, full: bool) -> str | None:
    """Return the name of a group; ``None`` for the rows that have none."""
    if each.key is None or by is not By.SESSION or full:
        return each.key
    return short(each.key)


def row_shape(row: Row, full: bool) -> dict[str, Any]:
    """Return one row of the ledger."""
    return {
        "at": iso_time(row.at),
        "rail": str(row.rail),
        "gateway": row.gateway,
        "network": row.network or None,
        "session": row.channel_id and shown_id(row.channel_id, full=full),
        "path": row.path or None,
        "model": row.model,
        "plan": row.plan,
        "outcome": str(row.outcome),
        "prompt_tokens": row.prompt_tokens,
        "completion_tokens": row.completion_tokens,
        "spent": known_amount(row.spent),
        "at_most": known_amount(row.unspent) if row.uncertain else known_amount(row.spent),
        "authorised": amount(row.authorised),
        "deposited": amount(row.deposited),
        "fee": known_amount(row.fee),
    }


def budget_shape(standing: Standing) -> dict[str, Any]:
    """Return how much of one budget is used."""
    return {
        "name": standing.budget.name,
        "limit": amount(standing.budget.limit),
        "used": amount(standing.used),
        "left": amount(standing.left),
        "renews_at": None if standing.renews_at is None else iso_time(standing.renews_at),
    }
