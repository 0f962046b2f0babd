"""base64url without padding (RFC 4648 section 5), and the JSON objects that travel in it.

What servers send is read more liberally: some pad it, some use the alphabet of plain base64. Everything here was
chosen by a server: sizes are bounded before any work is done, and the only error is ``MalformedError``, whose message
never contains the input.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from ando_cli.mpp.malformed import MalformedError

LIMIT = 16 * 1024
"""Characters of encoded text that are accepted unless the caller says otherwise."""


def encode(data: bytes) -> str:
    """Return ``data`` as base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode(text: str, *, limit: int = LIMIT) -> bytes:
    """Return the bytes that ``text`` stands for.

    Strict, so that every value has exactly one spelling: padding, the characters of plain base64, white space and
    unused bits that are not zero (RFC 4648 section 3.5) are all refused.

    Raises:
        MalformedError: the text is longer than ``limit`` characters or is not base64url.
    """
    if len(text) > limit:
        raise MalformedError("the encoded value is too long")
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise MalformedError("not base64url") from None
    # The standard decoder skips what it does not know. Whatever it skipped or tolerated does not come back.
    if encode(data) != text:
        raise MalformedError("not base64url")
    return data


def decode_object(text: str, *, limit: int = LIMIT) -> dict[str, Any]:
    """Return the JSON object that ``text`` carries, with or without padding, in either alphabet of base64.

    Refused, beyond what is not JSON: a key that occurs twice (readers disagree on which one counts), ``NaN`` and
    ``Infinity``, text that is not Unicode (lone surrogates), and nesting beyond what the interpreter can follow.

    Raises:
        MalformedError: any of these, or as ``decode``.
    """
    raw = decode(_canonical(text), limit=limit)
    try:
        document = raw.decode("utf-8")
        value = _JSON.decode(document)
        if "\\u" in document:
            json.dumps(value, ensure_ascii=False).encode("utf-8")  # an escape can smuggle in half a character
    except MalformedError:
        raise
    except RecursionError:
        raise MalformedError("the JSON is nested too deeply") from None
    except ValueError:
        raise MalformedError("not JSON") from None
    if not isinstance(value, dict):
        raise MalformedError("not a JSON object")
    return value


def _canonical(text: str) -> str:
    """``text`` without its padding, where that is right for its length, and in the alphabet of base64url."""
    bare = text.rstrip("=") if len(text) % 4 == 0 and not text.endswith("===") else text
    return bare.translate(_URL_SAFE)


_URL_SAFE = str.maketrans("+/", "-_")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedError("a JSON key occurs twice")
    return members


def _constant(_name: str) -> Any:
    raise MalformedError("not a JSON number")


_JSON = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)
