"""For all tests: a property's cost in time is not what it tests, and libraries leave Python as they found it."""

from __future__ import annotations

import signal
import sys

import pytest
from hypothesis import settings

settings.register_profile("ando", deadline=None)
settings.load_profile("ando")

# A shell has Ctrl-C ignored by what it starts in the background, and so would be the commands that the tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

RECURSION_LIMIT = sys.getrecursionlimit()


@pytest.fixture(autouse=True)
def _kept_recursion_limit() -> None:
    """Test modules load eth_account and web3 bare, and with them py_ecc, which raises the limit to 100,000.

    A test of deeply nested JSON would then end the interpreter, where the command raises ``RecursionError``.
    """
    sys.setrecursionlimit(RECURSION_LIMIT)
