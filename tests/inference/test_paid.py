"""The chat completion that a channel pays for: requests that are built, and bodies that are handed in."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ando_cli.errors import UsageError
from ando_cli.inference import paid
from ando_cli.inference.prompt import Prompt, messages_of
from ando_cli.inference.request import chat_in, read_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ando_cli.inference.request import Request


@pytest.fixture(autouse=True, scope="module")
def _the_recursion_limit_of_the_command() -> Iterator[None]:
    """Other tests load py_ecc, which raises it; ``ando_cli.tempo.recursion`` keeps it where the command runs."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    yield
    sys.setrecursionlimit(limit)


def build(prompt: Prompt, piped: str = "") -> Request:
    return paid.build(prompt, messages_of(prompt, piped))


def handed_in(body: bytes) -> Request:
    return paid.check(read_json(body), body)


def built(**prompt: Any) -> Any:
    return json.loads(build(Prompt(**prompt)).body)


def test_a_prompt_alone_gets_the_defaults() -> None:
    assert built(text="hi") == {
        "plan": "Starter",
        "model_optimization": True,
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 1024,
        "stream": False,
    }


def test_a_named_model_turns_optimisation_off() -> None:
    body = built(text="hi", model="x", system="s", stop=("a",), seed=0, temperature=0.0, top_p=1.0)
    assert (body["model"], body["model_optimization"]) == ("x", False)
    assert (body["seed"], body["temperature"], body["top_p"], body["stop"]) == (0, 0, 1, ["a"])
    assert body["messages"][0] == {"role": "system", "content": "s"}


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip), st.integers(1, 10**7))
def test_what_is_built_is_a_body_that_is_taken(text: str, max_tokens: int) -> None:
    request = build(Prompt(text=text, max_tokens=max_tokens))
    assert handed_in(request.body) == request
    assert request.limited
    assert json.loads(request.body)["messages"][-1]["content"] == text


def test_piped_text_and_prompt_are_joined_by_an_empty_line() -> None:
    body = json.loads(build(Prompt(text="why?"), "\na\nb\n\n").body)
    assert body["messages"] == [{"role": "user", "content": "a\nb\n\nwhy?"}]


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt(),
        Prompt(text=" \n"),
        Prompt(text="hi", plan=""),
        Prompt(text="hi", model=""),
        Prompt(text="hi", max_tokens=10_000_001),
        Prompt(text="hi", temperature=float("inf")),
        Prompt(text="hi", top_p=1.01),
        Prompt(text="\udcff"),
    ],
)
def test_a_prompt_that_would_be_refused_is_not_built(prompt: Prompt) -> None:
    with pytest.raises(UsageError):
        build(prompt)


def test_the_smallest_request_buys_one_token() -> None:
    assert json.loads(paid.smallest().body)["max_tokens"] == 1


def test_a_request_knows_what_the_ledger_keeps_of_it() -> None:
    built = build(Prompt(text="hi", model="m", plan="Plus"))
    assert (built.path, built.model, built.plan, built.streamed) == (paid.CHAT.path, "m", "Plus", False)
    given = handed_in(b'{ "messages":[{}], "plan":"Premium", "model":7, "model_optimization":false }')
    assert (given.model, given.plan, given.limited) == (None, "Premium", False)
    assert "hi" not in repr(built), "a prompt is not for a log"


@pytest.mark.parametrize(
    ("text", "is_one"),
    [('{"messages": []}', True), (' \n{"messages": 1}', True), ('{"a": 1}', False), ("[]", False), ("{broken", False),
     ("", False), ("{" * 100_000, False)],
)  # fmt: skip
def test_only_an_object_with_messages_is_taken_for_a_body(text: str, is_one: bool) -> None:
    assert (chat_in(text) is not None) is is_one


@given(st.binary())
def test_no_input_breaks_the_check(data: bytes) -> None:
    try:
        assert handed_in(data).body is data
    except UsageError:
        return


def test_what_is_set_is_in_the_body_beside_the_rest() -> None:
    body = json.loads(build(Prompt(text="hi", extra={"frequency_penalty": 0.5})).body)
    assert body["frequency_penalty"] == 0.5
    assert body["messages"] == [{"role": "user", "content": "hi"}]
