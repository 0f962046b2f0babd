"""Decoding challenges, credentials, receipts and vouchers for a reader. Pure: no I/O, no clock.

What comes out is JSON with the names that the specification uses. Unless all is to be revealed, whatever could pay,
or tell who pays whom, is hidden (signatures, transactions, challenge ids, opaque data) or shortened (addresses, hashes,
channel ids), wherever it stands: the input can name its members as it likes.
"""

from __future__ import annotations

import math
import re
from contextlib import suppress
from enum import StrEnum
from typing import Any

from ando_cli.frozen import frozen
from ando_cli.mpp import fields
from ando_cli.mpp.base64url import decode_object, encode
from ando_cli.mpp.challenge import parse_challenges
from ando_cli.mpp.malformed import MalformedError
from ando_cli.mpp.receipt import parse_receipt
from ando_cli.redact import short
from ando_cli.session.drawer import DOMAIN_VERSION, Drawer
from ando_cli.tempo.abi import normalise_address
from ando_cli.tempo.protocol import Protocol

LIMIT = 256 * 1024
"""The most characters of input to read."""

HIDDEN = "[hidden]"

_DEPTH = 32
_HEADER = re.compile(r"(www-authenticate|authorization|payment-receipt)[ \t]*:", re.IGNORECASE)
_ENCODED = re.compile(r"[0-9A-Za-z_-]+")
_CREDENTIAL = re.compile(r"payment[ \t]+([0-9A-Za-z_-]+)", re.IGNORECASE)
_HIDDEN_NAMES = {"id", "challengeid", "signature", "transaction", "opaque", "reference"}
# Whatever looks like a hash, an address, a signature or an encoded document, under whatever name.
_LONG = re.compile(r"[0-9A-Za-z_+/-]{48,}")
_HASH = re.compile(r"(?:0[xX])?[0-9A-Fa-f]{64}")
_HEX = re.compile(r"0[xX][0-9A-Fa-f]{16,}|[0-9A-Fa-f]{32,}")


class Kind(StrEnum):
    """What was inspected."""

    CHALLENGE = "challenge"
    CREDENTIAL = "credential"
    RECEIPT = "receipt"
    VOUCHER = "voucher"


@frozen
class Inspected:
    """What the input is, its members for a reader, and what of it could not be read."""

    kind: Kind
    shown: dict[str, Any] | list[dict[str, Any]]
    faults: tuple[str, ...] = ()

    @property
    def pays(self) -> bool:
        """Whether somebody who reads the input over a shoulder could pay with it."""
        return self.kind in (Kind.CREDENTIAL, Kind.VOUCHER)


def inspect(text: str, *, reveal: bool = False) -> Inspected:
    """Find what ``text`` is, and decode it.

    Args:
        text: a ``WWW-Authenticate`` value or its parameters, a ``Payment`` credential, a receipt (each with or without
            the name of its header, the last two also as bare base64url), or a voucher as JSON.
        reveal: show everything in full, secrets included.

    Raises:
        MalformedError: it is none of them, or malformed. The message quotes nothing of it.
    """
    if len(text) > LIMIT:
        raise MalformedError("the input is too long")
    lines = [line for line in map(str.strip, text.splitlines()) if line]
    if not lines:
        raise MalformedError("there is nothing to inspect")
    if lines[0].startswith("{"):
        return Inspected(Kind.VOUCHER, _shown(Kind.VOUCHER, _voucher(text), reveal))
    values = [_HEADER.sub("", line, count=1).strip() if _HEADER.match(line) else line for line in lines]
    if len(values) == 1:
        if credential := _CREDENTIAL.fullmatch(values[0]):
            return _encoded(credential[1], reveal, credential_only=True)
        if _ENCODED.fullmatch(values[0]):
            return _encoded(values[0], reveal)
    return _challenges(values, reveal)


def _challenges(values: list[str], reveal: bool) -> Inspected:
    found, faults = parse_challenges(values)
    if not found and not faults:
        # Only the parameters, without the scheme.
        found, faults = parse_challenges([f"Payment {', '.join(values)}"])
    if not found:
        raise MalformedError(f"not a challenge, credential, receipt or voucher: {faults[0] if faults else 'no match'}")
    shown = [_shown(Kind.CHALLENGE, _opened(challenge.echo()), reveal) for challenge in found]
    return Inspected(Kind.CHALLENGE, shown[0] if len(shown) == 1 else shown, faults)


