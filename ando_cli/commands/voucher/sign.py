"""``ando voucher sign``: sign a voucher by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ando_cli.cli.command import Command
from ando_cli.cli.help import examples
from ando_cli.commands.voucher._subject import (
    LEFT_OVER,
    AmountOption,
    BaseUnitsOption,
    ChainIdOption,
    ChannelOption,
    EscrowOption,
    ProtocolOption,
    check_left_over,
    cumulative_amount,
    digest_of,
    find_subject,
)
from ando_cli.errors import BudgetExceededError, Code, ConsentRequiredError, PaymentDeclinedError
from ando_cli.frozen import frozen
from ando_cli.money import amount as money
from ando_cli.money import parse_amount
from ando_cli.runtime.consent import find_budgets
from ando_cli.runtime.context import invocation
from ando_cli.runtime.wiring import PayOptions, assemble, existing_store
from ando_cli.session.act.vouchers import record_voucher

if TYPE_CHECKING:
    from ando_cli.session.act.session import Session
    from ando_cli.session.channel import Channel
    from ando_cli.terminal.output import Terminal

app = typer.Typer(add_completion=False)


@app.command(
    cls=Command,
    context_settings=LEFT_OVER,
    epilog=examples(
        "ando voucher sign --channel 0x8c2f --amount 1.25",
        "ando voucher sign --channel 0x8c2f --base-units 1250000 --max-spend 1 -j",
    ),
)
def sign(
    ctx: typer.Context,
    channel: ChannelOption,
    amount: AmountOption = None,
    base_units: BaseUnitsOption = None,
    max_spend: Annotated[
        str | None,
        typer.Option(metavar="AMOUNT", help="The most that this may newly authorise. [env: ANDO_MAX_SPEND]"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask, and allow more than max_spend.")] = False,
    escrow: EscrowOption = None,
    chain_id: ChainIdOption = None,
    protocol: ProtocolOption = None,
) -> None:
    """Sign a voucher and print its signature. A voucher is money.

    The amount is cumulative: it includes everything signed for the channel before. It is recorded before it is signed.
    """
    state = invocation(ctx)
    terminal = state.terminal
    check_left_over(ctx)
    cumulative = cumulative_amount(amount, base_units)
    cap = None if max_spend is None else parse_amount(max_spend, "--max-spend")
    with assemble(state, PayOptions(max_spend=cap, assume_yes=yes)) as parts, existing_store(parts.settings) as store:
        drawer, record = find_subject(store, channel, escrow, chain_id, protocol)
        digest = digest_of(drawer, cumulative)
        key = parts.session.keys.wallet() if record is None else parts.session.keys.signer(record)
        cap, budgets = parts.session.limits.caps.max_spend, find_budgets(parts.settings)
        if store is not None and record is not None:
            assumed = yes or parts.settings.sandbox
            consent = _Consent(terminal, cumulative, cap, assumed, recorded=True, budgeted=budgets is not None)
            _put_on_record(parts.session, record, consent)
        else:
            if budgets is not None:
                raise BudgetExceededError(
                    "a budget is set, and the channel is not on record: how much this voucher adds is unknown",
                    hint="nothing was signed; put the channel on record: ando session recover ID",
                )
            _Consent(terminal, cumulative, cap, yes, recorded=False, budgeted=False).allow(cumulative)
            terminal.warn("the channel is not on record: its deposit is unknown, and this voucher is not recorded")
        signature = drawer.sign(key, cumulative)
    terminal.warn(
        f"a voucher is money: with this signature the payee can take {money(cumulative)} in all from the channel"
    )
    if terminal.json_output:
        terminal.json(
            {
                "channelId": drawer.channel_id,
                "cumulativeAmount": str(cumulative),
                "signature": signature,
                "digest": digest,
                "domain": drawer.domain,
            }
        )
    else:
        terminal.answer(signature)


def _put_on_record(session: Session, record: Channel, consent: _Consent) -> None:
    terminal, cumulative = consent.terminal, consent.cumulative
    warnings: list[str | None] = []
    raised_by = record_voucher(
        session.store, record, cumulative, consent.allow,
        lambda by: warnings.append(session.check_budgets(by, record.network)),
    )  # fmt: skip
    if not raised_by:
        terminal.note(f"not above the {money(record.cumulative_amount)} on record, which does not change")
        return
    terminal.note(f"recorded: {money(cumulative)} signed in all, {money(raised_by)} more than before")
    if warnings[-1] is not None:
        terminal.warn(warnings[-1])


@frozen
class _Consent:
    """Who may allow a raise. Without a record, only ``--yes`` or a person can: no limit can be checked then."""

    terminal: Terminal
    cumulative: int
    cap: int | None
    assumed: bool
    recorded: bool
    budgeted: bool

    def allow(self, raised_by: int) -> None:
        """Ask for consent to a raise, in base units.

        Raises:
            BudgetExceededError: it is above the limit of this command.
            ConsentRequiredError: nobody can be asked, and no limit allows it.
            PaymentDeclinedError: the person declined.
        """
        cap = self.cap
        what = f"a voucher for {money(self.cumulative)} in all"
        more = f"{money(raised_by)} more than before" if self.recorded else "on a channel that is not on record"
        if self.assumed:
            if cap is not None and raised_by > cap:
                self.terminal.warn(f"{what}, {more}, is above the {money(cap)} of max_spend, and --yes allows it")
            return
        if cap is not None and raised_by > cap:
            raise BudgetExceededError(
                f"{what}, {more}, is above the {money(cap)} of --max-spend",
                hint=f"nothing was signed; allow it with --max-spend {money(raised_by)}, or with --yes",
                code=Code.MAX_SPEND_EXCEEDED,
            )
        answer = self.terminal.ask(f"A voucher is money. Sign {what}, {more}?")
        if answer is None and not (self.recorded and (self.budgeted or cap is not None)):
            limit = f"--max-spend {money(raised_by)} (or ANDO_MAX_SPEND), or with " if self.recorded else ""
            raise ConsentRequiredError(
                f"{what}, {more}: there is no terminal to ask on",
                hint=f"nothing was signed; allow it with {limit}--yes",
            )
        if answer is False:
            raise PaymentDeclinedError("the voucher was declined", hint="nothing was signed")
