"""The chain as sessions see it: used only after it proved to be the network's chain."""

from __future__ import annotations

import typing
from contextlib import suppress
from typing import TYPE_CHECKING

from ando_cli.errors import Code, NetworkError, RpcRefusedError, UntrustedError
from ando_cli.session.act.locks import once

if TYPE_CHECKING:
    from collections.abc import Callable

    from ando_cli.session.channel import Channel
    from ando_cli.tempo.broadcast import Mined
    from ando_cli.tempo.channel import ChannelState, ChannelTerms
    from ando_cli.tempo.fees import Fees, Operation
    from ando_cli.tempo.network import Network
    from ando_cli.tempo.protocol import Protocol
    from ando_cli.tempo.receipts import Block, Receipt

TRANSACTION_SECONDS = 25
"""How long a transaction that we sign stays valid: the chain takes expiring nonces for at most 30 seconds."""


class Chain(typing.Protocol):
    """The reads of the chain (``ando_cli.tempo.rpc.Rpc``). Each can raise ``NetworkError``."""

    def chain_id(self) -> int:
        """Return the id of the chain that is served."""

    def channel(
        self, escrow: str, channel_id: str, protocol: Protocol, block: int | None = None
    ) -> ChannelState | None:
        """Return a channel as its escrow knows it, at ``block`` or now; ``None`` where it knows none of that id."""

    def balance(self, token: str, owner: str) -> int:
        """Return what ``owner`` holds of ``token``, in base units."""

    def fees(self, operation: Operation, *, sponsored: bool = False) -> Fees:
        """Return the fees that a transaction has to offer now for ``operation``, which a sponsor pays or we do."""

    def latest_timestamp(self) -> int:
        """Return the time of the latest block, in unix seconds."""

    def latest_block(self) -> Block:
        """Return the latest block: its number and its time."""

    def receipt(self, tx_hash: str) -> Receipt | None:
        """Return what a transaction came to; ``None`` where no block with it is shown."""

    def broadcast(self, transaction: str) -> Mined:
        """Send a transaction, and wait until it is in a block."""

    def close_grace_period(self, escrow: str, protocol: Protocol) -> int:
        """Return the seconds between a requested close and the withdrawal."""

    def captured(self, escrow: str, channel_id: str, protocol: Protocol) -> int | None:
        """Return what the event of a closing says that the payee took, in base units."""

    def opened_channels(
        self, escrow: str, payer: str, *, protocol: Protocol, from_block: int = 0, quickly: bool = False
    ) -> list[ChannelTerms]:
        """Return the channels that ``payer`` opened, by the escrow's events; ``quickly``, those of a bounded look."""


class ChainView:
    """The chain of one network.

    Args:
        connect: connects to the chain, once, when it is needed.
        network: what is trusted.
    """

    def __init__(self, connect: Callable[[], Chain], network: Network) -> None:
        self.network = network
        self._connect = once(connect)

    def checked(self) -> Chain:
        """Return the chain, which is the one that the network names.

        Raises:
            NetworkError: it could not be queried.
            PaymentError: it is another one.
        """
        chain = self._connect()
        found = chain.chain_id()
        if found != self.network.chain_id:
            raise UntrustedError(
                f"the RPC serves chain {found}, not {self.network.name} ({self.network.chain_id})",
                hint="set the right one with --rpc-url, or rpc_url in config.toml",
                code=Code.WRONG_CHAIN,
            )
        return chain

    def state(self, channel: Channel) -> ChannelState | None:
        """Return ``channel`` as its escrow knows it; ``None`` where the chain does not show it.

        Raises:
            NetworkError, PaymentError: as ``checked``.
        """
        return self.checked().channel(channel.terms.escrow, channel.channel_id, channel.terms.protocol)

    def at(self, channel: Channel) -> tuple[Block, ChannelState | None]:
        """Return the latest block, and ``channel`` as its escrow knew it then.

        So that what is absent is absent at a time that is known. A node that has not got the block that another one
        behind the same address told of is asked once more.

        Raises:
            NetworkError, PaymentError: as ``checked``.
        """
        chain, terms = self.checked(), channel.terms
        block = chain.latest_block()
        try:
            return block, chain.channel(terms.escrow, channel.channel_id, terms.protocol, block.number)
        except RpcRefusedError:
            block = chain.latest_block()
            return block, chain.channel(terms.escrow, channel.channel_id, terms.protocol, block.number)

    def captured(self, channel: Channel, tx_hash: str | None = None) -> int | None:
        """Return what the payee took from a closed channel, by the event of its closing; ``None`` where none is found.

        That is all that the chain keeps of it.

        Args:
            channel: as it is on record.
            tx_hash: the transaction that is said to have closed it. Whoever says so, its receipt tells.

        Raises:
            PaymentError: the RPC serves another chain.
        """
        terms = channel.terms
        if tx_hash is not None:
            receipt = self.receipt(tx_hash)
            taken = None if receipt is None else receipt.captured(terms, channel.deposit)
            if taken is not None:
                return taken
        with suppress(NetworkError):  # not every node serves events
            return self.checked().captured(terms.escrow, channel.channel_id, terms.protocol)
        return None

    def receipt(self, tx_hash: str) -> Receipt | None:
        """Return what a transaction came to; ``None`` where nothing is known of it.

        Raises:
            PaymentError: the RPC serves another chain.
        """
        with suppress(NetworkError, ValueError):  # the hash may be a gateway's word
            return self.checked().receipt(tx_hash)
        return None
