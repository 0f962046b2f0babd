"""What becomes of the sandbox's own mistakes: a short answer and a line in the access log, nothing on the terminal."""

from __future__ import annotations

import re
import socket
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ando_cli.sandbox.gateway.control import Control
from ando_cli.sandbox.openai import answers as openai_answers
from ando_cli.sandbox.server import Sandbox, SandboxConfig
from tests.support.sandbox_key_holder import KeyHolder, error_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def broken(tmp_path: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    def fail(*_: Any) -> Any:
        raise KeyError("what was sent")

    monkeypatch.setattr(openai_answers, "generate", fail)
    monkeypatch.setattr(Control, "state", fail)
    with Sandbox(SandboxConfig(path=tmp_path / "sandbox.sqlite", access_log=lines.append)) as running:
        yield running


def test_a_failure_is_answered_and_noted_on_one_line(
    broken: Sandbox, lines: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    holder = KeyHolder(broken)
    failed = holder.ask()
    assert error_of(failed) == (500, "server_error")
    assert failed.headers["x-request-id"].startswith("req_")
    assert lines[0] == "POST /v1/chat/completions chat 500"
    where = re.fullmatch(r"POST /v1/chat/completions failed: KeyError at bearer\.py:\d+", lines[1])
    assert where, "the place, and nothing of what was sent"
    assert holder.models().status_code == 200, "it goes on"
    assert len(lines) == 3
    assert capfd.readouterr() == ("", "")


def test_the_controls_can_fail_too(broken: Sandbox, lines: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    failed = httpx.get(f"{broken.base_url.removesuffix('/v1')}/sandbox/state")
    assert error_of(failed) == (500, "server_error")
    assert [line.split(" at ")[0] for line in lines] == ["GET /sandbox/state failed: KeyError"]
    assert capfd.readouterr() == ("", "")


def test_a_client_that_hangs_up_while_it_sends_leaves_no_traceback(
    broken: Sandbox, lines: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    port = int(broken.rpc_url.split(":")[2].split("/")[0])
    with socket.create_connection(("127.0.0.1", port)) as raw:
        raw.sendall(b"POST /v1/think HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    deadline = time.monotonic() + 10
    while not lines and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [line.split(":")[0] for line in lines] == ["POST /v1/think failed"]
    assert capfd.readouterr() == ("", "")
