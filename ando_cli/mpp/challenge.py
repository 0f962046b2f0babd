r"""Challenges: what a ``WWW-Authenticate: Payment`` header asks for.

The grammar (RFC 9110 sections 5.6 and 11.6.1), which the scanner below follows rule by rule::

    header      = [ element ] *( OWS "," OWS [ element ] )
    element     = scheme | scheme 1*SP token68 | scheme 1*SP param | param
    param       = token BWS "=" BWS ( token | quoted )
    quoted      = DQUOTE *( qdtext | "\" character ) DQUOTE
    token68     = 1*( ALPHA | DIGIT | "-" | "." | "_" | "~" | "+" | "/" ) *"="
    scheme      = token

A ``param`` belongs to the nearest ``scheme`` before it. A name is a scheme unless ``=`` follows; ``abc=`` after a
scheme is its token68 if the element ends there, else a param without a value. A fault spoils the challenge it stands
in. Scanning goes on at the next comma outside quotes (or right away where only a comma was missing), so the
challenges after it are still found. No character is looked at more than a fixed number of times.

Where nothing hangs on it more is read than the grammar allows: a fault in a parameter of ``Payment`` that nobody knows
spoils nothing, a ``description`` may hold quotes that were not escaped, and ``\u`` with four hex digits in a quoted
value is that unit of UTF-16, as deployed servers write it.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import field
from typing import TYPE_CHECKING

from ando_cli.frozen import frozen
from ando_cli.mpp import fields
from ando_cli.mpp.base64url import LIMIT, decode_object
from ando_cli.mpp.cursor import TOKEN, Cursor
from ando_cli.mpp.malformed import MalformedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_REQUIRED = ("id", "realm", "method", "intent", "request")
_OPTIONAL = ("expires", "digest", "opaque", "description", "header")
_KNOWN = frozenset(_REQUIRED + _OPTIONAL)


@frozen
class Challenge:
    """One payment challenge, every parameter the string that was received (quoting undone, nothing else).

    ``request`` and ``opaque`` stay as they came, and are echoed so: re-encoding could change them. ``opaque`` is the
    server's own affair and is never decoded.
    A parameter that was absent is ``None``. ``header`` names the header field for the credential where that is not
    ``Authorization``. The repr leaves out what identifies a payment or its parties.
    """

    id: str = field(repr=False)
    realm: str
    method: str
    intent: str
    request: str = field(repr=False)
    expires: str | None = None
    digest: str | None = field(default=None, repr=False)
    description: str | None = None
    opaque: str | None = field(default=None, repr=False)
    header: str | None = None

    def echo(self) -> dict[str, str]:
        """Return the parameters for a credential's ``challenge`` member: as received, only those that were present."""
        values = {name: getattr(self, name) for name in (*_REQUIRED, *_OPTIONAL)}
        return {name: value for name, value in values.items() if value is not None}

    def expired(self, now: float) -> bool:
        """Say whether the challenge is over at ``now`` (Unix seconds).

        It is over from the very moment of ``expires`` on. One without ``expires`` never is; one whose ``expires`` is
        not an RFC 3339 date-time always is.
        """
        if self.expires is None:
            return False
        try:
            return now >= fields.timestamp(self.expires, "expires")
        except MalformedError:
            return True

    def digest_matches(self, body: bytes) -> bool:
        """Say whether ``digest`` is the SHA-256 of ``body``; true where the challenge names no digest.

        Read are RFC 9530 (``sha-256=:<base64>:``, also among other algorithms) and the form deployed servers send
        (``sha-256=<base64>``), each with or without padding. A digest without a ``sha-256`` member cannot be checked
        and does not match. Where there are several, all have to match.
        """
        if self.digest is None:
            return True
        members = [member.partition("=") for member in self.digest.split(",")]
        claimed = [value.strip() for name, _, value in members if name.strip().lower() == "sha-256"]
        actual = base64.b64encode(hashlib.sha256(body).digest()).decode("ascii")
        bare = actual.rstrip("=")
        return bool(claimed) and all(value in (actual, bare, f":{actual}:", f":{bare}:") for value in claimed)


