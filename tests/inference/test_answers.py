"""What answers say, and what they do not."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from ando_cli.errors import ServerError
from ando_cli.inference.answers import answer_text, complete_text, reasoning_of, respond_text, think_text

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True, scope="module")
def _the_recursion_limit_of_the_command() -> Iterator[None]:
    """Other tests load py_ecc, which raises it; ``ando_cli.tempo.recursion`` keeps it where the command runs."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    yield
    sys.setrecursionlimit(limit)


@pytest.mark.parametrize(
    "answer",
    [b"", b"{}", b"[]", b'{"choices":[]}', b'{"choices":[{"message":{"content":null}}]}', b"[" * 100_000, b"\xff"],
)
def test_an_answer_without_text_is_an_error(answer: bytes) -> None:
    with pytest.raises(ServerError):
        answer_text(answer)


def test_the_words_of_each_kind_of_answer() -> None:
    message = {"type": "message", "content": [{"type": "output_text", "text": "a"}, {"type": "refusal"}]}
    more = {"type": "message", "content": [{"type": "output_text", "text": "b"}]}
    response = json.dumps({"output": [{"type": "reasoning"}, message, more]}).encode()
    assert respond_text(response) == "ab"
    assert complete_text(b'{"choices":[{"text":"on"}]}') == "on"
    thought = b'{"choices":[{"message":{"content":"yes","reasoning_content":"because"}}]}'
    assert think_text(thought) == "yes"
    assert think_text(response) == "ab"
    assert reasoning_of(thought) == "because"
    assert reasoning_of(response) is None


@pytest.mark.parametrize("read", [respond_text, complete_text, think_text])
@pytest.mark.parametrize(
    "answer",
    [b"", b"{}", b"[]", b'{"choices":[]}', b'{"choices":[{"text":1}]}', b'{"output":[]}', b'{"output":[{"content":5}]}',
     b'{"output":[{"content":[{"type":"output_text","text":5}]}]}', b"[" * 99_999],
)  # fmt: skip
def test_an_answer_without_words_is_an_error(read: Any, answer: bytes) -> None:
    with pytest.raises(ServerError):
        read(answer)
