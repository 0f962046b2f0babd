"""``ando models``: which models a Virtual Key may use."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from ando_cli.cli.command import Command
from ando_cli.cli.options import ConnectTimeoutOption, ProfileOption, TimeoutOption, key_options
from ando_cli.config.settings import KEY_RAIL
from ando_cli.errors import KeyMissingError, KeyringUnusableError
from ando_cli.inference.account import MODELS_PATH, read_models
from ando_cli.keys.virtual_keys import VARIABLE
from ando_cli.runtime.context import invocation
from ando_cli.runtime.wiring import connect, remember_models

app = typer.Typer(add_completion=False)

EXAMPLES = """\
Examples:
  ando models
  ando models --search qwen
  ando models -j | jq -r '.[].id'
"""


@app.command(cls=Command, epilog=EXAMPLES)
def models(
    ctx: typer.Context,
    search: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only those with this text in their name, whatever its case.")
    ] = None,
    profile: ProfileOption = None,
    timeout: TimeoutOption = None,
    connect_timeout: ConnectTimeoutOption = None,
) -> None:
    """List the models that a Virtual Key may use.

    The list belongs to the key: without one there is none, and on the paid route the gateway picks a model by itself.
    """
    state = invocation(ctx)
    terminal = state.terminal
    try:
        with connect(state, key_options(profile, timeout, connect_timeout), KEY_RAIL) as client:
            terminal.stage("asking for the models")
            listed = read_models(client.get(MODELS_PATH))
    except (KeyMissingError, KeyringUnusableError) as error:
        hint = (
            f"store one with `ando key set`, or set {VARIABLE}; "
            "without one, `ando chat` pays per use and needs no model"
        )
        message = f"{error.message}; the list of models belongs to a Virtual Key"
        raise error.with_message(message).with_hint(hint) from None
    remember_models(state.settings, [model.id for model in listed])
    found = [model for model in listed if search is None or search.casefold() in model.id.casefold()]
    if terminal.structured:
        terminal.json([{"id": model.id, "owned_by": model.owner, "created": model.created} for model in found])
        return
    if not found:
        terminal.note("this key may use no model" if search is None else "no model has this in its name")
        return
    rows = [[model.id, model.owner or "", _day(model.created)] for model in found]
    terminal.table(("model", "owner", "since"), rows, right=(), fold=("owner",))


def _day(created: int | None) -> str:
    try:
        return "" if created is None else time.strftime("%Y-%m-%d", time.gmtime(created))
    except (OverflowError, ValueError, OSError):
        return ""
