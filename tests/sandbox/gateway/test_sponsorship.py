"""What the gateway refuses to pay the fee of: what stock sponsors refuse (protocol-charge-sse.md, section 5)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import rlp
from eth_abi import encode
from pytempo import Call

from ando_cli.sandbox.chain.ledger import FEE_COLLECTOR
from ando_cli.sandbox.config import ESCROW, TOKEN
from ando_cli.sandbox.server import Sandbox, SandboxConfig
from ando_cli.sandbox.settings import Settings
from tests.support.sandbox_payer import MILLION, Payer, code_of, selector
from tests.support.sandbox_payer_v2 import PayerV2

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GWEI = 10**9
DEPOSIT = 5 * MILLION
OUTSIDE = (500, "internal-payment-error")
FAILED = (402, "mpp_payment_verification_failed")
SOMEBODY = "0x" + "ab" * 20


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    config = SandboxConfig(path=tmp_path / "sandbox.sqlite", settings=Settings(fee_payer=True))
    with Sandbox(config) as running:
        yield running


def hand_off(transaction: str, sender: str) -> str:
    """The ``0x78`` form of a transaction that waits for its fee payer."""
    fields = rlp.decode(bytes.fromhex(transaction[4:]))
    fields[11] = bytes.fromhex(sender[2:])
    return "0x78" + rlp.encode(fields).hex()


def changed(transaction: str, at: int, value: bytes) -> str:
    fields = rlp.decode(bytes.fromhex(transaction[4:]))
    fields[at] = value
    return transaction[:4] + rlp.encode(fields).hex()


def opening(payer: Payer, *calls: Call, **changes: Any) -> str:
    calls = calls or (payer.approval(DEPOSIT), payer.open_call(DEPOSIT))
    return hand_off(payer.transaction(*calls, fee_payer=True, **changes), payer.address)


def answered(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, code_of(response)


def untouched(payer: Payer) -> bool:
    """Whether nothing was broadcast."""
    return payer.on_chain()[6] == 0 and payer.balance() == 100 * MILLION and payer.balance(FEE_COLLECTOR) == 0


def test_both_forms_are_sponsored(payer: Payer) -> None:
    assert payer.pay(payer.open_payload(transaction=opening(payer))).status_code == 200
    placeholder = payer.transaction(payer.approval(7), payer.top_up_call(7), fee_payer=True)
    assert placeholder.startswith("0x76")
    assert payer.pay(payer.top_up_payload(7, transaction=placeholder)).status_code == 204
    assert payer.balance() == 95 * MILLION - 7, "the gateway paid the fees"


def test_a_v2_channel_keeps_its_id_in_either_form(sandbox: Sandbox) -> None:
    settings(sandbox, protocol="v2")
    wallet = PayerV2(sandbox)
    sandbox.fund(wallet.address, 100 * MILLION)
    payload = wallet.open_payload()
    wallet.prepare(fee_payer=True)
    payload |= {"channelId": wallet.channel, "descriptor": wallet.descriptor, "signature": wallet.voucher(MILLION)}
    payload["transaction"] = hand_off(wallet.open_transaction, wallet.address)
    assert wallet.pay(payload).status_code == 200
    assert wallet.on_chain()[1] == DEPOSIT
    added = hand_off(wallet.transaction(wallet.top_up_call(5), fee_payer=True), wallet.address)
    assert wallet.pay(wallet.top_up_payload(5, transaction=added)).status_code == 204
    assert wallet.balance() == 95 * MILLION - 5


def settings(sandbox: Sandbox, **changes: Any) -> None:
    httpx.post(sandbox.base_url.removesuffix("/v1") + "/sandbox/settings", json=changes).raise_for_status()


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"gas_limit": 2_000_000}, 200),
        ({"gas_limit": 2_000_001}, OUTSIDE),
        ({"gas_limit": 1_600_000, "max_fee_per_gas": 31_250_000_000}, 200),
        ({"gas_limit": 1_600_000, "max_fee_per_gas": 31_250_000_001}, OUTSIDE),
        ({"gas_limit": 100_000, "max_fee_per_gas": 100 * GWEI}, FAILED),  # taken, and runs out of gas
        ({"gas_limit": 100_000, "max_fee_per_gas": 100 * GWEI + 1}, OUTSIDE),
        ({"max_fee_per_gas": 25 * GWEI, "max_priority_fee_per_gas": 25 * GWEI}, 200),
        ({"gas_limit": 500_000, "max_fee_per_gas": 60 * GWEI, "max_priority_fee_per_gas": 50 * GWEI + 1}, OUTSIDE),
        ({"nonce_key": 0, "valid_before": None}, OUTSIDE),
        ({"valid_before": int(time.time()) + 200}, 200),
        ({"valid_before": int(time.time()) + 16 * 60}, OUTSIDE),
        ({"valid_before": 1}, OUTSIDE),
    ],
)
def test_the_policy_of_stock_sponsors_holds(payer: Payer, changes: dict[str, Any], answer: Any) -> None:
    response = payer.pay(payer.open_payload(transaction=opening(payer, **changes)))
    if answer == 200:
        assert response.status_code == 200, response.text
        return
    assert answered(response) == answer
    if answer == OUTSIDE:
        assert response.headers["Content-Type"] == "application/problem+json"
        assert "WWW-Authenticate" in response.headers, "a fresh challenge does not mean that no money moved"
        assert untouched(payer)


def test_the_priority_fee_is_lower_on_mainnet(tmp_path: Path) -> None:
    from ando_cli.sandbox.chain.transaction import decode
    from ando_cli.sandbox.gateway import sponsorship
    from ando_cli.sandbox.gateway.challenges import Network, Terms
    from ando_cli.sandbox.problems import Problem

    with Sandbox(SandboxConfig(path=tmp_path / "a.sqlite")) as running:
        payer = Payer(running)
        changes = {"max_fee_per_gas": 25 * GWEI, "max_priority_fee_per_gas": 10 * GWEI + 1}
        transaction = decode(bytes.fromhex(opening(payer, **changes)[2:]))
    form = sponsorship.Form(ESCROW, "open(address,address,uint128,bytes32,address)", 5, 2, approved=True)
    terms = Terms("id", MILLION, True, "v1", SOMEBODY, time.time() + 300)
    sponsorship.check(transaction, form, Network(42431, TOKEN, ESCROW, SOMEBODY), terms, time.time())
    with pytest.raises(Problem, match="internal-payment-error"):
        sponsorship.check(transaction, form, Network(4217, TOKEN, ESCROW, SOMEBODY), terms, time.time())


@pytest.mark.parametrize(("left", "answer"), [(13, OUTSIDE), (18, None)])
def test_a_transaction_needs_time_to_be_mined(payer: Payer, left: int, answer: Any) -> None:
    """Newer sponsors want 15 seconds to be left when they sign."""
    transaction = opening(payer, valid_before=int(time.time()) + left)
    response = payer.pay(payer.open_payload(transaction=transaction))
    assert response.status_code == 200 if answer is None else answered(response) == answer


def test_a_transaction_does_not_outlive_its_challenge_by_long(payer: Payer) -> None:
    settings(payer.sandbox, expiry_seconds=30)
    late = opening(payer, valid_before=int(time.time()) + 95)
    assert answered(payer.pay(payer.open_payload(transaction=late))) == OUTSIDE
    assert untouched(payer)
    in_time = opening(payer, valid_before=int(time.time()) + 80)
    assert payer.pay(payer.open_payload(transaction=in_time)).status_code == 200


def test_the_fee_token_is_the_sponsors_choice(payer: Payer) -> None:
    other = changed(opening(payer), 10, bytes.fromhex("20c0" + "00" * 17 + "07"))
    assert answered(payer.pay(payer.open_payload(transaction=other))) == OUTSIDE
    assert untouched(payer)
    own = changed(opening(payer), 10, bytes.fromhex(TOKEN[2:]))
    assert payer.pay(payer.open_payload(transaction=own)).status_code == 200


def test_only_the_calls_of_the_payment_are_sponsored(payer: Payer) -> None:
    approve, open_ = payer.approval(DEPOSIT), payer.open_call(DEPOSIT)
    to_a_stranger = Call.create(
        to=TOKEN, data=selector("approve(address,uint256)") + encode(["address", "uint256"], [SOMEBODY, DEPOSIT])
    )
    longer = Call.create(to=ESCROW, data=bytes(open_.data) + bytes(32))
    sent = Call.create(
        to=TOKEN, data=selector("transfer(address,uint256)") + encode(["address", "uint256"], [SOMEBODY, 1])
    )
    for calls in (
        (open_,),
        (open_, approve),
        (approve, approve, open_),
        (approve, open_, sent),
        (to_a_stranger, open_),
        (payer.approval(DEPOSIT + 1), open_),
        (payer.approval(DEPOSIT - 1), open_),
        (approve, longer),
        (approve, Call.create(to=ESCROW, data=bytes(open_.data), value=1)),
        (approve, payer.top_up_call(DEPOSIT)),
    ):
        response = payer.pay(payer.open_payload(transaction=opening(payer, *calls)))
        assert answered(response) == OUTSIDE, calls
        assert untouched(payer)


def test_a_top_up_is_sponsored_by_the_same_policy(payer: Payer) -> None:
    assert payer.pay(payer.open_payload(transaction=opening(payer))).status_code == 200
    for calls, changes in (
        ((payer.approval(7), payer.top_up_call(7)), {"gas_limit": 2_000_001}),
        ((payer.approval(8), payer.top_up_call(7)), {}),
        ((payer.top_up_call(7),), {}),
    ):
        transaction = opening(payer, *calls, **changes)
        assert answered(payer.pay(payer.top_up_payload(7, transaction=transaction))) == OUTSIDE
    assert payer.on_chain()[6] == DEPOSIT
    assert payer.balance() == 95 * MILLION


def test_who_pays_alone_is_refused_where_a_fee_payer_is_offered(payer: Payer) -> None:
    """protocol-charge-sse.md, section 5: a self-paid 0x76 is refused."""
    assert answered(payer.pay(payer.open_payload())) == FAILED
    assert untouched(payer)
    assert payer.pay(payer.open_payload(transaction=opening(payer))).status_code == 200
    assert answered(payer.pay(payer.top_up_payload(7))) == FAILED
    assert payer.on_chain()[6] == DEPOSIT


def test_a_hand_off_without_an_offer_is_refused(payer: Payer) -> None:
    settings(payer.sandbox, fee_payer=False)
    assert answered(payer.pay(payer.open_payload(transaction=opening(payer)))) == FAILED
    assert untouched(payer)


def test_a_hand_off_in_another_name_is_refused(payer: Payer) -> None:
    transaction = changed(opening(payer), 11, bytes.fromhex(SOMEBODY[2:]))
    assert answered(payer.pay(payer.open_payload(transaction=transaction))) == FAILED
    assert untouched(payer)
