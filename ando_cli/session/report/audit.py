"""Comparing the ledger, the records of the channels and the chain, to the last base unit. Pure.

For each channel there are four accounts of what was spent: the rows of its requests, its record (which goes by the
receipts), the vouchers that were signed (no more can be taken), and what the chain says was taken. They may differ only
where an answer was lost, and so its receipt: that is an explained difference. Any other one is for a person to look at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ando_cli.frozen import frozen
from ando_cli.money import amount
from ando_cli.redact import short
from ando_cli.session.channel import FUNDED, Channel, State
from ando_cli.session.record.ledger import Outcome, Rail, Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ando_cli.session.decide.comparison import Comparison


@frozen
class Account:
    """A channel's record, and what its rows in the ledger add up to. Amounts in base units.

    Attributes:
        booked: what the rows say was spent here.
        carried: what they say was spent elsewhere, before the channel came on record.
        authorised: what they say was signed, here and elsewhere.
        beyond: what of ``booked`` was taken at the close beyond the receipts; negative for less.
        uncertain: requests that have no receipt, and may have cost something.
    """

    channel: Channel
    booked: int = 0
    carried: int = 0
    authorised: int = 0
    beyond: int = 0
    uncertain: int = 0

    @property
    def at_most(self) -> int:
        """What the requests without a receipt can have cost beyond what is booked, all together."""
        channel = self.channel
        possible = bool(self.uncertain) and channel.state in FUNDED
        return max(0, channel.cumulative_amount - channel.spent) if possible else 0


@frozen
class Finding:
    """A difference of ``amount`` base units, and what it is. ``explained`` where lost receipts account for it."""

    code: str
    amount: int
    explained: bool
    message: str


@frozen
class Audit:
    """An account, what the chain says was taken from the channel, and what differs.

    ``taken`` is ``None`` where the chain was not asked, or keeps nothing of the channel.
    """

    account: Account
    taken: int | None
    findings: tuple[Finding, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether every difference is explained."""
        return all(finding.explained for finding in self.findings)


@frozen
class Orphans:
    """The ledger's totals of channels whose records were deleted: nothing is left to compare them with."""

    requests: int
    spent: int


def accounts(channels: Iterable[Channel], rows: Sequence[Row]) -> list[Account]:
    """Make the account of each channel, from all rows of the ledger."""
    of_channel: dict[str, list[Row]] = {}
    for row in rows:
        if row.channel_id is not None:
            of_channel.setdefault(row.channel_id, []).append(row)
    return [_account(channel, of_channel.get(channel.channel_id, [])) for channel in channels]


def orphans(rows: Iterable[Row]) -> Orphans:
    """Add up the rows that belong to no channel on record, although one paid."""
    lost = [row for row in rows if row.channel_id is None and row.rail is Rail.MPP]
    return Orphans(sum(row.is_request for row in lost), _spent(row for row in lost if _own(row)))


def audit(account: Account, compared: Comparison | None, captured: int | None = None) -> Audit:
    """Compare the parts of ``account`` with each other, and with the chain if it was queried.

    Args:
        account: the channel, and what its rows add up to.
        compared: what the chain says of the channel; ``None`` where it was not asked.
        captured: what the event of its closing says, of which the chain keeps nothing else.
    """
    found, taken = [*_books(account), *_close(account)], captured
    if compared is not None:
        state = compared.state
        # A contract wipes what it knew of a channel that is closed; then zeros say nothing.
        taken = captured if state is None or (state.finalized and not state.deposit) else state.settled
        found += _chain(account, compared)
    if taken is not None:
        found += _taken(account, taken)
    elif account.channel.unproven:
        found.append(_unproven(account.channel))
    return Audit(account, taken, tuple(found))


def _account(channel: Channel, rows: list[Row]) -> Account:
    return Account(
        channel=channel,
        booked=_spent(row for row in rows if _own(row)),
        carried=_spent(row for row in rows if not _own(row)),
        authorised=sum(row.authorised for row in rows),
        beyond=_spent(row for row in rows if row.outcome is Outcome.CLOSED),
        uncertain=sum(row.uncertain for row in rows),
    )


