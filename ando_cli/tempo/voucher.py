"""The voucher of a v1 channel: its EIP-712 digest and signature (protocol.md section 4).

A voucher says that the payee may have ``cumulative_amount`` out of the deposit, all that came before included.
The typed data is two structs of fixed size, so its digest is three short hashes; tests prove it equal to eth_account's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ando_cli.tempo.abi import UINT128_MAX, address_word, bytes32_word, uint_word
from ando_cli.tempo.keys import keccak256

if TYPE_CHECKING:
    from ando_cli.tempo.keys import PrivateKey

_DOMAIN_TYPE = keccak256(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
_DOMAIN_NAME = keccak256(b"Tempo Stream Channel")
_DOMAIN_VERSION = keccak256(b"1")
_VOUCHER_TYPE = keccak256(b"Voucher(bytes32 channelId,uint128 cumulativeAmount)")


def voucher_digest(channel_id: str, cumulative_amount: int, *, escrow: str, chain_id: int) -> bytes:
    """Return the 32 bytes that a voucher's signature signs.

    Args:
        channel_id: hex with ``0x``, 32 bytes.
        cumulative_amount: base units of the channel's token, from 0 to 2**128 - 1.
        escrow: address of the contract that verifies the voucher.
        chain_id: the chain that it lives on.

    Raises:
        ValueError: an argument is malformed or out of range.
    """
    domain = keccak256(_DOMAIN_TYPE + _DOMAIN_NAME + _DOMAIN_VERSION + uint_word(chain_id) + address_word(escrow))
    voucher = keccak256(_VOUCHER_TYPE + bytes32_word(channel_id) + uint_word(cumulative_amount, UINT128_MAX))
    return keccak256(b"\x19\x01" + domain + voucher)


def sign_voucher(key: PrivateKey, channel_id: str, cumulative_amount: int, *, escrow: str, chain_id: int) -> str:
    """Sign a voucher: 65 bytes ``r ‖ s ‖ v`` as hex with ``0x``.

    The payee can take ``cumulative_amount`` with the signature: record it before it leaves the process.

    Raises:
        ValueError: an argument is malformed or out of range.
    """
    digest = voucher_digest(channel_id, cumulative_amount, escrow=escrow, chain_id=chain_id)
    return "0x" + key.sign(digest).hex()