def parse_fields(headers: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[Challenge, ...], tuple[str, ...]]:
    """Read the challenges of a response from its header fields, as bytes: they are ISO-8859-1 whatever else they seem.

    Returns:
        As ``parse_challenges``.
    """
    return parse_challenges(
        value.decode("iso-8859-1") for name, value in headers if name.lower() == b"www-authenticate"
    )


def parse_challenges(header_values: Iterable[str]) -> tuple[tuple[Challenge, ...], tuple[str, ...]]:
    """Read every ``Payment`` challenge from all ``WWW-Authenticate`` field values of a response.

    Challenges of other schemes are passed over. A ``Payment`` challenge is malformed if it breaks the grammar, names
    a parameter twice, lacks a required one (or has it empty), if its ``request`` is not the base64 of a JSON object,
    its ``opaque`` is longer than that may be, or its ``header`` cannot be the name of a header field. Unknown
    parameters are ignored.

    Returns:
        The well-formed challenges in order, and for each malformed one a short reason that quotes nothing from it.
    """
    challenges: list[Challenge] = []
    reasons: list[str] = []
    for line in header_values:
        for draft in _scan(line):
            if draft.scheme != "payment":
                continue
            try:
                challenges.append(_challenge(draft))
            except MalformedError as error:
                reasons.append(str(error))
    return tuple(challenges), tuple(reasons)


class _Draft:
    """A challenge of any scheme while it is being read."""

    __slots__ = ("fault", "params", "scheme")

    def __init__(self, scheme: str) -> None:
        self.scheme = scheme
        self.params: dict[str, str] = {}
        self.fault: str | None = None

    def add(self, name: str, value: str) -> None:
        if name in self.params:
            self.spoil("a parameter occurs twice")
        self.params[name] = value

    def ignores(self, name: str) -> bool:
        """Say whether ``name`` is a parameter that nobody reads, so that its value does not matter."""
        return self.scheme == "payment" and name not in _KNOWN

    def spoil(self, fault: str) -> None:
        """Mark the challenge as malformed; the first fault is the one reported."""
        self.fault = self.fault or fault


def _challenge(draft: _Draft) -> Challenge:
    if draft.fault is not None:
        raise MalformedError(draft.fault)
    params = draft.params
    for name in _REQUIRED:
        if not params.get(name):
            raise MalformedError(f"{name} is missing or empty")
    try:
        decode_object(params["request"])
    except MalformedError as error:
        raise MalformedError(f"request: {error}") from None
    if len(params.get("opaque", "")) > LIMIT:
        raise MalformedError("opaque: the value is too long")
    header = params.get("header")
    if header is not None and not (header and TOKEN.issuperset(header)):
        raise MalformedError("header is not the name of a header field")
    return Challenge(**{name: params[name] for name in (*_REQUIRED, *_OPTIONAL) if name in params})


def _scan(line: str) -> Iterator[_Draft]:
    """Yield the challenges of one field value, well-formed or spoilt, in order."""
    cursor = Cursor(line)
    current = _Draft(scheme="")  # takes the params that come before any scheme
    while cursor.next_element():
        try:
            name = cursor.token()
            separated = cursor.blanks()
            if cursor.skip("="):
                cursor.blanks()
                _read_param(cursor, current, name.lower())
            elif separated or cursor.at_end_of_element():
                yield current
                current = _Draft(scheme=name.lower())
                cursor.skip_token68()
            else:
                raise MalformedError("an unexpected character")
        except MalformedError as error:
            current.spoil(str(error))
            cursor.recover()
    yield current


def _read_param(cursor: Cursor, draft: _Draft, name: str) -> None:
    """Read the value of ``name`` and what separates it from the next parameter."""
    ignored = draft.ignores(name)
    try:
        value = cursor.value(lenient=name == "description")
    except MalformedError:
        if not ignored:
            raise
        cursor.recover()
        return
    draft.add(name, value)
    separated = cursor.blanks()
    if cursor.at_end_of_element():
        return
    if not ignored:
        draft.spoil("a comma is missing between parameters")
    elif not separated:
        cursor.recover()
