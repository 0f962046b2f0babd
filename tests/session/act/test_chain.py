"""The chain is asked only where it is the one that the network names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ando_cli.errors import PaymentError
from ando_cli.session.act import deposits, settling
from tests.support.session_doubles import channel, opening, session_request

if TYPE_CHECKING:
    from tests.support.session_bench import Bench


def test_an_rpc_of_another_chain_is_not_asked_for_more(bench: Bench) -> None:
    bench.chain.id = 1
    for act in (
        lambda: deposits.open_channel(bench.session, bench.key, session_request()),
        lambda: deposits.top_up(bench.session, channel(), session_request(), 1),
        lambda: settling.resolve(bench.session, opening()),
    ):
        with pytest.raises(PaymentError) as caught:
            act()
        assert caught.value.code == "wrong_chain"
    assert (bench.consent.asked, bench.store.channels()) == ([], [])
