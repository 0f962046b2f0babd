"""What must be true of a payment: pure checks of a credential, its transaction and its channel against each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ando_cli.sandbox import abi
from ando_cli.sandbox.escrow import OPEN
from ando_cli.sandbox.primitives import SignatureError, recover
from ando_cli.sandbox.problems import Problem
from ando_cli.sandbox.transaction import Call, Transaction, TransactionError, decode
from ando_cli.sandbox.voucher import Channel, channel_id, voucher_digest

if TYPE_CHECKING:
    from ando_cli.sandbox.challenges import Network
    from ando_cli.sandbox.credentials import Credential, Voucher

APPROVE = "approve(address,uint256)"


def refused(message: str) -> Problem:
    """The payment is not what it claims to be."""
    return Problem("mpp_payment_verification_failed", message)


def transaction_of(credential: Credential) -> Transaction:
    """The decoded transaction that a credential carries.

    Raises:
        Problem: it is malformed or wrongly signed.
    """
    try:
        return decode(credential.transaction)
    except TransactionError as error:
        raise refused(f"The transaction is invalid: {error}.") from None


def arguments(transaction: Transaction, function: str, count: int, network: Network) -> list[bytes]:
    """The argument words of the one call to the escrow's ``function`` that a transaction makes.

    Raises:
        Problem: it makes none or several, or something else beside the approval that the call needs.
    """
    found: list[Call] = []
    for call in transaction.calls:
        selector = call.data[:4]
        if (call.to, selector) == (network.escrow, abi.selector(function)):
            found.append(call)
        elif (call.to, selector) != (network.token, abi.selector(APPROVE)):
            raise refused("The transaction makes a call that does not belong to it.")
    if len(found) != 1:
        raise refused("The transaction does not make the one call to the escrow that it is for.")
    try:
        return abi.words(found[0].data[4:], count)
    except abi.AbiError:
        raise refused("The call to the escrow has too few arguments.") from None


def opened_channel(credential: Credential, network: Network) -> Channel:
    """The channel that the transaction of an open credential will make.

    Raises:
        Problem: it is not the one that the credential names, or none that this gateway can be paid from.
    """
    transaction = transaction_of(credential)
    words = arguments(transaction, OPEN, 5, network)
    try:
        payee, token, signer = map(abi.to_account, (words[0], words[1], words[4]))
        deposit = abi.to_uint(words[2], 128)
    except abi.AbiError:
        raise refused("The open call does not decode.") from None
    identity = channel_id(
        payer=transaction.sender,
        payee=payee,
        token=token,
        salt=words[3],
        authorized_signer=signer,
        escrow=network.escrow,
        chain_id=network.chain_id,
    )
    if identity != credential.channel_id:
        raise refused("The transaction opens another channel than the credential names.")
    if credential.authorized_signer != signer:
        raise refused("The transaction names another authorized signer than the credential.")
    return usable(Channel(False, 0, transaction.sender, payee, token, signer, deposit, 0), credential, network)


def usable(channel: Channel, credential: Credential, network: Network) -> Channel:
    """The same channel, if this gateway can be paid from it by the source of the credential.

    Raises:
        Problem: it cannot.
    """
    if not channel.exists or channel.deposit == 0:
        raise Problem("session/channel-not-found")
    if channel.finalized or channel.close_requested_at:
        raise Problem("session/channel-finalized")
    if (channel.payee, channel.token) != (network.payee, network.token):
        raise refused("The channel pays somebody else, or in another token.")
    if credential.source.payer != channel.payer:
        raise refused("The source is not the payer of the channel.")
    return channel


def check_voucher(voucher: Voucher, channel: Channel, network: Network) -> None:
    """Check that the signer of the channel signed the voucher, and that the deposit covers it.

    Raises:
        Problem: one of them is not so.
    """
    digest = voucher_digest(
        voucher.channel_id, voucher.cumulative_amount, escrow=network.escrow, chain_id=network.chain_id
    )
    try:
        signer = recover(digest, voucher.signature)
    except SignatureError as error:
        raise refused(f"The voucher signature is invalid: {error}.") from None
    if signer != channel.signer:
        raise refused("The voucher was not signed by the authorized signer of the channel.")
    if voucher.cumulative_amount > channel.deposit:
        raise Problem("mpp_session_deposit_below_request_cost")
