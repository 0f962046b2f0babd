"""Amounts of money: base units inside, decimal strings outside, never a float."""

from __future__ import annotations

import re

from ando_cli.errors import UsageError

_DECIMALS = 6
_AMOUNT = r"[0-9]{1,15}(?:\.[0-9]{1,6})?"  # compiled at first use: most runs read no amount


def amount(base_units: int) -> str:
    """Format base units of a token with 6 decimals as a decimal string: ``1500000`` is ``"1.50"``.

    At least two decimals, trailing zeros beyond them dropped. Exact: integers only.
    """
    sign, value = ("-", -base_units) if base_units < 0 else ("", base_units)
    whole, fraction = divmod(value, 10**_DECIMALS)
    digits = f"{fraction:0{_DECIMALS}d}".rstrip("0").ljust(2, "0")
    return f"{sign}{whole}.{digits}"


def known_amount(base_units: int | None) -> str | None:
    """Format base units as ``amount`` does; ``None``, for unknown, stays ``None``."""
    return None if base_units is None else amount(base_units)


def parse_amount(text: str, name: str = "amount") -> int:
    """Parse a decimal string such as ``5`` or ``0.25`` into base units (6 decimals).

    Raises:
        UsageError: ``text`` is not a plain decimal number, has more than six decimals, or is zero.
    """
    stripped = text.strip()
    if not re.fullmatch(_AMOUNT, stripped):
        raise UsageError(
            f"{name} is not an amount of money",
            hint="write a plain decimal with at most six decimals, such as 5 or 0.25",
        )
    whole, _, fraction = stripped.partition(".")
    value = int(whole) * 1_000_000 + int(fraction.ljust(6, "0") or "0")
    if value == 0:
        raise UsageError(f"{name} is zero", hint="give an amount above zero")
    return value
