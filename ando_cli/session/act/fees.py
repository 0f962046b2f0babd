"""The network's fees of the wallet's own transactions: recorded before they are sent, known by their receipts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ando_cli.tempo.fees import max_fee
from ando_cli.tempo.keys import keccak256

if TYPE_CHECKING:
    from ando_cli.session.act.session import Session
    from ando_cli.session.channel import Channel
    from ando_cli.tempo.fees import Fees, Operation


def owe(session: Session, channel: Channel, operation: Operation, transaction: str, fees: Fees) -> None:
    """Record the fee of a signed ``transaction`` that the wallet pays for, before it is sent.

    Raises:
        StoreError: it could not be recorded.
    """
    session.store.owe(channel.channel_id, hash_of(transaction), str(operation), max_fee(fees))


def settle(session: Session, channel: Channel) -> None:
    """Record what the transactions of ``channel`` cost, as far as the chain shows their receipts.

    Raises:
        PaymentError: the RPC serves another chain.
        StoreError: it could not be recorded.
    """
    for tx_hash, at_most in session.store.owed(channel.channel_id):
        receipt = session.chain.receipt(tx_hash)
        if receipt is None:
            continue
        if receipt.fee_payer not in (None, channel.terms.payer):
            session.store.pay(tx_hash, 0)  # somebody else paid it
        elif receipt.fee <= at_most:  # the chain takes no more than was signed for, whatever a node says
            session.store.pay(tx_hash, receipt.fee)


def hash_of(transaction: str) -> str:
    """Return the hash that the chain knows a signed transaction by, hex with ``0x``.

    Raises:
        ValueError: not hex.
    """
    return "0x" + keccak256(bytes.fromhex(transaction.removeprefix("0x"))).hex()
