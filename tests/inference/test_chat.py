"""The chat completion as data: bodies that are built, bodies that are handed in, answers."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ando_cli.conversation.usage import describe_usage
from ando_cli.errors import ServerError, UsageError
from ando_cli.inference.chat import (
    Prompt,
    answer_text,
    build_body,
    check_body,
    has_limit,
    is_body,
    parse_extra,
    smallest_body,
)
from ando_cli.inference.usage import Usage
from ando_cli.tempo.network import SANDBOX

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True, scope="module")
def _the_recursion_limit_of_the_command() -> Iterator[None]:
    """Other tests load py_ecc, which raises it; ``ando_cli.tempo.recursion`` keeps it where the command runs."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    yield
    sys.setrecursionlimit(limit)


def built(**prompt: Any) -> Any:
    return json.loads(build_body(Prompt(**prompt)))


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
    body = build_body(Prompt(text=text, max_tokens=max_tokens))
    assert check_body(body) is body
    assert has_limit(body)
    assert json.loads(body)["messages"][-1]["content"] == text


def test_piped_text_and_prompt_are_joined_by_an_empty_line() -> None:
    body = json.loads(build_body(Prompt(text="why?"), "\na\nb\n\n"))
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
        build_body(prompt)


def test_the_smallest_body_buys_one_token() -> None:
    assert json.loads(smallest_body())["max_tokens"] == 1


@pytest.mark.parametrize(
    ("text", "is_one"),
    [('{"messages": []}', True), (' \n{"messages": 1}', True), ('{"a": 1}', False), ("[]", False), ("{broken", False),
     ("", False), ("{" * 100_000, False)],
)  # fmt: skip
def test_only_an_object_with_messages_is_taken_for_a_body(text: str, is_one: bool) -> None:
    assert is_body(text) is is_one


@given(st.binary())
def test_no_input_breaks_the_check(data: bytes) -> None:
    try:
        assert check_body(data) is data
    except UsageError:
        return


@pytest.mark.parametrize(
    "answer",
    [b"", b"{}", b"[]", b'{"choices":[]}', b'{"choices":[{"message":{"content":null}}]}', b"[" * 100_000, b"\xff"],
)
def test_an_answer_without_text_is_an_error(answer: bytes) -> None:
    with pytest.raises(ServerError):
        answer_text(answer)


def test_usage_is_one_line_and_survives_any_answer() -> None:
    told = Usage(None, 5, 7)
    paid: Any = SimpleNamespace(
        spent=270, deposited=5_000_000, channel=SimpleNamespace(left=4_999_730, deposit=5_000_000)
    )
    assert describe_usage(told, None, SANDBOX, "mpp") == "tokens: 5 in, 7 out · nothing was paid"
    assert describe_usage(told, None, SANDBOX, "key") == "tokens: 5 in, 7 out · paid with a Virtual Key"
    shown = describe_usage(told, paid, SANDBOX, "mpp")
    assert f"spent: 0.00027 {SANDBOX.token_symbol} · deposited: 5.00 · left: 4.99973 of 5.00" in shown
    assert describe_usage(Usage(), None, SANDBOX, "mpp").startswith("tokens: not told")


def test_set_takes_json_and_text_but_nothing_that_has_an_option() -> None:
    assert parse_extra(["a=1", "b=[1,2]", "c=text", "d=", 'e="1"', "f=x=y", "g=NaN", "h=null"]) == {
        "a": 1, "b": [1, 2], "c": "text", "d": "", "e": "1", "f": "x=y", "g": "NaN", "h": None,
    }  # fmt: skip
    for pair, hint in (("model=x", "--model"), ("stream=true", "--no-stream"), ("messages=[]", "the prompt")):
        with pytest.raises(UsageError) as refused:
            parse_extra([pair])
        assert hint in (refused.value.hint or "")
    for pairs in (["a"], ["=1"], ["a=1", "a=2"]):
        with pytest.raises(UsageError):
            parse_extra(pairs)


def test_what_is_set_is_in_the_body_beside_the_rest() -> None:
    body = json.loads(build_body(Prompt(text="hi", extra={"frequency_penalty": 0.5})))
    assert body["frequency_penalty"] == 0.5
    assert body["messages"] == [{"role": "user", "content": "hi"}]
