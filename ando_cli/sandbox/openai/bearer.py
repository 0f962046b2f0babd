"""The account-owned routes: a Virtual Key in, an answer of OpenAI's API out (protocol.md, section 1)."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from ando_cli.sandbox.gateway.replies import Reply
from ando_cli.sandbox.openai import answers as openai_answers
from ando_cli.sandbox.openai import requests as openai_requests
from ando_cli.sandbox.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ando_cli.sandbox.gateway.asked import Asked
    from ando_cli.sandbox.openai.virtual_key import VirtualKey
    from ando_cli.sandbox.settings import Settings


class BearerRoutes:
    """Answers the requests that a Virtual Key pays for."""

    def __init__(self, virtual_key: VirtualKey) -> None:
        self.virtual_key = virtual_key

    async def answer(self, route: str, asked: Asked, settings: Settings, headers: Mapping[str, str]) -> Reply:
        """The answer of a route, with further headers.

        Raises:
            Problem: the request is refused, and nothing was spent.
        """
        if asked.method != asked.allowed_method:
            raise Problem("method_not_allowed")
        self.virtual_key.check(asked.authorization)
        if route == "models":
            return _json(openai_answers.models(settings), headers)
        request = openai_requests.read(route, asked.body)
        if request.model not in settings.models:
            raise Problem("model_not_found")
        generated = openai_answers.generate(request, settings)
        self.virtual_key.charge(generated.usage.cost, settings.key_budget)
        if request.stream:
            events = openai_answers.events(request, generated)
            return Reply(
                200,
                "text/event-stream; charset=utf-8",
                b"".join(events),
                tuple(headers.items()),
                events,
                settings.model_seconds / len(events),
            )
        await asyncio.sleep(settings.model_seconds)
        return _json(openai_answers.buffered(request, generated), headers)


def _json(value: Any, headers: Mapping[str, str]) -> Reply:
    return Reply(200, "application/json", json.dumps(value).encode(), tuple(headers.items()))
