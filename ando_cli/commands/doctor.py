"""``ando doctor``: check everything that paying needs, and report what to do if something is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ando_cli.cli.command import Command
from ando_cli.config.settings import parse_seconds
from ando_cli.doctor.examination import Records, Subject, examine, without_settings
from ando_cli.doctor.report import Status, tidy
from ando_cli.errors import ExitCode, UsageError
from ando_cli.keys.virtual_keys import VirtualKey, VirtualKeys
from ando_cli.runtime.context import invocation
from ando_cli.runtime.wiring import PayOptions, assemble, existing_store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ando_cli.doctor.report import Line
    from ando_cli.runtime.context import Invocation
    from ando_cli.terminal.output import Terminal

DEFAULT_TIMEOUT = 10.0

app = typer.Typer(add_completion=False)


@app.command(
    cls=Command,
    epilog="""\
Examples:
  ando doctor
  ando --sandbox doctor
  ando doctor -j | jq '.checks[] | select(.status != "pass")'
""",
)
def doctor(
    ctx: typer.Context,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="How long to wait for each answer.", show_default="10")
    ] = None,
) -> None:
    """Check everything that paying needs, and report what to do if something is missing.

    It pays, changes and signs nothing. The output is safe to paste: it contains no key, address or name. The exit code
    is 0 if no check failed, else 1.
    """
    state = invocation(ctx)
    patience = DEFAULT_TIMEOUT if timeout is None else parse_seconds(timeout, "--timeout")
    with state.terminal.progress():
        state.terminal.stage("looking")
        lines = tidy(_lines(state, patience), state.environ)
    _show(state.terminal, lines)
    if any(line.status is Status.FAIL for line in lines):
        raise typer.Exit(ExitCode.GENERAL)


def _lines(state: Invocation, timeout: float) -> list[Line]:
    try:
        sandbox = state.settings.sandbox
    except UsageError as error:
        return without_settings(error)
    with assemble(state, PayOptions()) as parts:

        def wallet() -> tuple[str, str]:
            if sandbox:
                return "the sandbox", parts.session.keys.payer
            store = state.open_wallet(asking=False)
            address = store.noted_address()
            return store.variable or f"the {store.place()}", address

        def virtual_key() -> VirtualKey | None:
            if sandbox:
                return VirtualKey(parts.virtual_key(), None, None, "the sandbox")
            return VirtualKeys(state.environ, parts.settings.profile).look(None)

        def records() -> Records:
            with existing_store(parts.settings) as store:
                if store is None:
                    return Records()
                pinned = store.pinned_payee(parts.settings.gateway, parts.settings.network.name)
                return Records(store.channels(), pinned)

        return examine(Subject(parts.settings, wallet, virtual_key, records, timeout))


def _show(terminal: Terminal, lines: Sequence[Line]) -> None:
    if terminal.structured:
        ok = all(line.status is not Status.FAIL for line in lines)
        checks = [
            {"name": line.name, "status": str(line.status), "found": line.found, "fix": line.fix} for line in lines
        ]
        terminal.json({"ok": ok, "checks": checks})
        return
    rows = []
    for line in lines:
        rows.append((str(line.status), line.name, line.found))
        if line.fix is not None and line.status is not Status.PASS:
            rows.append(("", "", f"try: {line.fix}"))
    terminal.table(("status", "check", "found"), rows, right=(), fold=("found",))
