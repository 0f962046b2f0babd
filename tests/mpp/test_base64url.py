"""base64url and the JSON objects in it: strict, bounded, and with one error only."""

from __future__ import annotations

import base64
import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ando_cli.mpp.base64url import LIMIT, decode, decode_object, encode
from ando_cli.mpp.malformed import MalformedError
from tests.support.mpp_builders import b64, nested


@given(st.binary(max_size=200))
def test_bytes_survive_the_round_trip(data: bytes) -> None:
    assert decode(encode(data)) == data


@given(st.binary(max_size=200))
def test_encoding_is_the_standard_one_without_padding(data: bytes) -> None:
    assert encode(data) == base64.urlsafe_b64encode(data).decode().rstrip("=")


@given(st.text(max_size=60) | st.text(alphabet="Aa0-_=+/ \n", max_size=12))
def test_no_text_but_an_encoding_is_accepted(text: str) -> None:
    try:
        data = decode(text)
    except MalformedError:
        return
    assert encode(data) == text


@pytest.mark.parametrize(
    "text",
    ["YQ==", "YQ=", "YQ\n", " YQ", "Y Q", "+_8", "/_8", "Y", "YWJjY", "YR", "YWK", "YQ.", "ÿ_8", "YQ\x00", "\ud800aaa"],
    ids=repr,
)
def test_padding_foreign_characters_and_unused_bits_are_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        decode(text)


def test_the_limit_counts_characters_of_encoded_text() -> None:
    assert len(decode("A" * LIMIT)) == LIMIT * 3 // 4
    with pytest.raises(MalformedError, match="too long"):
        decode("A" * (LIMIT + 4))
    assert decode("AAAA", limit=4) == b"\0\0\0"
    with pytest.raises(MalformedError, match="too long"):
        decode("AAAAAA", limit=4)


def test_an_object_is_limited_like_any_value() -> None:
    text = b64(b'{"a":"' + b"x" * LIMIT + b'"}')
    with pytest.raises(MalformedError, match="too long"):
        decode_object(text)
    assert decode_object(text, limit=2 * LIMIT) == {"a": "x" * LIMIT}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=5), st.booleans())
def test_every_json_object_is_read_as_json_reads_it(value: dict[str, object], ascii_only: bool) -> None:
    document = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert decode_object(b64(document)) == value


@pytest.mark.parametrize(
    "document",
    [b"", b"[]", b'"a"', b"1", b"null", b"true", b"{", b"{} {}", b"{'a':1}", b'{"a":1,}', b"\xff", b'{"a":"\xff"}'],
)
def test_what_is_not_one_json_object_is_refused(document: bytes) -> None:
    with pytest.raises(MalformedError, match=r"^not (JSON|a JSON object)$"):
        decode_object(b64(document))


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity"])
def test_numbers_that_json_does_not_have_are_refused(number: bytes) -> None:
    with pytest.raises(MalformedError, match="not a JSON number"):
        decode_object(b64(b'{"a":[' + number + b"]}"))


@pytest.mark.parametrize("document", [b'{"a":1,"a":1}', b'{"x":[{"a":1,"b":2,"\\u0061":3}]}'])
def test_a_key_that_occurs_twice_is_refused(document: bytes) -> None:
    with pytest.raises(MalformedError, match="twice"):
        decode_object(b64(document))


@pytest.mark.parametrize("document", [rb'{"a":"\ud800"}', rb'{"\udc00":1}', rb'{"a":["\udc00\ud800"]}'])
def test_half_a_surrogate_pair_is_refused(document: bytes) -> None:
    with pytest.raises(MalformedError, match="not JSON"):
        decode_object(b64(document))


def test_a_whole_surrogate_pair_is_one_character() -> None:
    assert decode_object(b64(rb'{"a":"\ud83d\ude00"}')) == {"a": "😀"}


def test_nesting_without_end_is_refused_like_any_other_fault() -> None:
    with pytest.raises(MalformedError):
        decode_object(b64(nested(200_000)), limit=10**6)
    with pytest.raises(MalformedError):
        decode_object(b64(b'{"a":' * 3000), limit=10**6)


def test_a_number_longer_than_the_interpreter_reads_is_refused() -> None:
    with pytest.raises(MalformedError):
        decode_object(b64(b'{"a":' + b"9" * 10_000 + b"}"))


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_but_malformed(data: bytes) -> None:
    with contextlib.suppress(MalformedError):
        assert isinstance(decode_object(b64(data)), dict)


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=5))
def test_an_object_is_read_with_padding_and_in_either_alphabet(value: dict[str, object]) -> None:
    document = json.dumps(value, ensure_ascii=False).encode()
    for text in (base64.b64encode(document).decode(), base64.urlsafe_b64encode(document).decode()):
        assert decode_object(text) == decode_object(text.rstrip("=")) == value


@pytest.mark.parametrize("text", ["e30==", "e30===", "=e30", "e3=0", "e31=", "", "====", "e30=\n"])
def test_padding_that_is_wrong_for_the_length_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        decode_object(text)


@pytest.mark.parametrize("text", ["secret!", "secret\xff", b64(b'{"secret":1,"secret":2}'), "secret" * 10_000])
def test_messages_do_not_quote_the_input(text: str) -> None:
    with pytest.raises(MalformedError) as caught:
        decode_object(text)
    assert "secret" not in str(caught.value)
    assert text not in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__
