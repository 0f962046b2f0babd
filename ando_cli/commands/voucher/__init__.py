"""``ando voucher``: sign one by hand, check one, and decode what travels between a client and a gateway."""

from __future__ import annotations

import typer

from ando_cli.cli.lazy import LazyGroup


class _Voucher(LazyGroup):
    package = __name__
    names = ("sign", "verify", "inspect")


app = typer.Typer(
    cls=_Voucher, add_completion=False, help="Sign and check vouchers by hand; decode what is sent to pay."
)


@app.callback()
def _group() -> None:
    pass
