"""Another process at the same store: ``session_worker.py add|climb|die PATH NUMBER``, begun by a line on stdin."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from ando_cli.errors import StoreError
from ando_cli.session.record.store import Store
from tests.support.session_doubles import MILLION, channel


def add(path: Path, salt: int) -> str:
    """Create the file where it is not there yet, and record a channel."""
    try:
        Store(path).add(channel(salt))
    except StoreError as error:
        return error.code
    return "added"


def climb(path: Path, rounds: int) -> str:
    """Raise by one, ``rounds`` times, looking again whenever another was faster."""
    store = Store(path)
    done = 0
    while done < rounds:
        known = store.channels()[0]
        done += store.raise_cumulative(known.channel_id, known.cumulative_amount, known.cumulative_amount + 1)
    return "climbed"


def die(path: Path, signed: int) -> str:
    """Be killed in the middle of a write, right after another one was committed."""
    store = Store(path)
    store.add(channel())
    assert store.raise_cumulative(channel().channel_id, MILLION, signed)
    store._db.execute("BEGIN IMMEDIATE")
    store._db.execute("UPDATE channels SET cumulative_amount = '9'")
    os.kill(os.getpid(), signal.SIGKILL)
    return "not reached"


if __name__ == "__main__":
    work = {"add": add, "climb": climb, "die": die}[sys.argv[1]]
    print("ready", flush=True)
    sys.stdin.readline()
    print(work(Path(sys.argv[2]), int(sys.argv[3])), flush=True)
