"""Serve the routes of the gateway: the 402 negotiation, and the faults. HTTP only; the money is in ``cashier``."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from ando_cli.sandbox.chain.voucher import V2
from ando_cli.sandbox.faults import Fault, Faults
from ando_cli.sandbox.faults.lies import lie_about_challenge, lie_about_receipt, lie_about_snapshot
from ando_cli.sandbox.gateway import challenges
from ando_cli.sandbox.gateway.accounts import InFlight
from ando_cli.sandbox.gateway.asked import FREE_PATH, HEALTH_PATH, Asked
from ando_cli.sandbox.gateway.cashier import Cashier, Order, fingerprint
from ando_cli.sandbox.gateway.failures import REQUEST_ID_HEADER, new_request_id
from ando_cli.sandbox.gateway.replies import drop, send, send_events, send_half, send_huge
from ando_cli.sandbox.gateway.snapshots import SESSION_HEADER, SNAPSHOT_HEADER, Snapshots
from ando_cli.sandbox.openai.bearer import BearerRequest, BearerRoutes
from ando_cli.sandbox.problems import SPECIFICATION_CODES, STOCK_CODES, Problem, kind_of, render
from ando_cli.sandbox.wire import Reply, encode_json, header_value, seal

if TYPE_CHECKING:
    from aiohttp import web

    from ando_cli.sandbox.gateway.challenges import Network
    from ando_cli.sandbox.gateway.quotes import Quote
    from ando_cli.sandbox.gateway.session_rows import Answer
    from ando_cli.sandbox.settings import Settings

FREE_TEXT = "This resource of the ando sandbox is free.\n"
LOG_LENGTH = 10_000

NO_FAULT = Fault()
PROBLEM_DETAILS = frozenset((*SPECIFICATION_CODES, *STOCK_CODES))
"""The codes that are always answered as RFC 9457 Problem Details."""

AccessLog = Callable[[str], None]


@dataclass
class Entry:
    """Record one request in the log: what was sent, by hash where it is private.

    Attributes:
        schemes: the schemes of all ``Authorization`` headers; ``other`` for an unknown one.
        request_id: the ``x-request-id`` of the answer.
        dropped: how the connection was lost: the ``drop`` of a fault, or ``client`` if the client hung up mid-stream.
    """

    method: str
    path: str
    action: str
    body_sha256: str
    idempotency_key_sha256: str | None
    authorization: bool
    authorization_sha256: str | None
    schemes: tuple[str, ...]
    request_id: str
    received: float = field(default_factory=time.time)
    status: int | None = None
    dropped: str | None = None


class Gateway:
    """Serve the MPP route, the account-owned routes and two free ones."""

    def __init__(
        self,
        *,
        network: Network,
        secret: bytes,
        cashier: Cashier,
        snapshots: Snapshots,
        bearer: BearerRoutes,
        settings: Settings,
        access_log: AccessLog | None,
    ) -> None:
        self.settings = settings
        self.faults = Faults()
        self.log: deque[Entry] = deque(maxlen=LOG_LENGTH)
        self._network = network
        self._secret = secret
        self._cashier = cashier
        self._snapshots = snapshots
        self._bearer = bearer
        self._access_log = access_log

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer a request, or fail as the next fault says."""
        asked = await Asked.read(request, self.settings)
        entry = Entry(
            method=asked.method,
            path=asked.path,
            action=asked.action,
            body_sha256=hashlib.sha256(asked.body).hexdigest(),
            idempotency_key_sha256=_hash(asked.headers.get("Idempotency-Key")),
            authorization=asked.authorization is not None,
            authorization_sha256=_hash(asked.authorization),
            schemes=asked.schemes,
            request_id=new_request_id(),
        )
        self.log.append(entry)
        fault = self.faults.take(entry.action) or NO_FAULT
        try:
            return await self._serve(request, asked, fault, entry)
        except Exception:
            entry.status = 500
            raise
        finally:
            if self._access_log is not None:
                outcome = entry.status if entry.dropped is None else f"dropped {entry.dropped}"
                self._access_log(f"{entry.method} {entry.path} {entry.action} {outcome}")

    async def _serve(self, request: web.Request, asked: Asked, fault: Fault, entry: Entry) -> web.StreamResponse:
        if fault.delay:
            await asyncio.sleep(fault.delay)
        if fault.drop == "before":
            entry.dropped = fault.drop
            return drop(request)
        reply = await (self._misanswer(asked, fault) if fault.replaces_answer else self._handle(asked, fault))
        reply = self._stamp(reply, fault, entry)
        entry.status, entry.dropped = reply.status, fault.drop
        match fault.drop:
            case "after":
                return drop(request)
            case "headers":
                return await send_half(request, reply)
        if fault.body_bytes is not None:
            return await send_huge(request, reply, fault.body_bytes)
        if reply.events:
            try:
                return await send_events(request, reply, fault.stream)
            except ConnectionError:
                entry.dropped = "client"
                return drop(request)
        return send(reply)

    def _stamp(self, reply: Reply, fault: Fault, entry: Entry) -> Reply:
        """Add the headers that every answer has, unless the fault sets them."""
        stamps = {REQUEST_ID_HEADER: entry.request_id}
        if self.settings.date_offset:
            stamps["date"] = formatdate(time.time() + self.settings.date_offset, usegmt=True)
        there = {name.lower() for name in fault.headers}
        added = ((name, value) for name, value in stamps.items() if name not in there)
        return replace(reply, headers=(*reply.headers, *added))

    async def _handle(self, asked: Asked, fault: Fault) -> Reply:
        if asked.path == FREE_PATH and asked.method in ("GET", "HEAD"):
            return Reply(200, "text/plain; charset=utf-8", FREE_TEXT.encode())
        if asked.path == HEALTH_PATH and asked.method == "GET":
            return Reply(200, "application/json", b'{"status":"ok"}')
        try:
            if asked.bearer_route is not None:
                asked_for = BearerRequest(asked.bearer_route, asked.method, asked.authorization, asked.body)
                return await self._bearer.answer(asked_for, self.settings, fault.headers)
            answer = await self._paid(asked)
            return _success(answer, fault, await self._session_headers(asked, fault))
        except Problem as problem:
            return await self._refuse(problem, asked, fault)

    async def _paid(self, asked: Asked) -> Answer:
        quoted, credential = asked.require_quote(), asked.require_credential()
        print_ = fingerprint(asked.authorization or "", asked.headers.get("Idempotency-Key"))
        while True:
            # A stored answer is sent again even if its challenge has expired meanwhile.
            answer = await self._cashier.replay(credential.challenge.get("id", ""), print_)
            if answer is not None:
                return answer
            terms = challenges.check_echo(
                credential.challenge,
                secret=self._secret,
                settings=self.settings,
                network=self._network,
                quoted=quoted,
                path=asked.path,
                body=asked.body,
                now=time.time(),
            )
            try:
                return await self._cashier.carry_out(Order(credential, terms, quoted, self.settings, print_))
            except InFlight:
                continue

    async def _refuse(self, problem: Problem, asked: Asked, fault: Fault) -> Reply:
        """Build the answer to a refused request, with a fresh challenge if the client can try again."""
        kind = kind_of(problem.code, self.settings.malformed_status)
        headers: list[tuple[str, str]] = [("Allow", asked.allowed_method)] if kind.status == 405 else []
        challenged = kind.challenged if fault.challenge is None else fault.challenge
        extensions = problem.extensions
        if challenged and asked.quote is not None:
            values, challenge_id = await self._challenges(asked, asked.quote, fault)
            headers += [("WWW-Authenticate", value) for value in values]
            extensions = {"challengeId": challenge_id, **extensions}
        usual = "openai" if asked.bearer_route is not None else self.settings.error_shape
        shape = "rfc9457" if problem.code in PROBLEM_DETAILS else usual
        status = fault.status or kind.status
        error = render(problem.code, problem.message, status, fault.shape or shape, extensions)
        return Reply(status, error.content_type, error.data, (*headers, *fault.headers.items()))

    async def _challenges(self, asked: Asked, quoted: Quote, fault: Fault) -> tuple[list[str], str]:
        """Return the ``WWW-Authenticate`` values for a request, and the id of the first challenge in them."""
        protocols, lies = self.settings.protocols, fault.challenge_lies
        snapshot = await self._snapshot(asked, fault) if V2 in protocols else None
        values: list[str] = []
        ids: list[str] = []
        for protocol in protocols:
            parameters = challenges.issue(
                settings=self.settings,
                network=self._network,
                quoted=quoted,
                path=asked.path,
                body=asked.body,
                now=time.time(),
                protocol=protocol,
                snapshot=snapshot,
            )
            sealed = seal(self._secret, parameters)
            ids.append(sealed["id"])
            if lies and lies.get("only", protocol) == protocol:
                # Header values before or after the challenges go around all of them, not around each.
                around = {"before": protocols[0], "after": protocols[-1]}
                mine = {name: lie for name, lie in lies.items() if around.get(name, protocol) == protocol}
                values += lie_about_challenge(self._secret, parameters, mine)
            else:
                values.append(header_value(sealed))
        return values, ids[0]

    async def _snapshot(self, asked: Asked, fault: Fault) -> dict[str, Any] | None:
        cost = 0 if asked.quote is None else asked.quote.max_cost
        known = await self._snapshots.about(self.settings, asked.headers.get(SESSION_HEADER), asked.credential, cost)
        return lie_about_snapshot(known, fault.snapshot_lies)

    async def _session_headers(self, asked: Asked, fault: Fault) -> list[tuple[str, str]]:
        """Return the two headers that report the state of a v2 session."""
        if asked.credential is None or not asked.credential.has_descriptor:
            return []
        snapshot = await self._snapshot(asked, fault)
        if snapshot is None:
            return []
        encoded = snapshot["raw"] if "raw" in snapshot else encode_json(snapshot)
        return [(SESSION_HEADER, str(snapshot.get("channelId", ""))), (SNAPSHOT_HEADER, str(encoded))]

    async def _misanswer(self, asked: Asked, fault: Fault) -> Reply:
        """Build the answer that a fault gives in place of the handler's."""
        if fault.redirect is not None:
            status = fault.status or 307
            return Reply(status, "text/plain", b"", (("Location", fault.redirect), *fault.headers.items()))
        text = fault.body_text
        if text is not None or (fault.body_bytes is not None and fault.code is None):
            content = (text or "").encode()
            return Reply(fault.status or 500, "text/plain; charset=utf-8", content, tuple(fault.headers.items()))
        problem = Problem(fault.code or "server_error", fault.message, fault.extensions)
        return await self._refuse(problem, asked, fault)


def _success(answer: Answer, fault: Fault, session: list[tuple[str, str]]) -> Reply:
    receipt = lie_about_receipt(encode_json(dict(answer.receipt)), fault.receipt_lies)
    headers = (*session, *fault.headers.items())
    if receipt is not None:
        headers = (("Payment-Receipt", receipt), *headers)
    return Reply(answer.status, "application/json", answer.body, headers)


def _hash(text: str | None) -> str | None:
    return None if text is None else hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
