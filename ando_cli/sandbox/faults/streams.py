"""Spoil a stream of server-sent events on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COUNTS = ("break_after", "end_after", "malformed_after", "error_after", "delay_after")
MEMBERS = frozenset((*COUNTS, "insert", "event_delay"))
MALFORMED_EVENT = b'data: {"choices": [\n\n'
ERROR_EVENT = (
    b'data: {"error": {"code": "server_error", "message": "The sandbox failed in mid-stream.", '
    b'"type": "server_error"}}\n\n'
)


@dataclass(frozen=True)
class Spoilt:
    """Hold what is sent of a stream.

    Attributes:
        broken: whether the connection is closed after the events, without ending the stream.
        pauses: seconds to wait before each of the events.
    """

    events: tuple[bytes, ...]
    pauses: tuple[float, ...]
    broken: bool


def check(fault: Mapping[str, Any], max_delay: float) -> None:
    """Check the members of a stream fault; see ``spoil``.

    Raises:
        ValueError: A member is unknown or not valid.
    """
    if set(fault) - MEMBERS:
        raise ValueError("stream: unknown member")
    if not all(_is_count(fault.get(name, 0)) for name in COUNTS):
        raise ValueError("stream: expected a whole number of events before something happens")
    match fault.get("insert", [0, ""]):
        case [position, str()] if _is_count(position):
            pass
        case _:
            raise ValueError("stream: insert: expected a number of events and a text")
    delay = fault.get("event_delay", 0)
    if not isinstance(delay, int | float) or not 0 <= delay <= max_delay:
        raise ValueError("stream: event_delay: expected a number of seconds, an hour at most")


def spoil(events: Sequence[bytes], pace: float, fault: Mapping[str, Any]) -> Spoilt:
    """Apply a fault to the events of a stream that waits ``pace`` seconds before each event.

    The members of a fault, where N is the number of events that are sent before something happens: ``insert``
    ([N, text]) sends any text; ``malformed_after`` (N) sends an event that is not JSON; ``error_after`` (N) sends an
    error and ends the stream; ``end_after`` (N) ends it as if it were complete, but without ``[DONE]``;
    ``break_after`` (N) closes the connection; ``event_delay`` (seconds) waits before each event but the first
    ``delay_after`` (one if absent).
    """
    sent = list(events)
    if "insert" in fault:
        position, text = fault["insert"]
        sent.insert(position, text.encode(errors="surrogateescape"))
    if "malformed_after" in fault:
        sent.insert(fault["malformed_after"], MALFORMED_EVENT)
    if "error_after" in fault:
        sent[fault["error_after"] :] = [ERROR_EVENT]
    for end in ("end_after", "break_after"):
        if end in fault:
            del sent[fault[end] :]
    prompt, delay = fault.get("delay_after", 1), fault.get("event_delay", 0)
    pauses = tuple(pace + (delay if index >= prompt else 0) for index in range(len(sent)))
    return Spoilt(tuple(sent), pauses, "break_after" in fault)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
