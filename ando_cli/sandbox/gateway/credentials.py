"""Read payment credentials strictly: any deviation is malformed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from ando_cli.sandbox.chain.descriptor import Descriptor
from ando_cli.sandbox.chain.voucher import UINT128_MAX
from ando_cli.sandbox.primitives import address, checksummed, from_hex
from ando_cli.sandbox.problems import Problem
from ando_cli.sandbox.wire import ACTIONS, decode_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

_AMOUNT = re.compile(r"0|[1-9][0-9]{0,38}")
_SOURCE = re.compile(r"did:pkh:eip155:([1-9][0-9]{0,18}):(0x[0-9a-fA-F]{40})")


@dataclass(frozen=True)
class Source:
    """Name the payer, as the credential claims."""

    chain_id: int
    payer: str


@dataclass(frozen=True)
class Voucher:
    """Authorize ``cumulative_amount`` base units in total from a channel."""

    channel_id: bytes
    cumulative_amount: int
    signature: bytes


@dataclass(frozen=True)
class Credential:
    """Hold a well-formed credential; nothing in it has been verified."""

    challenge: Mapping[str, str]
    source: Source
    action: str
    payload: Mapping[str, Any]

    @cached_property
    def channel_id(self) -> bytes:
        """Return the id of the channel that the credential names."""
        return self._read("channelId", lambda value: from_hex(value, 32))

    @cached_property
    def voucher(self) -> Voucher:
        """Return the voucher that the credential carries."""
        signature = self._read("signature", from_hex)
        return Voucher(self.channel_id, self._read("cumulativeAmount", amount), signature)

    @property
    def transaction(self) -> bytes:
        """Return the raw transaction that the credential carries."""
        if self.payload.get("type") != "transaction":
            raise Problem("mpp_malformed_credential", "The type of the payload is not transaction.")
        return self._read("transaction", from_hex)

    @property
    def authorized_signer(self) -> str:
        """Return the account that is to sign the vouchers of the channel that the credential opens."""
        return self._read("authorizedSigner", address)

    @property
    def has_descriptor(self) -> bool:
        """Tell whether the credential describes its channel, as those of session protocol v2 do."""
        return "descriptor" in self.payload

    @cached_property
    def descriptor(self) -> Descriptor:
        """Return the descriptor of the channel."""
        return self._read("descriptor", Descriptor.from_json)

    @property
    def close_signature(self) -> bytes | None:
        """Return the second signature of a v2 close, or ``None`` without one."""
        return self._read("closeSignature", from_hex) if "closeSignature" in self.payload else None

    @property
    def additional_deposit(self) -> int:
        """Return the amount that the top-up adds, in base units."""
        return self._read("additionalDeposit", amount)

    def _read(self, name: str, convert: Callable[[Any], T]) -> T:
        try:
            return convert(self.payload[name])
        except (KeyError, ValueError):
            raise Problem("mpp_malformed_credential", f"The {name} of the payload is missing or malformed.") from None


def amount(value: object) -> int:
    """Parse a decimal string without sign or leading zeros that fits into 128 bits.

    Raises:
        ValueError: The value is anything else.
    """
    if not isinstance(value, str) or not _AMOUNT.fullmatch(value) or int(value) > UINT128_MAX:
        raise ValueError("not an amount")
    return int(value)


def parse(header: str) -> Credential:
    """Read the value of an ``Authorization: Payment`` header.

    Raises:
        Problem: The header is malformed.
    """
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "payment":
        raise Problem("wrong_route", "This route only takes Payment credentials.")
    try:
        value = decode_json(token.strip(" "))
    except ValueError:
        raise Problem("mpp_malformed_credential") from None
    challenge, payload = value.get("challenge"), value.get("payload")
    if not isinstance(challenge, dict) or not isinstance(payload, dict):
        raise Problem("mpp_malformed_credential", "A credential must have a challenge and a payload.")
    if not all(isinstance(item, str) and _is_text(item) for item in challenge.values()):
        raise Problem("mpp_malformed_credential", "A parameter of the challenge is not a text.")
    if payload.get("action") not in ACTIONS:
        raise Problem("mpp_malformed_credential", f"The action must be one of {', '.join(ACTIONS)}.")
    return Credential(challenge, _source(value.get("source")), payload["action"], payload)


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


def _source(value: object) -> Source:
    match = _SOURCE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise Problem("mpp_malformed_credential", "The source is not a did:pkh of an eip155 account.")
    account = match[2].lower()
    if match[2] not in (account, checksummed(account)):
        raise Problem("mpp_malformed_credential", "The address in the source has a wrong checksum.")
    return Source(int(match[1]), account)
