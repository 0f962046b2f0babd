"""The list of models."""

from __future__ import annotations

import pytest

from ando_cli.errors import ServerError
from ando_cli.inference.models import Model, read_models


def test_models_are_read_with_what_is_told_of_them() -> None:
    answer = b'{"data":[{"id":"a","owned_by":"x","created":5},{"id":"b","created":true},{"id":""}]}'
    assert read_models(answer) == [Model("a", "x", 5), Model("b")]


@pytest.mark.parametrize(
    "answer",
    [b"", b"[]", b"{}", b'{"data":1}', b'{"data":[1]}', b'{"data":[{}]}', b'{"data":[{"id":5}]}',
     b'{"data":[{"id":["a"]}]}', b"[" * 99_999],
)  # fmt: skip
def test_a_list_of_models_that_is_none_is_an_error(answer: bytes) -> None:
    with pytest.raises(ServerError):
        read_models(answer)
