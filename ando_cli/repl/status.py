"""The status line and the text of ``/usage``: rail, model or plan, tokens, and money. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ando_cli.config.settings import KEY_RAIL
from ando_cli.inference.prompt import DEFAULT_PLAN
from ando_cli.money import amount
from ando_cli.redact import clean

if TYPE_CHECKING:
    from ando_cli.conversation.model import Conversation
    from ando_cli.session.channel import Channel

_LONGEST_NAME = 40
_SHORT_NAME = 24


def status_line(conversation: Conversation, channel: Channel | None, symbol: str, width: int, dot: str = "·") -> str:
    """Return the longest form of the status line that fits into ``width`` columns."""
    forms = [_parts(conversation, channel, symbol, long=long) for long in (True, False)]
    short = [part for index, part in enumerate(forms[1]) if index != 1]
    lines = [f" {dot} ".join(forms[0]), f" {dot} ".join(forms[1]), " ".join(forms[1]), " ".join(short)]
    return next((line for line in lines if len(line) <= width), lines[-1][: max(0, width)])


def _parts(conversation: Conversation, channel: Channel | None, symbol: str, *, long: bool) -> list[str]:
    totals = conversation.totals
    tokens = totals.prompt_tokens + totals.completion_tokens
    name = _name(conversation)
    parts = [conversation.rail, name if long else name.rpartition("/")[2][:_SHORT_NAME]]
    parts.append(f"{tokens:,} tokens" if long else _short(tokens))
    if conversation.rail == KEY_RAIL:
        return parts
    spent = f"spent {amount(totals.spent)}{'+?' if totals.unknown else ''}"
    left = None if channel is None else amount(channel.left)
    return [*parts, f"{spent} {symbol}" if long else spent, f"left {left or ('unknown' if long else '?')}"]


def _name(conversation: Conversation) -> str:
    options = conversation.options
    if options.model:
        return clean(options.model, _LONGEST_NAME)
    return "no model" if conversation.rail == KEY_RAIL else clean(options.plan or DEFAULT_PLAN, _LONGEST_NAME)


def _short(tokens: int) -> str:
    for unit, size in (("M", 1_000_000), ("k", 1_000)):
        if tokens >= size:
            return f"{tokens / size:.1f}{unit}"
    return str(tokens)


def usage_text(conversation: Conversation, channel: Channel | None, symbol: str) -> str:
    """Return what this conversation used and cost."""
    totals = conversation.totals
    turns = f"{conversation.turns} turn{'' if conversation.turns == 1 else 's'}"
    lines = [f"{turns}, {totals.prompt_tokens:,} tokens in, {totals.completion_tokens:,} out"]
    lines.append(f"spent from channels: {amount(totals.spent)} {symbol}")
    if totals.unknown:
        lines.append(f"may have been charged, without an answer: {totals.unknown}")
    if channel is not None:
        lines.append(f"left in the channel: {amount(channel.left)} of {amount(channel.deposit)}")
    return "\n".join(lines)


def session_text(channel: Channel, symbol: str, identifier: str) -> str:
    """Return the channel that pays, as last seen."""
    rows = {
        "channel": identifier,
        "state": str(channel.state),
        "deposit": f"{amount(channel.deposit)} {symbol}",
        "authorised": amount(channel.cumulative_amount),
        "spent": amount(channel.spent),
        "left": amount(channel.left),
    }
    return "\n".join(f"{name:<11} {value}" for name, value in rows.items())
