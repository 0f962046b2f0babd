"""Where the key comes from, in which order, and that no wallet is ever lost."""

from __future__ import annotations

import logging
import os
import pickle
import stat
import subprocess
import sys
import threading
import time

import eth_keyfile.keyfile
import keyring.core
import pytest
from keyring.backend import KeyringBackend
from keyring.backends import fail
from keyring.errors import KeyringLocked

from ando_cli.errors import WalletError
from ando_cli.keys import keystore
from ando_cli.keys.wallet import Place, Wallet, WalletStore
from ando_cli.tempo.keys import PrivateKey

IN_ANDO, IN_TEMPO, IN_KEYRING, IN_KEYSTORE = (PrivateKey.parse(f"{digit}" * 64) for digit in (1, 2, 3, 4))
PASSWORD = "correct horse"
MALFORMED = ["0x1234", "zz" * 32, "0" * 64, "f" * 64, "seed words of some other wallet", " ", "11" * 33]


class MemoryKeyring(KeyringBackend):
    """A keyring that works, unless a test sets ``error``, and can be slow or forgetful."""

    priority = 1

    def __init__(self, key: PrivateKey | None = None) -> None:
        super().__init__()
        self.kept: dict[str, str] = {}
        self.asked: list[str] = []
        self.secret = key.to_hex() if key else None
        self.error: Exception | None = None
        self.forgetful = False
        self.delay = 0.0

    @property
    def secret(self) -> str | None:
        return self.kept.get("wallet")

    @secret.setter
    def secret(self, value: str | None) -> None:
        if value is None:
            self.kept.pop("wallet", None)
        else:
            self.kept["wallet"] = value

    def get_password(self, service: str, username: str) -> str | None:
        self.asked.append(username)
        if self.error:
            raise self.error
        time.sleep(self.delay)
        return self.kept.get(username)

    def set_password(self, service: str, username: str, password: str) -> None:
        time.sleep(self.delay)
        self.kept[username] = "0x" + "99" * 32 if self.forgetful else password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[username]


@pytest.fixture(autouse=True)
def ring(monkeypatch):
    backend = MemoryKeyring()
    monkeypatch.setattr(keyring.core, "_keyring_backend", backend)
    return backend


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    """Encrypt at next to no cost: the real one takes a second for each key."""
    monkeypatch.setattr(eth_keyfile.keyfile, "get_default_work_factor_for_kdf", lambda _: 2)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "config" / "keystore.json"


@pytest.fixture
def with_keystore(path):
    keystore.make_folder(path.parent)
    keystore.write_new(path, keystore.encrypt(IN_KEYSTORE, PASSWORD))


