"""``ando wallet`` on a real Secret Service: the life of a key, and what is said where there is no way in."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ando_cli.keys import keystore

if TYPE_CHECKING:
    import subprocess

    from tests.support.real_keyring import SecretService

pytestmark = pytest.mark.integration

ANDO = Path(sys.executable).with_name("ando")
BACKUP_PASSWORD = "correct horse"
WAYS_OUT = ["unlock or install a keyring", "ANDO_PRIVATE_KEY", "ando wallet create --keystore"]


def wallet(service: SecretService, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    done = service.run([ANDO, "wallet", *arguments], **options)
    assert "Traceback" not in done.stderr
    return done


def test_the_life_of_a_key(secret_service: SecretService, tmp_path: Path) -> None:
    created = wallet(secret_service, "create")
    assert created.returncode == 0, created.stderr
    address = created.stdout.strip()

    assert wallet(secret_service, "address").stdout.strip() == address
    again = wallet(secret_service, "create")
    assert (again.returncode, again.stdout) == (1, "")
    assert "a wallet exists already in the keyring" in again.stderr

    backup = tmp_path / "backup.json"
    exported = wallet(secret_service, "export", "-o", str(backup), env={"ANDO_KEYSTORE_PASSWORD": BACKUP_PASSWORD})
    assert exported.returncode == 0, exported.stderr
    key = keystore.decrypt(backup.read_text(), BACKUP_PASSWORD)
    assert key.address == address

    assert wallet(secret_service, "remove", "--yes").returncode == 0
    assert "there is no wallet yet" in wallet(secret_service, "address").stderr

    imported = wallet(secret_service, "import", stdin=key.to_hex())
    assert imported.stdout.strip() == address, imported.stderr
    assert wallet(secret_service, "address").stdout.strip() == address


def test_the_key_is_nowhere_in_the_clear(secret_service: SecretService) -> None:
    key = "6d" * 32
    assert wallet(secret_service, "import", stdin=key).returncode == 0
    files = [path for path in secret_service.home.rglob("*") if path.is_file()]
    assert any(path.suffix == ".keyring" for path in files)
    assert all(key.encode() not in path.read_bytes() for path in files)


@pytest.mark.parametrize("password", ["wrong", None], ids=["wrong password", "no password"])
@pytest.mark.parametrize("command", [["create"], ["address"], ["remove", "--yes"]], ids=lambda command: command[0])
def test_a_locked_keyring_is_called_locked_and_the_ways_out_are_said(
    secret_service: SecretService, command: list[str], password: str | None
) -> None:
    address = wallet(secret_service, "create").stdout

    done = wallet(secret_service, *command, password=password)
    assert (done.returncode, done.stdout) == (1, "")
    assert "the OS keyring is locked" in done.stderr
    assert all(way in done.stderr for way in WAYS_OUT)

    assert wallet(secret_service, "address").stdout == address


@pytest.mark.parametrize("bus", [True, False], ids=["no collection", "no bus"])
def test_where_there_is_no_keyring_the_ways_out_are_said_and_work(secret_service: SecretService, bus: bool) -> None:
    prefix = [] if bus else ["env", "DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent"]
    variables = {"ANDO_KEYSTORE_PASSWORD": BACKUP_PASSWORD}

    def ando(*arguments: str) -> subprocess.CompletedProcess[str]:
        return secret_service.run([*prefix, ANDO, "wallet", *arguments], password=None, env=variables)

    refused = ando("create")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert all(way in refused.stderr for way in WAYS_OUT)

    created = ando("create", "--keystore")
    assert created.returncode == 0, created.stderr
    assert ando("address").stdout == created.stdout
