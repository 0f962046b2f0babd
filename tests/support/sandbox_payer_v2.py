"""The tiny client of these tests for session protocol v2 (TIP-1034), on the same independent packages."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from typing import Any

from eth_abi import decode, encode
from eth_account import Account
from eth_utils import keccak
from pytempo import Call, TempoTransaction

from ando_cli.sandbox.config import CHAIN_ID, TOKEN
from tests.support.sandbox_payer import EXPIRING_NONCE_KEY, MILLION, Payer, selector

RESERVE = "0x4d50500000000000000000000000000000000000"
ZERO = "0x" + "00" * 20
TUPLE = "(address,address,address,address,bytes32,address,bytes32)"
TYPES = ["address", "address", "address", "address", "bytes32", "address", "bytes32"]
NAMES = ["payer", "payee", "operator", "token", "salt", "authorizedSigner", "expiringNonceHash"]

_different = itertools.count()


def sign_voucher(key: str, channel: str, cumulative: int, chain_id: int = CHAIN_ID) -> str:
    """An EIP-712 voucher of the precompile."""
    message = {
        "domain": {
            "name": "TIP20 Channel Reserve",
            "version": "1",
            "chainId": chain_id,
            "verifyingContract": RESERVE,
        },
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            "Voucher": [
                {"name": "channelId", "type": "bytes32"},
                {"name": "cumulativeAmount", "type": "uint96"},
            ],
        },
        "primaryType": "Voucher",
        "message": {"channelId": bytes.fromhex(channel[2:]), "cumulativeAmount": cumulative},
    }
    return "0x" + bytes(Account.sign_typed_data(key, full_message=message).signature).hex()


@dataclass
class PayerV2(Payer):
    """One wallet and one channel, which has its name from the moment its open transaction is signed."""

    operator: str = ZERO

    def __post_init__(self) -> None:
        super().__post_init__()
        self.prepare()

    def prepare(self, deposit: int = 5 * MILLION, fee_payer: bool = False, **changes: Any) -> None:
        """Sign an open transaction, and with it name a channel."""
        fields: dict[str, Any] = {
            "chain_id": CHAIN_ID,
            # Two equal transactions within a second would be one and the same.
            "gas_limit": 600_000 + next(_different),
            "max_fee_per_gas": 20_000_000_000,
            "max_priority_fee_per_gas": 1,
            "calls": (self.open_call(deposit),),
            "nonce_key": EXPIRING_NONCE_KEY,
            "valid_before": int(time.time()) + 25,
            "fee_token": None if fee_payer else TOKEN,
            "awaiting_fee_payer": fee_payer,
        }
        unsigned = TempoTransaction.create(**(fields | changes))
        raw = unsigned.sign(self.key).encode()
        raw = raw.replace(b"\x80\x80\xc0\xb8\x41", b"\x80\x00\xc0\xb8\x41") if fee_payer else raw
        self.open_transaction = "0x" + raw.hex()
        self.nonce_hash = keccak(unsigned.encode_for_signing(for_fee_payer=False) + bytes.fromhex(self.address[2:]))

    @property
    def values(self) -> tuple[Any, ...]:
        """The descriptor in the order of the ABI."""
        payee = self.sandbox.payee
        return (self.address, payee, self.operator, TOKEN, self.salt, self.signer, self.nonce_hash)

    @property
    def descriptor(self) -> dict[str, str]:
        texts = [value if isinstance(value, str) else "0x" + value.hex() for value in self.values]
        return dict(zip(NAMES, texts, strict=True))

    @property
    def channel(self) -> str:
        return "0x" + keccak(encode([*TYPES, "address", "uint256"], [*self.values, RESERVE, CHAIN_ID])).hex()

    def on_chain(self) -> list[Any]:
        """getChannelState: settled, deposit, closeRequestedAt."""
        data = selector("getChannelState(bytes32)") + bytes.fromhex(self.channel[2:])
        result = self.sandbox.rpc("eth_call", {"to": RESERVE, "data": "0x" + data.hex()}, "latest")
        return list(decode(["uint96", "uint96", "uint32"], bytes.fromhex(result[2:])))

    def open_call(self, deposit: int, payee: str | None = None, token: str = TOKEN) -> Call:
        types = ["address", "address", "address", "uint96", "bytes32", "address"]
        arguments = [payee or self.sandbox.payee, self.operator, token, deposit, self.salt, self.signer]
        function = "open(address,address,address,uint96,bytes32,address)"
        return Call.create(to=RESERVE, data=selector(function) + encode(types, arguments))

    def described(self, function: str, types: list[str] | None = None, *arguments: Any) -> Call:
        """A call whose first argument is the descriptor."""
        signature = f"{function}({','.join([TUPLE, *(types or [])])})"
        data = selector(signature) + encode([TUPLE, *(types or [])], [self.values, *arguments])
        return Call.create(to=RESERVE, data=data)

    def top_up_call(self, amount: int) -> Call:
        return self.described("topUp", ["uint96"], amount)

    def channel_call(self, function: str) -> Call:
        return self.described(function)

    def voucher(self, cumulative: int, channel: str | None = None) -> str:
        return sign_voucher(self.signer_key or self.key, channel or self.channel, cumulative)

    def open_payload(self, deposit: int = 5 * MILLION, cumulative: int = MILLION, **changes: Any) -> dict[str, Any]:
        self.prepare(deposit)
        payload = {
            "action": "open",
            "type": "transaction",
            "channelId": self.channel,
            "transaction": self.open_transaction,
            "authorizedSigner": self.signer,
            "descriptor": self.descriptor,
            "cumulativeAmount": str(cumulative),
            "signature": self.voucher(cumulative),
        }
        return payload | changes

    def voucher_payload(self, cumulative: int = MILLION, action: str = "voucher", **changes: Any) -> dict[str, Any]:
        return super().voucher_payload(cumulative, action, descriptor=self.descriptor) | changes

    def top_up_payload(self, amount: int, **changes: Any) -> dict[str, Any]:
        payload = {
            "action": "topUp",
            "type": "transaction",
            "channelId": self.channel,
            "transaction": self.transaction(self.top_up_call(amount)),
            "additionalDeposit": str(amount),
            "descriptor": self.descriptor,
        }
        return payload | changes
