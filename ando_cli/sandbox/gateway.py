"""The gateway: routes, the 402 negotiation, and what a fault makes of it. All about HTTP, nothing about money."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ando_cli.sandbox import challenges, credentials, metering
from ando_cli.sandbox.accounts import Answer, InFlight
from ando_cli.sandbox.cashier import Cashier, Order, fingerprint
from ando_cli.sandbox.faults import Fault, Faults, lie_about_challenge, lie_about_receipt
from ando_cli.sandbox.problems import CODES, Problem, render
from ando_cli.sandbox.replies import Reply, drop, send, send_half, send_huge

if TYPE_CHECKING:
    from aiohttp import web

    from ando_cli.sandbox.challenges import Network
    from ando_cli.sandbox.metering import Quote
    from ando_cli.sandbox.settings import Settings

CHAT_PATH = "/v1/mpp/chat/completions"
FREE_PATH = "/v1/free"
HEALTH_PATH = "/v1/health"
FREE_TEXT = "This resource of the ando sandbox is free.\n"
LOG_LENGTH = 10_000

AccessLog = Callable[[str], None]


@dataclass
class Entry:
    """One request in the log: what was sent, by hash where it is private."""

    method: str
    path: str
    action: str
    body_sha256: str
    idempotency_key_sha256: str | None
    authorization: bool
    authorization_sha256: str | None
    received: float = field(default_factory=time.time)
    status: int | None = None
    dropped: str | None = None


class Gateway:
    """Serves the MPP route and two free ones."""

    def __init__(
        self, *, network: Network, secret: bytes, cashier: Cashier, settings: Settings, access_log: AccessLog | None
    ) -> None:
        self.settings = settings
        self.faults = Faults()
        self.log: deque[Entry] = deque(maxlen=LOG_LENGTH)
        self._network = network
        self._secret = secret
        self._cashier = cashier
        self._access_log = access_log

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer a request, or go wrong as the next fault says."""
        body = await request.read()
        authorization = request.headers.get(self.settings.credential_header or "Authorization")
        action = _action(request, authorization)
        entry = Entry(
            method=request.method,
            path=request.path,
            action=action,
            body_sha256=hashlib.sha256(body).hexdigest(),
            idempotency_key_sha256=_hash(request.headers.get("Idempotency-Key")),
            authorization=authorization is not None,
            authorization_sha256=_hash(authorization),
        )
        self.log.append(entry)
        fault = self.faults.take(action) or Fault()
        try:
            return await self._serve(request, body, authorization, fault, entry)
        finally:
            if self._access_log is not None:
                outcome = entry.status if entry.dropped is None else f"dropped {entry.dropped}"
                self._access_log(f"{request.method} {request.path} {action} {outcome}")

    async def _serve(
        self, request: web.Request, body: bytes, authorization: str | None, fault: Fault, entry: Entry
    ) -> web.StreamResponse:
        if fault.delay:
            await asyncio.sleep(fault.delay)
        if fault.drop == "before":
            entry.dropped = fault.drop
            return drop(request)
        if fault.replaces_answer:
            reply = self._misanswer(request, body, fault)
        else:
            reply = await self._handle(request, body, authorization, fault)
        entry.status, entry.dropped = reply.status, fault.drop
        match fault.drop:
            case "after":
                return drop(request)
            case "headers":
                return await send_half(request, reply)
        if fault.body_bytes is not None:
            return await send_huge(request, reply, fault.body_bytes)
        return send(reply)

    async def _handle(self, request: web.Request, body: bytes, authorization: str | None, fault: Fault) -> Reply:
        quoted: Quote | None = None
        try:
            if request.path == FREE_PATH and request.method in ("GET", "HEAD"):
                return Reply(200, "text/plain; charset=utf-8", FREE_TEXT.encode())
            if request.path == HEALTH_PATH and request.method == "GET":
                return Reply(200, "application/json", b'{"status":"ok"}')
            if request.path != CHAT_PATH:
                raise Problem("not_found")
            if request.method != "POST":
                raise Problem("method_not_allowed")
            quoted = metering.quote(body, self.settings)
            if authorization is None:
                raise Problem("payment_required")
            return _success(await self._paid(request, body, authorization, quoted), fault)
        except Problem as problem:
            return self._refuse(problem, request.path, quoted, body, fault)

    async def _paid(self, request: web.Request, body: bytes, authorization: str, quoted: Quote) -> Answer:
        credential = credentials.parse(authorization)
        print_ = fingerprint(authorization, request.headers.get("Idempotency-Key"))
        while True:
            # An answer that was given is given again even when its challenge has expired meanwhile.
            answer = await self._cashier.replay(credential.challenge.get("id", ""), print_)
            if answer is not None:
                return answer
            terms = challenges.check_echo(
                credential.challenge,
                secret=self._secret,
                settings=self.settings,
                network=self._network,
                quoted=quoted,
                path=request.path,
                body=body,
                now=time.time(),
            )
            try:
                return await self._cashier.carry_out(Order(credential, terms, quoted, self.settings, print_))
            except InFlight:
                continue

    def _refuse(self, problem: Problem, path: str, quoted: Quote | None, body: bytes, fault: Fault) -> Reply:
        """The answer to a request that is refused, with a fresh challenge where that helps."""
        kind = CODES[problem.code]
        headers: list[tuple[str, str]] = [("Allow", "POST")] if kind.status == 405 else []
        challenged = kind.challenged if fault.challenge is None else fault.challenge
        extensions = problem.extensions
        if challenged and quoted is not None:
            values, challenge_id = self._challenge(path, quoted, body, fault)
            headers += [("WWW-Authenticate", value) for value in values]
            extensions = {"challengeId": challenge_id, **extensions}
        shape = "rfc9457" if "/" in problem.code else self.settings.error_shape
        status = fault.status or kind.status
        error = render(problem.code, problem.message, status, fault.shape or shape, extensions)
        return Reply(status, error.content_type, error.data, (*headers, *fault.headers.items()))

    def _challenge(self, path: str, quoted: Quote, body: bytes, fault: Fault) -> tuple[list[str], str]:
        parameters = challenges.issue(
            settings=self.settings,
            network=self._network,
            quoted=quoted,
            path=path,
            body=body,
            now=time.time(),
        )
        sealed = challenges.seal(self._secret, parameters)
        if fault.challenge_lies:
            return lie_about_challenge(self._secret, parameters, fault.challenge_lies), sealed["id"]
        return [challenges.header_value(sealed)], sealed["id"]

    def _misanswer(self, request: web.Request, body: bytes, fault: Fault) -> Reply:
        """The answer that a fault gives in place of the handler's."""
        if fault.redirect is not None:
            status = fault.status or 307
            return Reply(status, "text/plain", b"", (("Location", fault.redirect), *fault.headers.items()))
        text = fault.body_text
        if text is not None or (fault.body_bytes is not None and fault.code is None):
            content = (text or "").encode()
            return Reply(fault.status or 500, "text/plain; charset=utf-8", content, tuple(fault.headers.items()))
        try:
            quoted = metering.quote(body, self.settings)
        except Problem:
            quoted = None
        problem = Problem(fault.code or "server_error", fault.message, fault.extensions)
        return self._refuse(problem, request.path, quoted, body, fault)


def _success(answer: Answer, fault: Fault) -> Reply:
    receipt = lie_about_receipt(challenges.encode_json(dict(answer.receipt)), fault.receipt_lies)
    headers = tuple(fault.headers.items())
    if receipt is not None:
        headers = (("Payment-Receipt", receipt), *headers)
    return Reply(answer.status, "application/json", answer.body, headers)


def _action(request: web.Request, authorization: str | None) -> str:
    if request.path == CHAT_PATH and request.method == "POST":
        return "unpaid" if authorization is None else credentials.peek_action(authorization)
    return "free" if request.path == FREE_PATH else "other"


def _hash(text: str | None) -> str | None:
    return None if text is None else hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
