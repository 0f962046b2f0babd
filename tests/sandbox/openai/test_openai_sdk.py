"""OpenAI's own Python client, pointed at the sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

import openai
import pytest

from ando_cli.sandbox.faults import Fault
from tests.support.sandbox_key_holder import HELLO, MODEL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ando_cli.sandbox.server import Sandbox

CANNED = "This is a canned answer from the ando sandbox"


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key=sandbox.virtual_key, base_url=sandbox.base_url, max_retries=1) as sdk:
        yield sdk


def test_it_lists_the_models(client: openai.OpenAI) -> None:
    assert MODEL in [model.id for model in client.models.list()]


def test_it_chats(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=128)  # type: ignore[arg-type]
    assert answer.choices[0].message.content.startswith(CANNED)
    assert answer.usage.total_tokens > 0


def test_it_streams_a_chat(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(model=MODEL, messages=HELLO, stream=True, stream_options={"include_usage": True})
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text.startswith(CANNED)
    assert chunks[-1].usage.total_tokens > 0
    assert chunks[-2].choices[0].finish_reason == "stop"


def test_it_gets_a_response(client: openai.OpenAI) -> None:
    answer = client.responses.create(model=MODEL, input="hello", instructions="be brief")
    assert answer.status == "completed"
    assert answer.output_text.startswith(CANNED)


def test_it_completes_a_text(client: openai.OpenAI) -> None:
    assert client.completions.create(model=MODEL, prompt="hello").choices[0].text.startswith(CANNED)
    streamed = client.completions.create(model=MODEL, prompt="hello", stream=True)
    assert "".join(chunk.choices[0].text for chunk in streamed).startswith(CANNED)


def test_it_understands_the_errors(client: openai.OpenAI, sandbox: Sandbox) -> None:
    with pytest.raises(openai.AuthenticationError) as wrong:
        client.with_options(api_key="wrong").models.list()
    assert wrong.value.code == "invalid_api_key"
    assert wrong.value.request_id == sandbox.gateway.log[-1].request_id
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="nobody/nothing", messages=HELLO)  # type: ignore[arg-type]
    sandbox.faults.push(Fault(on="chat", code="budget_exhausted"))
    with pytest.raises(openai.APIStatusError) as exhausted:
        client.chat.completions.create(model=MODEL, messages=HELLO)  # type: ignore[arg-type]
    assert (exhausted.value.status_code, exhausted.value.code) == (402, "budget_exhausted")
    sandbox.faults.push(Fault(on="chat", stream={"error_after": 2}))
    with pytest.raises(openai.APIError, match="failed in mid-stream"):
        list(client.chat.completions.create(model=MODEL, messages=HELLO, stream=True))


def test_it_tries_again_when_it_is_told_to_wait(client: openai.OpenAI, sandbox: Sandbox) -> None:
    sandbox.faults.push(Fault(on="models", code="rate_limit_exceeded", headers={"Retry-After": "0.01"}))
    assert list(client.models.list())
    assert [entry.status for entry in sandbox.gateway.log] == [429, 200]
