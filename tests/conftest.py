"""For all tests: a property's cost in time is not what it tests, and libraries leave Python as they found it."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("ando", deadline=None)
settings.load_profile("ando")

# A shell has Ctrl-C ignored by what it starts in the background, and so would be the commands that the tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


def keep_temporary_folders_in_memory(memory: Path = Path("/dev/shm"), enough: int = 2 * 2**30) -> None:
    """Most of what the tests wait for is a disk that syncs, and nothing that a test could find out depends on it."""
    if not os.access(memory, os.W_OK) or os.statvfs(memory).f_flag & os.ST_NOEXEC:  # one test writes an editor there
        return
    if shutil.disk_usage(memory).free >= enough:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))


keep_temporary_folders_in_memory()

RECURSION_LIMIT = sys.getrecursionlimit()


@pytest.fixture(autouse=True)
def _kept_recursion_limit() -> None:
    """Test modules load eth_account and web3 bare, and with them py_ecc, which raises the limit to 100,000.

    A test of deeply nested JSON would then end the interpreter, where the command raises ``RecursionError``.
    """
    sys.setrecursionlimit(RECURSION_LIMIT)
