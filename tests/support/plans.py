"""The states of a channel and the codes of a gateway that plans are made for."""

from __future__ import annotations

from ando_cli.mpp.problem import CANONICAL, ProblemCode
from ando_cli.session.channel import Channel, Pending
from ando_cli.session.decide.policy import Caps
from tests.support.session_doubles import MILLION, channel, opening

CAPS = Caps(max_deposit=5 * MILLION)
CODES = [None, "weather", *ProblemCode, *CANONICAL]
TOP_UP = Pending("0x76bb", 5 * MILLION, 0)
CHANNELS: dict[str, Channel | None] = {
    "none": None,
    "opening": opening(),
    "room": channel(),
    "full": channel(deposit=MILLION),
    "topping up": channel(deposit=MILLION, pending=TOP_UP),
}