def _encoded(text: str, reveal: bool, *, credential_only: bool = False) -> Inspected:
    members = decode_object(text, limit=LIMIT)
    if "payload" in members or credential_only:
        return Inspected(Kind.CREDENTIAL, _shown(Kind.CREDENTIAL, _credential(members), reveal))
    if "status" in members:
        parse_receipt(text)
        return Inspected(Kind.RECEIPT, _shown(Kind.RECEIPT, members, reveal))
    raise MalformedError("neither a credential nor a receipt")


def _credential(members: dict[str, Any]) -> dict[str, Any]:
    echo = members.get("challenge")
    if not isinstance(echo, dict) or not isinstance(members.get("payload"), dict):
        raise MalformedError("a credential has a challenge and a payload")
    for name in ("id", "realm", "method", "intent", "request"):
        fields.text(echo.get(name), name)
    return members | {"challenge": _opened(echo)}


def _opened(echo: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a challenge, with what is encoded in them decoded."""
    decoded: dict[str, Any] = {}
    try:
        decoded["request"] = decode_object(fields.text(echo["request"], "request"))
    except MalformedError as error:
        raise MalformedError(f"request: {error}") from None
    if "opaque" in echo:
        with suppress(MalformedError):  # it is the server's own affair, and need not be JSON
            decoded["opaque"] = decode_object(fields.text(echo["opaque"], "opaque"))
    return echo | decoded


def _voucher(text: str) -> dict[str, Any]:
    try:
        # The one strict reader of JSON that there is takes it encoded.
        members = decode_object(encode(text.strip().encode()), limit=2 * LIMIT)
    except UnicodeEncodeError:
        raise MalformedError("not JSON") from None
    channel_id = fields.hash32(members.get("channelId"), "channelId")
    cumulative_amount = fields.amount(members.get("cumulativeAmount"), "cumulativeAmount")
    signature = fields.text(members.get("signature"), "signature")
    if "domain" not in members:
        return members
    domain = members["domain"]
    if not isinstance(domain, dict):
        raise MalformedError("domain is not an object")
    protocol = next((known for known in Protocol if known.facts.domain_name == domain.get("name")), None)
    if protocol is None or domain.get("version") != DOMAIN_VERSION:
        return members | {"protocol": None}
    escrow = fields.address(domain.get("verifyingContract"), "verifyingContract")
    drawer = Drawer(channel_id, normalise_address(escrow), fields.chain_id(domain.get("chainId"), "chainId"), protocol)
    try:
        digest = drawer.digest(cumulative_amount)
    except ValueError:
        raise MalformedError(f"cumulativeAmount is too large for {protocol}") from None
    checked: dict[str, Any] = {"protocol": protocol.value, "digest": digest}
    if members.get("digest", digest) != digest:
        raise MalformedError("the digest is not that of the voucher")
    try:
        return members | checked | {"signer": drawer.recover(cumulative_amount, signature)}
    except ValueError as error:
        return members | checked | {"signer": None, "fault": str(error)}


def _shown(kind: Kind, members: dict[str, Any], reveal: bool) -> dict[str, Any]:
    shown = {_text(name, reveal): _member(name, value, reveal, 0) for name, value in members.items()}
    return {"type": kind} | shown | {"type": kind}  # first, and ours, whatever the input calls itself


def _walk(value: Any, reveal: bool, depth: int) -> Any:
    if depth > _DEPTH:
        raise MalformedError("the JSON is nested too deeply")
    if isinstance(value, dict):
        return {_text(name, reveal): _member(name, value[name], reveal, depth) for name in value}
    if isinstance(value, list):
        return [_walk(item, reveal, depth + 1) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise MalformedError("a number is too large")
    if isinstance(value, int | float) and not isinstance(value, bool):
        # A number can spell a secret too. None that is at home here is this long.
        return value if reveal or len(repr(value)) <= 39 else HIDDEN
    return _text(value, reveal) if isinstance(value, str) else value


def _member(name: str, value: Any, reveal: bool, depth: int) -> Any:
    if not reveal and value is not None and name.lower() in _HIDDEN_NAMES:
        return HIDDEN
    return _walk(value, reveal, depth + 1)


def _text(text: str, reveal: bool) -> str:
    if reveal:
        return text
    return _HEX.sub(lambda found: short(found[0]), _LONG.sub(_long, text))


def _long(found: re.Match[str]) -> str:
    return short(found[0]) if _HASH.fullmatch(found[0]) else HIDDEN
