"""The line below a conversation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ando_cli.conversation.model import Conversation, Totals
from ando_cli.inference.prompt import Prompt
from ando_cli.repl.status import status_line, usage_text
from tests.support.session_doubles import channel

CHANNEL = replace(channel(1), deposit=5_000_000, spent=1_500_000)
TALK = Conversation(totals=Totals(spent=1_500_000, prompt_tokens=12_000, completion_tokens=345))


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (80, "mpp · Starter · 12,345 tokens · spent 1.50 USDC.e · left 3.50"),
        (50, "mpp · Starter · 12.3k · spent 1.50 · left 3.50"),
        (40, "mpp Starter 12.3k spent 1.50 left 3.50"),
        (35, "mpp 12.3k spent 1.50 left 3.50"),
        (20, "mpp 12.3k spent 1.50"),
        (0, ""),
    ],
)
def test_it_says_as_much_as_fits(width: int, line: str) -> None:
    assert status_line(TALK, CHANNEL, "USDC.e", width) == line


def test_what_is_not_known_is_not_made_up() -> None:
    lost = replace(TALK, totals=TALK.totals.after_loss())
    assert status_line(lost, None, "USDC.e", 80).endswith("spent 1.50+? USDC.e · left unknown")
    assert "without an answer: 1" in usage_text(lost, None, "USDC.e")


def test_a_virtual_keys_money_is_not_ours_to_count() -> None:
    keyed = replace(TALK, rail="key")
    assert status_line(keyed, CHANNEL, "USDC.e", 80) == "key · no model · 12,345 tokens"
    named = keyed.with_options(Prompt(model="org/a-model-with-a-name-of-many-words-and-numbers-1234567890"))
    assert status_line(named, None, "USDC.e", 40) == "key · a-model-with-a-name-of-m · 12.3k"
