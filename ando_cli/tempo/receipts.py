"""What a mined transaction came to, as its receipt says: its fee, and what it took from a channel that it closed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ando_cli.frozen import frozen
from ando_cli.tempo.abi import address_word, bytes32_word, normalise_address, normalise_bytes32
from ando_cli.tempo.endpoint import WrongAnswerError
from ando_cli.tempo.fees import fee_of
from ando_cli.tempo.history import CLOSED
from ando_cli.tempo.keys import keccak256

if TYPE_CHECKING:
    from ando_cli.tempo.channel import ChannelTerms
    from ando_cli.tempo.endpoint import Endpoint

_TRANSFER = keccak256(b"Transfer(address,address,uint256)")


@frozen
class Block:
    """A block: its number, and its time in Unix seconds."""

    number: int
    timestamp: int


@frozen
class Event:
    """An event of a contract: who wrote it, its topics and its data."""

    address: str
    topics: tuple[bytes, ...]
    data: bytes


@frozen
class Receipt:
    """What became of a transaction that is in a block.

    Attributes:
        tx_hash: lower-case hex with ``0x``.
        succeeded: False where it was undone. The fee is paid either way.
        fee: what it cost, in base units of a 6-decimal token.
        fee_payer: who paid that, lower-case; ``None`` where the node does not tell, and it is the sender.
        events: what its contracts wrote.
    """

    tx_hash: str
    succeeded: bool
    fee: int
    fee_payer: str | None
    events: tuple[Event, ...]

    def captured(self, terms: ChannelTerms, deposit: int) -> int | None:
        """Return what the payee took in all from the channel that this transaction closed.

        The event of the close says it. Where the contract wrote none, what came back to the payer says it, provided
        that nothing else can have left the escrow.

        Args:
            terms: the channel.
            deposit: what was put into it, in base units.

        Returns:
            Base units, or ``None`` where it is not shown that this transaction closed the channel.
        """
        if not self.succeeded:
            return None
        escrow, wanted = terms.escrow, bytes32_word(terms.channel_id)
        mine = [event for event in self.events if event.address == escrow and wanted in event.topics]
        for event in mine:
            if event.topics[0] == CLOSED[terms.protocol] and len(event.data) == 64:
                return int.from_bytes(event.data[:32], "big")
        if not mine or any(event.address == escrow and wanted not in event.topics for event in self.events):
            return None
        back = sum(amount for receiver, amount in self._sent(terms) if receiver == address_word(terms.payer))
        return deposit - back if 0 < back <= deposit else None

    def _sent(self, terms: ChannelTerms) -> list[tuple[bytes, int]]:
        """To whom how much of the token left the escrow."""
        sender = address_word(terms.escrow)
        return [
            (event.topics[2], int.from_bytes(event.data, "big"))
            for event in self.events
            if event.address == terms.token and event.topics[:2] == (_TRANSFER, sender) and len(event.topics) == 3
        ]


def read_receipt(endpoint: Endpoint, tx_hash: str) -> Receipt | None:
    """Return the receipt of a transaction; ``None`` where the node shows no block with it.

    Raises:
        NetworkError: it could not be asked, or the answer makes no sense.
        ValueError: not the hash of a transaction.
    """
    tx_hash = normalise_bytes32(tx_hash)
    with endpoint.asking("the transaction's receipt"):
        told = endpoint.request("eth_getTransactionReceipt", tx_hash)
        if told is None:
            return None
        if not isinstance(told, dict) or str(told.get("transactionHash")).lower() != tx_hash:
            raise WrongAnswerError("it is not this transaction's receipt")
        if told.get("status") not in ("0x0", "0x1") or not isinstance(told.get("blockNumber"), str):
            raise WrongAnswerError("it does not say what became of the transaction")
        payer = told.get("feePayer")
        return Receipt(
            tx_hash=tx_hash,
            succeeded=told["status"] == "0x1",
            fee=fee_of(int(told["gasUsed"], 16), int(told["effectiveGasPrice"], 16)),
            fee_payer=None if payer is None else normalise_address(payer),
            events=tuple(_event(log) for log in told["logs"]),
        )


def _event(log: Any) -> Event:
    return Event(
        normalise_address(log["address"]),
        tuple(bytes.fromhex(topic.removeprefix("0x")) for topic in log["topics"]),
        bytes.fromhex(log["data"].removeprefix("0x")),
    )
