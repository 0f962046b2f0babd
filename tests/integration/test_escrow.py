"""The v1 escrow contract against the chain, without a line of ``ando_cli``: web3, pytempo and eth_account alone.

What is accepted here is accepted in a mined transaction; what is refused is refused by the chain's own evaluation of
the call, by the name of the contract's error.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from web3 import Web3
from web3.exceptions import ContractCustomError
from web3.logs import DISCARD

from tests.support.real_chain import fresh_account

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount
    from web3.types import TxReceipt

    from tests.support.real_chain import Chain, Escrow, FundedKey, OnChainChannel

pytestmark = pytest.mark.integration

DEPOSIT = 5_000_000
VOUCHER = 1_000_000
NOBODY = "0x" + "00" * 20
GRACE_PERIOD = 15 * 60
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
# More than a transaction costs here, less than any amount that is moved.
FEE = 100_000


def channel_identity(
    payer: str, payee: str, token: str, salt: bytes, authorized_signer: str, escrow: str, chain_id: int
) -> bytes:
    """Protocol.md section 4, v1."""
    types = ["address", "address", "address", "bytes32", "address", "address", "uint256"]
    return bytes(keccak(encode(types, [payer, payee, token, salt, authorized_signer, escrow, chain_id])))


def voucher_signature(
    signer: LocalAccount, escrow: str, chain_id: int, channel_id: bytes, cumulative_amount: int
) -> bytes:
    signed = signer.sign_typed_data(
        domain_data={
            "name": "Tempo Stream Channel",
            "version": "1",
            "chainId": chain_id,
            "verifyingContract": escrow,
        },
        message_types={
            "Voucher": [{"name": "channelId", "type": "bytes32"}, {"name": "cumulativeAmount", "type": "uint128"}]
        },
        message_data={"channelId": channel_id, "cumulativeAmount": cumulative_amount},
    )
    return bytes(signed.signature)


@dataclass(frozen=True)
class Parties:
    """A channel and the keys round it."""

    escrow: Escrow
    payer: LocalAccount
    payee: LocalAccount
    signer: LocalAccount
    salt: bytes
    channel_id: bytes
    opened: TxReceipt

    @property
    def chain(self) -> Chain:
        return self.escrow.chain

    @property
    def state(self) -> OnChainChannel:
        return self.escrow.channel(self.channel_id)

    def sign(self, amount: int, signer: LocalAccount | None = None) -> bytes:
        key = signer or self.signer
        return voucher_signature(key, self.escrow.address, self.chain.chain_id, self.channel_id, amount)

    def voucher(self, amount: int) -> tuple[bytes, int, bytes]:
        """The arguments of ``settle`` and ``close``."""
        return self.channel_id, amount, self.sign(amount)

    def send(self, sender: LocalAccount, function: str, *arguments: Any) -> TxReceipt:
        receipt = self.chain.send(sender, [self.escrow.call(function, *arguments)])
        assert receipt["status"] == 1
        return receipt

    def event(self, name: str, receipt: TxReceipt) -> dict[str, Any]:
        """The arguments of the one event of that name."""
        contract_event = self.escrow.contract.events[name]()
        [log] = contract_event.process_receipt(receipt, errors=DISCARD)
        return dict(log["args"])

    def refusal(self, sender: LocalAccount, function: str, *arguments: Any) -> str:
        """The name of the error with which the contract refuses a call."""
        with pytest.raises(ContractCustomError) as refused:
            self.escrow.contract.functions[function](*arguments).call({"from": sender.address})
        return error_name(self.escrow, str(refused.value.data))


def error_name(escrow: Escrow, data: str) -> str:
    errors = (entry["name"] for entry in escrow.abi if entry["type"] == "error" and not entry["inputs"])
    return next(str(name) for name in errors if data.startswith("0x" + keccak(text=f"{name}()")[:4].hex()))


def opened_channel(
    escrow: Escrow, payer: LocalAccount, payee: LocalAccount, signer: LocalAccount, authorized_signer: str
) -> Parties:
    """Approves and opens in one transaction, as a client does."""
    chain, salt = escrow.chain, os.urandom(32)
    opening = escrow.call("open", payee.address, chain.token, DEPOSIT, salt, authorized_signer)
    opened = chain.send(payer, [escrow.approval(DEPOSIT), opening])
    assert opened["status"] == 1
    channel_id = channel_identity(
        payer.address, payee.address, chain.token, salt, authorized_signer, escrow.address, chain.chain_id
    )
    return Parties(escrow, payer, payee, signer, salt, channel_id, opened)


@pytest.fixture
def parties(escrow: Escrow, funded_key: FundedKey) -> Parties:
    """An open channel whose vouchers the payer itself signs."""
    payer = funded_key()
    return opened_channel(escrow, payer, funded_key(), payer, payer.address)


def test_the_formulas_of_this_file_agree_with_a_reference_vector() -> None:
    payer = "0x3e100d70951ac919a6cccc1cb5f7a59af7080626"
    escrow = "0x851f548776b5a8835b391833d2b8821a012ce688"
    channel_id = channel_identity(
        payer,
        "0xe87c415061f02709e7cc5957c5cc0a4a3ca941d3",
        "0x20c0000000000000000000000000000000000000",
        bytes.fromhex("82ba4dad9f0c2abc44236a2056b26137ab2650bc44eb25a11cb8afd803ca472f"),
        payer,
        escrow,
        42431,
    )
    assert channel_id.hex() == "c596fcf72857c8c0121077f7b10770a62c606e6b0f2c6394f3ea89fd0b8622bc"

    key = Web3().eth.account.from_key("0xde2a65cc76d8f197ec6c5c1c54b62f769441a9d4ddfd06a683d36ff2718046c3")
    assert voucher_signature(key, escrow, 42431, channel_id, VOUCHER).hex() == (
        "ef7a878e80daab7b2764e2f00f065875c6a77ae3916ddb81b96d951bb59a3ea9"
        "25d5ebc09acd3c55210e2f18552fc5b75812dae004ea894bf83d77f55fabfd631b"
    )


def test_approve_and_open_in_one_transaction_move_the_deposit(parties: Parties) -> None:
    payer, payee, chain = parties.payer, parties.payee, parties.chain

    assert parties.state == (False, 0, payer.address, payee.address, chain.token, payer.address, DEPOSIT, 0)
    assert DEPOSIT <= 100_000_000 - chain.balance(payer.address) <= DEPOSIT + FEE


def test_the_channel_id_is_the_hash_of_what_the_channel_is(parties: Parties) -> None:
    event = parties.event("ChannelOpened", parties.opened)
    assert event == {
        "channelId": parties.channel_id,
        "payer": parties.payer.address,
        "payee": parties.payee.address,
        "token": parties.chain.token,
        "authorizedSigner": parties.signer.address,
        "salt": parties.salt,
        "deposit": DEPOSIT,
    }

    identity = [event[name] for name in ("payer", "payee", "token", "salt", "authorizedSigner")]
    assert parties.escrow.contract.functions.computeChannelId(*identity).call() == parties.channel_id


def test_the_same_channel_cannot_be_opened_twice(parties: Parties) -> None:
    again = (parties.payee.address, parties.chain.token, DEPOSIT, parties.salt, parties.signer.address)

    assert parties.refusal(parties.payer, "open", *again) == "ChannelAlreadyExists"


def test_an_open_without_approval_moves_nothing(escrow: Escrow, funded_key: FundedKey) -> None:
    payer, payee = funded_key(), fresh_account()
    call = escrow.call("open", payee.address, escrow.chain.token, DEPOSIT, os.urandom(32), payer.address)

    assert escrow.chain.send(payer, [call])["status"] == 0
    assert 100_000_000 - escrow.chain.balance(payer.address) <= FEE


def test_a_batch_whose_open_fails_leaves_no_approval_behind(escrow: Escrow, funded_key: FundedKey) -> None:
    payer = funded_key()
    calls = [
        escrow.approval(DEPOSIT),
        escrow.call("open", NOBODY, escrow.chain.token, DEPOSIT, os.urandom(32), payer.address),
    ]

    assert escrow.chain.send(payer, calls)["status"] == 0
    assert escrow.chain.tip20().functions.allowance(payer.address, escrow.address).call() == 0


def test_one_sender_can_use_the_expiring_nonce_again(parties: Parties) -> None:
    another = opened_channel(parties.escrow, parties.payer, parties.payee, parties.signer, parties.signer.address)

    assert another.channel_id != parties.channel_id
    assert another.state.deposit == parties.state.deposit == DEPOSIT


def test_a_voucher_pays_its_amount_and_a_later_one_the_difference(parties: Parties) -> None:
    before = parties.chain.balance(parties.payee.address)

    parties.send(parties.payee, "settle", *parties.voucher(VOUCHER))
    assert parties.state.settled == VOUCHER
    parties.send(parties.payee, "settle", *parties.voucher(3 * VOUCHER))
    assert parties.state.settled == 3 * VOUCHER

    assert 3 * VOUCHER - 2 * FEE <= parties.chain.balance(parties.payee.address) - before <= 3 * VOUCHER


def test_an_authorized_signer_signs_instead_of_the_payer(escrow: Escrow, funded_key: FundedKey) -> None:
    signer = fresh_account()
    parties = opened_channel(escrow, funded_key(), funded_key(), signer, signer.address)

    by_the_payer = (parties.channel_id, VOUCHER, parties.sign(VOUCHER, parties.payer))
    assert parties.refusal(parties.payee, "settle", *by_the_payer) == "InvalidSignature"
    parties.send(parties.payee, "settle", *parties.voucher(VOUCHER))


def test_no_authorized_signer_means_the_payer(escrow: Escrow, funded_key: FundedKey) -> None:
    payer = funded_key()
    parties = opened_channel(escrow, payer, funded_key(), payer, NOBODY)

    assert parties.state.authorized_signer == NOBODY
    parties.send(parties.payee, "settle", *parties.voucher(VOUCHER))


def test_a_voucher_signed_by_somebody_else_is_refused(parties: Parties) -> None:
    stranger = (parties.channel_id, VOUCHER, parties.sign(VOUCHER, fresh_account()))

    assert parties.refusal(parties.payee, "settle", *stranger) == "InvalidSignature"
    assert parties.refusal(parties.payee, "close", *stranger) == "InvalidSignature"


def test_a_voucher_for_another_amount_channel_contract_or_chain_is_refused(parties: Parties) -> None:
    escrow, chain_id, channel_id = parties.escrow.address, parties.chain.chain_id, parties.channel_id
    others = [
        voucher_signature(parties.signer, escrow, chain_id, channel_id, VOUCHER + 1),
        voucher_signature(parties.signer, escrow, chain_id, os.urandom(32), VOUCHER),
        voucher_signature(parties.signer, parties.payer.address, chain_id, channel_id, VOUCHER),
        voucher_signature(parties.signer, escrow, chain_id + 1, channel_id, VOUCHER),
    ]

    for signature in others:
        assert parties.refusal(parties.payee, "settle", channel_id, VOUCHER, signature) == "InvalidSignature"


def test_only_the_canonical_form_of_a_signature_is_accepted(parties: Parties) -> None:
    good = parties.sign(VOUCHER)
    r, s, v = good[:32], int.from_bytes(good[32:64]), good[64]
    high_s = r + (ORDER - s).to_bytes(32) + bytes([55 - v])
    compact = r + (s | (v - 27) << 255).to_bytes(32)
    others = [high_s, compact, good[:64] + bytes([v - 27]), good + b"\0", good[:64], b"", b"\0" * 64 + b"\x1b"]

    for signature in others:
        refusal = parties.refusal(parties.payee, "settle", parties.channel_id, VOUCHER, signature)
        assert refusal == "InvalidSignature", signature.hex()
    parties.send(parties.payee, "settle", parties.channel_id, VOUCHER, good)


def test_no_more_than_the_deposit_can_be_taken(parties: Parties) -> None:
    assert parties.refusal(parties.payee, "settle", *parties.voucher(DEPOSIT + 1)) == "AmountExceedsDeposit"
    assert parties.refusal(parties.payee, "close", *parties.voucher(DEPOSIT + 1)) == "AmountExceedsDeposit"
    parties.send(parties.payee, "settle", *parties.voucher(DEPOSIT))


def test_the_cumulative_amount_only_rises(parties: Parties) -> None:
    parties.send(parties.payee, "settle", *parties.voucher(2 * VOUCHER))

    assert parties.refusal(parties.payee, "settle", *parties.voucher(2 * VOUCHER)) == "AmountNotIncreasing"
    assert parties.refusal(parties.payee, "settle", *parties.voucher(VOUCHER)) == "AmountNotIncreasing"
    assert parties.refusal(parties.payee, "close", *parties.voucher(VOUCHER)) == "AmountNotIncreasing"


def test_a_top_up_raises_the_deposit(parties: Parties) -> None:
    more = 2**17
    receipt = parties.chain.send(
        parties.payer, [parties.escrow.approval(more), parties.escrow.call("topUp", parties.channel_id, more)]
    )

    assert receipt["status"] == 1
    assert parties.state.deposit == DEPOSIT + more
    parties.send(parties.payee, "settle", *parties.voucher(DEPOSIT + more))


def test_a_top_up_takes_a_uint256_and_keeps_the_deposit_in_a_uint128(parties: Parties) -> None:
    [entry] = [entry for entry in parties.escrow.abi if entry.get("name") == "topUp"]

    assert [argument["type"] for argument in entry["inputs"]] == ["bytes32", "uint256"]
    for amount in (2**128 - DEPOSIT, 2**128, 2**256 - 1):
        assert parties.refusal(parties.payer, "topUp", parties.channel_id, amount) == "DepositOverflow"


def test_a_close_captures_the_voucher_and_refunds_the_rest(parties: Parties) -> None:
    payer_before = parties.chain.balance(parties.payer.address)
    payee_before = parties.chain.balance(parties.payee.address)
    parties.send(parties.payee, "settle", *parties.voucher(VOUCHER))

    receipt = parties.send(parties.payee, "close", *parties.voucher(2 * VOUCHER))

    assert parties.state.finalized
    assert parties.chain.balance(parties.payer.address) - payer_before == DEPOSIT - 2 * VOUCHER
    gain = parties.chain.balance(parties.payee.address) - payee_before
    assert 2 * VOUCHER - 2 * FEE <= gain <= 2 * VOUCHER
    event = parties.event("ChannelClosed", receipt)
    assert (event["settledToPayee"], event["refundedToPayer"]) == (2 * VOUCHER, DEPOSIT - 2 * VOUCHER)


def test_a_payee_that_claims_nothing_more_closes_without_a_voucher(parties: Parties) -> None:
    before = parties.chain.balance(parties.payer.address)

    parties.send(parties.payee, "close", parties.channel_id, 0, b"")

    assert parties.state.finalized
    assert parties.chain.balance(parties.payer.address) - before == DEPOSIT


def test_nothing_can_be_done_with_a_closed_channel(parties: Parties) -> None:
    parties.send(parties.payee, "close", *parties.voucher(VOUCHER))

    assert parties.refusal(parties.payee, "settle", *parties.voucher(2 * VOUCHER)) == "ChannelFinalized"
    assert parties.refusal(parties.payee, "close", *parties.voucher(2 * VOUCHER)) == "ChannelFinalized"
    for function, arguments in [("topUp", (1,)), ("requestClose", ()), ("withdraw", ())]:
        assert parties.refusal(parties.payer, function, parties.channel_id, *arguments) == "ChannelFinalized"


def test_each_side_can_do_its_own_part_only(parties: Parties) -> None:
    for stranger in (parties.payer, fresh_account()):
        assert parties.refusal(stranger, "settle", *parties.voucher(VOUCHER)) == "NotPayee"
        assert parties.refusal(stranger, "close", *parties.voucher(VOUCHER)) == "NotPayee"
    for stranger in (parties.payee, fresh_account()):
        for function, arguments in [("topUp", (1,)), ("requestClose", ()), ("withdraw", ())]:
            assert parties.refusal(stranger, function, parties.channel_id, *arguments) == "NotPayer"


def test_a_channel_that_was_never_opened_is_not_found(parties: Parties) -> None:
    unknown = os.urandom(32)

    assert parties.escrow.channel(unknown) == (False, 0, NOBODY, NOBODY, NOBODY, NOBODY, 0, 0)
    assert parties.refusal(parties.payer, "requestClose", unknown) == "ChannelNotFound"
    assert parties.refusal(parties.payee, "settle", unknown, VOUCHER, parties.sign(VOUCHER)) == "ChannelNotFound"


@pytest.mark.usefixtures("rewound")
def test_the_payer_withdraws_only_after_the_grace_period(parties: Parties) -> None:
    assert parties.escrow.contract.functions.CLOSE_GRACE_PERIOD().call() == GRACE_PERIOD
    assert parties.refusal(parties.payer, "withdraw", parties.channel_id) == "CloseNotReady"

    parties.send(parties.payer, "requestClose", parties.channel_id)
    requested_at = parties.state.close_requested_at
    assert abs(requested_at - parties.chain.now()) < 60
    assert parties.refusal(parties.payer, "withdraw", parties.channel_id) == "CloseNotReady"
    parties.chain.travel(GRACE_PERIOD - 60)
    assert parties.refusal(parties.payer, "withdraw", parties.channel_id) == "CloseNotReady"

    # The payee still has its say until then.
    parties.send(parties.payee, "settle", *parties.voucher(VOUCHER))
    # Asking again must not start the period anew, or it would never end for a client that retries.
    parties.send(parties.payer, "requestClose", parties.channel_id)
    assert parties.state.close_requested_at == requested_at

    parties.chain.travel(60)
    before = parties.chain.balance(parties.payer.address)
    parties.send(parties.payer, "withdraw", parties.channel_id)

    assert parties.state.finalized
    refund = DEPOSIT - VOUCHER
    assert refund - FEE <= parties.chain.balance(parties.payer.address) - before <= refund


@pytest.mark.usefixtures("rewound")
def test_a_top_up_cancels_a_close_request(parties: Parties) -> None:
    parties.send(parties.payer, "requestClose", parties.channel_id)

    parties.chain.send(parties.payer, [parties.escrow.approval(1), parties.escrow.call("topUp", parties.channel_id, 1)])

    assert parties.state.close_requested_at == 0
    parties.chain.travel(GRACE_PERIOD + 1)
    assert parties.refusal(parties.payer, "withdraw", parties.channel_id) == "CloseNotReady"
