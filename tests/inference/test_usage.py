"""What the ledger takes from answers, and what it does not."""

from __future__ import annotations

import json

import pytest

from ando_cli.inference.usage import Usage, read_usage


def test_tokens_and_the_model_are_read_from_either_kind_of_answer() -> None:
    chat = {"model": "qwen/qwen3-235b", "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
    responses = {"model": "m:1", "usage": {"input_tokens": 3, "output_tokens": 2}}
    assert read_usage(json.dumps(chat).encode(), 7) == Usage(7, 3, 2, "qwen/qwen3-235b")
    assert read_usage(json.dumps(responses).encode()) == Usage(None, 3, 2, "m:1")


@pytest.mark.parametrize("model", [None, 7, "", "my secret prompt", "a\nb", "é", "=1+1", "x" * 101, ["m"]])
def test_what_is_no_name_of_a_model_is_not_kept(model: object) -> None:
    assert read_usage(json.dumps({"model": model}).encode()) == Usage()


@pytest.mark.parametrize("answer", [b"", b"[]", b"null", b"\xff", b'{"usage":[]}', b'{"usage":{"prompt_tokens":true}}'])
def test_an_answer_that_says_nothing_tells_nothing(answer: bytes) -> None:
    assert read_usage(answer) == Usage()
