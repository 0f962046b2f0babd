"""``ando models``: which models a Virtual Key may use."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from ando_cli.cli.command import Command
from ando_cli.cli.groups import grouped
from ando_cli.cli.options import ConnectionOptions, ProfileOption
from ando_cli.config.settings import KEY_RAIL
from ando_cli.errors import KeyMissingError, KeyringUnusableError
from ando_cli.inference.models import MODELS_PATH, read_models
from ando_cli.keys.virtual_keys import VARIABLE
from ando_cli.runtime.context import invocation
from ando_cli.runtime.models import remember_models
from ando_cli.runtime.wiring import connect

app = typer.Typer(add_completion=False)

EXAMPLES = """\
Examples:
  ando models
  ando models --search qwen
  ando models -j | jq -r '.[].id'
"""


@app.command(cls=Command, epilog=EXAMPLES)
@grouped
def models(
    ctx: typer.Context,
    *,
    search: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only models with this text in their name; case does not matter.")
    ] = None,
    profile: ProfileOption = None,
    connection: ConnectionOptions,
) -> None:
    """List the models that a Virtual Key may use.

    Each key has its own list. The paid route needs no key: the gateway chooses the model.
    """
    state = invocation(ctx)
    terminal = state.terminal
    try:
        with connect(state, connection.with_key(profile), KEY_RAIL) as client:
            terminal.stage("asking for the models")
            listed = read_models(client.get(MODELS_PATH))
    except (KeyMissingError, KeyringUnusableError) as error:
        hint = (
            f"store one with `ando key set`, or set {VARIABLE}; "
            "without one, `ando chat` pays per use and needs no model"
        )
        message = f"{error.message}; only a Virtual Key has a list of models"
        raise error.with_message(message).with_hint(hint) from None
    remember_models(state.settings.folders, [model.id for model in listed])
    found = [model for model in listed if search is None or search.casefold() in model.id.casefold()]
    if terminal.structured:
        terminal.json([{"id": model.id, "owned_by": model.owner, "created": model.created} for model in found])
        return
    if not found:
        terminal.note("this key may not use any model" if search is None else "no model has this text in its name")
        return
    rows = [[model.id, model.owner or "", _day(model.created)] for model in found]
    terminal.table(("model", "owner", "since"), rows, right=(), fold=("owner",))


def _day(created: int | None) -> str:
    try:
        return "" if created is None else time.strftime("%Y-%m-%d", time.gmtime(created))
    except (OverflowError, ValueError, OSError):
        return ""
