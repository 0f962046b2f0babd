"""Asking what a request would cost, without paying for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ando_cli.http.failures import failure
from ando_cli.rails.payment import Quote, Quoted

if TYPE_CHECKING:
    from ando_cli.http.client import AndoClient
    from ando_cli.inference.request import Request


def ask_price(client: AndoClient, request: Request) -> Quote | None:
    """Ask what ``request`` would cost; ``None`` where it costs nothing.

    Raises:
        AndoError: as ``AndoClient.send``, or the gateway answered with an error.
    """
    try:
        response = client.send(request, dry_run=True)
    except Quoted as quoted:
        return quoted.quote
    if response.is_success:
        return None
    raise failure(response)
