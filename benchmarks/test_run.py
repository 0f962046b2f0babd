"""The benchmarks run: `make bench` checks it first. What they measure is for people to read: no time is asserted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parent


def test_every_row_of_the_table_is_measured() -> None:
    command = [sys.executable, str(BENCHMARKS / "run.py"), "--rounds", "1", "--requests", "16"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    for row in ("bare script", "10,000 closed", "--version", "one voucher", "one commit", "metered", "charged in full"):
        assert row in done.stdout
