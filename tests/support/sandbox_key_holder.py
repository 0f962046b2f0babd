"""A tiny client of the account-owned routes for these tests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from ando_cli.sandbox.server import Sandbox

MODEL = "Qwen/Qwen3-8B-AWQ"
HELLO = [{"role": "user", "content": "hello"}]
BODIES: dict[str, dict[str, Any]] = {
    "chat": {"messages": HELLO},
    "think": {"messages": HELLO},
    "completions": {"prompt": "hello"},
    "responses": {"input": "hello"},
}
PATHS = {"chat": "/chat/completions", "think": "/think", "completions": "/completions", "responses": "/responses"}


class KeyHolder:
    """Somebody with the Virtual Key of a sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.http = httpx.Client(
            base_url=sandbox.base_url, headers={"authorization": f"Bearer {sandbox.virtual_key}"}, timeout=20
        )

    def models(self, **headers: str) -> httpx.Response:
        return self.http.get("/models", headers=headers)

    def ask(self, route: str = "chat", headers: dict[str, str] | None = None, **changes: Any) -> httpx.Response:
        """A request for a route whose body differs from the simplest one by some members; ``None`` removes one."""
        body = {"model": MODEL, **BODIES[route], **changes}
        sent = {name: value for name, value in body.items() if value is not None}
        return self.http.post(PATHS[route], json=sent, headers=headers)

    def stream(self, route: str = "chat", **changes: Any) -> list[str]:
        """What the events of a streamed answer hold, as they came."""
        response = self.ask(route, stream=True, **changes)
        assert response.status_code == 200, response.text
        assert response.headers["content-type"].startswith("text/event-stream")
        return [block.removeprefix("data: ") for block in response.text.split("\n\n") if block]

    def chunks(self, route: str = "chat", **changes: Any) -> list[dict[str, Any]]:
        """The events of a streamed answer that came to its end."""
        *chunks, done = self.stream(route, **changes)
        assert done == "[DONE]"
        return [json.loads(chunk) for chunk in chunks]

    @property
    def spent(self) -> int:
        """What the sandbox says was spent with the key."""
        origin = self.sandbox.base_url.removesuffix("/v1")
        return int(self.http.get(f"{origin}/sandbox/state").json()["virtual_key"]["spent"])

    def change_settings(self, **changes: Any) -> None:
        origin = self.sandbox.base_url.removesuffix("/v1")
        assert self.http.post(f"{origin}/sandbox/settings", json=changes).status_code == 200


def error_of(response: httpx.Response) -> tuple[int, str]:
    """The status and the code of an OpenAI-style error."""
    error = response.json()["error"]
    assert error["message"]
    return response.status_code, error["code"]
