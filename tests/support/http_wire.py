"""A client without a network: a wire that answers what it is told to, and the payment rail at its shortest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from ando_cli.http.client import AndoClient
from ando_cli.http.extensions import CREDENTIAL, RESENT
from ando_cli.inference import paid
from ando_cli.inference.request import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator


BASE = "https://gateway.example/v1"
BODY = b'{"messages": [ ]}'
CHAT_PATH = paid.CHAT.path
ASKED = Request(CHAT_PATH, BODY)
MIB = 1024 * 1024


class Wire(httpx.BaseTransport):
    """Answers request after request with what it was given; an exception is raised instead."""

    def __init__(self, *answers: httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]) -> None:
        self.answers = list(answers)
        self.seen: list[tuple[str, bytes, httpx.Headers]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.seen.append((str(request.url), request.read(), httpx.Headers(request.headers)))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer


class Pays(httpx.Auth):
    """The payment rail at its shortest: a 402 is answered with a credential."""

    def __init__(self) -> None:
        self.resent: list[bool] = []

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        response = yield request
        if response.status_code == 402:
            request.headers["Authorization"] = "Payment x"
            request.extensions[CREDENTIAL] = True
            response = yield request
            self.resent.append(bool(response.extensions.get(RESENT)))


def ando(wire: httpx.BaseTransport, auth: httpx.Auth | None = None) -> AndoClient:
    return AndoClient(BASE, auth, connect_timeout=1, timeout=1, transport=wire)


def get(url: str) -> Request:
    return Request(url, method="GET", headers=())


def asks() -> httpx.Response:
    return httpx.Response(402, json={"code": "payment_required"})


def ok(text: str = "hi") -> httpx.Response:
    return httpx.Response(200, text=text)


class Pieces(httpx.SyncByteStream):
    """A body that counts what was taken of it, and may break off."""

    def __init__(self, pieces: Iterable[bytes], error: Exception | None = None) -> None:
        self.pieces, self.error = pieces, error
        self.taken = 0
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        for piece in self.pieces:
            self.taken += len(piece)
            yield piece
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.closed = True
