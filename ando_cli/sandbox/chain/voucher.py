"""Identify channels of session protocol v1, and hash the vouchers of both protocols (docs/protocol.md, section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from ando_cli.sandbox.chain import abi
from ando_cli.sandbox.primitives import ZERO_ADDRESS, keccak

V1, V2 = "v1", "v2"

DOMAIN_NAMES = {V1: b"Tempo Stream Channel", V2: b"TIP20 Channel Reserve"}
DOMAIN_VERSION = b"1"
DOMAIN_TYPEHASH = keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
VOUCHER_TYPEHASHES = {
    V1: keccak(b"Voucher(bytes32 channelId,uint128 cumulativeAmount)"),
    V2: keccak(b"Voucher(bytes32 channelId,uint96 cumulativeAmount)"),
}
CLOSE_TYPEHASH = keccak(b"CloseAuthorization(bytes32 channelId,uint96 cumulativeAmount)")
UINT128_MAX = 2**128 - 1


@dataclass(frozen=True)
class Channel:
    """Hold the on-chain state of one channel; amounts in base units, times in Unix seconds."""

    finalized: bool
    close_requested_at: int
    payer: str
    payee: str
    token: str
    authorized_signer: str
    deposit: int
    settled: int

    @property
    def exists(self) -> bool:
        """Tell whether the channel was ever opened."""
        return self.payer != ZERO_ADDRESS

    @property
    def signer(self) -> str:
        """Return the account whose vouchers count: the authorized signer, or the payer if no signer is named."""
        return self.payer if self.authorized_signer == ZERO_ADDRESS else self.authorized_signer

    def encode(self) -> bytes:
        """Encode the return data of ``getChannel``."""
        numbers = (self.deposit, self.settled)
        accounts = (self.payer, self.payee, self.token, self.authorized_signer)
        return b"".join(
            (
                abi.uint(self.finalized),
                abi.uint(self.close_requested_at),
                *map(abi.account, accounts),
                *map(abi.uint, numbers),
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> Channel:
        """Decode the return data of ``getChannel``.

        Raises:
            AbiError: The data is not eight words of the right types.
        """
        words = abi.words(data, 8)
        payer, payee, token, signer = map(abi.to_account, words[2:6])
        return cls(
            finalized=bool(abi.to_uint(words[0], 1)),
            close_requested_at=abi.to_uint(words[1], 64),
            payer=payer,
            payee=payee,
            token=token,
            authorized_signer=signer,
            deposit=abi.to_uint(words[6], 128),
            settled=abi.to_uint(words[7], 128),
        )


NO_CHANNEL = Channel(False, 0, ZERO_ADDRESS, ZERO_ADDRESS, ZERO_ADDRESS, ZERO_ADDRESS, 0, 0)


def channel_id(
    *, payer: str, payee: str, token: str, salt: bytes, authorized_signer: str, escrow: str, chain_id: int
) -> bytes:
    """Compute the 32-byte id of a channel."""
    accounts = [abi.account(value) for value in (payer, payee, token)]
    return keccak(b"".join((*accounts, salt, abi.account(authorized_signer), abi.account(escrow), abi.uint(chain_id))))


@cache
def domain_separator(protocol: str, escrow: str, chain_id: int) -> bytes:
    """Compute the EIP-712 domain separator of a protocol's vouchers."""
    names = DOMAIN_TYPEHASH, keccak(DOMAIN_NAMES[protocol]), keccak(DOMAIN_VERSION)
    return keccak(b"".join((*names, abi.uint(chain_id), abi.account(escrow))))


def voucher_digest(channel: bytes, cumulative_amount: int, *, escrow: str, chain_id: int, protocol: str = V1) -> bytes:
    """Compute the EIP-712 digest that a voucher's signer signs."""
    return _digest(
        VOUCHER_TYPEHASHES[protocol], channel, cumulative_amount, domain_separator(protocol, escrow, chain_id)
    )


def close_digest(channel: bytes, cumulative_amount: int, *, escrow: str, chain_id: int) -> bytes:
    """Compute the EIP-712 digest of the authorization of a v2 close (docs/protocol.md, section 4)."""
    return _digest(CLOSE_TYPEHASH, channel, cumulative_amount, domain_separator(V2, escrow, chain_id))


def _digest(typehash: bytes, channel: bytes, amount: int, domain: bytes) -> bytes:
    return keccak(b"\x19\x01" + domain + keccak(typehash + channel + abi.uint(amount)))
