"""Commands called in this process: as ``main`` calls them, without the time that a new interpreter takes."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from ando_cli.app import run

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """stdout, which is one JSON document."""
        return json.loads(self.out)

    def worked(self) -> Done:
        assert self.code == 0, (self.out, self.err)
        return self

    def refused(self, code: int = 2) -> str:
        """The error and its hint, of a command that ended with ``code`` and wrote nothing to stdout."""
        assert (self.code, self.out) == (code, ""), (self.code, self.out, self.err)
        first, second = self.err.splitlines()
        assert first.startswith("error: ")
        assert second.startswith("try: ")
        return self.err


class Ando(Protocol):
    """Runs one command line."""

    def __call__(self, *arguments: str, stdin: str = "", **environment: str) -> Done: ...


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The folder of configuration and state; nothing is there yet."""
    return tmp_path / "ando"


@pytest.fixture
def ando(home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Ando:
    """``ando`` in that folder, without a terminal."""

    def call(*arguments: str, stdin: str = "", **environment: str) -> Done:
        with monkeypatch.context() as patch:
            patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8"))
            for name, value in {"ANDO_HOME": str(home), **environment}.items():
                patch.setenv(name, value)
            code = run(arguments)
        shown = capfd.readouterr()
        return Done(code, shown.out, shown.err)

    return call
