"""The escrow contract with another implementation of the protocol on both sides: what it accepts is not only ours."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.real_peer import MppxClient, mppx_server, rpc_with_enough_gas

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.real_chain import Escrow, FundedKey

pytestmark = pytest.mark.integration

BODY = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 8}


def test_mppx_opens_pays_and_closes_a_channel_of_this_contract(
    escrow: Escrow, funded_key: FundedKey, tmp_path: Path
) -> None:
    payer, payee = funded_key(), funded_key()
    before = escrow.chain.balance(payee.address)
    with (
        rpc_with_enough_gas(escrow.chain) as rpc_url,
        mppx_server(tmp_path, rpc_url, escrow, payee) as server,
    ):
        client = MppxClient(tmp_path, rpc_url, payer)
        done = client.pay(f"{server.url}/v1/mpp/chat/completions", BODY, "-M", "deposit=5", "--verbose")
        credentials = server.credentials()

    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stdout.strip() == '{"choices":[{"message":{"content":"paid for"}}]}'
    assert [(each["action"], each["status"], each["cumulativeAmount"]) for each in credentials] == [
        ("open", 200, "1000000"),
        ("close", 204, "1000000"),
    ]
    [channel_id] = re.findall(r"Channel opened (0x[0-9a-f]{64})", done.stderr)
    channel = escrow.channel(channel_id)
    assert (channel.finalized, channel.deposit, channel.settled) == (True, 0, 0), "the contract wipes its record"
    fees = before + 1_000_000 - escrow.chain.balance(payee.address)
    assert 0 < fees < 100_000, "the payee got what was captured, and paid for the close"
