"""``ando key`` on a real Secret Service: a Virtual Key is checked, kept out of every file in the clear, and used."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ando_cli.sandbox.server import Sandbox, SandboxConfig

if TYPE_CHECKING:
    from tests.support.real_keyring import SecretService

pytestmark = pytest.mark.integration

ANDO = Path(sys.executable).with_name("ando")


def test_the_life_of_virtual_keys(secret_service: SecretService, tmp_path: Path) -> None:
    with Sandbox(SandboxConfig(path=tmp_path / "chain.db")) as sandbox:
        key = sandbox.virtual_key
        environment = {"ANDO_BASE_URL": sandbox.base_url, "ANDO_MODEL": "Qwen/Qwen3-8B-AWQ"}

        def ando(*arguments: str, stdin: str = "") -> str:
            done = secret_service.run([ANDO, *arguments], stdin=stdin, env=environment)
            assert done.returncode == 0, done.stderr
            assert key not in done.stdout + done.stderr
            return done.stdout

        for profile in ("default", "work"):
            ando("key", "set", "--profile", profile, stdin=key)
        assert [one["profile"] for one in json.loads(ando("key", "list"))] == ["default", "work"]
        assert ando("chat", "--rail", "key", "--profile", "work", "hi").startswith("This is a canned answer")
        ando("key", "remove", "--yes")
        assert [one["profile"] for one in json.loads(ando("key", "list"))] == ["work"]
        files = [path for path in secret_service.home.rglob("*") if path.is_file()]
        assert any(path.suffix == ".keyring" for path in files)
        assert all(key.encode() not in path.read_bytes() for path in files)
