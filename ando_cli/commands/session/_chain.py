"""Comparing our records of channels with the chain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ando_cli.money import known_amount
from ando_cli.runtime.wiring import PayOptions, assemble
from ando_cli.session.act import comparison
from ando_cli.times import iso_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ando_cli.runtime.context import Invocation
    from ando_cli.session.channel import Channel
    from ando_cli.session.decide.comparison import Comparison


def compare_all(state: Invocation, channels: Sequence[Channel]) -> list[Comparison | None]:
    """Compare each channel with its on-chain state; ``None`` for those of other networks.

    Raises:
        NetworkError: the chain could not be queried.
    """
    with assemble(state, PayOptions()) as parts, state.terminal.progress():
        state.terminal.stage("asking the chain")
        network = parts.settings.network.name
        return [comparison.compare(parts.session, each) if each.network == network else None for each in channels]


def chain_shape(compared: Comparison) -> dict[str, Any]:
    """Return the on-chain state of a channel as data, for ``-j``."""
    state = compared.state
    requested = None if state is None else state.close_requested_at
    return {
        "found": state is not None,
        "deposit": known_amount(None if state is None else state.deposit),
        "settled": known_amount(None if state is None else state.settled),
        "close_requested_at": iso_time(requested) if requested else None,
        "finalized": None if state is None else state.finalized,
        "differences": list(compared.differences),
    }
