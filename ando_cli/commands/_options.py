"""The options that every paying command has, in one wording."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ando_cli.assembly import PayOptions
from ando_cli.errors import UsageError
from ando_cli.settings import parse_amount, parse_seconds

if TYPE_CHECKING:
    from ando_cli.tempo.protocol import Protocol

_PANEL = "Payment"

MaxSpendOption = Annotated[
    str | None,
    typer.Option(
        metavar="AMOUNT",
        help="The most that this command may deposit, and the most that it may newly authorise. [env: ANDO_MAX_SPEND]",
        rich_help_panel=_PANEL,
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before a deposit.", rich_help_panel=_PANEL)]
AcceptPayeeOption = Annotated[
    str | None,
    typer.Option(
        metavar="FINGERPRINT", help="Accept that the gateway is paid at another account.", rich_help_panel=_PANEL
    ),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be paid; sign nothing.", rich_help_panel=_PANEL)
]
TimeoutOption = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="The longest wait for the answer.", show_default="300")
]
ConnectTimeoutOption = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="The longest wait for a connection.", show_default="10")
]


def pay_options(
    max_spend: str | None,
    yes: bool,
    accept_payee: str | None,
    timeout: float | None,
    connect_timeout: float | None,
    *,
    deposit: int | None = None,
    protocol: Protocol | None = None,
    delegate: bool = False,
) -> PayOptions:
    """The flags as checked values.

    Raises:
        UsageError: one of them is not what it should be.
    """
    if accept_payee is not None and not accept_payee.isalnum():
        raise UsageError("--accept-payee takes the fingerprint that the error showed", hint="copy it from there")
    return PayOptions(
        max_spend=None if max_spend is None else parse_amount(max_spend, "--max-spend"),
        assume_yes=yes,
        accept_payee=accept_payee,
        deposit=deposit,
        protocol=protocol,
        delegate=delegate,
        timeout=None if timeout is None else parse_seconds(timeout, "--timeout"),
        connect_timeout=None if connect_timeout is None else parse_seconds(connect_timeout, "--connect-timeout"),
    )
