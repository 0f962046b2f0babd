"""``ando spend``: what was spent, on what, from the ledger."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ando_cli.cli.command import Command
from ando_cli.commands import spend_check
from ando_cli.errors import UsageError
from ando_cli.money import amount
from ando_cli.redact import short
from ando_cli.runtime.context import invocation
from ando_cli.runtime.wiring import existing_store, find_budgets
from ando_cli.session.decide.periods import FORMS, Span, parse_span
from ando_cli.session.report.spending import By, Group, Totals, group, of_network, total

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ando_cli.runtime.context import Invocation
    from ando_cli.session.decide.budget import Standing
    from ando_cli.session.record.ledger import Row
    from ando_cli.session.record.store import Store
    from ando_cli.terminal.output import Terminal

app = typer.Typer(add_completion=False)

_NONE = "(none)"
_SPARE = ("tokens in", "tokens out")
"""What a narrow terminal does without."""

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
        By | None, typer.Option(metavar="WHAT", help=f"Add up by one of: {', '.join(By)}.", show_default="day")
    ] = None,
    since: Annotated[str | None, typer.Option(metavar="DAY", help=f"From that day on: {FORMS}.")] = None,
    until: Annotated[str | None, typer.Option(metavar="DAY", help="To the end of that day.")] = None,
    requests: Annotated[bool, typer.Option("--requests", help="Show each request by itself.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="As CSV, for a spreadsheet.")] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Hold it against the receipts, the vouchers and the chain. Exit code 4 if it differs."
        ),
    ] = False,
    offline: Annotated[bool, typer.Option("--offline", help="With --check: do not ask the chain.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Show session ids in full.")] = False,
) -> None:
    """Show what was spent, on what: by day, model, plan, rail, gateway or session.

    It is read from the ledger of this machine, where each paid request is one row, also one whose answer was lost. Days
    are local ones. What a Virtual Key pays has no amount here: its account knows it.

    With --check, what the ledger says was spent from each session is held against its receipts, its vouchers and the
    chain. What they do not agree on is named; lost answers explain some of it.
    """
    state = invocation(ctx)
    terminal = state.terminal
    if offline and not check:
        raise UsageError("--offline goes with --check", hint="leave it out: nothing else here asks anybody")
    if check:
        if csv or requests or by or since or until:
            raise UsageError("--check looks at whole sessions", hint="leave the options for what is shown out")
        spend_check.check(state, offline=offline, full=full)
        return
    if csv and terminal.json_output:
        raise UsageError("--csv and JSON exclude each other", hint="leave one of them out")
    if requests and by is not None:
        raise UsageError("--requests and --by exclude each other", hint="leave one of them out")
    span = _span(since, until, time.time())
    network = state.settings.network
    with existing_store(state.settings) as store:
        rows = [] if store is None else store.ledger(span.since, span.until)
        budgets = _budgets(state, store)
    rows, others = of_network(rows, network.name)
    if others:
        names = ", ".join(sorted({row.network for row in others}))
        terminal.note(f"{len(others)} entries on other networks are left out: add --network ({names})")
    by = by or By.DAY
    listed = [_row(row, full) for row in rows] if requests else [_group(each, by, full) for each in group(rows, by)]
    if csv:
        columns = list(_ROW_COLUMNS if requests else (str(by), *_TOTAL_COLUMNS))
        terminal.csv(columns, [[each[column] for column in columns] for each in listed])
        return
    if terminal.structured:
        terminal.json(
            {
                "network": network.name,
                "since": _time(span.since) if since else None,
                "until": _time(span.until) if until else None,
                "total": _totals(total(rows)),
                "budgets": [_budget(each) for each in budgets],
                "requests" if requests else f"by_{by}": listed,
            }
        )
        return
    if not rows:
        terminal.note("nothing was paid for" + (" in that time" if since or until else " yet"))
        return
    if requests:
        _draw_rows(terminal, rows)
    else:
        _draw_groups(terminal, group(rows, by), by, full)
    terminal.answer(_summary(total(rows), network.token_symbol))
    for each in budgets:
        terminal.answer(f"{each.budget.name}: {amount(each.used)} of {amount(each.budget.limit)} is used")


def _budgets(state: Invocation, store: Store | None) -> list[Standing]:
    """What is used of the budgets that are configured."""
    budgets = find_budgets(state.settings)
    if budgets is None or store is None:
        return []
    from ando_cli.session.decide.budget import standings

    return standings(budgets, time.time(), partial(store.authorised, state.settings.network.name))


def _budget(standing: Standing) -> dict[str, Any]:
    return {
        "name": standing.budget.name,
        "limit": amount(standing.budget.limit),
        "used": amount(standing.used),
        "left": amount(standing.left),
        "renews_at": None if standing.renews_at is None else _time(standing.renews_at),
    }


def _span(since: str | None, until: str | None, now: float) -> Span:
    start = 0 if since is None else parse_span(since, "--since", now).since
    end = 2**63 - 1 if until is None else parse_span(until, "--until", now).until
    if start >= end:
        raise UsageError("--until is before --since", hint="--until is the last day that counts")
    return Span(start, end)


_TOTAL_COLUMNS = (
    "requests", "answered", "failed", "unknown", "prompt_tokens", "completion_tokens", "spent", "uncertain", "at_most",
    "carried", "authorised", "deposited",
)  # fmt: skip
_ROW_COLUMNS = (
    "at", "rail", "gateway", "network", "session", "path", "model", "plan", "outcome", "prompt_tokens",
    "completion_tokens", "spent", "at_most", "authorised", "deposited",
)  # fmt: skip


def _totals(totals: Totals) -> dict[str, Any]:
    return {
        "requests": totals.requests,
        "answered": totals.answered,
        "failed": totals.failed,
        "unknown": totals.unknown,
        "prompt_tokens": totals.prompt_tokens,
        "completion_tokens": totals.completion_tokens,
        "spent": amount(totals.spent),
        "uncertain": totals.uncertain,
        "at_most": _amount(totals.at_most),
        "carried": amount(totals.carried),
        "authorised": amount(totals.authorised),
        "deposited": amount(totals.deposited),
    }


def _group(each: Group, by: By, full: bool) -> dict[str, Any]:
    return {str(by): _key(each, by, full), **_totals(each.totals)}


def _key(each: Group, by: By, full: bool) -> str | None:
    if each.key is None or by is not By.SESSION or full:
        return each.key
    return short(each.key)


def _row(row: Row, full: bool) -> dict[str, Any]:
    return {
        "at": _time(row.at),
        "rail": str(row.rail),
        "gateway": row.gateway,
        "network": row.network or None,
        "session": row.channel_id and (row.channel_id if full else short(row.channel_id)),
        "path": row.path or None,
        "model": row.model,
        "plan": row.plan,
        "outcome": str(row.outcome),
        "prompt_tokens": row.prompt_tokens,
        "completion_tokens": row.completion_tokens,
        "spent": _amount(row.spent),
        "at_most": _amount(row.unspent) if row.uncertain else _amount(row.spent),
        "authorised": amount(row.authorised),
        "deposited": amount(row.deposited),
    }


def _draw_groups(terminal: Terminal, groups: Sequence[Group], by: By, full: bool) -> None:
    """A table with a bar in each line: of what was spent, or where that is nothing, of what was asked for."""
    groups = [each for each in groups if each.totals.requests or each.totals.spent]
    columns = [str(by), "requests", "tokens in", "tokens out", "spent"]
    odd = [name for name in ("failed", "unknown") if any(getattr(each.totals, name) for each in groups)]
    rows = []
    for each in groups:
        totals = each.totals
        counts = [totals.requests, *(getattr(totals, name) for name in odd), totals.prompt_tokens]
        cells = [f"{count:,}" for count in (*counts, totals.completion_tokens)]
        rows.append([_key(each, by, full) or _NONE, *cells])
    columns[2:2] = odd
    spent = [each.totals.spent for each in groups]
    for cells, shown in zip(rows, _aligned(spent), strict=True):
        cells.append(shown)
    bars = spent if any(spent) else [each.totals.requests for each in groups]
    terminal.table(columns, rows, right=columns[1:], fold=columns[:1], bars=bars, spare=_SPARE)


def _aligned(amounts: Sequence[int]) -> list[str]:
    """The amounts with as many decimals each, so that the points stand below each other."""
    texts = [amount(units) for units in amounts]
    decimals = max((len(text.partition(".")[2]) for text in texts), default=0)
    return [text + "0" * (decimals - len(text.partition(".")[2])) for text in texts]


def _draw_rows(terminal: Terminal, rows: Sequence[Row]) -> None:
    columns = ["time", "rail", "model or plan", "outcome", "tokens in", "tokens out", "spent"]
    shown = []
    for row in rows:
        at = time.strftime("%Y-%m-%d %H:%M", time.localtime(row.at))
        tokens = ["" if count is None else f"{count:,}" for count in (row.prompt_tokens, row.completion_tokens)]
        cost = "?" if row.uncertain else amount(row.spent) if row.spent is not None else "-"
        shown.append([at, str(row.rail), row.model or row.plan or "", row.outcome.replace("_", " "), *tokens, cost])
    terminal.table(columns, shown, right=columns[4:], fold=("model or plan",), spare=("rail", *_SPARE))


def _summary(totals: Totals, symbol: str) -> str:
    lines = ["", f"{amount(totals.spent)} {symbol} spent"]
    if totals.uncertain:
        most = "an unknown amount" if totals.at_most is None else f"up to {amount(totals.at_most)}"
        lines.append(f"+ {most} for {totals.uncertain:,} without a receipt")
    if totals.carried:
        lines.append(f"+ {amount(totals.carried)} before it was recovered here")
    parts = [f"{count:,} {name}" for name in ("answered", "failed", "unknown") if (count := getattr(totals, name))]
    lines += [
        f"{totals.requests:,} request{'' if totals.requests == 1 else 's'}: {', '.join(parts) or 'none'}",
        f"{totals.prompt_tokens:,} tokens in, {totals.completion_tokens:,} out",
        f"{amount(totals.authorised)} authorised, {amount(totals.deposited)} deposited",
    ]
    return "\n".join(lines)


def _amount(units: int | None) -> str | None:
    return None if units is None else amount(units)


def _time(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
