"""A gateway without a socket, for driving ``PaymentAuth`` as the generator that it is. It takes payments for real."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx

from ando_cli.http.extensions import DRY_RUN, PLAN
from ando_cli.tempo.keys import recover
from ando_cli.tempo.network import PRECOMPILE
from ando_cli.tempo.protocol import Protocol
from ando_cli.tempo.voucher import voucher_digest
from tests.support.session_doubles import CHAIN_ID, ESCROW, KEY, MILLION, PAYEE, TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable

    from ando_cli.rails.payment import PaymentAuth
    from tests.support.session_doubles import Clock, FakeChain

URL = "https://gateway.example/v1/mpp/chat/completions"
BODY = b'{ "plan":"Starter", "messages":[{"role":"user","content":"my secret prompt"}],"max_tokens":8 }'
ANSWER = {"choices": [{"message": {"content": "hi"}}], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}


def b64url(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unb64url(text: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def refuse(code: str | None, status: int = 402) -> httpx.Response:
    """An answer that turns a request down, without a challenge."""
    return httpx.Response(status, json={"error": {"code": code, "message": f"because of {code}"}})


@dataclass
class Seen:
    """A request as the gateway got it."""

    headers: httpx.Headers
    body: bytes
    method: str
    url: str
    credential: dict[str, Any] | None

    @property
    def action(self) -> str | None:
        return self.credential["payload"]["action"] if self.credential else None

    @property
    def cumulative(self) -> int:
        assert self.credential is not None
        return int(self.credential["payload"]["cumulativeAmount"])


@dataclass
class Gateway:
    """Challenges, verifies, meters and gives receipts; each attribute is a way to bend it.

    ``script`` is consulted before each credential is looked at: what it returns is the answer, unless that is ``None``.
    ``edit`` may change what the challenge asks for, ``receipt`` what the receipt says.
    """

    chain: FakeChain
    clock: Clock
    price: int = MILLION // 4
    lifetime: float | None = 60
    params: dict[str, str | None] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    request: dict[str, Any] = field(default_factory=dict)
    script: list[Callable[[Seen], httpx.Response | None]] = field(default_factory=list)
    receipt: Callable[[dict[str, Any]], dict[str, Any] | str | None] = lambda r: r
    header: str = "Authorization"
    protocols: tuple[Protocol, ...] = (Protocol.V1,)
    v2_details: dict[str, Any] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    accepted: dict[str, int] = field(default_factory=dict)
    spent: dict[str, int] = field(default_factory=dict)
    highest: dict[str, int] = field(default_factory=dict)
    outstanding: set[str] = field(default_factory=set)
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    def __call__(self, outgoing: httpx.Request) -> httpx.Response:
        value = outgoing.headers.get(self.header, "")
        credential = unb64url(value.removeprefix("Payment ")) if value.startswith("Payment ") else None
        seen = Seen(
            httpx.Headers(outgoing.headers), outgoing.read(), outgoing.method, str(outgoing.url), credential
        )  # fmt: skip
        self.seen.append(seen)
        if credential is None:
            return self.unpaid(seen)
        self.verify(seen)
        scripted = self.script.pop(0)(seen) if self.script else None
        return scripted or self.paid(seen)

    @property
    def paid_for(self) -> list[Seen]:
        """The requests that carried a credential."""
        return [seen for seen in self.seen if seen.credential]

    @property
    def actions(self) -> list[str | None]:
        return [seen.action for seen in self.seen]

    def unpaid(self, seen: Seen) -> httpx.Response:
        return self.challenge(seen, "payment_required")

    def challenge(self, seen: Seen, code: str) -> httpx.Response:
        """A 402 with a fresh challenge."""
        response = refuse(code)
        response.headers["WWW-Authenticate"] = self.challenge_header(seen.body)
        return response

    def challenge_header(self, body: bytes, **changes: str | None) -> str:
        """The challenges, one for each protocol that is offered."""
        return ", ".join(self._one_challenge(body, protocol, changes) for protocol in self.protocols)

    def _one_challenge(self, body: bytes, protocol: Protocol, changes: dict[str, str | None]) -> str:
        identifier = f"challenge-{next(self.numbers)}"
        self.outstanding.add(identifier)
        details: dict[str, Any] = {"escrowContract": ESCROW, "chainId": CHAIN_ID}
        if protocol is Protocol.V2:
            details |= {"escrowContract": PRECOMPILE, "sessionProtocol": "v2"} | self.v2_details
        details |= self.details
        request = {
            "amount": str(MILLION), "currency": TOKEN, "recipient": PAYEE, "suggestedDeposit": str(5 * MILLION),
            "methodDetails": details,
        } | self.request  # fmt: skip
        params: dict[str, str | None] = {
            "id": identifier, "realm": "gateway.example", "method": "tempo", "intent": "session",
            "request": b64url(request),
            "digest": "sha-256=" + base64.b64encode(hashlib.sha256(body).digest()).decode(),
        }  # fmt: skip
        if self.lifetime is not None:
            params["expires"] = datetime.fromtimestamp(self.clock() + self.lifetime, UTC).isoformat()
        params |= self.params | changes
        return "Payment " + ", ".join(f'{name}="{value}"' for name, value in params.items() if value is not None)

    def verify(self, seen: Seen) -> None:
        """What must hold for every credential that is ever sent, accepted or not."""
        assert seen.credential is not None
        echo, payload = seen.credential["challenge"], seen.credential["payload"]
        assert echo["id"] in self.outstanding, "a challenge is answered once"
        self.outstanding.remove(echo["id"])
        if "expires" in echo:
            assert datetime.fromisoformat(echo["expires"]).timestamp() > self.clock(), "an expired one is not answered"
        assert seen.credential["source"] == f"did:pkh:eip155:{CHAIN_ID}:{KEY.address}"
        if payload["action"] == "topUp":
            return
        channel_id, amount = payload["channelId"], int(payload["cumulativeAmount"])
        v2 = "descriptor" in payload
        digest = voucher_digest(
            channel_id, amount, escrow=PRECOMPILE if v2 else ESCROW, chain_id=CHAIN_ID,
            protocol=Protocol.V2 if v2 else Protocol.V1,
        )  # fmt: skip
        assert recover(digest, bytes.fromhex(payload["signature"][2:])) == KEY.address
        self.highest[channel_id] = max(amount, self.highest.get(channel_id, 0))

    def paid(self, seen: Seen) -> httpx.Response:
        assert seen.credential is not None
        payload = seen.credential["payload"]
        channel_id = payload["channelId"]
        if "transaction" in payload:
            self.chain.broadcast(payload["transaction"], channel_id)
        if payload["action"] == "topUp":
            return httpx.Response(204)
        known = self.chain.channels.get(channel_id)
        if known is None:
            return self.challenge(seen, "session/channel-not-found")
        if seen.cumulative > known.deposit:
            return self.challenge(seen, "mpp_session_deposit_below_request_cost")
        if seen.cumulative < self.accepted.get(channel_id, 0):
            return self.challenge(seen, "mpp_payment_verification_failed")
        self.accepted[channel_id] = seen.cumulative
        if self.spent.get(channel_id, 0) + self.price > seen.cumulative:
            return self.challenge(seen, "mpp_voucher_bucket_refresh_required")
        self.spent[channel_id] = self.spent.get(channel_id, 0) + self.price
        return self.answer(seen)

    def answer(self, seen: Seen) -> httpx.Response:
        """The model's reply, with a receipt."""
        assert seen.credential is not None
        channel_id = seen.credential["payload"]["channelId"]
        receipt = self.receipt(
            {
                "method": "tempo", "intent": "session", "status": "success", "timestamp": "2027-01-01T00:00:00Z",
                "reference": channel_id, "challengeId": seen.credential["challenge"]["id"], "channelId": channel_id,
                "acceptedCumulative": str(self.accepted.get(channel_id, seen.cumulative)),
                "spent": str(self.spent.get(channel_id, 0)),
            }
        )  # fmt: skip
        response = httpx.Response(200, json=ANSWER)
        if receipt is not None:
            response.headers["Payment-Receipt"] = receipt if isinstance(receipt, str) else b64url(receipt)
        return response


def outgoing(url: str = URL, body: bytes = BODY, *, dry_run: bool = False) -> httpx.Request:
    return httpx.Request(
        "POST",
        url,
        content=body,
        headers={"Content-Type": "application/json"},
        extensions={PLAN: "Starter"} | ({DRY_RUN: True} if dry_run else {}),
    )


def drive(
    auth: PaymentAuth,
    gateway: Callable[[httpx.Request], httpx.Response],
    request: httpx.Request | None = None,
) -> httpx.Response:
    """Let ``auth`` negotiate with ``gateway`` as httpx would; what the gateway raises ends it as a lost connection."""
    flow = auth.sync_auth_flow(request or outgoing())
    try:
        sent = next(flow)
        while True:
            response = gateway(sent)
            try:
                sent = flow.send(response)
            except StopIteration:
                return response
    finally:
        flow.close()
