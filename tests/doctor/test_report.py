"""What is made of the clocks, and what is taken out before anything is shown."""

from __future__ import annotations

import pytest

from ando_cli.doctor.report import Line, Status, tidy
from ando_cli.doctor.servers import clock


@pytest.mark.parametrize(
    ("gateway", "chain", "status", "found"),
    [
        (0, 0, "pass", "agrees with the gateway's and the chain's"),
        (-1, -86_400, "pass", "agrees with the gateway's and the chain's"),
        (None, -86_400, "pass", "agrees with the chain's"),
        (8, None, "warn", "8 seconds behind the gateway's"),
        (-9, -9, "warn", "9 seconds ahead of the gateway's and the chain's"),
        (-90, -86_400, "fail", "90 seconds ahead of the gateway's and the chain's"),
        (0, 60, "fail", "60 seconds behind the gateway's and the chain's"),
        (None, None, "warn", "nothing to compare it with"),
    ],
)
def test_the_clock_is_held_against_both(gateway: float | None, chain: float | None, status: str, found: str) -> None:
    line = clock(gateway, chain)
    assert (line.status, line.found) == (status, found)
    assert bool(line.fix) is (status != "pass")


def test_what_names_the_user_is_taken_out() -> None:
    address = "0x" + "Ab" * 20
    line = Line("x", Status.FAIL, f"/home/alice/.config/ando is {address}\x1b[2J", "chmod 700 /srv/alice/state")
    [shown] = tidy([line], {"HOME": "/home/alice", "ANDO_HOME": "/srv/alice/"})
    assert shown == Line("x", Status.FAIL, "~/.config/ando is 0x…[2J", "chmod 700 $ANDO_HOME/state")
