"""What is typed, as the members of a body."""

from __future__ import annotations

import pytest

from ando_cli.errors import UsageError
from ando_cli.inference.prompt import parse_extra


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
