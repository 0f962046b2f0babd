"""``ando voucher verify``: check the signature of a voucher."""

from __future__ import annotations

from typing import Annotated

import typer

from ando_cli.cli.command import Command
from ando_cli.cli.help import examples
from ando_cli.commands.voucher._subject import (
    LEFT_OVER,
    PANEL,
    AmountOption,
    BaseUnitsOption,
    ChainIdOption,
    ChannelOption,
    EscrowOption,
    ProtocolOption,
    check_left_over,
    check_same,
    cumulative_amount,
    decoded,
    digest_of,
    find_subject,
    read_field,
)
from ando_cli.errors import Code, ExitCode, PaymentError, UsageError
from ando_cli.money import amount as money
from ando_cli.mpp import fields
from ando_cli.redact import short
from ando_cli.runtime.context import invocation
from ando_cli.runtime.wiring import existing_store

_LONGEST_SIGNATURE = 1024
"""The most characters to read from stdin for a signature."""

app = typer.Typer(add_completion=False)


@app.command(
    cls=Command,
    context_settings=LEFT_OVER,
    epilog=examples(
        "ando voucher verify --channel 0x8c2f --amount 1.25 --signature - < signature.txt",
    ),
)
def verify(
    ctx: typer.Context,
    channel: ChannelOption,
    signature: Annotated[
        str, typer.Option(metavar="HEX", help="The signature, of 65 or 64 bytes; - reads stdin.", show_default=False)
    ],
    amount: AmountOption = None,
    base_units: BaseUnitsOption = None,
    signer: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="The expected signer.", rich_help_panel=PANEL)
    ] = None,
    escrow: EscrowOption = None,
    chain_id: ChainIdOption = None,
    protocol: ProtocolOption = None,
) -> None:
    """Check a voucher: its signer, channel, amount and form. The exit code is 0 if it is valid, 4 if not."""
    state = invocation(ctx)
    terminal = state.terminal
    check_left_over(ctx)
    cumulative = cumulative_amount(amount, base_units)
    with existing_store(state.settings) as store:
        drawer, record = find_subject(store, channel, escrow, chain_id, protocol)
    wanted = None if signer is None else read_field(fields.address, signer, "--signer")
    if record is not None:
        check_same("--signer", wanted, record.terms.signer)
        wanted = record.terms.signer
    if wanted is None:
        raise UsageError("the channel is not on record, so its signer is unknown", hint="give --signer")
    digest_of(drawer, cumulative)
    if signature == "-":
        signature = decoded(terminal.read_bytes(_LONGEST_SIGNATURE))
    digits = signature.strip()
    fault = drawer.fault(cumulative, digits if digits[:2] in ("0x", "0X") else f"0x{digits}", wanted)
    if terminal.json_output:
        terminal.json({"valid": fault is None, "reason": fault})
        if fault is not None:
            raise typer.Exit(ExitCode.PAYMENT)
    elif fault is not None:
        raise PaymentError(
            f"the voucher is not valid: {fault}",
            hint="check the amount, which is cumulative, and the channel",
            code=Code.VOUCHER_INVALID,
        )
    else:
        terminal.answer(f"valid: {money(cumulative)} in all from {short(drawer.channel_id)}")
