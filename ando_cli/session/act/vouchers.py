"""Vouchers by hand, outside any request: the guard before one is signed.

It is the one that a paid request passes (rule 1 in ARCHITECTURE.md): what is signed was recorded before,
it only rises, and never above the deposit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ando_cli.errors import Code, PaymentError, StoreError
from ando_cli.money import amount
from ando_cli.session.channel import Channel, State
from ando_cli.session.record.ledger import Entry, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from ando_cli.session.record.store import Store


def record_voucher(
    store: Store,
    channel: Channel,
    cumulative_amount: int,
    allow: Callable[[int], None],
    check: Callable[[int], object] = lambda _: None,
) -> int:
    """Record that a voucher is about to be signed, where it is for more than any before it.

    Args:
        store: where the raise is recorded.
        channel: as read from the store.
        cumulative_amount: what the payee can take in total with it, in base units.
        allow: called once before a raise, with its amount in base units; raises an error to forbid it.
        check: the same, called in the transaction that records the raise, at each attempt.

    Returns:
        The raise in base units; 0 for an amount that was signed before.

    Raises:
        PaymentError: the amount is above the deposit, the channel is not open, or ``allow`` or ``check`` forbids it.
        StoreError: the record could not be written, or is gone. Nothing may be signed then.
    """
    allowed = False
    while True:
        if cumulative_amount > channel.deposit:
            raise PaymentError(
                f"a voucher for {amount(cumulative_amount)} in all is above the deposit of {amount(channel.deposit)}",
                hint="nothing was signed; the amount is cumulative: it includes all that was signed before",
                code=Code.DEPOSIT_EXCEEDED,
            )
        raised_by = cumulative_amount - channel.cumulative_amount
        if raised_by <= 0:
            return 0
        if channel.state is not State.OPEN:
            raise PaymentError(
                f"the channel is {channel.state}: nothing above the {amount(channel.cumulative_amount)} "
                "signed before is signed any more",
                hint="nothing was signed; `ando session list` shows the channels",
                code=Code.CHANNEL_NOT_OPEN,
            )
        if not allowed:
            # Once is enough: whoever is faster raises the record too, and this raise then comes to less.
            allow(raised_by)
            allowed = True
        with store.transaction():
            check(raised_by)
            if store.raise_cumulative(channel.channel_id, channel.cumulative_amount, cumulative_amount):
                entry = Entry(channel.channel_id, channel.gateway, channel.network, "", authorised=raised_by)
                store.book(None, entry, Outcome.BY_HAND)
                return raised_by
        found = store.channel(channel.channel_id)
        if found is None:
            raise StoreError(
                "the channel's record is gone", hint="nothing was signed; `ando session list`", code=Code.STORE_CONFLICT
            )
        channel = found
