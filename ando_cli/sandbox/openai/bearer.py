"""Serve the account-owned routes, which a Virtual Key pays for (docs/protocol.md, section 1)."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ando_cli.sandbox.openai import answers, requests
from ando_cli.sandbox.problems import Problem
from ando_cli.sandbox.wire import Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ando_cli.sandbox.openai.virtual_key import VirtualKey
    from ando_cli.sandbox.settings import Settings


ROUTES = {
    "/v1/models": "models",
    "/v1/chat/completions": "chat",
    "/v1/responses": "responses",
    "/v1/think": "think",
    "/v1/completions": "completions",
}
"""The account-owned routes, which a Virtual Key pays for, each with its name in the sandbox."""


@dataclass(frozen=True)
class BearerRequest:
    """Hold what a client sent to one of the account-owned routes.

    Attributes:
        route: one of the values of ``ROUTES``.
        authorization: the ``Authorization`` header, unchanged.
    """

    route: str
    method: str
    authorization: str | None
    body: bytes


def allowed_method(route: str) -> str:
    """Return the one HTTP method that a route takes."""
    return "GET" if route == "models" else "POST"


class BearerRoutes:
    """Answer the requests that a Virtual Key pays for."""

    def __init__(self, virtual_key: VirtualKey) -> None:
        self.virtual_key = virtual_key

    async def answer(self, asked: BearerRequest, settings: Settings, headers: Mapping[str, str]) -> Reply:
        """Answer a request, with further headers.

        Raises:
            Problem: The request is refused, and nothing was spent.
        """
        if asked.method != allowed_method(asked.route):
            raise Problem("method_not_allowed")
        self.virtual_key.check(asked.authorization)
        if asked.route == "models":
            return _json(answers.models(settings), headers)
        request = requests.read(asked.route, asked.body)
        if request.model not in settings.models:
            raise Problem("model_not_found")
        generated = answers.generate(request, settings)
        self.virtual_key.charge(generated.usage.cost, settings.key_budget)
        if request.stream:
            events = answers.events(request, generated)
            return Reply(
                200,
                "text/event-stream; charset=utf-8",
                b"".join(events),
                tuple(headers.items()),
                events,
                settings.model_seconds / len(events),
            )
        await asyncio.sleep(settings.model_seconds)
        return _json(answers.buffered(request, generated), headers)


def _json(value: Any, headers: Mapping[str, str]) -> Reply:
    return Reply(200, "application/json", json.dumps(value).encode(), tuple(headers.items()))
