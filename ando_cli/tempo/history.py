"""Which channels an account ever opened, and what was taken from one that is closed: read from the escrow's events.

The node can keep a channel from us, but it cannot make one up: an event counts only if its id is the hash of the terms
that it states.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ando_cli.errors import Code, NetworkError, RpcError, RpcUnreachableError
from ando_cli.tempo.abi import UINT64_MAX, ZERO_ADDRESS, ZERO_HASH, address_word, bytes32_word, normalise_address
from ando_cli.tempo.channel import ChannelTerms
from ando_cli.tempo.endpoint import WrongAnswerError, quantity
from ando_cli.tempo.keys import keccak256
from ando_cli.tempo.protocol import Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ando_cli.tempo.endpoint import Endpoint

# Public nodes serve some 100,000 blocks of events at a time, and a year has some 60 million.
_MAX_QUERIES = 2_000
_MAX_SECONDS = 300.0

_OPENED = {
    Protocol.V1: keccak256(b"ChannelOpened(bytes32,address,address,address,address,bytes32,uint256)"),
    Protocol.V2: keccak256(b"ChannelOpened(bytes32,address,address,address,address,address,bytes32,bytes32,uint96)"),
}
CLOSED = {
    Protocol.V1: keccak256(b"ChannelClosed(bytes32,address,address,uint256,uint256)"),
    Protocol.V2: keccak256(b"ChannelClosed(bytes32,address,address,uint96,uint96)"),
}
"""The topic of the event that says what the payee took and what came back."""
# A close is looked for in the last hour or two first, where it mostly is, and then as far as that is quickly done.
_RECENT = 10_000
_CLOSE_QUERIES = 24
# Before a channel is opened on a fresh machine: half a day first, then as far as that is quickly done.
_LOOK_BLOCKS = 100_000
_LOOK_SECONDS = 10.0
# The data of an opening; the id, the payer and the payee are in its topics. The last is the deposit.
_DATA = {
    Protocol.V1: ("address", "address", "bytes32", "uint256"),
    Protocol.V2: ("address", "address", "address", "bytes32", "bytes32", "uint96"),
}


class IncompleteSearchError(RpcError):
    """The node serves too little of its history at a time, or too slowly, to search all that was asked for."""

    def __init__(self, host: str, found: list[ChannelTerms], searched_from: int) -> None:
        super().__init__(
            f"{host} serves too little history at a time: nothing before block {searched_from} was searched",
            hint="give the channel's id, or use another RPC endpoint",
            code=Code.RPC_SEARCH_INCOMPLETE,
        )
        self._found = tuple(found)
        self._searched_from = searched_from

    @property
    def found(self) -> tuple[ChannelTerms, ...]:
        """The channels that were found all the same, the youngest first."""
        return self._found

    @property
    def searched_from(self) -> int:
        """The first block that was searched; there is no word on those before it."""
        return self._searched_from


def opened_channels(
    endpoint: Endpoint,
    escrow: str,
    payer: str,
    *,
    chain_id: int,
    protocol: Protocol,
    from_block: int,
    quickly: bool = False,
) -> list[ChannelTerms]:
    """Return the channels that ``payer`` opened on ``escrow`` since ``from_block``, the youngest first.

    The search goes from the latest block backwards, in pieces as large as the node allows; where it is to be done
    ``quickly``, in a few of them. It does not look at what became of a channel.

    Raises:
        IncompleteSearchError: the search took too many questions or too long. It carries what was found.
        NetworkError: the node refuses to search.
    """
    escrow, payer = normalise_address(escrow), normalise_address(payer)
    asked = {"address": escrow, "topics": [_hex(_OPENED[protocol]), None, _hex(address_word(payer))]}
    found: dict[str, ChannelTerms] = {}
    searched_from = from_block + 1
    limits = (_LOOK_BLOCKS, _CLOSE_QUERIES, _LOOK_SECONDS) if quickly else (None, None, _MAX_SECONDS)
    for first, logs in _pieces(endpoint, asked, "the channels that were opened", limits, from_block=from_block):
        searched_from = first
        for log in reversed(logs):
            terms = _terms(endpoint, log, escrow, payer, chain_id, protocol)
            if terms is not None:
                found.setdefault(terms.channel_id, terms)
    if searched_from > from_block:
        raise IncompleteSearchError(endpoint.host, list(found.values()), searched_from)
    return list(found.values())


def captured(endpoint: Endpoint, escrow: str, channel_id: str, *, protocol: Protocol) -> int | None:
    """Return what the payee took in all from a channel that is closed, as the event of its closing says.

    Of a closed channel that is all that the chain keeps. ``None`` where no such event is found: there is none, or it
    is so old that the node does not serve it without many questions.

    Raises:
        NetworkError: the node refuses to search.
    """
    wanted = _hex(bytes32_word(channel_id))
    asked = {"address": normalise_address(escrow), "topics": [_hex(CLOSED[protocol]), wanted]}
    for _, logs in _pieces(endpoint, asked, "the close", (_RECENT, _CLOSE_QUERIES, _MAX_SECONDS)):
        for log in reversed(logs):
            taken = _captured(endpoint, log, wanted)
            if taken is not None:
                return taken
    return None


def _pieces(
    endpoint: Endpoint,
    asked: dict[str, Any],
    what: str,
    limits: tuple[int | None, int | None, float],
    *,
    from_block: int = 0,
) -> Iterator[tuple[int, list[Any]]]:
    """Search the events that ``asked`` wants, from the latest block back to ``from_block``, in large pieces.

    It ends early where it takes too many questions, or too long.

    Args:
        endpoint: the server.
        asked: the address and the topics of the events.
        what: names them, for the error.
        limits: how many blocks the first piece has at most, how many questions are asked, and seconds.
        from_block: the first block.

    Yields:
        The first block of a piece, and its events in their order.
    """
    recent, queries, seconds = limits
    with endpoint.asking("the latest block"):
        last = quantity(endpoint.eth.block_number, UINT64_MAX)
    searched_from = last + 1
    yield searched_from, []
    size = searched_from - from_block if recent is None else recent
    deadline = time.monotonic() + seconds
    for _ in range(_MAX_QUERIES if queries is None else queries):
        if searched_from <= from_block or time.monotonic() > deadline:
            return
        first = max(from_block, searched_from - size)
        # Behind one address there can be many nodes, and the one that answers now may have seen a block more.
        to_block = "latest" if searched_from > last else hex(searched_from - 1)
        try:
            with endpoint.asking(what):
                logs = endpoint.request("eth_getLogs", {**asked, "fromBlock": hex(first), "toBlock": to_block})
                if not isinstance(logs, list):
                    raise WrongAnswerError("it is not a list")
        except NetworkError as error:
            # How nodes say that it is too much at once differs in everything, the kind of error included.
            if isinstance(error, RpcUnreachableError) or size == 1:
                raise
            size, recent = size // 2, None
            continue
        if recent is not None:
            size, recent = first - from_block, None
        searched_from = first
        yield first, logs


def _captured(endpoint: Endpoint, log: Any, channel_id: str) -> int | None:
    """Read an event that was searched for; ``None`` for what is no close of this channel."""
    try:
        data = bytes.fromhex(log["data"].removeprefix("0x"))
        if len(data) != 64 or log["topics"][1].lower() != channel_id:
            return None
        taken, _refunded = endpoint.decode(("uint256", "uint256"), data)
        return int(taken)
    # A hostile event and the decoder together can raise anything.
    except Exception:
        return None


def _terms(
    endpoint: Endpoint, log: Any, escrow: str, payer: str, chain_id: int, protocol: Protocol
) -> ChannelTerms | None:
    """Read one event; ``None`` for what is no such event of this payer, or does not add up."""
    try:
        _, channel_id, _, payee = log["topics"]
        data = bytes.fromhex(log["data"].removeprefix("0x"))
        if len(data) != 32 * len(_DATA[protocol]) or len(payee) != 66:
            return None
        *values, _deposit = endpoint.decode(_DATA[protocol], data)
        if protocol is Protocol.V2:
            operator, token, signer, salt, bound = values
        else:
            operator, bound = ZERO_ADDRESS, bytes.fromhex(ZERO_HASH[2:])
            token, signer, salt = values
        terms = ChannelTerms(
            payer=payer,
            payee="0x" + payee[-40:],
            token=token,
            salt=_hex(salt),
            authorized_signer=signer,
            escrow=escrow,
            chain_id=chain_id,
            protocol=protocol,
            operator=operator,
            expiring_nonce_hash=_hex(bound),
        )
        return terms if terms.channel_id == channel_id.lower() else None
    # A hostile event and the decoder together can raise anything.
    except Exception:
        return None


def _hex(value: bytes) -> str:
    return "0x" + value.hex()
