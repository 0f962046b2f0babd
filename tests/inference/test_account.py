"""The bodies of the account-owned routes, and what is read from their answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ando_cli.errors import ServerError, UsageError
from ando_cli.inference import account
from ando_cli.inference.account import Model
from ando_cli.inference.chat import Prompt

ASKED = Prompt(text="why?", system="be brief", model="m", max_tokens=5, temperature=0.5, extra={"n": 1})


def test_a_chat_names_its_model_and_nothing_of_the_paid_route() -> None:
    assert json.loads(account.build_chat(ASKED, "piped")) == {
        "model": "m",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "piped\n\nwhy?"}],
        "max_tokens": 5, "stream": False, "temperature": 0.5, "n": 1,
    }  # fmt: skip


def test_a_streamed_chat_asks_for_its_tokens() -> None:
    body = json.loads(account.build_chat(ASKED, stream=True))
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})
    own = Prompt(text="x", model="m", extra={"stream_options": {"include_usage": False}})
    assert json.loads(account.build_chat(own, stream=True))["stream_options"] == {"include_usage": False}


def test_a_response_and_a_completion_have_their_own_names_for_things() -> None:
    assert json.loads(account.build_respond(ASKED)) == {
        "model": "m", "input": "why?", "instructions": "be brief", "max_output_tokens": 5, "temperature": 0.5, "n": 1,
    }  # fmt: skip
    assert json.loads(account.build_complete(Prompt(text="Once", model="m"))) == {
        "model": "m", "prompt": "Once", "max_tokens": 1024,
    }  # fmt: skip


@pytest.mark.parametrize("build", [account.build_chat, account.build_respond, account.build_complete])
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
        account.check_chat(body.encode())


def test_a_good_body_stays_byte_for_byte() -> None:
    body = b'{ "model":"m", "messages":[{}] }'
    assert account.check_chat(body) is body
    assert not account.is_streamed(body)
    assert account.is_streamed(b'{"stream":true}')


def test_models_are_read_with_what_is_told_of_them() -> None:
    answer = b'{"data":[{"id":"a","owned_by":"x","created":5},{"id":"b","created":true},{"id":""}]}'
    assert account.read_models(answer) == [Model("a", "x", 5), Model("b")]


@pytest.mark.parametrize(
    "answer",
    [b"", b"[]", b"{}", b'{"data":1}', b'{"data":[1]}', b'{"data":[{}]}', b'{"data":[{"id":5}]}',
     b'{"data":[{"id":["a"]}]}', b"[" * 99_999],
)  # fmt: skip
def test_a_list_of_models_that_is_none_is_an_error(answer: bytes) -> None:
    with pytest.raises(ServerError):
        account.read_models(answer)


def test_the_words_of_each_kind_of_answer() -> None:
    message = {"type": "message", "content": [{"type": "output_text", "text": "a"}, {"type": "refusal"}]}
    more = {"type": "message", "content": [{"type": "output_text", "text": "b"}]}
    response = json.dumps({"output": [{"type": "reasoning"}, message, more]}).encode()
    assert account.respond_text(response) == "ab"
    assert account.complete_text(b'{"choices":[{"text":"on"}]}') == "on"
    thought = b'{"choices":[{"message":{"content":"yes","reasoning_content":"because"}}]}'
    assert account.think_text(thought) == "yes"
    assert account.think_text(response) == "ab"
    assert account.reasoning_of(thought) == "because"
    assert account.reasoning_of(response) is None


@pytest.mark.parametrize("read", [account.respond_text, account.complete_text, account.think_text])
@pytest.mark.parametrize(
    "answer",
    [b"", b"{}", b"[]", b'{"choices":[]}', b'{"choices":[{"text":1}]}', b'{"output":[]}', b'{"output":[{"content":5}]}',
     b'{"output":[{"content":[{"type":"output_text","text":5}]}]}', b"[" * 99_999],
)  # fmt: skip
def test_an_answer_without_words_is_an_error(read: Any, answer: bytes) -> None:
    with pytest.raises(ServerError):
        read(answer)
