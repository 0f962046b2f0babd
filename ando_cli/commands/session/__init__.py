"""``ando session``: the life of payment channels, one module a command."""

from __future__ import annotations

from ando_cli.cli.lazy import lazy_app

app = lazy_app(
    __name__,
    ("open", "list", "show", "topup", "close", "sync", "recover", "forget"),
    help="Open, top up, inspect and close payment channels.",
)
