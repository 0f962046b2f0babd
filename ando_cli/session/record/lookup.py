"""Finding the channel that an id on the command line means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ando_cli.errors import UsageError

if TYPE_CHECKING:
    from ando_cli.session.channel import Channel
    from ando_cli.session.record.store import Store

_HINT = "`ando session list` shows the ids"


def find_channel(store: Store | None, text: str) -> Channel:
    """The recorded channel whose id begins with ``text``: any unique prefix, or the shortened form that lists show.

    Raises:
        UsageError: none does, or more than one.
    """
    wanted, _, end = text.strip().lower().removeprefix("0x").replace("...", "…").partition("…")
    if not wanted or not set(wanted + end) <= set("0123456789abcdef"):
        raise UsageError("this is not the id of a channel", hint=_HINT)
    found = [
        channel
        for channel in (store.channels() if store is not None else ())
        if channel.channel_id[2:].startswith(wanted) and channel.channel_id.endswith(end)
    ]
    if len(found) > 1:
        raise UsageError(f"{len(found)} channels have an id that begins like this", hint="give more of the id")
    if not found:
        raise UsageError("no channel on record has an id that begins like this", hint=_HINT)
    return found[0]
