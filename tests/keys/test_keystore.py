"""The keystore file: what is written, what is refused, what is never overwritten."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys

import eth_keyfile.keyfile
import pytest
from eth_account import Account

from ando_cli.errors import WalletError
from ando_cli.keys import keystore
from ando_cli.tempo.keys import PrivateKey

KEY = PrivateKey.parse("4c" * 32)
PASSWORD = "correct horse"


@pytest.fixture
def cheap(monkeypatch):
    """Encrypt at next to no cost: the real one takes a second for each key."""
    monkeypatch.setattr(eth_keyfile.keyfile, "get_default_work_factor_for_kdf", lambda _: 2)


@pytest.fixture
def text(cheap):
    return keystore.encrypt(KEY, PASSWORD)


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def refused(call, *arguments):
    with pytest.raises(WalletError) as caught:
        call(*arguments)
    error = caught.value
    assert error.hint
    shown = f"{error!r} {error} {error.hint}"
    assert KEY.to_hex()[2:] not in shown
    assert PASSWORD not in shown
    return error.code


def test_a_key_comes_back_with_its_password(text):
    assert keystore.decrypt(text, PASSWORD).to_hex() == KEY.to_hex()


def test_the_json_holds_the_key_only_encrypted(text):
    assert KEY.to_hex()[2:] not in text.lower()


def test_scrypt_has_its_default_cost():
    document = json.loads(keystore.encrypt(KEY, PASSWORD))
    parameters = document["crypto"]["kdfparams"]
    assert document["version"] == 3
    assert document["crypto"]["kdf"] == "scrypt"
    assert (parameters["n"], parameters["r"], parameters["p"]) == (262144, 8, 1)


def test_a_keystore_of_another_tool_with_pbkdf2_and_no_address_opens():
    document = Account.encrypt(KEY.secret, PASSWORD, kdf="pbkdf2", iterations=1000)
    del document["address"]
    document["Crypto"] = document.pop("crypto")  # as old versions of geth spell it
    assert keystore.decrypt(json.dumps(document), PASSWORD).address == KEY.address
    assert keystore.stated_address(json.dumps(document)) is None


def test_a_password_in_any_language_works(cheap):
    assert keystore.decrypt(keystore.encrypt(KEY, "пароль 🔑"), "пароль 🔑").address == KEY.address


def test_an_empty_password_is_refused():
    assert refused(keystore.encrypt, KEY, "") == "wallet_password"


def test_a_wrong_password_is_said_to_be_one(text):
    assert refused(keystore.decrypt, text, PASSWORD + "!") == "wallet_password"


@pytest.mark.parametrize("cut", [0, 1, 40, 200, -3])
def test_a_truncated_keystore_is_malformed(text, cut):
    assert refused(keystore.decrypt, text[:cut], PASSWORD) == "wallet_malformed"
    assert refused(keystore.stated_address, text[:cut]) == "wallet_malformed"


@pytest.mark.parametrize("member", ["kdf", "kdfparams", "ciphertext", "mac", "cipherparams"])
@pytest.mark.parametrize("value", [None, 7, "zz", {}])
def test_a_damaged_keystore_is_malformed_or_does_not_open(text, member, value):
    document = json.loads(text)
    document["crypto"][member] = value
    assert refused(keystore.decrypt, json.dumps(document), PASSWORD) in ("wallet_malformed", "wallet_password")


@pytest.mark.parametrize(
    "other", ["[]", "null", '"text"', "{}", '{"version": 4, "crypto": {}}', '{"version": 3}', "[" * 60_000]
)
def test_other_json_is_not_a_keystore(other):
    assert refused(keystore.decrypt, other, PASSWORD) == "wallet_malformed"


def test_a_keystore_whose_address_is_not_that_of_its_key_is_refused(text):
    document = json.loads(text)
    document["address"] = "0x" + "11" * 20
    assert refused(keystore.decrypt, json.dumps(document), PASSWORD) == "wallet_malformed"


def test_a_keystore_states_its_address_without_a_password(text):
    assert keystore.stated_address(text) == KEY.address


def test_a_file_is_written_for_its_owner_alone_and_nothing_else_is_left_behind(tmp_path):
    folder = tmp_path / "made" / "config"
    keystore.make_folder(folder)
    keystore.write_new(folder / "keystore.json", "text")
    assert keystore.read(folder / "keystore.json") == "text"
    assert stat.S_IMODE((folder / "keystore.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert names(folder) == ["keystore.json"]


def test_a_folder_that_exists_keeps_its_mode(tmp_path):
    tmp_path.chmod(0o755)
    keystore.make_folder(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


@pytest.mark.parametrize("kind", ["file", "folder", "link", "dangling link"])
def test_nothing_is_ever_overwritten(tmp_path, kind):
    path, other = tmp_path / "keystore.json", tmp_path / "other"
    if kind == "file":
        path.write_text("old")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(other)
        if kind == "link":
            other.write_text("old")
    before = names(tmp_path)
    assert refused(keystore.write_new, path, "new") == "wallet_exists"
    assert names(tmp_path) == before
    assert kind != "file" or path.read_text() == "old"


def test_a_file_system_without_hard_links_will_do(tmp_path, monkeypatch):
    def no_links(source, target):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    path = tmp_path / "keystore.json"
    keystore.write_new(path, "text")
    assert path.read_text() == "text"
    assert refused(keystore.write_new, path, "new") == "wallet_exists"
    assert path.read_text() == "text"
    assert names(tmp_path) == ["keystore.json"]


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert refused(keystore.write_new, tmp_path / "keystore.json", "text") == "wallet_unwritable"
    assert names(tmp_path) == []


def test_a_folder_that_does_not_exist_or_cannot_be_made_is_an_error(tmp_path):
    assert refused(keystore.write_new, tmp_path / "absent" / "k.json", "text") == "wallet_unwritable"
    (tmp_path / "file").write_text("")
    assert refused(keystore.make_folder, tmp_path / "file" / "config") == "wallet_unwritable"


def test_what_is_not_a_keystore_file_is_not_read(tmp_path):
    assert refused(keystore.read, tmp_path / "absent") == "wallet_unreadable"
    assert refused(keystore.read, tmp_path) == "wallet_unreadable"
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    assert refused(keystore.read, tmp_path / "binary") == "wallet_malformed"
    (tmp_path / "long").write_bytes(b" " * 70_000)
    assert refused(keystore.read, tmp_path / "long") == "wallet_malformed"


def test_reading_a_stated_address_does_not_import_eth_account(tmp_path, text):
    (tmp_path / "keystore.json").write_text(text)
    program = (
        "import sys, pathlib; from ando_cli.keys import keystore;"
        "print(keystore.stated_address(keystore.read(pathlib.Path(sys.argv[1]))), 'eth_account' in sys.modules)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "keystore.json")]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert shown.split() == [KEY.address, "False"]
