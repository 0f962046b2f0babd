"""``ando spend``: what was spent, on what, from the ledger."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from ando_cli.cli.command import Command
from ando_cli.commands.spend import _shape
from ando_cli.errors import UsageError
from ando_cli.frozen import frozen
from ando_cli.runtime.consent import find_budgets
from ando_cli.runtime.context import invocation
from ando_cli.runtime.wiring import existing_store
from ando_cli.session.decide.periods import FORMS, Span, parse_span
from ando_cli.session.report.spending import By, group, of_network, total
from ando_cli.times import iso_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ando_cli.runtime.context import Invocation
    from ando_cli.session.decide.budget import Standing
    from ando_cli.session.record.ledger import Row
    from ando_cli.session.record.store import Store

app = typer.Typer(add_completion=False)

EXAMPLES = """\
Examples:
  ando spend
  ando spend --by model --since month
  ando spend --since 2026-10 --until 2026-10 --requests --csv > october.csv
  ando spend -j | jq -r .total.spent
  ando spend --check
"""


@app.command(cls=Command, epilog=EXAMPLES)
def spend(
    ctx: typer.Context,
    by: Annotated[
        By | None, typer.Option(metavar="WHAT", help=f"Group by one of: {', '.join(By)}.", show_default="day")
    ] = None,
    since: Annotated[str | None, typer.Option(metavar="DAY", help=f"From this day on: {FORMS}.")] = None,
    until: Annotated[str | None, typer.Option(metavar="DAY", help="To the end of this day.")] = None,
    requests: Annotated[bool, typer.Option("--requests", help="Show each request.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV, for a spreadsheet.")] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Compare the ledger with the receipts, the vouchers and the chain. Exit code 4 if they differ.",
        ),
    ] = False,
    offline: Annotated[bool, typer.Option("--offline", help="With --check: do not ask the chain.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Show session ids in full.")] = False,
) -> None:
    """Show what was spent, on what: by day, model, plan, rail, gateway or session.

    It reads the ledger of this machine, where each paid request is one row, even if its answer was lost. Days are in
    local time. Requests with a Virtual Key have no amount here: their cost is on the account's own bill.

    With --check, it compares the ledger of each session with the receipts, the vouchers and the chain. It lists every
    difference, and says which of them lost answers explain.
    """
    state = invocation(ctx)
    terminal = state.terminal
    if offline and not check:
        raise UsageError("--offline needs --check", hint="leave it out: only --check asks the chain")
    if check:
        if csv or requests or by or since or until:
            raise UsageError("--check compares whole sessions", hint="leave out the options that choose what is shown")
        from ando_cli.commands.spend.check import check_spending

        check_spending(state, offline=offline, full=full)
        return
    if csv and terminal.json_output:
        raise UsageError("--csv and JSON cannot be used together", hint="leave one of them out")
    if requests and by is not None:
        raise UsageError("--requests and --by cannot be used together", hint="leave one of them out")
    span = _span(since, until, time.time())
    network = state.settings.network
    with existing_store(state.settings) as store:
        rows, others = of_network([] if store is None else store.ledger(span.since, span.until), network.name)
        budgets = _budgets(state, store)
    if others:
        names = ", ".join(sorted({row.network for row in others}))
        terminal.note(f"{len(others)} entries on other networks are left out: add --network ({names})")
    found = _Found(rows, budgets, None if requests else by or By.DAY, full)
    if csv:
        terminal.csv(*found.csv())
    elif terminal.structured:
        terminal.json(
            {
                "network": network.name,
                "since": iso_time(span.since) if since else None,
                "until": iso_time(span.until) if until else None,
                **found.shape(),
            }
        )
    elif not rows:
        terminal.note("nothing was paid for" + (" in that time" if since or until else " yet"))
    else:
        from ando_cli.commands.spend import _draw

        if found.by is None:
            _draw.draw_rows(terminal, rows)
        else:
            _draw.draw_groups(terminal, group(rows, found.by), found.by, full)
        _draw.draw_summary(terminal, total(rows), network.token_symbol, budgets)


@frozen
class _Found:
    """The ledger's rows of the requested time.

    Attributes:
        rows: the rows, of one network.
        budgets: how much of each configured budget is used.
        by: how to group the rows; ``None`` shows each row.
        full: whether to show ids in full.
    """

    rows: Sequence[Row]
    budgets: Sequence[Standing]
    by: By | None
    full: bool

    def listed(self) -> list[dict[str, object]]:
        if self.by is None:
            return [_shape.row_shape(row, self.full) for row in self.rows]
        return [_shape.group_shape(each, self.by, self.full) for each in group(self.rows, self.by)]

    def csv(self) -> tuple[list[str], list[list[object]]]:
        columns = list(_shape.ROW_COLUMNS if self.by is None else (str(self.by), *_shape.TOTAL_COLUMNS))
        return columns, [[each[column] for column in columns] for each in self.listed()]

    def shape(self) -> dict[str, object]:
        return {
            "total": _shape.totals_shape(total(self.rows)),
            "budgets": [_shape.budget_shape(each) for each in self.budgets],
            "requests" if self.by is None else f"by_{self.by}": self.listed(),
        }


def _budgets(state: Invocation, store: Store | None) -> list[Standing]:
    """Return how much of each configured budget is used."""
    budgets = find_budgets(state.settings)
    if budgets is None or store is None:
        return []
    from ando_cli.session.decide.budget import standings

    return standings(budgets, time.time(), partial(store.authorised, state.settings.network.name))


def _span(since: str | None, until: str | None, now: float) -> Span:
    start = 0 if since is None else parse_span(since, "--since", now).since
    end = 2**63 - 1 if until is None else parse_span(until, "--until", now).until
    if start >= end:
        raise UsageError("--until is before --since", hint="give --until a day that is not before --since")
    return Span(start, end)
