"""How far this computer's clock is off, judged by the chain's time and the gateway's. Pure; times in unix seconds.

A transaction is held against the chain's clock, and a challenge against the gateway's: neither cares for ours.
"""

from __future__ import annotations

from ando_cli.errors import Code, PaymentError

MOST = 3600
"""Seconds by which a clock may be off and is still allowed for."""

NOTED = 5
"""Seconds from which on the user is told."""

_IDLE = 15
"""Seconds by which a chain's last block may be old that is still taken for its time, where no gateway tells another."""


def correction(now: float, chain_time: int, gateway_offset: float | None, most: float = MOST) -> int:
    """Return the seconds to add to ``now`` for the chain's time.

    A chain's time is at least that of its last block. An idle chain's is later, so that a clock counts as ahead by no
    more than what the gateway and the chain agree on.

    Args:
        now: this computer's clock.
        chain_time: the time of the chain's latest block.
        gateway_offset: by how much the gateway's clock is ahead of this one; ``None`` where it did not say.
        most: what is allowed for.

    Raises:
        PaymentError: it is more than ``most``.
    """
    offset = chain_time - now
    if offset < 0 and gateway_offset is not None:
        offset = min(0.0, max(offset, gateway_offset))
    elif offset < -_IDLE:
        offset = 0.0
    if abs(offset) > most:
        raise PaymentError(
            f"this computer's clock is {describe(offset)}",
            hint="set the clock; nothing was signed",
            code=Code.CLOCK_WRONG,
        )
    return round(offset)


def describe(offset: float) -> str:
    """Say how a clock is off to which ``offset`` seconds are to be added."""
    return f"{abs(offset):.0f} s {'behind' if offset > 0 else 'ahead'}"
