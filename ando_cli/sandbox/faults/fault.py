"""Describe and queue the faults of the gateway, which misbehaves on purpose, one request at a time."""

from __future__ import annotations

import dataclasses
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ando_cli.sandbox.faults import nodes, streams
from ando_cli.sandbox.faults.lies import CHALLENGE_LIES
from ando_cli.sandbox.openai.bearer import ROUTES
from ando_cli.sandbox.problems import CODES
from ando_cli.sandbox.settings import ERROR_SHAPES
from ando_cli.sandbox.wire import ACTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TARGETS = ("any", "unpaid", "paid", "free", "rpc", "bearer", *ACTIONS, *ROUTES.values())
DROPS = ("before", "after", "headers")

MAX_DELAY = 3600.0


@dataclass(frozen=True)
class Fault:
    """Describe one thing that goes wrong, for the next requests that match.

    Attributes:
        on: the requests that match: ``unpaid`` or ``paid`` chat requests, an action of a credential (``open``,
            ``voucher``, ``topUp``, ``close``), ``bearer`` (any of the account-owned routes) or one of those
            (``models``, ``chat``, ``responses``, ``think``, ``completions``), ``free`` (the free resource), ``rpc``
            (the chain), or ``any`` of the gateway's own.
        times: the number of requests; ``None`` for all that follow.
        code: answer with this error code instead of handling the request.
        status: the status of that answer; without a code, answer with an error of this status.
        challenge: whether a fresh challenge is sent with the error; ``None`` leaves it to the code.
        shape: the body shape of the error; ``None`` leaves it to the settings.
        message: the message of the error.
        extensions: further members of the error body, such as a forged ``requiredTopUp``.
        headers: further headers of the answer.
        delay: seconds to wait before anything else happens.
        drop: close the connection ``before`` the request is handled, ``after`` it took effect, or when the ``headers``
            and half of the body were sent.
        challenge_lies: what to falsify in a challenge that is sent; see ``lie_about_challenge``.
        receipt_lies: what to falsify in a receipt; see ``lie_about_receipt``.
        snapshot_lies: what to falsify in a v2 session snapshot, in the challenge and in the response header alike; see
            ``lie_about_snapshot``.
        body_bytes: answer with a body of this many bytes.
        body_text: answer with this text as the body.
        redirect: answer with a redirect (307, or ``status``) to this URL.
        rpc: how the chain's node misbehaves, where ``on`` is ``rpc``; see ``faults.nodes.check``.
        stream: how to spoil the answer if it is a stream of events; see ``faults.streams.spoil``.
    """

    on: str = "paid"
    times: int | None = 1
    code: str | None = None
    status: int | None = None
    challenge: bool | None = None
    shape: str | None = None
    message: str | None = None
    extensions: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    drop: str | None = None
    challenge_lies: Mapping[str, Any] = field(default_factory=dict)
    receipt_lies: Mapping[str, Any] = field(default_factory=dict)
    snapshot_lies: Mapping[str, Any] = field(default_factory=dict)
    body_bytes: int | None = None
    body_text: str | None = None
    redirect: str | None = None
    stream: Mapping[str, Any] = field(default_factory=dict)
    rpc: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: A value is not allowed.
        """
        checks = (
            ("on", TARGETS),
            ("code", (None, *CODES)),
            ("shape", (None, *ERROR_SHAPES)),
            ("drop", (None, *DROPS)),
        )
        for name, allowed in checks:
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}: {getattr(self, name)!r} is unknown")
        if self.times is not None and self.times < 1:
            raise ValueError("times: expected at least 1, or null for no limit")
        if not 0 <= self.delay <= MAX_DELAY or (self.body_bytes is not None and self.body_bytes < 0):
            raise ValueError("delay and body_bytes cannot be negative, and delay is at most an hour")
        if set(self.challenge_lies) - CHALLENGE_LIES:
            raise ValueError("challenge_lies: unknown lie")
        if self.rpc and self.on != "rpc":
            raise ValueError("rpc: only a fault on rpc has it")
        nodes.check(self.rpc)
        streams.check(self.stream, MAX_DELAY)

    @property
    def replaces_answer(self) -> bool:
        """Tell whether the fault itself answers the request, which is then not handled."""
        return any(
            value is not None for value in (self.code, self.status, self.body_bytes, self.body_text, self.redirect)
        )

    @classmethod
    def from_json(cls, value: object) -> Fault:
        """Read a fault from its JSON form, whose members are the attributes.

        Raises:
            ValueError: The value is not a fault.
        """
        if not isinstance(value, dict) or set(value) - {item.name for item in dataclasses.fields(cls)}:
            raise ValueError("a fault must be an object with known members only")
        return cls(**value)


class Faults:
    """Queue faults. A request takes the first one that matches it; safe to fill from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: list[tuple[Fault, int | None]] = []

    def push(self, *faults: Fault) -> None:
        """Add faults at the end of the queue."""
        with self._lock:
            self._queue.extend((fault, fault.times) for fault in faults)

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._queue.clear()

    def take(self, action: str, methods: Sequence[str] = ()) -> Fault | None:
        """Use up the first fault for a request with this action; return ``None`` if no fault matches.

        ``methods`` are those that a request to the chain calls.
        """
        with self._lock:
            for index, (fault, left) in enumerate(self._queue):
                if not _matches(fault.on, action) or not nodes.concerns(fault.rpc, methods):
                    continue
                if left is not None:
                    self._queue[index : index + 1] = [(fault, left - 1)] if left > 1 else []
                return fault
        return None


def _matches(on: str, action: str) -> bool:
    if on == "any":
        return action != "rpc"
    if on == "paid":
        return action in ACTIONS or action == "malformed"
    if on == "bearer":
        return action in ROUTES.values()
    return on == action
