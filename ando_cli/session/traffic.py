"""What requests that share a channel report to each other."""

from __future__ import annotations

from enum import IntEnum

from ando_cli.frozen import frozen


class Hold(IntEnum):
    """What the other requests on a channel have to leave be for the moment."""

    NOTHING = 0
    RAISES = 1
    EVERYTHING = 2


@frozen
class Traffic:
    """What other requests of ours are doing with a channel.

    ``claimed``: what of the authorised amount they count on, in base units; ``in_flight``: how many credentials of
    theirs are not answered yet, ``loose`` of them without a claim to any amount; ``hold``: what they ask the rest of us
    to leave be.
    """

    claimed: int = 0
    in_flight: int = 0
    loose: int = 0
    hold: Hold = Hold.NOTHING


@frozen
class Claim:
    """What one request is doing with a channel. ``seconds``: for how long that binds others, if nothing ends it."""

    channel_id: str
    amount: int = 0
    sent: bool = False
    hold: Hold = Hold.NOTHING
    seconds: int = 3600
