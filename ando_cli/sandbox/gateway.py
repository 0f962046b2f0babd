"""The gateway: routes, the 402 negotiation, and what a fault makes of it. All about HTTP, nothing about money."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from ando_cli.sandbox import challenges, credentials, metering
from ando_cli.sandbox.accounts import Answer, InFlight
from ando_cli.sandbox.faults import Fault, Faults, lie_about_challenge, lie_about_receipt
from ando_cli.sandbox.problems import CODES, Problem, render
from ando_cli.sandbox.verify import Cashier, Order, fingerprint

if TYPE_CHECKING:
    from ando_cli.sandbox.challenges import Network
    from ando_cli.sandbox.metering import Quote
    from ando_cli.sandbox.settings import Settings

CHAT_PATH = "/v1/mpp/chat/completions"
FREE_PATH = "/v1/free"
HEALTH_PATH = "/v1/health"
FREE_TEXT = "This resource of the ando sandbox is free.\n"
LOG_LENGTH = 10_000
CHUNK = b" " * 65_536

AccessLog = Callable[[str], None]


@dataclass(frozen=True)
class Reply:
    """An answer that is not sent yet."""

    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


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
        action = _action(request)
        entry = _entry(request, action, body)
        self.log.append(entry)
        fault = self.faults.take(action) or Fault()
        try:
            return await self._serve(request, body, fault, entry)
        finally:
            if self._access_log is not None:
                outcome = entry.status if entry.dropped is None else f"dropped {entry.dropped}"
                self._access_log(f"{request.method} {request.path} {action} {outcome}")

    async def _serve(self, request: web.Request, body: bytes, fault: Fault, entry: Entry) -> web.StreamResponse:
        if fault.delay:
            await asyncio.sleep(fault.delay)
        if fault.drop == "before":
            return _drop(request, entry, "before")
        reply = self._misanswer(request, body, fault) if fault.replaces_answer else None
        if reply is None:
            reply = await self._handle(request, body, fault)
        entry.status = reply.status
        if fault.drop == "after":
            return _drop(request, entry, "after")
        if fault.body_bytes is not None:
            return await _send_huge(request, reply, fault.body_bytes)
        if fault.drop == "headers":
            return await _send_half(request, reply, entry)
        response = web.Response(status=reply.status, body=reply.body)
        _set_headers(response, reply)
        return response

    async def _handle(self, request: web.Request, body: bytes, fault: Fault) -> Reply:
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
            answer = await self._paid(request, body, quoted)
            return _success(answer, fault)
        except Problem as problem:
            return self._refuse(problem, request.path, quoted, body, fault)

    async def _paid(self, request: web.Request, body: bytes, quoted: Quote) -> Answer:
        authorization = request.headers.get("Authorization")
        if authorization is None:
            raise Problem("payment_required")
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
        extensions = dict(problem.extensions)
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
        problem = Problem(fault.code or "server_error", fault.message, **fault.extensions)
        return self._refuse(problem, request.path, quoted, body, fault)


def _success(answer: Answer, fault: Fault) -> Reply:
    receipt = lie_about_receipt(challenges.encode_json(dict(answer.receipt)), fault.receipt_lies)
    headers = tuple(fault.headers.items())
    if receipt is not None:
        headers = (("Payment-Receipt", receipt), *headers)
    return Reply(answer.status, "application/json", answer.body, headers)


def _action(request: web.Request) -> str:
    if request.path == CHAT_PATH and request.method == "POST":
        authorization = request.headers.get("Authorization")
        return "unpaid" if authorization is None else credentials.peek_action(authorization)
    return "free" if request.path == FREE_PATH else "other"


def _entry(request: web.Request, action: str, body: bytes) -> Entry:
    return Entry(
        method=request.method,
        path=request.path,
        action=action,
        body_sha256=hashlib.sha256(body).hexdigest(),
        idempotency_key_sha256=_hash(request.headers.get("Idempotency-Key")),
        authorization="Authorization" in request.headers,
        authorization_sha256=_hash(request.headers.get("Authorization")),
    )


def _hash(text: str | None) -> str | None:
    return None if text is None else hashlib.sha256(text.encode()).hexdigest()


def _set_headers(response: web.StreamResponse, reply: Reply) -> None:
    if reply.status != 204:
        response.headers["Content-Type"] = reply.content_type
    response.headers["Cache-Control"] = "no-store"
    for name, value in reply.headers:
        response.headers.add(name, value)


def _drop(request: web.Request, entry: Entry, when: str) -> web.Response:
    entry.dropped = when
    if request.transport is not None:
        request.transport.close()
    return web.Response()


async def _send_half(request: web.Request, reply: Reply, entry: Entry) -> web.StreamResponse:
    entry.dropped = "headers"
    response = web.StreamResponse(status=reply.status)
    _set_headers(response, reply)
    response.content_length = max(len(reply.body), 2)
    await response.prepare(request)
    await response.write(reply.body[: len(reply.body) // 2] or b" ")
    if request.transport is not None:
        request.transport.close()
    return response


async def _send_huge(request: web.Request, reply: Reply, size: int) -> web.StreamResponse:
    response = web.StreamResponse(status=reply.status)
    _set_headers(response, reply)
    response.content_length = size
    await response.prepare(request)
    try:
        for start in range(0, size, len(CHUNK)):
            await response.write(CHUNK[: size - start])
    except ConnectionError:
        pass  # the client has read enough
    return response
