"""Tables and totals of what was spent, for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ando_cli.commands.spend._shape import group_name
from ando_cli.money import amount
from ando_cli.session.record.ledger import Outcome
from ando_cli.times import local_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ando_cli.session.decide.budget import Standing
    from ando_cli.session.record.ledger import Row
    from ando_cli.session.report.spending import By, Group, Totals
    from ando_cli.terminal.output import Terminal

_NONE = "(none)"
_SPARE = ("tokens in", "tokens out")
"""The columns that a narrow terminal leaves out."""


def draw_groups(terminal: Terminal, groups: Sequence[Group], by: By, full: bool) -> None:
    """Draw a table with a bar in each line: of what was spent, or if nothing was, of the requests."""
    groups = [each for each in groups if each.totals.requests or each.totals.spent]
    columns = [str(by), "requests", "tokens in", "tokens out", "spent"]
    odd = [name for name in ("failed", "unknown") if any(getattr(each.totals, name) for each in groups)]
    rows = []
    for each in groups:
        totals = each.totals
        counts = [totals.requests, *(getattr(totals, name) for name in odd), totals.prompt_tokens]
        cells = [f"{count:,}" for count in (*counts, totals.completion_tokens)]
        rows.append([group_name(each, by, full) or _NONE, *cells])
    columns[2:2] = odd
    spent = [each.totals.spent for each in groups]
    for cells, shown in zip(rows, _aligned(spent), strict=True):
        cells.append(shown)
    bars = spent if any(spent) else [each.totals.requests for each in groups]
    terminal.table(columns, rows, right=columns[1:], fold=columns[:1], bars=bars, spare=_SPARE)


def _aligned(amounts: Sequence[int]) -> list[str]:
    """Return the amounts with equally many decimals, so that the points line up."""
    texts = [amount(units) for units in amounts]
    decimals = max((len(text.partition(".")[2]) for text in texts), default=0)
    return [text + "0" * (decimals - len(text.partition(".")[2])) for text in texts]


def draw_rows(terminal: Terminal, rows: Sequence[Row]) -> None:
    """Draw a table with a line for each request."""
    columns = ["time", "rail", "model or plan", "outcome", "tokens in", "tokens out", "spent"]
    shown = []
    for row in rows:
        at = local_time(row.at)
        tokens = ["" if count is None else f"{count:,}" for count in (row.prompt_tokens, row.completion_tokens)]
        is_fee = row.outcome is Outcome.FEE
        what = row.path if is_fee else row.model or row.plan or ""
        units = row.fee if is_fee else row.spent
        cost = "?" if row.uncertain or row.fee_at_most else "-" if units is None else amount(units)
        shown.append([at, str(row.rail), what, row.outcome.replace("_", " "), *tokens, cost])
    terminal.table(columns, shown, right=columns[4:], fold=("model or plan",), spare=("rail", *_SPARE))


def _unknown(totals: Totals) -> list[str]:
    """Say what may have been spent beyond what is known."""
    whom = []
    if totals.uncertain:
        whom.append(f"{totals.uncertain:,} without a receipt")
    if totals.unproven:
        closes = "a close" if totals.unproven == 1 else f"{totals.unproven:,} closes"
        whom.append(f"{closes} whose amount is unknown (ando session sync)")
    if not whom:
        return []
    most = "an unknown amount" if totals.at_most is None else f"up to {amount(totals.at_most)}"
    return [f"+ {most} for {' and '.join(whom)}"]


def draw_summary(terminal: Terminal, totals: Totals, symbol: str, budgets: Sequence[Standing]) -> None:
    """Print the totals, and how much of each budget is used."""
    lines = ["", f"{amount(totals.spent)} {symbol} spent"]
    lines += _unknown(totals)
    if totals.fees or totals.fees_at_most:
        pending = f", and up to {amount(totals.fees_at_most)} more" if totals.fees_at_most else ""
        lines.append(f"+ {amount(totals.fees)} in network fees{pending}")
    if totals.carried:
        lines.append(f"+ {amount(totals.carried)} before it was recovered here")
    parts = [f"{count:,} {name}" for name in ("answered", "failed", "unknown") if (count := getattr(totals, name))]
    lines += [
        f"{totals.requests:,} request{'' if totals.requests == 1 else 's'}: {', '.join(parts) or 'none'}",
        f"{totals.prompt_tokens:,} tokens in, {totals.completion_tokens:,} out",
        f"{amount(totals.authorised)} authorised, {amount(totals.deposited)} deposited",
    ]
    lines += [f"{each.budget.name}: {amount(each.used)} of {amount(each.budget.limit)} is used" for each in budgets]
    terminal.answer("\n".join(lines))
