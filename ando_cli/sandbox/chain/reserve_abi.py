"""Decode and run calls to the functions of the v2 escrow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ando_cli.sandbox.chain import abi
from ando_cli.sandbox.chain.descriptor import DESCRIPTOR, WORDS, Descriptor
from ando_cli.sandbox.chain.ledger import Revert
from ando_cli.sandbox.chain.reserve import ADDRESS, CLOSE_GRACE_PERIOD, Reserve
from ando_cli.sandbox.chain.voucher import V2, VOUCHER_TYPEHASHES, domain_separator, voucher_digest

if TYPE_CHECKING:
    from collections.abc import Callable

OPEN = "open(address,address,address,uint96,bytes32,address)"
TOP_UP = f"topUp({DESCRIPTOR},uint96)"
SETTLE = f"settle({DESCRIPTOR},uint96,bytes)"
CLOSE = f"close({DESCRIPTOR},uint96,uint96,bytes)"
REQUEST_CLOSE = f"requestClose({DESCRIPTOR})"
WITHDRAW = f"withdraw({DESCRIPTOR})"
GET_CHANNEL_STATE = "getChannelState(bytes32)"
MAX_BATCH = 1_000


def execute(reserve: Reserve, sender: str, data: bytes) -> bytes:
    """Run one call to the precompile and return its return data.

    Raises:
        Revert: The function does not exist or refuses.
        AbiError: The arguments do not decode.
    """
    function = _FUNCTIONS.get(data[:4])
    if function is None:
        raise Revert("UnknownFunctionSelector(bytes4)")
    return function(reserve, sender, data[4:])


def _described(data: bytes, more: int = 0) -> tuple[Descriptor, list[bytes]]:
    """Decode the descriptor at the front of the arguments; return it and the words after it."""
    words = abi.words(data, WORDS + more)
    return Descriptor.decode(words[:WORDS]), words[WORDS:]


def _open(reserve: Reserve, sender: str, data: bytes) -> bytes:
    payee, operator, token, deposit, salt, signer = abi.words(data, 6)
    accounts = abi.to_account(payee), abi.to_account(operator), abi.to_account(token)
    return reserve.open(sender, *accounts, abi.to_uint(deposit, 96), salt, abi.to_account(signer))


def _top_up(reserve: Reserve, sender: str, data: bytes) -> bytes:
    descriptor, (amount,) = _described(data, 1)
    reserve.top_up(sender, descriptor, abi.to_uint(amount, 96))
    return b""


def _settle(reserve: Reserve, sender: str, data: bytes) -> bytes:
    descriptor, (cumulative, offset) = _described(data, 2)
    reserve.settle(sender, descriptor, abi.to_uint(cumulative, 96), abi.to_dynamic_bytes(data, offset))
    return b""


def _close(reserve: Reserve, sender: str, data: bytes) -> bytes:
    descriptor, (cumulative, capture, offset) = _described(data, 3)
    amounts = abi.to_uint(cumulative, 96), abi.to_uint(capture, 96)
    reserve.close(sender, descriptor, *amounts, abi.to_dynamic_bytes(data, offset))
    return b""


def _request_close(reserve: Reserve, sender: str, data: bytes) -> bytes:
    reserve.request_close(sender, _described(data)[0])
    return b""


def _withdraw(reserve: Reserve, sender: str, data: bytes) -> bytes:
    reserve.withdraw(sender, _described(data)[0])
    return b""


def _get_channel(reserve: Reserve, sender: str, data: bytes) -> bytes:
    descriptor, _ = _described(data)
    return descriptor.encode() + b"".join(reserve.get(reserve.identity(descriptor)).words)


def _get_channel_state(reserve: Reserve, sender: str, data: bytes) -> bytes:
    return b"".join(reserve.get(abi.words(data, 1)[0]).words)


def _get_channel_states(reserve: Reserve, sender: str, data: bytes) -> bytes:
    offset = abi.to_uint(abi.words(data, 1)[0], 32)
    count = abi.to_uint(abi.words(data[offset:], 1)[0], 32)
    if count > MAX_BATCH:
        raise abi.AbiError("too many channels at once")
    channels = abi.words(data[offset + 32 :], count)
    states = (word for channel in channels for word in reserve.get(channel).words)
    return b"".join((abi.uint(32), abi.uint(count), *states))


def _compute_channel_id(reserve: Reserve, sender: str, data: bytes) -> bytes:
    return reserve.identity(_described(data)[0])


def _voucher_digest(reserve: Reserve, sender: str, data: bytes) -> bytes:
    channel, amount = abi.words(data, 2)
    return voucher_digest(channel, abi.to_uint(amount, 96), escrow=ADDRESS, chain_id=reserve.chain_id, protocol=V2)


_FUNCTIONS: dict[bytes, Callable[[Reserve, str, bytes], bytes]] = {
    abi.selector(OPEN): _open,
    abi.selector(TOP_UP): _top_up,
    abi.selector(SETTLE): _settle,
    abi.selector(CLOSE): _close,
    abi.selector(REQUEST_CLOSE): _request_close,
    abi.selector(WITHDRAW): _withdraw,
    abi.selector(f"getChannel({DESCRIPTOR})"): _get_channel,
    abi.selector(GET_CHANNEL_STATE): _get_channel_state,
    abi.selector("getChannelStatesBatch(bytes32[])"): _get_channel_states,
    abi.selector("computeChannelId(address,address,address,address,bytes32,address,bytes32)"): _compute_channel_id,
    abi.selector("getVoucherDigest(bytes32,uint96)"): _voucher_digest,
    abi.selector("domainSeparator()"): lambda reserve, sender, data: domain_separator(V2, ADDRESS, reserve.chain_id),
    abi.selector("VOUCHER_TYPEHASH()"): lambda reserve, sender, data: VOUCHER_TYPEHASHES[V2],
    abi.selector("CLOSE_GRACE_PERIOD()"): lambda reserve, sender, data: abi.uint(CLOSE_GRACE_PERIOD),
}
