"""A channel as ``ando session open`` and ``list`` show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ando_cli.money import amount, known_amount
from ando_cli.redact import shown_id
from ando_cli.session.channel import FUNDED
from ando_cli.times import iso_time

if TYPE_CHECKING:
    from ando_cli.session.channel import Channel


def channel_shape(channel: Channel, *, full: bool) -> dict[str, Any]:
    """Return the channel as data, for ``-j``."""
    return {
        "id": shown_id(channel.channel_id, full=full),
        "gateway": channel.gateway,
        "network": channel.network,
        "deposit": amount(channel.deposit),
        "authorised": amount(channel.cumulative_amount),
        "spent": amount(channel.spent),
        "left": amount(channel.left if channel.state in FUNDED else 0),
        "captured": known_amount(channel.captured),
        "captured_at_most": amount(channel.captured_at_most),
        "state": str(channel.state),
        "created_at": iso_time(channel.created_at),
    }