class Answers:
    """A person at a terminal, who types these passwords in turn."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.questions: list[str] = []

    def __call__(self, question: str) -> str:
        self.questions.append(question)
        return self.answers.pop(0)


def refused(call, *arguments) -> WalletError:
    with pytest.raises(WalletError) as caught:
        call(*arguments)
    assert caught.value.hint
    assert "\n" not in caught.value.message + caught.value.hint
    return caught.value


# The order of the places


def test_ando_private_key_goes_before_everything_else(path, ring, with_keystore):
    ring.secret = IN_KEYRING.to_hex()
    environment = {"ANDO_PRIVATE_KEY": IN_ANDO.to_hex(), "TEMPO_PRIVATE_KEY": IN_TEMPO.to_hex()}
    wallet = WalletStore(environment, path).load()
    assert (wallet.address, wallet.source) == (IN_ANDO.address, "ANDO_PRIVATE_KEY")


def test_then_comes_tempo_private_key(path, ring, with_keystore):
    ring.secret = IN_KEYRING.to_hex()
    wallet = WalletStore({"ANDO_PRIVATE_KEY": "", "TEMPO_PRIVATE_KEY": IN_TEMPO.to_hex()}, path).load()
    assert (wallet.address, wallet.source) == (IN_TEMPO.address, "TEMPO_PRIVATE_KEY")


def test_then_the_keyring(path, ring, with_keystore):
    ring.secret = IN_KEYRING.to_hex()
    wallet = WalletStore({}, path).load()
    assert (wallet.address, wallet.source) == (IN_KEYRING.address, "keyring")


def test_then_the_keystore_with_its_password_from_the_environment(path, with_keystore):
    wallet = WalletStore({"ANDO_KEYSTORE_PASSWORD": PASSWORD}, path).load()
    assert (wallet.address, wallet.source) == (IN_KEYSTORE.address, "keystore")


def test_or_with_its_password_asked_for_once(path, with_keystore):
    person = Answers(PASSWORD)
    assert WalletStore({}, path, person).load().address == IN_KEYSTORE.address
    assert len(person.questions) == 1


def test_and_else_there_is_none_and_the_error_says_how_to_make_one(path):
    error = refused(WalletStore({}, path).load)
    assert error.code == "wallet_missing"
    assert "ando wallet create" in (error.hint or "")


def test_a_key_without_0x_and_with_a_line_break_is_taken(path):
    text = IN_ANDO.to_hex()[2:].upper() + "\n"
    assert WalletStore({"ANDO_PRIVATE_KEY": text}, path).load().address == IN_ANDO.address


def test_a_key_in_the_environment_imports_no_keyring(path):
    program = (
        "import os, pathlib, sys; from ando_cli.keys.wallet import WalletStore;"
        "store = WalletStore(os.environ, pathlib.Path(sys.argv[1])); store.load(); store.address();"
        "print([m for m in ('keyring', 'eth_account', 'filelock', 'eth_keyfile') if m in sys.modules])"
    )
    command = [sys.executable, "-c", program, str(path)]
    environment = {**os.environ, "ANDO_PRIVATE_KEY": IN_ANDO.to_hex()}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"


# Keys that are none


@pytest.mark.parametrize("name", ["ANDO_PRIVATE_KEY", "TEMPO_PRIVATE_KEY"])
@pytest.mark.parametrize("value", MALFORMED)
@pytest.mark.parametrize("method", ["load", "address"])
def test_a_malformed_key_in_the_environment_is_an_error_and_no_reason_to_look_further(path, ring, name, value, method):
    ring.secret = IN_KEYRING.to_hex()
    error = refused(getattr(WalletStore({name: value}, path), method))
    assert error.code == "wallet_malformed"
    assert name in error.message
    if value.strip():
        assert value not in f"{error!r} {error} {error.hint} {error.__cause__!r} {error.__context__!r}"


@pytest.mark.parametrize("value", [*MALFORMED, ""])
def test_a_malformed_key_in_the_keyring_is_an_error(path, ring, with_keystore, value):
    ring.secret = value
    error = refused(WalletStore({"ANDO_KEYSTORE_PASSWORD": PASSWORD}, path).load)
    assert error.code == "wallet_malformed"
    assert "ando wallet remove" in (error.hint or "")


def test_a_wrong_password_is_an_error(path, with_keystore):
    assert refused(WalletStore({"ANDO_KEYSTORE_PASSWORD": "wrong"}, path).load).code == "wallet_password"


def test_a_truncated_keystore_is_an_error(path, with_keystore):
    path.write_text(path.read_text()[:100])
    assert refused(WalletStore({"ANDO_KEYSTORE_PASSWORD": PASSWORD}, path).load).code == "wallet_malformed"


def test_a_keystore_without_a_password_or_a_terminal_is_locked(path, with_keystore):
    error = refused(WalletStore({"ANDO_KEYSTORE_PASSWORD": ""}, path).load)
    assert error.code == "wallet_locked"
    assert "ANDO_KEYSTORE_PASSWORD" in (error.hint or "")


# A keyring out of order


@pytest.mark.parametrize("error", [KeyringLocked("no"), RuntimeError("D-Bus")], ids=["locked", "broken"])
def test_a_keyring_out_of_order_does_not_stand_before_a_keystore(path, ring, with_keystore, error):
    ring.error = error
    assert WalletStore({"ANDO_KEYSTORE_PASSWORD": PASSWORD}, path).load().address == IN_KEYSTORE.address


def test_a_keyring_out_of_order_is_the_error_where_there_is_nothing_else(path, ring):
    ring.error = KeyringLocked("no")
    error = refused(WalletStore({}, path).load)
    assert error.code == "wallet_locked"
    assert "ANDO_PRIVATE_KEY" in (error.hint or "")
    assert "--keystore" in (error.hint or "")


def test_without_a_keyring_the_key_can_only_go_into_a_keystore(path, monkeypatch):
    monkeypatch.setattr(keyring.core, "_keyring_backend", fail.Keyring())
    store = WalletStore({"ANDO_KEYSTORE_PASSWORD": PASSWORD}, path)
    assert refused(store.save, IN_KEYRING, Place.KEYRING).code == "keyring_unusable"
    assert not path.parent.exists()
    store.save(IN_KEYSTORE, Place.KEYSTORE)
    assert store.load().address == IN_KEYSTORE.address


# Addresses


def test_the_address_of_a_keystore_takes_no_password(path, with_keystore):
    assert WalletStore({}, path).address() == IN_KEYSTORE.address


def test_the_address_of_every_place_is_that_of_its_key(path, ring):
    ring.secret = IN_KEYRING.to_hex()
    assert WalletStore({}, path).address() == IN_KEYRING.address
    assert WalletStore({"TEMPO_PRIVATE_KEY": IN_TEMPO.to_hex()}, path).address() == IN_TEMPO.address


def test_there_is_no_address_without_a_wallet(path):
    assert refused(WalletStore({}, path).address).code == "wallet_missing"
    assert refused(WalletStore({}, path).noted_address).code == "wallet_missing"


def test_the_address_of_a_new_wallet_is_noted_so_that_its_key_is_not_read_for_it(path, ring):
    WalletStore({}, path).save(IN_KEYRING, Place.KEYRING)
    assert ring.kept["address"] == IN_KEYRING.address
    ring.asked.clear()
    assert WalletStore({}, path).noted_address() == IN_KEYRING.address
    assert ring.asked == ["address"]


@pytest.mark.parametrize("note", [None, "", "0x12", "no address"])
def test_the_key_of_an_older_wallet_is_read_once_for_its_address(path, ring, note):
    ring.secret = IN_KEYRING.to_hex()
    ring.kept |= {} if note is None else {"address": note}
    assert WalletStore({}, path).noted_address() == IN_KEYRING.address
    ring.asked.clear()
    assert WalletStore({}, path).noted_address() == IN_KEYRING.address
    assert ring.asked == ["address"]


def test_what_money_is_sent_to_is_told_by_the_key_which_puts_a_wrong_note_right(path, ring):
    ring.kept |= {"wallet": IN_KEYRING.to_hex(), "address": IN_TEMPO.address}
    assert WalletStore({}, path).address() == IN_KEYRING.address
    assert WalletStore({}, path).noted_address() == IN_KEYRING.address


def test_a_note_that_others_left_goes_where_the_wallet_is_a_keystore(path, ring, with_keystore):
    ring.kept["address"] = IN_TEMPO.address
    assert WalletStore({}, path).address() == IN_KEYSTORE.address
    assert ring.kept == {}


def test_a_keystore_and_the_environment_tell_the_address_themselves(path, ring, with_keystore):
    assert WalletStore({}, path).noted_address() == IN_KEYSTORE.address
    ring.asked.clear()
    assert WalletStore({"ANDO_PRIVATE_KEY": IN_ANDO.to_hex()}, path).noted_address() == IN_ANDO.address
    assert ring.asked == []


def test_a_keyring_out_of_order_does_not_hide_the_address_of_a_keystore(path, ring, with_keystore):
    ring.error = KeyringLocked("no")
    assert WalletStore({}, path).noted_address() == IN_KEYSTORE.address


def test_the_note_goes_with_the_wallet(path, ring):
    store = WalletStore({}, path)
    store.save(IN_KEYRING, Place.KEYRING)
    store.remove()
    assert ring.kept == {}


# Saving


def test_a_key_saved_in_the_keyring_is_found_there(path, ring):
    store = WalletStore({}, path)
    assert store.place() is None
    store.save(IN_KEYRING, Place.KEYRING)
    assert store.place() is Place.KEYRING
    assert store.load().address == IN_KEYRING.address
    assert not path.exists()


def test_a_key_saved_in_the_keystore_is_for_the_owner_alone(path, ring):
    store = WalletStore({}, path, Answers(PASSWORD, PASSWORD, PASSWORD))
    store.save(IN_KEYSTORE, Place.KEYSTORE)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["keystore.json"]
    assert ring.secret is None
    assert store.place() is Place.KEYSTORE
    assert store.load().address == IN_KEYSTORE.address


@pytest.mark.parametrize("answers", [("",), (PASSWORD, "another"), (PASSWORD, "")], ids=["empty", "differ", "once"])
def test_a_new_password_is_typed_twice_and_not_empty(path, answers):
    error = refused(WalletStore({}, path, Answers(*answers)).save, IN_KEYSTORE, Place.KEYSTORE)
    assert error.code == "wallet_password"
    assert not path.exists()


def test_a_new_keystore_without_a_password_or_a_terminal_is_refused(path):
    assert refused(WalletStore({}, path).save, IN_KEYSTORE, Place.KEYSTORE).code == "wallet_locked"
    assert not path.exists()


@pytest.mark.parametrize("place", list(Place))
@pytest.mark.parametrize("existing", list(Place))
def test_a_wallet_is_not_saved_over_or_before_another(path, ring, place, existing):
    environment = {"ANDO_KEYSTORE_PASSWORD": PASSWORD}
    WalletStore(environment, path).save(IN_KEYRING, existing)
    before = ring.secret, path.read_text() if path.exists() else None
    error = refused(WalletStore(environment, path).save, IN_TEMPO, place)
    assert error.code == "wallet_exists"
    assert "ando wallet export" in (error.hint or "")
    assert "ando wallet remove" in (error.hint or "")
    assert (ring.secret, path.read_text() if path.exists() else None) == before


def test_even_a_damaged_keystore_is_not_overwritten(path, with_keystore):
    path.write_text("{")
    error = refused(WalletStore({"ANDO_KEYSTORE_PASSWORD": PASSWORD}, path).save, IN_TEMPO, Place.KEYSTORE)
    assert error.code == "wallet_exists"
    assert path.read_text() == "{"


def test_a_keyring_that_does_not_give_back_the_key_is_found_out(path, ring):
    ring.forgetful = True
    assert refused(WalletStore({}, path).save, IN_KEYRING, Place.KEYRING).code == "wallet_unverified"


def test_a_keystore_that_does_not_give_back_the_key_is_found_out(path, monkeypatch):
    monkeypatch.setattr(keystore, "decrypt", lambda text, password: IN_TEMPO)
    store = WalletStore({"ANDO_KEYSTORE_PASSWORD": PASSWORD}, path)
    assert refused(store.save, IN_KEYSTORE, Place.KEYSTORE).code == "wallet_unverified"


def test_of_two_that_save_at_once_one_wins_and_the_other_is_told(path, ring):
    ring.delay = 0.05
    outcomes: list[str] = []

    def save(key: PrivateKey) -> None:
        try:
            WalletStore({}, path).save(key, Place.KEYRING)
            outcomes.append(key.to_hex())
        except WalletError as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=save, args=(key,)) for key in (IN_ANDO, IN_TEMPO)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == sorted([str(ring.secret), "wallet_exists"])


def test_a_folder_that_cannot_be_made_is_an_error_before_anything_is_stored(path, ring):
    path.parent.write_text("a file")
    assert refused(WalletStore({}, path).save, IN_KEYRING, Place.KEYRING).code == "wallet_unwritable"
    assert ring.secret is None


def test_a_folder_that_cannot_be_written_is_an_error_before_anything_is_stored(path, ring):
    path.with_suffix(".lock").mkdir(parents=True)
    assert refused(WalletStore({}, path).save, IN_KEYRING, Place.KEYRING).code == "wallet_unwritable"
    assert ring.secret is None


# Removing


def test_remove_takes_away_the_wallet_that_is_in_force_and_no_other(path, ring, with_keystore):
    ring.secret = IN_KEYRING.to_hex()
    store = WalletStore({}, path)
    assert store.remove() is Place.KEYRING
    assert ring.secret is None
    assert path.exists()
    assert store.remove() is Place.KEYSTORE
    assert not path.exists()
    assert refused(store.remove).code == "wallet_missing"


def test_a_damaged_wallet_can_be_removed(path, ring):
    ring.secret = "damaged"
    WalletStore({}, path).remove()
    assert ring.secret is None


def test_a_key_in_the_environment_cannot_be_removed_from_here(path):
    error = refused(WalletStore({"TEMPO_PRIVATE_KEY": IN_TEMPO.to_hex()}, path).remove)
    assert "TEMPO_PRIVATE_KEY" in error.message


def test_remove_takes_away_the_stored_wallet_also_while_a_variable_is_set(path, ring):
    ring.secret = IN_KEYRING.to_hex()
    WalletStore({"ANDO_PRIVATE_KEY": IN_ANDO.to_hex()}, path).remove()
    assert ring.secret is None


# Secrecy


def test_a_wallet_does_not_show_its_key(path):
    wallet = Wallet(IN_ANDO, "ANDO_PRIVATE_KEY")
    assert IN_ANDO.to_hex()[2:] not in f"{wallet!r} {wallet} {wallet!s} {[wallet]}"
    with pytest.raises(TypeError):
        pickle.dumps(wallet)


def test_nothing_secret_is_logged_at_any_level(path, ring, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    store = WalletStore({"ANDO_KEYSTORE_PASSWORD": PASSWORD}, path)
    store.save(IN_KEYRING, Place.KEYRING)
    store.load()
    store.remove()
    store.save(IN_KEYSTORE, Place.KEYSTORE)
    store.load()
    written = caplog.text + "".join(capfd.readouterr())
    for secret in (PASSWORD, IN_KEYRING.to_hex()[2:], IN_KEYSTORE.to_hex()[2:]):
        assert secret not in written
