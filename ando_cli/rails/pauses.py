"""Waiting as long as the gateway asks for, within bounds, and what is said once a deposit was sent."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ando_cli.errors import AndoError
from ando_cli.http.dates import retry_after
from ando_cli.http.routes import is_paid_route
from ando_cli.money import amount

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from ando_cli.rails.turn import Notes
    from ando_cli.session.act.session import Session

LONGEST_PAUSE = 60.0
"""Seconds that one request waits in all because the gateway asks for it."""

BUSY = (429, 503)


class Pauses:
    """The waits of one request that the gateway asks for with ``Retry-After``.

    Args:
        session: has the clock and the command's deadline.
        notes: told of each wait.
        url: of the request; there are no waits where it is not of a paid route.
    """

    def __init__(self, session: Session, notes: Notes, url: str) -> None:
        self._paid = is_paid_route(url)
        self._session = session
        self._notes = notes
        self._waited = 0.0
        self._done: httpx.Response | None = None

    def asked(self, response: httpx.Response) -> float | None:
        """Return the seconds that ``response`` asks to wait; ``None`` where it does not."""
        if not self._paid:
            return None
        return retry_after(response.headers, self._session.clock.now())

    def fits(self, seconds: float) -> bool:
        """Tell whether that wait is within the bounds: a minute in all, and the command's own time."""
        return self._waited + seconds <= LONGEST_PAUSE and seconds < self._session.deadline.left()

    def after_busy(self, response: httpx.Response) -> bool:
        """Wait where ``response`` is a busy gateway's, which says for how long; returns whether to send again."""
        seconds = self.asked(response) if response.status_code in BUSY else None
        if seconds is None or not self.fits(seconds):
            return False
        self.wait(seconds, response.status_code)
        self._done = response
        return True

    def done_for(self, response: httpx.Response) -> bool:
        """Tell whether what ``response`` asks for was waited already."""
        return self._done is response

    def wait(self, seconds: float, status: int) -> None:
        """Wait that long, and at least a moment, so that a gateway that says 0 is not asked without end."""
        seconds = max(seconds, 1.0)
        self._notes.warn(f"the gateway is busy ({status}): trying again in {seconds:.0f} s")
        self._waited += seconds
        self._session.clock.sleep(seconds)


@contextmanager
def deposit_first(what: str, deposited: int) -> Iterator[None]:
    """Let an error that is raised inside speak of the deposit first.

    Args:
        what: became of it, as in "the gateway took the deposit".
        deposited: base units; 0 where there is none to speak of.
    """
    try:
        yield
    except AndoError as error:
        if not deposited:
            raise
        raise error.with_message(f"{what} of {amount(deposited)}; then {error.message}").with_retryable(False) from None
