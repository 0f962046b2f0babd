"""The chunks of an answer that arrives piece by piece."""

from __future__ import annotations

import pytest

from ando_cli.errors import ServerError
from ando_cli.inference.stream import Chunks, Piece
from ando_cli.inference.usage import Usage


def test_the_pieces_and_what_they_took_are_read_event_by_event() -> None:
    chunks = Chunks()
    assert chunks.take('{"choices":[{"delta":{"role":"assistant"}}]}') == []
    assert chunks.take('{"choices":[{"delta":{"reasoning_content":"hm"}}]}') == [Piece("", "hm")]
    assert chunks.take('{"choices":[{"delta":{"content":"a"}},{"delta":{"content":"b"}}]}') == [Piece("a"), Piece("b")]
    assert not chunks.complete
    assert chunks.take('{"choices":[{"delta":{},"finish_reason":"stop"}]}') == []
    assert (chunks.complete, chunks.done) == (True, False)
    assert chunks.take('{"model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}') == []
    assert chunks.usage == Usage(None, 3, 2, "m")


def test_after_its_end_nothing_is_read_any_more() -> None:
    chunks = Chunks()
    chunks.take("[DONE]")
    assert (chunks.complete, chunks.done) == (True, True)
    assert chunks.take("not JSON") == []


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("", "unexpected_answer"), ("[]", "unexpected_answer"), ("[" * 99_999, "unexpected_answer"),
        ('{"error":{"message":"no"}}', "answer_failed"), ('{"error":{"code":"overloaded"}}', "overloaded"),
    ],
)  # fmt: skip
def test_what_is_no_chunk_ends_the_answer(data: str, code: str) -> None:
    with pytest.raises(ServerError) as refused:
        Chunks().take(data)
    assert refused.value.code == code
