"""The chain as sessions see it: asked only after it proved to be the one that the network names."""

from __future__ import annotations

import typing
from contextlib import suppress
from typing import TYPE_CHECKING

from ando_cli.errors import Code, NetworkError, UntrustedError
from ando_cli.session.act.locks import once

if TYPE_CHECKING:
    from collections.abc import Callable

    from ando_cli.session.channel import Channel
    from ando_cli.tempo.broadcast import Mined
    from ando_cli.tempo.channel import ChannelState, ChannelTerms
    from ando_cli.tempo.fees import Fees, Operation
    from ando_cli.tempo.network import Network
    from ando_cli.tempo.protocol import Protocol

TRANSACTION_SECONDS = 25
"""How long a transaction that we sign stays valid: the chain takes expiring nonces for at most 30 seconds."""


class Chain(typing.Protocol):
    """What is asked of the chain (``ando_cli.tempo.rpc.Rpc``). Each can raise ``NetworkError``."""

    def chain_id(self) -> int:
        """Return the id of the chain that is served."""

    def channel(self, escrow: str, channel_id: str, protocol: Protocol) -> ChannelState | None:
        """Return a channel as its escrow knows it; ``None`` where it knows none of that id."""

    def balance(self, token: str, owner: str) -> int:
        """Return what ``owner`` holds of ``token``, in base units."""

    def fees(self, operation: Operation, *, sponsored: bool = False) -> Fees:
        """Return the fees that a transaction has to offer now for ``operation``, which a sponsor pays or we do."""

    def latest_timestamp(self) -> int:
        """Return the time of the latest block, in unix seconds."""

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
            NetworkError: it could not be asked.
            PaymentError: it is another one.
        """
        chain = self._connect()
        found = chain.chain_id()
        if found != self.network.chain_id:
            raise UntrustedError(
                f"the RPC serves chain {found}, not {self.network.name} ({self.network.chain_id})",
                hint="give the right one with --rpc-url or in config.toml",
                code=Code.WRONG_CHAIN,
            )
        return chain

    def state(self, channel: Channel) -> ChannelState | None:
        """Return ``channel`` as its escrow knows it; ``None`` where the chain does not show it.

        Raises:
            NetworkError, PaymentError: as ``checked``.
        """
        return self.checked().channel(channel.terms.escrow, channel.channel_id, channel.terms.protocol)

    def captured(self, channel: Channel) -> int | None:
        """Return what the payee took from a closed channel, by the event of its closing; ``None`` where none is found.

        Of a closed v2 channel that is all that the chain keeps.

        Raises:
            PaymentError: the RPC serves another chain.
        """
        terms = channel.terms
        with suppress(NetworkError):  # not every node serves events
            return self.checked().captured(terms.escrow, channel.channel_id, terms.protocol)
        return None
