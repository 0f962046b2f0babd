"""``ando voucher inspect``: decode what travels between a client and a gateway."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ando_cli.cli.command import Command
from ando_cli.cli.help import examples
from ando_cli.commands.voucher._subject import decoded
from ando_cli.errors import Code, UsageError
from ando_cli.mpp.malformed import MalformedError
from ando_cli.runtime.context import invocation
from ando_cli.session.report.inspection import LIMIT, Kind, inspect

app = typer.Typer(add_completion=False)


@app.command(
    "inspect",
    cls=Command,
    epilog=examples(
        "pbpaste | ando voucher inspect",
        "ando voucher inspect --reveal < credential.txt",
    ),
)
def inspect_(
    ctx: typer.Context,
    value: Annotated[
        list[str] | None, typer.Argument(metavar="VALUE", help="What to decode. Without it, or with -, reads stdin.")
    ] = None,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show everything in full, secrets included.")] = False,
) -> None:
    """Show what is in a challenge, a credential, a receipt or a voucher, as JSON.

    Prefer stdin to an argument: other programs on this computer can see arguments.
    """
    terminal = invocation(ctx).terminal
    # A value with spaces arrives in pieces if it was not quoted.
    text = " ".join(value or ())
    piped = text in ("", "-")
    if piped:
        if terminal.stdin_tty:
            terminal.note("paste it, then press Enter and Ctrl-D")
        text = decoded(terminal.read_bytes(LIMIT + 1))
    try:
        found = inspect(text, reveal=reveal)
    except MalformedError as error:
        raise UsageError(str(error), code=Code.NOT_INSPECTABLE) from None
    for fault in found.faults:
        terminal.warn(f"there is another challenge, and it is malformed: {fault}")
    if found.pays and not piped:
        what = "credential" if found.kind is Kind.CREDENTIAL else "voucher"
        terminal.warn(f"other programs on this computer can see arguments: give a {what} on stdin")
    if terminal.json_output:
        terminal.json(found.shown)
    else:
        terminal.answer(json.dumps(found.shown, ensure_ascii=False, indent=2))
