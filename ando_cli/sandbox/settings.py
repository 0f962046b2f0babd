"""Define the settings of a running gateway: prices, shapes, limits."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ando_cli.sandbox.chain.voucher import V1, V2
from ando_cli.sandbox.primitives import address

if TYPE_CHECKING:
    from collections.abc import Mapping

PLANS = ("Starter", "Plus", "Premium")
CHARGES = ("metered", "full")
DIGEST_FORMS = ("plain", "rfc9530", "none")
ERROR_SHAPES = ("openai", "bare", "rfc9457")
MODELS = ("Qwen/Qwen3-8B-AWQ", "meta-llama/Llama-3.1-8B-Instruct", "mistralai/Mistral-Small-24B-Instruct-2501")
BOTH = "both"
CHOICES: dict[str, tuple[str | int, ...]] = {
    "charge": CHARGES,
    "stale_vouchers": ("auto", "refuse", "ignore"),
    "digest_form": DIGEST_FORMS,
    "error_shape": ERROR_SHAPES,
    "protocol": (V1, V2, BOTH),
    "first_protocol": (V1, V2),
    "malformed_status": (402, 400),
}


@dataclass(frozen=True)
class Settings:
    """Define how the gateway behaves. Amounts are in base units of the token (10**-6), times in seconds.

    Attributes:
        realm: the ``realm`` of the challenges.
        amount: the challenge amount: one voucher bucket.
        suggested_deposit: the deposit that the challenge suggests; ``None`` to suggest none.
        prices: the price of one token, prompt and completion alike, for each plan.
        charge: ``metered`` draws the cost of a request from the bucket; ``full`` charges the challenge amount for every
            request and answers as a stock MPP server does when a voucher has nothing left.
        stale_vouchers: what to do with a voucher that is lower than one accepted before, which many clients of one
            channel cause: ``refuse`` it, or ``ignore`` that it is lower and draw on the one accepted before. ``auto``
            is ``ignore`` when charging in full, as a stock v1 server does, else ``refuse``.
        fee_payer: offer to pay the fees of open and topUp transactions.
        digest_form: ``plain`` (sha-256=…), ``rfc9530`` (sha-256=:…:) or ``none``.
        error_shape: ``openai``, ``bare`` or ``rfc9457``.
        expiry_seconds: for how long a challenge can be answered.
        model_seconds: how long the model takes to answer.
        denied_payers: accounts that may not pay here.
        protocol: the session protocol of the challenges: ``v1``, ``v2``, or ``both`` for one challenge of each.
        first_protocol: with ``both``, the protocol whose challenge comes first. It is v2, as of servers that speak it.
        operator: v2 only: an account besides the payee that may settle, which channels must name; ``None`` for no
            operator.
        snapshots: v2 only: report the state of a channel to a client that identifies itself.
        date_offset: seconds by which the ``Date`` of the answers is wrong.
        answer: the text of the model's answer; ``None`` for the canned answer.
        models: the models of the account-owned routes.
        key_budget: what the Virtual Key may spend in total; ``None`` for no limit.
        credential_header: the header that carries credentials instead of ``Authorization``; the challenge names it.
        malformed_status: the status for a malformed credential: 402 with a fresh challenge, as stock servers answer, or
            400 without one.
        min_voucher_delta: by how much a voucher must rise if it rises; ``None`` for no such limit.
        require_close_signature: v2 only: refuse a close without its ``closeSignature``, as servers since mppx 0.13.1
            do. One that is there is verified in any case.
    """

    realm: str = "ando-sandbox"
    amount: int = 1_000_000
    suggested_deposit: int | None = 5_000_000
    prices: Mapping[str, int] = field(default_factory=lambda: {"Starter": 10, "Plus": 30, "Premium": 100})
    charge: str = "metered"
    stale_vouchers: str = "auto"
    fee_payer: bool = False
    digest_form: str = "plain"
    error_shape: str = "openai"
    expiry_seconds: float = 300.0
    model_seconds: float = 0.0
    denied_payers: tuple[str, ...] = ()
    credential_header: str | None = None
    protocol: str = V1
    first_protocol: str = V2
    operator: str | None = None
    snapshots: bool = True
    date_offset: float = 0.0
    answer: str | None = None
    models: tuple[str, ...] = MODELS
    key_budget: int | None = None
    malformed_status: int = 402
    min_voucher_delta: int | None = None
    require_close_signature: bool = False

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: A value is not valid.
        """
        if set(self.prices) != set(PLANS) or not all(_is_amount(price) for price in self.prices.values()):
            raise ValueError(f"prices: expected an amount for each of {', '.join(PLANS)}")
        optional = (self.suggested_deposit, self.key_budget, self.min_voucher_delta)
        if not _is_amount(self.amount) or not all(amount is None or _is_amount(amount) for amount in optional):
            raise ValueError(
                "amount, suggested_deposit, key_budget and min_voucher_delta: expected whole numbers of base units"
            )
        if not all(isinstance(model, str) and model for model in self.models):
            raise ValueError("models: expected a list of names")
        if not isinstance(self.answer, str | None):
            raise ValueError("answer: expected a string")
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}: expected one of {', '.join(map(str, allowed))}")
        if self.operator is not None and address(self.operator) != self.operator:
            raise ValueError("operator: expected an address in lowercase")

    def changed(self, changes: Mapping[str, Any]) -> Settings:
        """Return the settings with some values replaced; ``prices`` may name only the plans that change.

        Raises:
            ValueError: A name is unknown or a value is not valid.
        """
        unknown = set(changes) - {item.name for item in dataclasses.fields(self)}
        if unknown:
            raise ValueError(f"unknown setting: {', '.join(sorted(unknown))}")
        values = dict(changes)
        if "prices" in values:
            values["prices"] = {**self.prices, **values["prices"]}
        if "models" in values:
            values["models"] = tuple(values["models"])
        if "denied_payers" in values:
            values["denied_payers"] = tuple(payer.lower() for payer in values["denied_payers"])
        return dataclasses.replace(self, **values)

    @property
    def protocols(self) -> tuple[str, ...]:
        """Return the session protocols that are offered, in their order."""
        if self.protocol != BOTH:
            return (self.protocol,)
        return (V1, V2) if self.first_protocol == V1 else (V2, V1)

    @property
    def takes_stale_vouchers(self) -> bool:
        """Tell whether a voucher may be lower than one accepted before."""
        return self.stale_vouchers == "ignore" or (self.stale_vouchers == "auto" and self.charge == "full")

    @cached_property
    def pricing_snapshot(self) -> str:
        """Return a short name for the current prices, which every challenge is bound to."""
        return hashlib.sha256(json.dumps(dict(self.prices), sort_keys=True).encode()).hexdigest()[:16]


def _is_amount(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**128
