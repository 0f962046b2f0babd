"""The requests of the account-owned routes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ando_cli.errors import UsageError
from ando_cli.inference import account
from ando_cli.inference.prompt import Prompt, messages_of
from ando_cli.inference.request import read_json

if TYPE_CHECKING:
    from ando_cli.inference.request import Request

ASKED = Prompt(text="why?", system="be brief", model="m", max_tokens=5, temperature=0.5, extra={"n": 1})


def chat(prompt: Prompt, piped: str = "", *, stream: bool = False) -> Request:
    return account.build_chat(prompt, messages_of(prompt, piped), stream=stream)


def test_a_chat_names_its_model_and_nothing_of_the_paid_route() -> None:
    assert json.loads(chat(ASKED, "piped").body) == {
        "model": "m",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "piped\n\nwhy?"}],
        "max_tokens": 5, "stream": False, "temperature": 0.5, "n": 1,
    }  # fmt: skip


def test_a_streamed_chat_asks_for_its_tokens() -> None:
    body = json.loads(chat(ASKED, stream=True).body)
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})
    own = Prompt(text="x", model="m", extra={"stream_options": {"include_usage": False}})
    assert json.loads(chat(own, stream=True).body)["stream_options"] == {"include_usage": False}


def test_a_response_and_a_completion_have_their_own_names_for_things() -> None:
    assert json.loads(account.build_respond(ASKED).body) == {
        "model": "m", "input": "why?", "instructions": "be brief", "max_output_tokens": 5, "temperature": 0.5, "n": 1,
    }  # fmt: skip
    assert json.loads(account.build_complete(Prompt(text="Once", model="m")).body) == {
        "model": "m", "prompt": "Once", "max_tokens": 1024,
    }  # fmt: skip


@pytest.mark.parametrize("build", [chat, account.build_think, account.build_respond, account.build_complete])
@pytest.mark.parametrize("words", [Prompt(text="x"), Prompt(text="x", model=" "), Prompt(model="m")])
def test_neither_the_model_nor_the_words_may_be_missing(build: Any, words: Prompt) -> None:
    with pytest.raises(UsageError):
        build(words)


@pytest.mark.parametrize(
    "body",
    [
        "{", "[]", '{"messages":[]}', '{"messages":[{}]}', '{"model":"","messages":[{}]}',
        '{"model":"m","plan":"Starter","messages":[{}]}', '{"model":"m","messages":[{}],"max_tokens":0}',
        '{"model":"m","model_optimization":false,"messages":[{}]}',
    ],
)  # fmt: skip
def test_a_body_that_is_handed_in_is_checked_before_it_is_sent(body: str) -> None:
    with pytest.raises(UsageError):
        account.check_chat(read_json(body.encode()), body.encode())


def test_a_good_body_stays_byte_for_byte() -> None:
    body = b'{ "model":"m", "messages":[{}] }'
    request = account.check_chat(read_json(body), body)
    assert request.body is body
    assert (request.path, request.model, request.streamed) == ("/chat/completions", "m", False)
    streamed = body[:-1] + b',"stream":true}'
    assert account.check_chat(read_json(streamed), streamed).streamed


def test_a_name_in_a_body_is_cleaned() -> None:
    body = b'{"model":"Plus\\u001b[31m","messages":[{}]}'
    assert account.check_chat(read_json(body), body).model == "Plus[31m"
