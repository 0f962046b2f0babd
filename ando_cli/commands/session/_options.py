"""The options that several ``ando session`` commands have."""

from __future__ import annotations

from typing import Annotated

import typer

from ando_cli.cli import candidates

_ID = "The channel: any unique prefix of its id."

IdArgument = Annotated[str, typer.Argument(metavar="ID", help=_ID, autocompletion=candidates.channels)]
OptionalIdArgument = Annotated[
    str | None,
    typer.Argument(metavar="ID", help=f"{_ID} Not needed if only one fits.", autocompletion=candidates.channels),
]
FullOption = Annotated[bool, typer.Option("--full", help="Show ids and transactions in full.")]
TryOption = Annotated[bool, typer.Option("--dry-run", help="Show what would change; record nothing.")]
