"""One request to a gateway, made once: its bytes, and what the ledger records of it. Pure; no I/O."""

from __future__ import annotations

import json
from dataclasses import field
from typing import TYPE_CHECKING, Any

from ando_cli.errors import UsageError
from ando_cli.frozen import frozen
from ando_cli.inference.prompt import check_max_tokens
from ando_cli.redact import clean

if TYPE_CHECKING:
    from collections.abc import Callable

_JSON = (("Content-Type", "application/json"),)
_LIMITS = ("max_tokens", "max_completion_tokens")


@frozen
class Route:
    """A route that answers prompts.

    Attributes:
        path: under the base URL.
        keyed: whether a Virtual Key pays; otherwise a channel does.
        text: finds the text in an answer; raises ``ServerError`` if there is none.
    """

    path: str
    keyed: bool
    text: Callable[[bytes], str] = field(repr=False)


@frozen
class Request:
    """One request as it is sent. Its body is written or parsed once.

    Attributes:
        path: a path under the base URL, or a whole URL.
        body: the bytes, the same in every attempt.
        model, plan: what the body names, safe to show; ``None`` if it names none.
        streamed: whether the answer is streamed.
        limited: whether the body limits the answer's length. Otherwise the gateway decides it, and so the price.
        route: the gateway's route, if the request was built from a prompt.
        method, headers: as in HTTP.
    """

    path: str
    body: bytes = field(default=b"", repr=False)
    model: str | None = None
    plan: str | None = None
    streamed: bool = False
    limited: bool = True
    route: Route | None = None
    method: str = "POST"
    headers: tuple[tuple[str, str], ...] = field(default=_JSON, repr=False)


def request_of(route: Route, members: dict[str, Any], body: bytes | None = None) -> Request:
    """Make the request whose body has these members. ``body`` is its bytes, if they exist already.

    Raises:
        UsageError: a text in it is not UTF-8.
    """
    return Request(
        route.path,
        encode(members) if body is None else body,
        model=name_in(members, "model"),
        plan=name_in(members, "plan"),
        streamed=members.get("stream") is True,
        limited=body is None or any(members.get(name) is not None for name in _LIMITS),
        route=route,
    )


def name_in(members: dict[str, Any], member: str) -> str | None:
    """Return a member of a body that is a name, such as ``model`` or ``plan``, safe to show."""
    value = members.get(member)
    return clean(value, 100) if isinstance(value, str) else None


def encode(members: dict[str, Any]) -> bytes:
    """Encode a request body as the bytes that are sent.

    Raises:
        UsageError: its text is not UTF-8.
    """
    try:
        return json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # arguments that are not UTF-8 arrive as lone surrogates
        raise UsageError("the prompt is not UTF-8 text", hint="check the terminal's encoding") from None


def read_json(body: bytes) -> Any:
    """Read the JSON of a whole body.

    Raises:
        UsageError: it is not JSON.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise UsageError("the body is not valid JSON", hint="check it with `jq .`") from None


def chat_in(text: str) -> dict[str, Any] | None:
    """Find a chat request in piped text: a JSON object with messages. ``None`` if it is text to ask about."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and "messages" in value else None


def check_messages(value: Any) -> dict[str, Any]:
    """Return ``value`` if it is a chat request.

    Raises:
        UsageError: it is not an object with messages.
    """
    if not isinstance(value, dict) or not isinstance(value.get("messages"), list) or not value["messages"]:
        raise UsageError(
            "the body is not a JSON object with messages",
            hint='write {"messages":[{"role":"user","content":"hi"}],"max_tokens":64}',
        )
    return value


def check_limits(members: dict[str, Any]) -> None:
    """Check a chat request's limit on the length of the answer.

    Raises:
        UsageError: it is not a count of tokens.
    """
    for name in _LIMITS:
        if members.get(name) is not None:
            check_max_tokens(members[name], name)
