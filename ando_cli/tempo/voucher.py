"""The voucher of a channel: its EIP-712 digest and signature (docs/protocol.md, section 4).

A voucher says that the payee may have ``cumulative_amount`` out of the deposit, all that came before included.
The typed data is two structs of fixed size, so its digest is three short hashes; tests prove it equal to eth_account's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ando_cli.tempo.abi import address_word, bytes32_word, uint_word
from ando_cli.tempo.keys import keccak256, recover
from ando_cli.tempo.protocol import FACTS, Protocol

if TYPE_CHECKING:
    from ando_cli.tempo.keys import PrivateKey

_DOMAIN_TYPE = keccak256(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
_DOMAIN_VERSION = keccak256(b"1")
_DOMAIN_NAMES = {protocol: keccak256(facts.domain_name.encode()) for protocol, facts in FACTS.items()}
_VOUCHER_TYPES = {protocol: keccak256(facts.voucher_type.encode()) for protocol, facts in FACTS.items()}

_CLOSE_TYPE = b"CloseAuthorization(bytes32 channelId,uint96 cumulativeAmount)"

_SIGNATURE = re.compile(r"0x(?:[0-9a-fA-F]{128}|[0-9a-fA-F]{130})")


def voucher_digest(
    channel_id: str, cumulative_amount: int, *, escrow: str, chain_id: int, protocol: Protocol = Protocol.V1
) -> bytes:
    """Return the 32 bytes that a voucher's signature signs.

    Args:
        channel_id: hex with ``0x``, 32 bytes.
        cumulative_amount: base units of the channel's token, from 0 to 2**128 - 1, on v2 to 2**96 - 1.
        escrow: address of the contract or precompile that verifies the voucher.
        chain_id: the chain that it lives on.
        protocol: which of the two the escrow is.

    Raises:
        ValueError: an argument is malformed or out of range.
    """
    domain = _domain(escrow, chain_id, protocol)
    what = bytes32_word(channel_id) + uint_word(cumulative_amount, FACTS[protocol].max_amount)
    voucher = keccak256(_VOUCHER_TYPES[protocol] + what)
    return keccak256(b"\x19\x01" + domain + voucher)


def sign_voucher(
    key: PrivateKey,
    channel_id: str,
    cumulative_amount: int,
    *,
    escrow: str,
    chain_id: int,
    protocol: Protocol = Protocol.V1,
) -> str:
    """Sign a voucher: 65 bytes ``r ‖ s ‖ v`` as hex with ``0x``.

    The payee can take ``cumulative_amount`` with the signature: record it before it leaves the process.

    Raises:
        ValueError: an argument is malformed or out of range.
    """
    digest = voucher_digest(channel_id, cumulative_amount, escrow=escrow, chain_id=chain_id, protocol=protocol)
    return "0x" + key.sign(digest).hex()


def sign_close(key: PrivateKey, channel_id: str, cumulative_amount: int, *, escrow: str, chain_id: int) -> str:
    """Sign the authorization of a v2 close at ``cumulative_amount``: 65 bytes ``r ‖ s ‖ v`` as hex with ``0x``.

    Newer gateways ask for it beside the voucher; older ones ignore it.

    Raises:
        ValueError: an argument is malformed or out of range.
    """
    domain = _domain(escrow, chain_id, Protocol.V2)
    what = bytes32_word(channel_id) + uint_word(cumulative_amount, FACTS[Protocol.V2].max_amount)
    return "0x" + key.sign(keccak256(b"\x19\x01" + domain + keccak256(keccak256(_CLOSE_TYPE) + what))).hex()


def recover_voucher_signer(
    channel_id: str, cumulative_amount: int, signature: str, *, escrow: str, chain_id: int, protocol: Protocol
) -> str:
    """Return the account whose key signed a voucher, lower-case hex. Whether it may is for the caller to compare.

    Args:
        channel_id, cumulative_amount, escrow, chain_id, protocol: as for :func:`voucher_digest`.
        signature: hex with ``0x``: 65 bytes ``r ‖ s ‖ v`` with ``v`` 27 or 28, or the 64 bytes of EIP-2098. A high
            ``s`` is refused.

    Raises:
        ValueError: an argument is malformed or out of range, or no key could have made the signature.
    """
    digest = voucher_digest(channel_id, cumulative_amount, escrow=escrow, chain_id=chain_id, protocol=protocol)
    if not isinstance(signature, str) or _SIGNATURE.fullmatch(signature) is None:
        raise ValueError("not a signature: expected 0x and 130 hex digits, or 128 in the compact form")
    raw = bytes.fromhex(signature[2:])
    if len(raw) == 64:
        # EIP-2098: a low s leaves its highest bit free, and the parity of R stands there.
        raw = raw[:32] + bytes((raw[32] & 0x7F,)) + raw[33:] + bytes((27 + (raw[32] >> 7),))
    return recover(digest, raw)


def _domain(escrow: str, chain_id: int, protocol: Protocol) -> bytes:
    where = uint_word(chain_id) + address_word(escrow)
    return keccak256(_DOMAIN_TYPE + _DOMAIN_NAMES[protocol] + _DOMAIN_VERSION + where)
