"""What a credential carries: the raise is recorded first, then the voucher or the transaction on record is handed out.

A voucher needs no lock: the store raises the cumulative amount by compare-and-swap, and whoever loses plans again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ando_cli.errors import InvariantError
from ando_cli.mpp.credential import ClosePayload, OpenPayload, TopUpPayload, VoucherPayload

if TYPE_CHECKING:
    from ando_cli.session.act.session import Session
    from ando_cli.session.channel import Channel
    from ando_cli.session.decide.steps import Voucher


def record_raise(session: Session, channel: Channel, step: Voucher) -> bool:
    """Record the raise that ``step`` asks for, and count it.

    Returns:
        False where another process changed the amount meanwhile: nothing is recorded then.

    Raises:
        StoreError: it could not be recorded.
    """
    if step.raised_by == 0:
        return True
    raised = session.store.raise_cumulative(channel.channel_id, channel.cumulative_amount, step.cumulative_amount)
    if raised:
        session.tally.add(raised=step.raised_by)
    return raised


def payload(session: Session, channel: Channel) -> OpenPayload | TopUpPayload | VoucherPayload:
    """Sign what is to be sent for ``channel`` as recorded: its pending transaction, or its voucher.

    Raises:
        WalletError: the signing key is not on this machine.
    """
    pending = channel.pending
    if pending is not None and channel.tops_up:
        return TopUpPayload(channel.channel_id, pending.transaction, pending.amount)
    signature = session.keys.sign(channel, channel.cumulative_amount)
    if pending is None:
        return VoucherPayload(channel.channel_id, channel.cumulative_amount, signature)
    signer = channel.terms.authorized_signer
    return OpenPayload(channel.channel_id, pending.transaction, signer, channel.cumulative_amount, signature)


def close_payload(session: Session, channel: Channel, cumulative_amount: int) -> ClosePayload:
    """Sign for the closing of ``channel`` at ``cumulative_amount``, which is at most what was signed before.

    Raises:
        InvariantError: it is more.
        WalletError: the signing key is not on this machine.
    """
    if cumulative_amount > channel.cumulative_amount:
        raise InvariantError("a channel would be closed at more than was authorised")
    keys = session.keys
    return ClosePayload(
        channel.channel_id,
        cumulative_amount,
        keys.sign(channel, cumulative_amount),
        keys.sign_close(channel, cumulative_amount),
    )
