"""What one channel is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ando_cli.session.channel import ChannelKey
from tests.support.session_doubles import CHAIN_ID, ESCROW, GATEWAY, KEY, NETWORK, PAYEE, TOKEN

if TYPE_CHECKING:
    from tests.support.session_bench import Bench


def test_a_channel_is_for_one_gateway_network_chain_escrow_token_payee_and_payer(bench: Bench) -> None:
    assert bench.key == ChannelKey(GATEWAY, NETWORK.name, CHAIN_ID, ESCROW, TOKEN, PAYEE, KEY.address)
