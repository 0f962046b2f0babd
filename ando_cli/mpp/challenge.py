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
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import field
from typing import TYPE_CHECKING

from ando_cli.frozen import frozen
from ando_cli.mpp import fields
from ando_cli.mpp.base64url import decode_object
from ando_cli.mpp.malformed import MalformedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_ALNUM = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_TOKEN = _ALNUM | frozenset("!#$%&'*+-.^_`|~")
_TOKEN68 = _ALNUM | frozenset("-._~+/")
_BLANK = frozenset(" \t")
_BETWEEN_ELEMENTS = _BLANK | {","}
_PADDING = frozenset("=")

_REQUIRED = ("id", "realm", "method", "intent", "request")
_OPTIONAL = ("expires", "digest", "opaque", "description", "header")


@frozen
class Challenge:
    """One payment challenge, every parameter the string that was received (quoting undone, nothing else).

    ``request`` and ``opaque`` stay base64url: they are echoed as they came, and re-encoding could change them.
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
        (``sha-256=<base64>``). A digest without a ``sha-256`` member cannot be checked and does not match. Where
        there are several, all have to match.
        """
        if self.digest is None:
            return True
        members = [member.partition("=") for member in self.digest.split(",")]
        claimed = [value.strip() for name, _, value in members if name.strip().lower() == "sha-256"]
        actual = base64.b64encode(hashlib.sha256(body).digest()).decode("ascii")
        return bool(claimed) and all(value in (actual, f":{actual}:") for value in claimed)


def parse_challenges(header_values: Iterable[str]) -> tuple[tuple[Challenge, ...], tuple[str, ...]]:
    """Read every ``Payment`` challenge from all ``WWW-Authenticate`` field values of a response.

    Challenges of other schemes are passed over. A ``Payment`` challenge is malformed if it breaks the grammar, names
    a parameter twice, lacks a required one (or has it empty), if its ``request`` or ``opaque`` is not the base64url
    of a JSON object, or if its ``header`` cannot be the name of a header field. Unknown parameters are ignored.

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
    for name in ("request", "opaque"):
        if name in params:
            try:
                decode_object(params[name])
            except MalformedError as error:
                raise MalformedError(f"{name}: {error}") from None
    header = params.get("header")
    if header is not None and not (header and _TOKEN.issuperset(header)):
        raise MalformedError("header is not the name of a header field")
    return Challenge(**{name: params[name] for name in (*_REQUIRED, *_OPTIONAL) if name in params})


def _scan(line: str) -> Iterator[_Draft]:
    """Yield the challenges of one field value, well-formed or spoilt, in order."""
    cursor = _Cursor(line)
    current = _Draft(scheme="")  # takes the params that come before any scheme
    while cursor.next_element():
        try:
            name = cursor.token()
            separated = cursor.blanks()
            if cursor.skip("="):
                cursor.blanks()
                current.add(name.lower(), cursor.value())
                cursor.blanks()
                if not cursor.at_end_of_element():
                    current.spoil("a comma is missing between parameters")
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


class _Cursor:
    """A place in a field value, and the terminals that can be read there."""

    __slots__ = ("_at", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def next_element(self) -> bool:
        """Go to where the next element starts; false at the end."""
        self._run(_BETWEEN_ELEMENTS)
        return self._at < len(self._text)

    def at_end_of_element(self) -> bool:
        return self._text[self._at : self._at + 1] in ("", ",")

    def blanks(self) -> bool:
        """Pass over optional white space; say whether there was any."""
        return bool(self._run(_BLANK))

    def skip(self, character: str) -> bool:
        """Pass over ``character`` if it comes next; say whether it did."""
        found = self._text.startswith(character, self._at)
        self._at += found
        return found

    def token(self) -> str:
        found = self._run(_TOKEN)
        if not found:
            raise MalformedError("an unexpected character")
        return found

    def skip_token68(self) -> None:
        """Pass over a token68 if that is what fills the rest of the element."""
        start = self._at
        found = self._run(_TOKEN68)
        self._run(_PADDING)
        self.blanks()
        if not (found and self.at_end_of_element()):
            self._at = start

    def value(self) -> str:
        """Read the value of a param."""
        return self._quoted() if self.skip('"') else self.token()

    def recover(self) -> None:
        """Go to the next comma outside quotes, or to the end."""
        text = self._text
        while self._at < len(text) and text[self._at] != ",":
            self._at += 1
            if text[self._at - 1] == '"':
                self._rest_of_quoted()

    def _quoted(self) -> str:
        value = self._rest_of_quoted()
        if value is None:
            raise MalformedError("a quoted value does not end")
        if not value.isprintable() and not all(map(_is_text, value)):
            raise MalformedError("a quoted value holds a control character")
        return value

    def _rest_of_quoted(self) -> str | None:
        """Read up to and with the closing quote and undo the quoted-pairs; ``None`` if the text ends before it."""
        text, at, kept = self._text, self._at, []
        end = text.find('"', at)
        while end >= 0:
            pair = text.find("\\", at, end)
            if pair < 0:
                kept.append(text[at:end])
                self._at = end + 1
                return "".join(kept)
            kept += text[at:pair], text[pair + 1 : pair + 2]
            at = pair + 2
            if at > end:  # the quote was one half of the pair
                end = text.find('"', at)
        self._at = len(text)
        return None

    def _run(self, allowed: frozenset[str]) -> str:
        """Pass over the characters that are ``allowed`` and return them."""
        text, start, at = self._text, self._at, self._at
        while at < len(text) and text[at] in allowed:
            at += 1
        self._at = at
        return text[start:at]


def _is_text(character: str) -> bool:
    """Whether a quoted value may hold it: a tab, a space, or what is visible. Half a surrogate pair is no character."""
    return character == "\t" or (" " <= character != "\x7f" and not "\ud800" <= character <= "\udfff")
