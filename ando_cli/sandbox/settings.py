"""What a running gateway can be told to do differently: prices, shapes, limits."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

PLANS = ("Starter", "Plus", "Premium")
CHARGES = ("metered", "full")
DIGEST_FORMS = ("plain", "rfc9530", "none")
ERROR_SHAPES = ("openai", "bare", "rfc9457")


@dataclass(frozen=True)
class Settings:
    """How the gateway behaves. Amounts are in base units of the token (10**-6), times in seconds.

    Attributes:
        realm: the ``realm`` of the challenges.
        amount: the challenge amount: one voucher bucket.
        suggested_deposit: the hint in the challenge; none where ``None``.
        prices: the price of one token, prompt and completion alike, for each plan.
        charge: ``metered`` draws the cost of a request from the bucket; ``full`` charges the challenge amount for every
            request and answers as a stock MPP server does when a voucher has nothing left.
        fee_payer: offer to pay the fees of open and topUp transactions.
        digest_form: ``plain`` (sha-256=…), ``rfc9530`` (sha-256=:…:) or ``none``.
        error_shape: ``openai``, ``bare`` or ``rfc9457``.
        expiry_seconds: for how long a challenge can be answered.
        model_seconds: how long the model takes to answer.
        denied_payers: accounts that may not pay here.
        credential_header: take credentials in this header instead of ``Authorization``, and say so in the challenge.
    """

    realm: str = "ando-sandbox"
    amount: int = 1_000_000
    suggested_deposit: int | None = 5_000_000
    prices: Mapping[str, int] = field(default_factory=lambda: {"Starter": 10, "Plus": 30, "Premium": 100})
    charge: str = "metered"
    fee_payer: bool = False
    digest_form: str = "plain"
    error_shape: str = "openai"
    expiry_seconds: float = 300.0
    model_seconds: float = 0.0
    denied_payers: tuple[str, ...] = ()
    credential_header: str | None = None

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: one of them makes no sense.
        """
        if set(self.prices) != set(PLANS) or not all(_is_amount(price) for price in self.prices.values()):
            raise ValueError(f"prices: expected an amount for each of {', '.join(PLANS)}")
        if not _is_amount(self.amount) or not (self.suggested_deposit is None or _is_amount(self.suggested_deposit)):
            raise ValueError("amount and suggested_deposit are whole numbers of base units")
        for name, allowed in (("charge", CHARGES), ("digest_form", DIGEST_FORMS), ("error_shape", ERROR_SHAPES)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}: expected one of {', '.join(allowed)}")

    def changed(self, changes: Mapping[str, Any]) -> Settings:
        """These settings with some values replaced; ``prices`` may name only the plans that change.

        Raises:
            ValueError: a name is unknown or a value makes no sense.
        """
        unknown = set(changes) - {item.name for item in dataclasses.fields(self)}
        if unknown:
            raise ValueError(f"unknown setting: {', '.join(sorted(unknown))}")
        values = dict(changes)
        if "prices" in values:
            values["prices"] = {**self.prices, **values["prices"]}
        if "denied_payers" in values:
            values["denied_payers"] = tuple(payer.lower() for payer in values["denied_payers"])
        return dataclasses.replace(self, **values)

    @property
    def pricing_snapshot(self) -> str:
        """A short name for the current prices, bound into every challenge."""
        return hashlib.sha256(json.dumps(dict(self.prices), sort_keys=True).encode()).hexdigest()[:16]


def _is_amount(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**128
