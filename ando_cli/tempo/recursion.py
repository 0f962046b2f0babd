"""Keeps Python's recursion limit where it belongs while the Ethereum libraries load."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def kept_recursion_limit() -> Iterator[None]:
    """Import web3, pytempo, eth_account or eth_keyfile inside this.

    They load py_ecc, which raises the limit to 100,000 for the whole process. From then on a server that sends a few
    hundred thousand ``[`` ends Python 3.11 with a segmentation fault, where ``json`` would have raised RecursionError.
    """
    limit = sys.getrecursionlimit()
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)
