"""The two session protocols: v1 is a contract, v2 a precompile of the chain (TIP-1034; docs/protocol.md, section 4)."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from ando_cli.tempo.abi import UINT96_MAX, UINT128_MAX


class Protocol(StrEnum):
    """Which of the two a channel lives on. The value is what a challenge says in ``sessionProtocol``."""

    V1 = "v1"
    V2 = "v2"

    @property
    def facts(self) -> Facts:
        """What differs in its vouchers."""
        return FACTS[self]


class Facts(NamedTuple):
    """What differs in the vouchers of the protocols.

    Attributes:
        domain_name: the name in the EIP-712 domain. The version is ``1`` in both.
        voucher_type: the EIP-712 type of a voucher.
        max_amount: the highest deposit or cumulative amount, in base units.
    """

    domain_name: str
    voucher_type: str
    max_amount: int


FACTS = MappingProxyType(
    {
        Protocol.V1: Facts(
            domain_name="Tempo Stream Channel",
            voucher_type="Voucher(bytes32 channelId,uint128 cumulativeAmount)",
            max_amount=UINT128_MAX,
        ),
        Protocol.V2: Facts(
            domain_name="TIP20 Channel Reserve",
            voucher_type="Voucher(bytes32 channelId,uint96 cumulativeAmount)",
            max_amount=UINT96_MAX,
        ),
    }
)
"""Each protocol's facts. The table cannot be changed."""
