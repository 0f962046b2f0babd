"""Define what the gateway needs from a session protocol: its channels, its calls and its payloads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from ando_cli.sandbox.chain import abi
from ando_cli.sandbox.chain.transaction import Call, Transaction, TransactionError, decode
from ando_cli.sandbox.chain.voucher import Channel, voucher_digest
from ando_cli.sandbox.primitives import SignatureError, recover
from ando_cli.sandbox.problems import Problem

if TYPE_CHECKING:
    from ando_cli.sandbox.gateway.backend import Backend
    from ando_cli.sandbox.gateway.challenges import Network, Terms
    from ando_cli.sandbox.gateway.credentials import Credential, Voucher
    from ando_cli.sandbox.gateway.session_rows import Session
    from ando_cli.sandbox.gateway.sponsorship import Form


class SessionProtocol(ABC):
    """Represent one of the two session protocols, on the chain behind ``backend``."""

    name: ClassVar[str]
    max_amount: ClassVar[int]

    def __init__(self, network: Network, backend: Backend) -> None:
        self.network = network
        self.backend = backend
        self.escrow = network.escrows[self.name]

    @abstractmethod
    def pending(self, credential: Credential, terms: Terms) -> Channel:
        """Return the channel that the transaction of an open credential will create.

        Raises:
            Problem: The credential names another channel, or this gateway cannot be paid from it.
        """

    @abstractmethod
    async def channel(self, credential: Credential, terms: Terms) -> Channel:
        """Return the current on-chain state of a credential's channel, usable or not.

        Raises:
            Problem: The credential does not describe the channel as this protocol requires.
            RpcError: The chain does not answer, or not as an escrow does.
        """

    @abstractmethod
    async def channel_of(self, session: Session) -> Channel:
        """Return the current on-chain state of a known session's channel.

        Raises:
            RpcError: The chain does not answer, or not as an escrow does.
        """

    @abstractmethod
    def check_top_up(self, credential: Credential) -> None:
        """Check that the transaction of a topUp credential makes exactly the top-up that the credential names.

        Raises:
            Problem: The transaction makes another top-up.
        """

    @abstractmethod
    def close_call(self, credential: Credential, spent: int) -> Call:
        """Return the call with which the payee closes a channel on which ``spent`` base units were spent."""

    @abstractmethod
    def sponsored_form(self, action: str) -> Form:
        """Return the call that a fee payer signs for, for an ``open`` or a ``topUp``."""

    def check_close(self, credential: Credential, channel: Channel, required: bool) -> None:
        """Check what authorizes a close beside its voucher; in v1 that is nothing.

        Raises:
            Problem: The authorization is wrong, or missing although it is ``required``.
        """
        del credential, channel, required

    @abstractmethod
    def sources(self, channel: Channel) -> tuple[str, ...]:
        """Return the accounts that may be the ``source`` of a credential for a channel."""

    def usable(self, channel: Channel, credential: Credential) -> Channel:
        """Return the channel unchanged if its source can pay this gateway from it.

        Raises:
            Problem: The source cannot pay this gateway from the channel.
        """
        # A v1 channel that is over has no payer and no deposit any more.
        if channel.finalized or channel.close_requested_at:
            raise Problem("session/channel-finalized")
        if not channel.exists or channel.deposit == 0:
            raise Problem("session/channel-not-found")
        if (channel.payee, channel.token) != (self.network.payee, self.network.token):
            raise refused("The channel pays another account, or in another token.")
        if credential.source.payer not in self.sources(channel):
            raise refused("The source is not the payer of the channel.")
        return channel

    def check_voucher(self, voucher: Voucher, channel: Channel) -> None:
        """Check that the signer of the channel signed the voucher, and that the deposit covers it.

        Raises:
            Problem: The signature is not the signer's, or the deposit is too small.
        """
        self.check_amount(voucher.cumulative_amount)
        digest = voucher_digest(
            voucher.channel_id,
            voucher.cumulative_amount,
            escrow=self.escrow,
            chain_id=self.network.chain_id,
            protocol=self.name,
        )
        try:
            signer = recover(digest, voucher.signature)
        except SignatureError as error:
            raise refused(f"The voucher signature is invalid: {error}.") from None
        if signer != channel.signer:
            raise refused("The voucher was not signed by the authorized signer of the channel.")
        if voucher.cumulative_amount > channel.deposit:
            raise Problem("mpp_session_deposit_below_request_cost")

    def check_amount(self, amount: int) -> None:
        """Check that an amount of a payload fits into the protocol's integers.

        Raises:
            Problem: The amount is too large.
        """
        if amount > self.max_amount:
            raise Problem("mpp_malformed_credential", "An amount is larger than this session protocol can hold.")


def refused(message: str) -> Problem:
    """Return the problem of a payment that is not what it claims to be."""
    return Problem("mpp_payment_verification_failed", message)


def transaction_of(credential: Credential) -> Transaction:
    """Decode the transaction that a credential carries.

    Raises:
        Problem: The transaction is malformed or has an invalid signature.
    """
    try:
        return decode(credential.transaction)
    except TransactionError as error:
        raise refused(f"The transaction is invalid: {error}.") from None


def arguments(
    transaction: Transaction, escrow: str, function: str, count: int, beside: tuple[str, bytes] | None = None
) -> list[bytes]:
    """Return the argument words of the one call to the escrow's ``function`` that a transaction makes.

    ``beside`` is the one other call that is allowed: a contract and the selector of a function.

    Raises:
        Problem: The transaction makes no such call, several, or another call that is not allowed.
    """
    found: list[Call] = []
    for call in transaction.calls:
        called = call.to, call.data[:4]
        if called == (escrow, abi.selector(function)):
            found.append(call)
        elif called != beside:
            raise refused("The transaction makes a call that is not part of the payment.")
    if len(found) != 1:
        raise refused("The transaction does not make exactly one call of the expected escrow function.")
    try:
        return abi.words(found[0].data[4:], count)
    except abi.AbiError:
        raise refused("The call to the escrow has too few arguments.") from None