def _own(row: Row) -> bool:
    return row.outcome is not Outcome.CARRIED


def _spent(rows: Iterable[Row]) -> int:
    return sum(row.spent or 0 for row in rows)


def _books(account: Account) -> list[Finding]:
    """The ledger and the record, which are written together."""
    channel, found = account.channel, []
    booked = account.booked + account.carried
    if booked != channel.spent:
        text = f"the ledger adds up to {amount(booked)}, and the record says {amount(channel.spent)}"
        found.append(Finding("ledger", channel.spent - booked, False, text))
    if channel.state is State.ABANDONED:
        return found  # nothing that was signed for it is worth anything
    if account.authorised != channel.cumulative_amount:
        signed = amount(channel.cumulative_amount)
        text = f"the ledger adds up to {amount(account.authorised)} authorised, and the record says {signed}"
        found.append(Finding("authorised", channel.cumulative_amount - account.authorised, False, text))
    if channel.spent > channel.cumulative_amount:
        above = channel.spent - channel.cumulative_amount
        found.append(Finding("above_authorised", above, False, f"{amount(above)} more was taken than was signed for"))
    return found


def _close(account: Account) -> list[Finding]:
    """What the payee took at the close, and what receipts had said."""
    beyond = account.beyond
    if beyond > 0:
        return [_unreceipted("close", beyond, account, "was taken at the close")]
    if beyond < 0:
        text = f"{amount(-beyond)} less was taken at the close than receipts reported"
        return [Finding("close", beyond, True, text)]
    return []


def _chain(account: Account, compared: Comparison) -> list[Finding]:
    """Whether the chain shows the channel as it is on record."""
    channel, state, found = account.channel, compared.state, []
    if channel.state is State.CLOSING and state is not None and not (state.finalized or state.close_requested_at):
        # What is recorded before it is sent: nothing is paid from the channel, so nothing can be missing.
        text = f"its close did not reach the chain: ando session close --force {short(channel.channel_id)}"
        found.append(Finding("state", 0, True, text))
    elif "state" in compared.differences:
        shown = "closed" if state is None or state.finalized else "open"
        found.append(Finding("state", 0, False, f"the chain shows it {shown}: ando session sync"))
    if state is not None and "deposit" in compared.differences:
        text = f"the chain shows a deposit of {amount(state.deposit)}, the record {amount(channel.deposit)}"
        more = state.deposit > channel.deposit
        advice = f"ando session recover {short(channel.channel_id)}" if more else "ando session sync"
        found.append(Finding("deposit", state.deposit - channel.deposit, False, f"{text}: {advice}"))
    return found


def _taken(account: Account, taken: int) -> list[Finding]:
    """What the chain says was taken so far."""
    channel = account.channel
    if taken > channel.cumulative_amount:
        above, named = taken - channel.cumulative_amount, short(channel.channel_id)
        text = f"{amount(above)} more was taken than was signed for here: ando session recover {named}"
        return [Finding("above_authorised", above, False, text)]
    if channel.unproven:
        text = f"the chain says that {amount(taken)} was taken, which is not on record: ando session sync"
        return [Finding("settled", taken - channel.spent, False, text)]
    if channel.state is State.CLOSED and taken != channel.spent:
        text = f"the chain says that {amount(taken)} was taken, the record {amount(channel.spent)}"
        return [Finding("settled", taken - channel.spent, False, text)]
    if taken > channel.spent:
        return [_unreceipted("settled", taken - channel.spent, account, "is settled")]
    return []


def _unproven(channel: Channel) -> Finding:
    most = channel.captured_at_most
    text = (
        f"it is not known what the close took, up to {amount(most)}: ando session sync, "
        "with another --rpc-url if this one serves no events"
    )
    return Finding("close_unproven", most, False, text)


def _unreceipted(code: str, units: int, account: Account, what: str) -> Finding:
    lost = account.uncertain
    if lost:
        requests = "one request" if lost == 1 else f"{lost} requests"
        return Finding(code, units, True, f"{amount(units)} {what} for {requests} without a receipt")
    text = f"{amount(units)} {what} beyond what receipts reported, and no request lacks one"
    return Finding(code, units, False, text)
