"""What an answer used and cost, in one line for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ando_cli.money import amount
from ando_cli.session.record.ledger import Rail

if TYPE_CHECKING:
    from ando_cli.inference.usage import Usage
    from ando_cli.rails.settlement import Paid
    from ando_cli.tempo.network import Network


def describe_usage(usage: Usage, paid: Paid | None, network: Network, rail: str) -> str:
    """Return one line with the tokens and the cost of an answer."""
    if usage.prompt_tokens is None or usage.completion_tokens is None:
        parts = ["tokens: not reported"]
    else:
        parts = [f"tokens: {usage.prompt_tokens} in, {usage.completion_tokens} out"]
    if rail == Rail.KEY:
        parts.append("paid with a Virtual Key")
    elif paid is None:
        parts.append("nothing was paid")
    else:
        symbol = network.token_symbol
        parts.append(f"spent: {'unknown' if paid.spent is None else f'{amount(paid.spent)} {symbol}'}")
        if paid.deposited:
            parts.append(f"deposited: {amount(paid.deposited)}")
        parts.append(f"left: {amount(paid.channel.left)} of {amount(paid.channel.deposit)}")
    return " · ".join(parts)
