"""What we read from a chain (channels, balances, gas, time), and the transactions that we send it.

The RPC server is not trusted. Its answers are bounded in size and in time, are checked against the types that they must
have, and cannot make a transaction expensive (:data:`MAX_FEE`). Whatever goes wrong is one
:class:`~ando_cli.errors.NetworkError` (see :mod:`ando_cli.tempo.endpoint`).

This module loads web3, so import it only where a chain is queried.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ando_cli.errors import Code, PaymentError
from ando_cli.money import amount
from ando_cli.tempo.abi import UINT64_MAX, address_word, bytes32_word
from ando_cli.tempo.broadcast import Mined, broadcast
from ando_cli.tempo.channel import ChannelState
from ando_cli.tempo.endpoint import Endpoint, WrongAnswerError, quantity
from ando_cli.tempo.fees import Fees, Operation, choose_fees, max_fee
from ando_cli.tempo.history import IncompleteSearchError, captured, opened_channels
from ando_cli.tempo.keys import keccak256
from ando_cli.tempo.protocol import Protocol
from ando_cli.tempo.receipts import Block, Receipt, read_receipt

if TYPE_CHECKING:
    from types import TracebackType

    from ando_cli.http.deadline import Deadline
    from ando_cli.tempo.channel import ChannelTerms

__all__ = ["MAX_FEE", "Fees", "IncompleteSearchError", "Mined", "Rpc"]

MAX_FEE = 1_000_000
"""The highest fee that we ever sign for, in base units: one token. Usual is a few hundredths."""

_LONGEST_GRACE_PERIOD = 366 * 24 * 3600

_GET_CHANNEL = keccak256(b"getChannel(bytes32)")[:4]
_GET_CHANNEL_STATE = keccak256(b"getChannelState(bytes32)")[:4]
_CLOSE_GRACE_PERIOD = keccak256(b"CLOSE_GRACE_PERIOD()")[:4]
_BALANCE_OF = keccak256(b"balanceOf(address)")[:4]
_CHANNEL_TYPES = ("bool", "uint64", "address", "address", "address", "address", "uint128", "uint128")
_CHANNEL_STATE_TYPES = ("uint96", "uint96", "uint32")


class Rpc:
    """A JSON-RPC endpoint. Use it as a context manager, or call :meth:`close`.

    Args:
        url: ``http`` or ``https``; user name and password in it are sent as HTTP Basic authentication.
        timeout: seconds to connect, and for a whole answer. Only "too many requests" is retried, within them.
        deadline: bounds everything that is asked.

    Raises:
        UsageError: ``url`` cannot be used.
    """

    def __init__(self, url: str, *, timeout: float = 10.0, deadline: Deadline | None = None) -> None:
        self._endpoint = Endpoint(url, timeout=timeout, deadline=deadline)

    def __enter__(self) -> Rpc:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._endpoint.close()

    def chain_id(self) -> int:
        """Return the id of the chain behind the endpoint."""
        with self._endpoint.asking("the chain id"):
            return quantity(self._endpoint.eth.chain_id, UINT64_MAX)

    def latest_timestamp(self) -> int:
        """Return the time of the latest block, Unix seconds."""
        with self._endpoint.asking("the latest block"):
            return quantity(self._endpoint.eth.get_block("latest")["timestamp"], UINT64_MAX)

    def latest_block(self) -> Block:
        """Return the number and the time of the latest block, from one answer."""
        with self._endpoint.asking("the latest block"):
            block = self._endpoint.eth.get_block("latest")
            return Block(quantity(block["number"], UINT64_MAX), quantity(block["timestamp"], UINT64_MAX))

    def receipt(self, tx_hash: str) -> Receipt | None:
        """Return what a transaction came to; ``None`` where the node shows no block with it.

        Raises:
            NetworkError: it could not be asked, or the answer makes no sense.
            ValueError: not the hash of a transaction.
        """
        return read_receipt(self._endpoint, tx_hash)

    def balance(self, token: str, owner: str) -> int:
        """Return what ``owner`` holds of a TIP-20 ``token``, in base units."""
        answer = self._endpoint.call("the token balance", token, _BALANCE_OF + address_word(owner), words=1)
        return int.from_bytes(answer, "big")

    def channel(
        self, escrow: str, channel_id: str, protocol: Protocol = Protocol.V1, block: int | None = None
    ) -> ChannelState | None:
        """Return a channel's state at ``block`` or now, or ``None`` where the escrow has no such channel.

        On v1 that means that it was never opened: of a channel that is closed the contract keeps that it is
        ``finalized``, and zeros. The v2
        precompile tells three numbers and no more, and all zero can be a channel that was never opened, or one that is
        closed. So ``None`` means either there, and who has seen the channel open knows which. It must not be reported
        as ``finalized``: an open transaction still under way would be given up, and paid for a second time. Without a
        deposit but with another number the channel was there, and is ``finalized``.

        Raises:
            NetworkError: it could not be asked, or the answer makes no sense.
        """
        if protocol is Protocol.V2:
            return self._channel_v2(escrow, channel_id, block)
        asked = _GET_CHANNEL + bytes32_word(channel_id)
        answer = self._endpoint.call("the channel", escrow, asked, words=8, block=block)
        if not any(answer):
            return None
        with self._endpoint.asking("the channel"):
            finalized, requested, payer, payee, token, signer, deposit, settled = self._endpoint.decode(
                _CHANNEL_TYPES, answer
            )
        return ChannelState(
            finalized=finalized,
            close_requested_at=requested,
            payer=payer.lower(),
            payee=payee.lower(),
            token=token.lower(),
            authorized_signer=signer.lower(),
            deposit=deposit,
            settled=settled,
        )

    def _channel_v2(self, escrow: str, channel_id: str, block: int | None) -> ChannelState | None:
        asked = _GET_CHANNEL_STATE + bytes32_word(channel_id)
        answer = self._endpoint.call("the channel", escrow, asked, words=3, block=block)
        if not any(answer):
            return None
        with self._endpoint.asking("the channel"):
            settled, deposit, requested = self._endpoint.decode(_CHANNEL_STATE_TYPES, answer)
            if 0 < deposit < settled:
                raise WrongAnswerError("its numbers do not fit together")
        return ChannelState(
            finalized=deposit == 0,
            close_requested_at=requested,
            payer=None,
            payee=None,
            token=None,
            authorized_signer=None,
            deposit=deposit,
            settled=settled,
        )

    def close_grace_period(self, escrow: str, protocol: Protocol) -> int:
        """Return the seconds between the payer's request to close and its withdrawal, at most a year.

        ``CLOSE_GRACE_PERIOD()`` is asked for and answered alike by both protocols.
        """
        answer = self._endpoint.call("the grace period", escrow, _CLOSE_GRACE_PERIOD, words=1)
        with self._endpoint.asking("the grace period"):
            return quantity(int.from_bytes(answer, "big"), _LONGEST_GRACE_PERIOD)

    def opened_channels(
        self, escrow: str, payer: str, *, protocol: Protocol, from_block: int = 0, quickly: bool = False
    ) -> list[ChannelTerms]:
        """Return the channels that ``payer`` ever opened on ``escrow``, the youngest first, whatever became of them.

        Where it is to be done ``quickly``, it takes a few questions and seconds, and the oldest may be missing.

        Raises:
            IncompleteSearchError: the search took too many questions or too long. It carries what was found.
            NetworkError: the node refuses to search.
        """
        return opened_channels(
            self._endpoint, escrow, payer, chain_id=self.chain_id(), protocol=protocol, from_block=from_block,
            quickly=quickly,
        )  # fmt: skip

    def captured(self, escrow: str, channel_id: str, protocol: Protocol) -> int | None:
        """Return what the payee took in all from a channel that is closed; ``None`` where no event tells it.

        Raises:
            NetworkError: the node refuses to search.
        """
        return captured(self._endpoint, escrow, channel_id, protocol=protocol)

    def broadcast(self, transaction: str) -> Mined:
        """Send a signed transaction and wait until it is mined. To send the same one again changes nothing.

        Raises:
            NetworkError: it is not known to be mined, but may be, until its ``valid_before``: ask for what it was to
                change. ``rpc_error``: the node refused it; ``tx_not_mined``: the node does not show it in time.
            ValueError: not hex.
        """
        return broadcast(self._endpoint, transaction)

    def fees(self, operation: Operation, *, sponsored: bool = False) -> Fees:
        """Return the fees to sign a transaction with, at the gas price now, never above :data:`MAX_FEE` in all.

        The gas goes by ``operation`` and not by the node's estimate: a node may estimate only the first call of a batch
        (``anvil --network tempo`` does), and the transaction then runs out of gas.

        Args:
            operation: what the transaction does.
            sponsored: a fee payer pays.

        Raises:
            PaymentError: the endpoint asks for more than that.
        """
        with self._endpoint.asking("the gas price"):
            price = quantity(self._endpoint.eth.gas_price, None)
        fees = choose_fees(price, operation, sponsored=sponsored)
        if max_fee(fees) > MAX_FEE:
            raise PaymentError(
                f"the network fee could reach more than {amount(MAX_FEE)}, which is too high to sign",
                hint="try again later, or use another RPC endpoint: this one may be lying about the gas price",
                code=Code.FEE_TOO_HIGH,
            )
        return fees
