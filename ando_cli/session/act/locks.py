"""Locks: deposits into one channel across processes, and the creation of a part across threads.

The lock of a channel is the operating system's, so a process that is killed releases it.
"""

from __future__ import annotations

import hashlib
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from ando_cli.errors import Code, StoreError
from ando_cli.files import make_private_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ando_cli.session.channel import ChannelKey

_T = TypeVar("_T")

WAIT_SECONDS = 120.0
"""How long a request waits for others on its channel."""


def busy(seconds: float = WAIT_SECONDS) -> StoreError:
    """Return the error for a channel that others did not release in ``seconds``."""
    return StoreError(
        f"another ando was busy with this channel for {seconds:.0f} seconds",
        hint="see whether it waits for an answer; then try again",
        code=Code.STORE_BUSY,
    )


@contextmanager
def exclusive(folder: Path, key: ChannelKey, left: float = WAIT_SECONDS) -> Iterator[None]:
    """Hold the lock for deposits into ``key``'s channel, across processes.

    Args:
        folder: where the lock files are; it is made, readable by the user alone.
        key: what the channel is for. The name of its lock file tells nothing of it.
        left: seconds that the command has left: the lock is waited for no longer.

    Raises:
        StoreError: another process held the lock for too long, or the lock file cannot be made.
    """
    from filelock import FileLock, Timeout  # only where a deposit is made

    path = folder / (hashlib.sha256(repr(key).encode()).hexdigest()[:32] + ".lock")
    patience = min(WAIT_SECONDS, left)
    try:
        make_private_folder(folder)
        lock = FileLock(path, timeout=patience, mode=0o600)
        lock.acquire()
    except Timeout:
        raise busy(patience) from None
    except OSError as error:
        raise StoreError(
            f"the session state cannot be written: {error.strerror}",
            hint=f"nothing was signed; make {folder} writable, or set ANDO_HOME to a folder that is",
            code=Code.STORE_UNWRITABLE,
        ) from None
    try:
        yield
    finally:
        lock.release()


def once(make: Callable[[], _T]) -> Callable[[], _T]:
    """Return ``make``, called at most once however many threads need what it makes; again only if it failed."""
    made: list[_T] = []
    lock = threading.Lock()

    def get() -> _T:
        if not made:
            with lock:
                if not made:
                    made.append(make())
        return made[0]

    return get
