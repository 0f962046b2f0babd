"""Where delegated keys are kept: for one channel each, in the keyring or beside the sandbox's wallet."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import keyring.core
import pytest
from keyring.backend import KeyringBackend
from keyring.backends import fail
from keyring.errors import KeyringLocked

from ando_cli.errors import WalletError
from ando_cli.keys.delegates import FileDelegates, KeyringDelegates
from ando_cli.tempo.keys import PrivateKey

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STRANGER = PrivateKey.parse("5a" * 32)


class Ring(KeyringBackend):
    """A keyring that works, unless it is locked or forgetful."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = False
        self.forgetful = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise KeyringLocked("the prompt was dismissed")
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if not self.forgetful:
            self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> Ring:
    backend = Ring()
    monkeypatch.setattr(keyring.core, "_keyring_backend", backend)
    return backend


def refused(call: Callable[..., object], *arguments: object) -> WalletError:
    with pytest.raises(WalletError) as caught:
        call(*arguments)
    return caught.value


def test_a_key_is_kept_in_the_keyring_under_its_own_address_until_it_is_removed(ring: Ring) -> None:
    delegates = KeyringDelegates()
    first, second = delegates.make(), delegates.make()
    assert first != second
    assert ring.kept == {("ando-cli", f"delegate:{key.address}"): key.to_hex() for key in (first, second)}
    assert delegates.find(first.address) == first
    delegates.remove(first.address)
    delegates.remove(first.address)
    assert delegates.find(first.address) is None
    assert delegates.find(second.address) == second


def test_without_a_keyring_no_key_is_made_and_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring.core, "_keyring_backend", fail.Keyring())  # type: ignore[no-untyped-call]
    for call in (KeyringDelegates().check, KeyringDelegates().make):
        error = refused(call)
        assert error.code == "delegate_unkept"
        assert "without --delegate" in (error.hint or "")


def test_in_a_locked_keyring_no_key_is_made(ring: Ring) -> None:
    ring.locked = True
    assert "locked" in refused(KeyringDelegates().check).message


def test_a_keyring_that_does_not_give_back_the_key_is_found_out(ring: Ring) -> None:
    ring.forgetful = True
    error = refused(KeyringDelegates().make)
    assert error.code == "delegate_unkept"
    assert "nothing was signed" in (error.hint or "")


@pytest.mark.parametrize("kept", ["", "0x12", STRANGER.to_hex()], ids=["empty", "damaged", "another key"])
def test_what_is_not_the_key_of_that_address_is_no_key(ring: Ring, tmp_path: Path, kept: str) -> None:
    address = PrivateKey.parse("6b" * 32).address
    ring.kept["ando-cli", f"delegate:{address}"] = kept
    (tmp_path / f"delegate-{address}.key").write_text(kept)
    assert KeyringDelegates().find(address) is None
    assert FileDelegates(tmp_path).find(address) is None


def test_a_key_in_a_locked_keyring_is_locked_and_not_missing(ring: Ring) -> None:
    ring.locked = True
    error = refused(KeyringDelegates().find, STRANGER.address)
    assert error.code == "wallet_locked"
    assert "session close --force" in (error.hint or "")


def test_a_key_where_there_is_no_keyring_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring.core, "_keyring_backend", fail.Keyring())  # type: ignore[no-untyped-call]
    error = refused(KeyringDelegates().find, STRANGER.address)
    assert error.code == "delegate_missing"
    assert "session close --force" in (error.hint or "")


def test_the_sandbox_keeps_its_keys_in_files_for_the_owner_alone(tmp_path: Path) -> None:
    delegates = FileDelegates(tmp_path / "state")
    key = delegates.make()
    [path] = (tmp_path / "state").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert delegates.find(key.address) == key
    delegates.remove(key.address)
    delegates.remove(key.address)
    assert delegates.find(key.address) is None


def test_a_folder_that_cannot_be_written_is_said_before_anything_is_signed(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    assert refused(FileDelegates(tmp_path / "state").make).code == "delegate_unkept"
