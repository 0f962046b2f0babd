"""``ando spend --check``: compare the ledger with the records of the channels, and with the chain."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import typer

from ando_cli.errors import Code, ExitCode, PaymentError, WalletError
from ando_cli.money import amount, known_amount
from ando_cli.redact import shown_id
from ando_cli.runtime.wiring import PayOptions, assemble, existing_store
from ando_cli.session.act import comparison, fees
from ando_cli.session.channel import FUNDED, State
from ando_cli.session.report.audit import Account, Audit, Orphans, accounts, audit, orphans
from ando_cli.session.report.spending import of_network
from ando_cli.session.report.wallet import Moved, moved

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ando_cli.runtime.context import Invocation
    from ando_cli.session.record.ledger import Row
    from ando_cli.terminal.output import Terminal


def check_spending(state: Invocation, *, offline: bool, full: bool) -> None:
    """Show for each channel of this network how much was spent, according to each source.

    Raises:
        PaymentError: they differ, and lost receipts do not explain it.
        NetworkError: the chain could not be queried.
    """
    terminal, network = state.terminal, state.settings.network
    with existing_store(state.settings) as store:
        channels, rows = ([], []) if store is None else store.books()
    rows, _ = of_network(rows, network.name)
    channels = [channel for channel in channels if channel.network == network.name]
    listed, lost = accounts(channels, rows), orphans(rows)
    balance = None
    if offline or not listed:
        audits = [audit(account, None) for account in listed]
    else:
        audits, rows, balance = _ask(state, listed)
    wallet = moved(channels, rows)
    differing = [each for each in audits if not each.agrees]
    if terminal.structured:
        terminal.json(
            {
                "network": network.name,
                "agrees": not differing,
                "chain": not offline,
                "spent": amount(sum(each.account.booked for each in audits) + lost.spent),
                "sessions": [_shape(each, full) for each in audits],
                "forgotten": {"requests": lost.requests, "spent": amount(lost.spent)},
                "wallet": _wallet_shape(wallet, balance),
            }
        )
        if differing and terminal.json_output:
            raise typer.Exit(ExitCode.PAYMENT)  # the document says what differs
    else:
        _draw(terminal, audits, lost, full=full, offline=offline)
        if audits:
            _draw_wallet(terminal, wallet, balance, network.token_symbol)
        if audits and not differing:
            whole = amount(sum(each.account.booked for each in audits) + lost.spent)
            terminal.answer(f"\n{whole} {network.token_symbol} spent: every base unit is accounted for")
    if differing:
        raise PaymentError(
            f"{len(differing)} of {len(audits)} sessions do not add up",
            hint="update the records with `ando session sync`, then check again",
            code=Code.SPEND_DIFFERS,
        )


def _ask(state: Invocation, listed: Sequence[Account]) -> tuple[list[Audit], list[Row], int | None]:
    """Compare the accounts with the chain, and book the fees whose receipts it shows.

    Returns:
        What came of it, the rows of the ledger as they are then, and the wallet's balance if there is a wallet.

    Raises:
        NetworkError: the chain could not be queried.
    """
    audits = []
    with assemble(state, PayOptions()) as parts, state.terminal.progress():
        state.terminal.stage("asking the chain")
        for account in listed:
            channel = account.channel
            compared = comparison.compare(parts.session, channel)
            kept = channel.state is not State.CLOSED
            tx_hash = None if kept else parts.session.store.closing_transaction(channel.channel_id)
            taken = None if kept else parts.session.chain.captured(channel, tx_hash)
            audits.append(audit(account, compared, taken))
            fees.settle(parts.session, channel)
        rows, _ = of_network(parts.session.store.ledger(), state.settings.network.name)
        with suppress(WalletError):
            token = state.settings.network.token
            return audits, rows, parts.session.chain.checked().balance(token, parts.session.keys.payer)
    return audits, rows, None


def _wallet_shape(wallet: Moved, balance: int | None) -> dict[str, Any]:
    return {
        "balance": known_amount(balance),
        "deposited": amount(wallet.deposited),
        "refunded": amount(wallet.refunded),
        "unproven": amount(wallet.unproven),
        "fees": amount(wallet.fees),
        "fees_at_most": amount(wallet.fees_at_most),
        "net": amount(wallet.net),
    }


def _draw_wallet(terminal: Terminal, wallet: Moved, balance: int | None, symbol: str) -> None:
    lines = [
        f"{amount(wallet.deposited)} deposited, {amount(wallet.refunded)} came back, {amount(wallet.fees)} in fees"
    ]
    if wallet.unproven or wallet.fees_at_most:
        lines.append(
            f"not proven yet: up to {amount(wallet.unproven)} more came back, "
            f"up to {amount(wallet.fees_at_most)} more in fees"
        )
    if balance is not None:
        lines.append(f"{amount(balance)} {symbol} in the wallet")
    terminal.answer("\nthe wallet: " + "; ".join(lines))


def _shape(each: Audit, full: bool) -> dict[str, Any]:
    account, channel = each.account, each.account.channel
    return {
        "session": _named(each, full),
        "gateway": channel.gateway,
        "protocol": str(channel.terms.protocol),
        "state": str(channel.state),
        "deposit": amount(channel.deposit),
        "left": amount(channel.left if channel.state in FUNDED else 0),
        "authorised": amount(channel.cumulative_amount),
        "ledger": amount(account.booked),
        "carried": amount(account.carried),
        "record": amount(channel.spent),
        "on_chain": known_amount(each.taken),
        "uncertain": account.uncertain,
        "at_most": amount(account.at_most),
        "agrees": each.agrees,
        "findings": [
            {
                "code": finding.code,
                "amount": amount(finding.amount),
                "explained": finding.explained,
                "message": finding.message,
            }
            for finding in each.findings
        ],
    }


def _draw(terminal: Terminal, audits: Sequence[Audit], lost: Orphans, *, full: bool, offline: bool) -> None:
    if not audits:
        terminal.note("there is no session on record")
        return
    columns = ["session", "state", "authorised", "ledger", "record", "chain", ""]
    rows = []
    for each in audits:
        account, channel = each.account, each.account.channel
        sides = [channel.cumulative_amount, account.booked + account.carried, channel.spent]
        taken = "" if each.taken is None else amount(each.taken)
        verdict = "differs" if not each.agrees else "explained" if each.findings else "agrees"
        rows.append([_named(each, full), str(channel.state), *map(amount, sides), taken, verdict])
    terminal.table(columns, rows, right=columns[2:6], fold=("session",) if full else (), spare=("state", "authorised"))
    for each in audits:
        named = _named(each, full)
        for finding in each.findings:
            terminal.answer(f"{named}: {finding.message}")
        if each.account.at_most:
            most, count = amount(each.account.at_most), each.account.uncertain
            terminal.answer(f"{named}: up to {most} more for {count} without a receipt, until the next receipt arrives")
        if each.account.carried:
            terminal.answer(f"{named}: {amount(each.account.carried)} of it was spent before it was recovered here")
    if lost.requests:
        terminal.note(
            f"{amount(lost.spent)} in {lost.requests} requests belongs to forgotten sessions and was not checked"
        )
    if offline:
        terminal.note("the chain was not asked")
    elif any(each.taken is None and each.account.channel.captured is not None for each in audits):
        terminal.note(
            "for a session without a number under chain, what was taken was proven when it was recorded: "
            "the RPC does not show the event of its closing now"
        )


def _named(each: Audit, full: bool) -> str:
    return shown_id(each.account.channel.channel_id, full=full)
