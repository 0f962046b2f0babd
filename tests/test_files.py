"""Files that are read within a bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ando_cli.config.settings import MODELS_FILE, Folders
from ando_cli.files import TooLargeError, parse_json, read_bounded
from ando_cli.runtime.models import known_models, remember_models

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_is_read_up_to_its_bound_and_not_beyond(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_bounded(path, 5) == b"12345"
    with pytest.raises(TooLargeError):
        read_bounded(path, 4)
    with pytest.raises(FileNotFoundError):
        read_bounded(tmp_path / "other", 5)


@pytest.mark.parametrize(
    ("text", "why"),
    [(b"", "Expecting value"), (b"{", "Expecting"), (b"\xff", "decode"), (b"[" * 100_000, "nested too deeply")],
    ids=["empty", "cut", "binary", "deep"],
)
def test_what_is_not_json_is_a_value_error(text: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_json(text)


def test_models_are_remembered_and_a_damaged_file_has_none(tmp_path: Path) -> None:
    folders = Folders(tmp_path, tmp_path / "state")
    assert known_models(folders) == []
    remember_models(folders, ["a", "b"])
    assert known_models(folders) == ["a", "b"]
    for damaged in (b"[", b"[]", b'{"models": 5}', b"[" * 100_000, b'{"models": ["' + b"x" * 2_000_000 + b'"]}'):
        (folders.state / MODELS_FILE).write_bytes(damaged)
        assert known_models(folders) == []
    remember_models(Folders(tmp_path, tmp_path / "state" / MODELS_FILE / "no folder"), ["a"])
