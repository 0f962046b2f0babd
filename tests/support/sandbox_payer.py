"""A tiny client of the gateway for these tests, built on eth_account and pytempo: independent of both sides."""

from __future__ import annotations

import base64
import itertools
import json
import re
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
from eth_abi import encode
from eth_account import Account
from eth_utils import keccak
from pytempo import Call, TempoTransaction

from ando_cli.sandbox.config import CHAIN_ID, ESCROW, TOKEN

if TYPE_CHECKING:
    from ando_cli.sandbox.server import Sandbox

BODY = b'{"plan":"Starter","messages":[{"role":"user","content":"what is the capital of america?"}],"max_tokens":32}'
COST = (4 + 8 + 22) * 10  # tokens of the message and of the canned answer, at the price of the Starter plan
MILLION = 1_000_000
EXPIRING_NONCE_KEY = 2**256 - 1


_different = itertools.count()


def b64url(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unb64url(text: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def challenge_of(response: httpx.Response) -> dict[str, str]:
    """The parameters of the one challenge of a 402."""
    return dict(re.findall(r'(\w+)="([^"]*)"', response.headers["WWW-Authenticate"]))


def receipt_of(response: httpx.Response) -> dict[str, Any]:
    return unb64url(response.headers["Payment-Receipt"])


def code_of(response: httpx.Response) -> str:
    """The error code, whatever the shape of the body."""
    body = response.json()
    if "type" in body:
        return body["type"].removeprefix("https://paymentauth.org/problems/")
    return body.get("error", body)["code"]


def selector(signature: str) -> bytes:
    return keccak(text=signature)[:4]


@dataclass
class Payer:
    """One wallet, one channel and one connection."""

    sandbox: Sandbox
    key: str = field(default_factory=lambda: "0x" + keccak(uuid.uuid4().bytes).hex())
    signer_key: str | None = None
    salt: bytes = field(default_factory=lambda: uuid.uuid4().bytes * 2)

    def __post_init__(self) -> None:
        self.http = httpx.Client(timeout=20)
        self.address = Account.from_key(self.key).address.lower()
        self.signer = Account.from_key(self.signer_key or self.key).address.lower()

    @property
    def url(self) -> str:
        return f"{self.sandbox.base_url}/mpp/chat/completions"

    @property
    def channel(self) -> str:
        """The channel id for this wallet and salt."""
        types = ["address", "address", "address", "bytes32", "address", "address", "uint256"]
        values = [self.address, self.sandbox.payee, TOKEN, self.salt, self.signer, ESCROW, CHAIN_ID]
        return "0x" + keccak(encode(types, values)).hex()

    def balance(self, account: str | None = None, token: str = TOKEN) -> int:
        data = "0x70a08231" + (account or self.address)[2:].rjust(64, "0")
        return int(self.sandbox.rpc("eth_call", {"to": token, "data": data}, "latest"), 16)

    def on_chain(self) -> list[Any]:
        """getChannel: finalized, closeRequestedAt, payer, payee, token, authorizedSigner, deposit, settled."""
        from eth_abi import decode

        data = "0x831c2b82" + self.channel[2:]
        result = self.sandbox.rpc("eth_call", {"to": ESCROW, "data": data}, "latest")
        types = ["bool", "uint64", "address", "address", "address", "address", "uint128", "uint128"]
        return list(decode(types, bytes.fromhex(result[2:])))

    def transaction(self, *calls: Call, fee_payer: bool = False, **changes: Any) -> str:
        """A signed transaction with an expiring nonce, in hexadecimal."""
        fields: dict[str, Any] = {
            "chain_id": CHAIN_ID,
            # With an expiring nonce, two equal transactions within a second would be one and the same.
            "gas_limit": 1_900_000 + next(_different),
            "max_fee_per_gas": 20_000_000_000,
            "max_priority_fee_per_gas": 1,
            "calls": calls,
            "nonce_key": EXPIRING_NONCE_KEY,
            "valid_before": int(time.time()) + 25,
            "fee_token": None if fee_payer else TOKEN,
            "awaiting_fee_payer": fee_payer,
        }
        raw = TempoTransaction.create(**(fields | changes)).sign(self.key).encode()
        # pytempo leaves the fee payer's signature empty where the specification has the placeholder 0x00; the
        # sender signed it with the placeholder. Both are one byte, and so is the empty fee token in front.
        return "0x" + (raw.replace(b"\x80\x80\xc0\xb8\x41", b"\x80\x00\xc0\xb8\x41") if fee_payer else raw).hex()

    def approval(self, amount: int) -> Call:
        data = selector("approve(address,uint256)") + encode(["address", "uint256"], [ESCROW, amount])
        return Call.create(to=TOKEN, data=data)

    def open_call(self, deposit: int, payee: str | None = None, token: str = TOKEN) -> Call:
        types = ["address", "address", "uint128", "bytes32", "address"]
        arguments = encode(types, [payee or self.sandbox.payee, token, deposit, self.salt, self.signer])
        return Call.create(to=ESCROW, data=selector("open(address,address,uint128,bytes32,address)") + arguments)

    def top_up_call(self, amount: int) -> Call:
        arguments = encode(["bytes32", "uint256"], [bytes.fromhex(self.channel[2:]), amount])
        return Call.create(to=ESCROW, data=selector("topUp(bytes32,uint256)") + arguments)

    def channel_call(self, function: str) -> Call:
        return Call.create(to=ESCROW, data=selector(f"{function}(bytes32)") + bytes.fromhex(self.channel[2:]))

    def voucher(self, cumulative: int, channel: str | None = None) -> str:
        """An EIP-712 voucher signature."""
        message = {
            "domain": {
                "name": "Tempo Stream Channel",
                "version": "1",
                "chainId": CHAIN_ID,
                "verifyingContract": ESCROW,
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
                    {"name": "cumulativeAmount", "type": "uint128"},
                ],
            },
            "primaryType": "Voucher",
            "message": {"channelId": bytes.fromhex((channel or self.channel)[2:]), "cumulativeAmount": cumulative},
        }
        signed = Account.sign_typed_data(self.signer_key or self.key, full_message=message)
        return "0x" + bytes(signed.signature).hex()

    def open_payload(self, deposit: int = 5 * MILLION, cumulative: int = MILLION, **changes: Any) -> dict[str, Any]:
        payload = {
            "action": "open",
            "type": "transaction",
            "channelId": self.channel,
            "transaction": self.transaction(self.approval(deposit), self.open_call(deposit)),
            "authorizedSigner": self.signer,
            "cumulativeAmount": str(cumulative),
            "signature": self.voucher(cumulative),
        }
        return payload | changes

    def voucher_payload(self, cumulative: int = MILLION, action: str = "voucher", **changes: Any) -> dict[str, Any]:
        payload = {
            "action": action,
            "channelId": self.channel,
            "cumulativeAmount": str(cumulative),
            "signature": self.voucher(cumulative),
        }
        return payload | changes

    def top_up_payload(self, amount: int, **changes: Any) -> dict[str, Any]:
        payload = {
            "action": "topUp",
            "type": "transaction",
            "channelId": self.channel,
            "transaction": self.transaction(self.approval(amount), self.top_up_call(amount)),
            "additionalDeposit": str(amount),
        }
        return payload | changes

    def post(self, body: bytes = BODY, **headers: str) -> httpx.Response:
        return self.http.post(self.url, content=body, headers=headers)

    def challenge(self, body: bytes = BODY) -> dict[str, str]:
        response = self.post(body)
        assert response.status_code == 402, response.text
        return challenge_of(response)

    def credential(self, payload: dict[str, Any], challenge: dict[str, str], source: str | None = None) -> str:
        value = {
            "challenge": challenge,
            "payload": payload,
            "source": source or f"did:pkh:eip155:{CHAIN_ID}:{self.address}",
        }
        return f"Payment {b64url(value)}"

    def pay(
        self, payload: dict[str, Any], *, body: bytes = BODY, challenge: dict[str, str] | None = None, key: str = ""
    ) -> httpx.Response:
        """Fetch a challenge unless one is given, and answer it."""
        credential = self.credential(payload, challenge or self.challenge(body))
        return self.post(body, authorization=credential, **{"idempotency-key": key or str(uuid.uuid4())})

    def opened(self, deposit: int = 5 * MILLION) -> Payer:
        """This payer with its channel open."""
        response = self.pay(self.open_payload(deposit))
        assert response.status_code == 200, response.text
        return self
