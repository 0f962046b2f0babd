"""The forms that single values take in requests, receipts and problems.

Each function takes a value as it came out of JSON and the field's name, and returns it in the form used inside.
All raise ``MalformedError``, which names the field and never quotes the value.
"""

from __future__ import annotations

from datetime import datetime

from ando_cli.mpp.malformed import MalformedError

MAX_AMOUNT = 2**128 - 1
"""The largest amount a v1 voucher can carry (``uint128``), in base units."""

_MAX_SAFE_INTEGER = 2**53 - 1
_MAX_AMOUNT_DIGITS = len(str(MAX_AMOUNT))
_HEX = frozenset("0123456789abcdefABCDEF")
_ANY_DIGIT = str.maketrans("123456789", "0" * 9)


def amount(value: object, name: str) -> int:
    """Return an amount in base units from its decimal string: digits only, no sign, at most ``MAX_AMOUNT``."""
    if not isinstance(value, str) or not (value.isascii() and value.isdigit()) or len(value) > _MAX_AMOUNT_DIGITS:
        raise MalformedError(f"{name} is not a decimal string")
    units = int(value)
    if units > MAX_AMOUNT:
        raise MalformedError(f"{name} is too large")
    return units


def address(value: object, name: str) -> str:
    """Return a 20-byte address as lower-case hex with ``0x``. A checksum in its letters is not looked at."""
    return _hex(value, 20, f"{name} is not an address")


def hash32(value: object, name: str) -> str:
    """Return a 32-byte hash or channel id as lower-case hex with ``0x``."""
    return _hex(value, 32, f"{name} is not a 32-byte hash")


def chain_id(value: object, name: str) -> int:
    """Return a chain id: a positive JSON integer that JavaScript can hold too."""
    if type(value) is not int or not 0 < value <= _MAX_SAFE_INTEGER:  # type(): True is an int as well
        raise MalformedError(f"{name} is not a chain id")
    return value


def text(value: object, name: str) -> str:
    """Return a string that is not empty."""
    if not isinstance(value, str) or not value:
        raise MalformedError(f"{name} is not a text")
    return value


def timestamp(value: object, name: str) -> float:
    """Return Unix seconds from an RFC 3339 date-time, with ``Z`` or a numeric offset.

    A leap second (``:60``) is not understood and so malformed.
    """
    if not isinstance(value, str):
        raise MalformedError(f"{name} is not a date")
    # fromisoformat() reads much more than RFC 3339 allows, and more with every release: hold it to the one shape.
    written = value.upper()
    shape = written.translate(_ANY_DIGIT)
    moment, zone = shape[:19], shape[19:]
    if zone.startswith(".0"):
        zone = zone[1:].lstrip("0")
    if moment != "0000-00-00T00:00:00" or zone not in ("Z", "+00:00", "-00:00"):
        raise MalformedError(f"{name} is not a date")
    try:
        return datetime.fromisoformat(written).timestamp()
    except (ValueError, OverflowError):
        raise MalformedError(f"{name} is not a date") from None


def _hex(value: object, size: int, complaint: str) -> str:
    if not isinstance(value, str) or len(value) != 2 + 2 * size or value[:2] != "0x" or not _HEX.issuperset(value[2:]):
        raise MalformedError(complaint)
    return value.lower()
