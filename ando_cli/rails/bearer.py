"""The rail of an account: a Virtual Key in ``Authorization: Bearer``, which nothing else adds.

If a gateway is busy or broken, the same bytes are sent again, a bounded number of times (docs/protocol.md, section 1).
A 402 is an exhausted budget, not a challenge: it is never paid. Each request has a row in the ledger, even if its
answer was lost.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx

from ando_cli.errors import Code, StoreError, UsageError
from ando_cli.http.dates import retry_after
from ando_cli.http.extensions import BOOKING, KEYED, MODEL, STREAMED, UNSENT
from ando_cli.inference.usage import Usage, read_usage
from ando_cli.session.record.ledger import Entry, Outcome, Rail
from ando_cli.urls import may_carry_credentials, origin

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from ando_cli.session.record.store import Store

MAX_RETRIES = 3
"""How often to send a request again after a 429 or a 5xx."""

LONGEST_PAUSE = 60.0
"""The longest ``Retry-After`` to wait for, in seconds; a longer one is reported instead."""

_FIRST_PAUSE = 0.5


@dataclass(slots=True)
class Booking:
    """The ledger's row of one request; completed at most once.

    Args:
        finish_row: writes the outcome into the ledger.
    """

    _finish_row: Callable[[Outcome, Usage], None] = field(repr=False)
    _open: bool = True

    def finish(self, outcome: Outcome, usage: Usage | None = None) -> None:
        """Record the outcome of the request; a second call changes nothing."""
        if self._open:
            self._open = False
            self._finish_row(outcome, usage or Usage())


class BearerAuth(httpx.Auth):
    """Adds the Virtual Key to requests of its gateway.

    Args:
        key: the Virtual Key.
        base_url: the gateway that the key is for, with its ``/v1``.
        gateway: the gateway's identity in the ledger.
        store: opens the ledger.
        stage: called with what is happening, for the spinner and ``-v``.
        warn: called with what the user must know while the request continues.
        sleep: waits, in seconds.
    """

    def __init__(
        self,
        key: str,
        *,
        base_url: str,
        gateway: str,
        store: Callable[[], Store],
        stage: Callable[[str], None] = lambda _: None,
        warn: Callable[[str], None] = lambda _: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._key = key
        self._base_url = base_url
        self._gateway = gateway
        self._store = store
        self._stage = stage
        self._warn = warn
        self._sleep = sleep

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send ``request`` with the key; where the gateway is busy or broken, wait and send the same bytes again.

        Raises:
            UsageError: the key would go where it must not.
            WalletError: there is no key.
        """
        url = str(request.url)
        if origin(url) != origin(self._base_url) or not may_carry_credentials(url):
            raise UsageError(
                "a Virtual Key is sent only to its own gateway, over https or on this machine",
                hint="nothing was sent; check --base-url",
                code=Code.KEY_ELSEWHERE,
            )
        request.headers["Authorization"] = f"Bearer {self._key}"
        request.extensions[KEYED] = True
        booking = None
        if request.method == "POST":  # looking something up is no use of the key
            booking = self._book(request)
            request.headers.setdefault("Idempotency-Key", str(uuid.uuid4()))
        try:
            response = yield from self._ask(request)
        finally:
            # A request whose answer was lost may have been charged: its row stays ``unknown``.
            if booking is not None and UNSENT in request.extensions:
                booking.finish(Outcome.FAILED)
        if booking is None:
            return
        if not response.is_success:
            booking.finish(Outcome.FAILED)
        elif STREAMED in request.extensions:
            response.extensions[BOOKING] = booking
        else:
            booking.finish(Outcome.ANSWERED, read_usage(response.read()))

    def _ask(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, httpx.Response]:
        """Send ``request`` until the gateway answers it, at most a bounded number of times."""
        for attempt in range(MAX_RETRIES + 1):
            response = yield request
            pause = _pause(response, attempt)
            if pause is None or attempt == MAX_RETRIES:
                break
            self._stage(f"the gateway answered {response.status_code}: trying again in {pause:.0f} s")
            self._sleep(pause)
        return response

    def _book(self, request: httpx.Request) -> Booking | None:
        """Write the request into the ledger before it is sent; return ``None`` if it cannot be written."""
        entry = Entry(None, self._gateway, "", request.url.path, model=request.extensions.get(MODEL), rail=Rail.KEY)
        try:
            store = self._store()
            row = store.book(None, entry)
        except StoreError as error:
            # This record holds no money, and the key pays whether or not it can be written.
            self._warn(f"this request is not in the ledger: {error.message}")
            return None

        def finish(outcome: Outcome, usage: Usage) -> None:
            try:
                store.finish(row, outcome, usage)
            except StoreError as error:
                self._warn(f"the outcome was not recorded: {error.message}")

        return Booking(finish)


def _pause(response: httpx.Response, attempt: int) -> float | None:
    """Return the seconds until the request may be sent again; ``None`` if that is useless or would take too long."""
    status = response.status_code
    if status != 429 and not (500 <= status < 600 and status != 501):
        return None
    told = retry_after(response.headers, time.time())
    if told is not None:
        return told if told <= LONGEST_PAUSE else None
    import random  # it takes longer to load than this module

    # Requests that were rejected together must not all return together.
    return _FIRST_PAUSE * (1 << attempt) * random.uniform(0.8, 1.2)  # noqa: S311
