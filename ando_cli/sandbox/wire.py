"""Read and write what crosses the wire: JSON, base64url, challenges as header values, and answers."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

ACTIONS = ("open", "voucher", "topUp", "close")
"""The actions of a payment credential."""

BOUND = ("realm", "method", "intent", "request", "expires", "digest", "opaque")
"""The parameters of a challenge that its id covers."""

MAX_DEPTH = 100
MAX_PARAMETER = 16 * 1024

# Possessive, and satisfied by a string that never ends: linear in the input, whatever it is.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True)
class Reply:
    """Hold an answer that is not sent yet.

    Attributes:
        events: the parts of ``body`` if it is a stream of events.
        pace: seconds to wait before each event.
    """

    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    events: tuple[bytes, ...] = ()
    pace: float = 0.0


def loads(data: bytes) -> Any:
    """Parse the JSON value in ``data``.

    The parser recurses once for each bracket, and only the interpreter's recursion limit stops it. Packages raise that
    limit, and then a body of opening brackets crashes the process. So the depth is measured first.

    Raises:
        ValueError: The data is not JSON, or nests deeper than a hundred levels.
    """
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return json.loads(data)
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", data)):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            raise ValueError("the value nests too deep")
    return json.loads(data)


def encode_json(value: object) -> str:
    """Encode a JSON value in base64url without padding; equal values give equal texts."""
    return encode_base64url(_ENCODER.encode(value).encode())


def encode_base64url(data: bytes) -> str:
    """Encode bytes in base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode_json(text: str) -> dict[str, Any]:
    """Decode the JSON object in a base64url text.

    Raises:
        ValueError: The text is longer than 16 KiB, not in the strict alphabet, padded, or not a JSON object.
    """
    if len(text) > MAX_PARAMETER:
        raise ValueError("the value is too long")
    try:
        # The decoder skips characters outside the alphabet; encoding again shows whether there were any.
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        if encode_base64url(data) != text:
            raise ValueError("the value is not canonical base64url")
        value = loads(data)
    except (binascii.Error, UnicodeError) as error:
        raise ValueError("the value is not base64url") from error
    if not isinstance(value, dict):
        raise ValueError("the value is not a JSON object")
    return value


def seal(secret: bytes, parameters: Mapping[str, str]) -> dict[str, str]:
    """Put the id of a challenge in front of its parameters."""
    # The separator cannot occur in a value, so two different lists of values never join to the same text.
    text = "\0".join(parameters.get(name, "") for name in BOUND)
    digest = hmac.new(secret, text.encode(), hashlib.sha256).digest()
    return {"id": encode_base64url(digest), **parameters}


def header_value(parameters: Mapping[str, str]) -> str:
    """Format a challenge as the value of ``WWW-Authenticate``."""
    quoted = (f'{name}="{_quoted(value)}"' for name, value in parameters.items())
    return "Payment " + ", ".join(quoted)


def _quoted(value: str) -> str:
    r"""Quote what a header cannot carry as it is: what is not printable ASCII becomes ``\uXXXX``, in UTF-16 units."""
    return "".join(map(_escaped, value))


def _escaped(character: str) -> str:
    if character in '\\"':
        return "\\" + character
    if " " <= character <= "~":
        return character
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at] << 8 | units[at + 1]:04x}" for at in range(0, len(units), 2))
