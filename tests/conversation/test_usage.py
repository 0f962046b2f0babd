"""What an answer took, in one line."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ando_cli.conversation.usage import describe_usage
from ando_cli.inference.usage import Usage
from ando_cli.tempo.network import SANDBOX


def test_usage_is_one_line_and_survives_any_answer() -> None:
    told = Usage(None, 5, 7)
    paid: Any = SimpleNamespace(
        spent=270, deposited=5_000_000, channel=SimpleNamespace(left=4_999_730, deposit=5_000_000)
    )
    assert describe_usage(told, None, SANDBOX, "mpp") == "tokens: 5 in, 7 out · nothing was paid"
    assert describe_usage(told, None, SANDBOX, "key") == "tokens: 5 in, 7 out · paid with a Virtual Key"
    shown = describe_usage(told, paid, SANDBOX, "mpp")
    assert f"spent: 0.00027 {SANDBOX.token_symbol} · deposited: 5.00 · left: 4.99973 of 5.00" in shown
    assert describe_usage(Usage(), None, SANDBOX, "mpp").startswith("tokens: not reported")
