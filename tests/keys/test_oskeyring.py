"""The OS keyring: what counts as one, and what happens where it does not work."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
import time

import keyring.core
import pytest
from keyring.backend import KeyringBackend
from keyring.backends import chainer, fail, null
from keyring.errors import InitError, KeyringLocked, NoKeyringError, PasswordDeleteError

from ando_cli.errors import WalletError
from ando_cli.keys import oskeyring

SECRET = "0x" + "5a" * 32


class MemoryKeyring(KeyringBackend):
    """A keyring that works."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if (service, username) not in self.kept:
            raise PasswordDeleteError("not found")
        del self.kept[service, username]


class BrokenKeyring(MemoryKeyring):
    """A keyring of which every call raises ``error``."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def get_password(self, service: str, username: str) -> str | None:
        raise self.error

    def set_password(self, service: str, username: str, password: str) -> None:
        raise self.error


class SilentKeyring(MemoryKeyring):
    """A keyring that waits on a prompt that nobody sees."""

    def get_password(self, service: str, username: str) -> str | None:
        threading.Event().wait(60)
        return None


class PlaintextKeyring(MemoryKeyring):
    """Stands for the one of keyrings.alt that writes secrets to a file as they are."""


PlaintextKeyring.__module__ = "keyrings.alt.file"


class LockedException(Exception):  # noqa: N818 - the name under which SecretStorage raises it
    """Stands for ``secretstorage.exceptions.LockedException``."""


@pytest.fixture
def use(monkeypatch):
    """Make a backend the one that ``keyring`` found."""

    def install(backend):
        monkeypatch.setattr(keyring.core, "_keyring_backend", backend)
        return backend

    monkeypatch.delenv("PYTHON_KEYRING_BACKEND", raising=False)
    return install


def chain(monkeypatch, *members):
    monkeypatch.setattr(chainer.ChainerBackend, "backends", list(members))
    return chainer.ChainerBackend()


def test_keeps_reads_and_deletes_the_secret_under_one_service_and_account(use):
    backend = use(MemoryKeyring())
    assert oskeyring.read() is None
    oskeyring.write(SECRET)
    assert backend.kept == {("ando-cli", "wallet"): SECRET}
    assert oskeyring.read() == SECRET
    oskeyring.delete()
    assert backend.kept == {}


def test_each_account_has_a_secret_of_its_own(use):
    backend = use(MemoryKeyring())
    oskeyring.write(SECRET)
    oskeyring.write("another", "delegate:0x1")
    assert backend.kept == {("ando-cli", "wallet"): SECRET, ("ando-cli", "delegate:0x1"): "another"}
    assert (oskeyring.read(), oskeyring.read("delegate:0x1")) == (SECRET, "another")
    oskeyring.delete("delegate:0x1")
    assert (oskeyring.read(), oskeyring.read("delegate:0x1")) == (SECRET, None)


@pytest.mark.parametrize("backend", [null.Keyring(), fail.Keyring()], ids=["null", "fail"])
@pytest.mark.parametrize("call", [oskeyring.read, lambda: oskeyring.write(SECRET), oskeyring.delete])
def test_null_and_fail_backends_are_no_keyring(use, backend, call):
    use(backend)
    with pytest.raises(WalletError) as caught:
        call()
    assert caught.value.code == "keyring_unusable"


def test_the_error_says_the_three_ways_out(use):
    use(fail.Keyring())
    with pytest.raises(WalletError) as caught:
        oskeyring.read()
    hint = caught.value.hint or ""
    assert "unlock or install a keyring" in hint
    assert "ANDO_PRIVATE_KEY" in hint
    assert "ando wallet create --keystore" in hint
    assert "ando wallet import --keystore" in hint
    assert "\n" not in hint


def test_a_chainer_without_members_is_no_keyring(use, monkeypatch):
    use(chain(monkeypatch))
    with pytest.raises(WalletError, match="no usable keyring"):
        oskeyring.write(SECRET)


def test_a_chainer_is_read_member_by_member_and_written_to_its_first(use, monkeypatch):
    first, second = MemoryKeyring(), MemoryKeyring()
    use(chain(monkeypatch, null.Keyring(), PlaintextKeyring(), first, second))
    second.set_password("ando-cli", "wallet", SECRET)
    assert oskeyring.read() == SECRET
    oskeyring.write("0x" + "11" * 32)
    assert first.kept
    assert oskeyring.read() == "0x" + "11" * 32
    oskeyring.delete()
    assert first.kept == second.kept == {}


@pytest.mark.parametrize(
    "error",
    [NoKeyringError("none"), InitError("dbus"), RuntimeError("org.freedesktop.DBus.Error.NoReply"), OSError(5, "bus")],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_backend_raises_makes_the_keyring_unusable(use, error):
    use(BrokenKeyring(error))
    with pytest.raises(WalletError) as caught:
        oskeyring.read()
    assert caught.value.code == "keyring_unusable"
    assert type(error).__name__ in caught.value.message


@pytest.mark.parametrize("error", [KeyringLocked("no"), LockedException("no")], ids=["keyring", "secretstorage"])
def test_a_locked_keyring_is_called_locked(use, error):
    use(BrokenKeyring(error))
    with pytest.raises(WalletError, match="locked") as caught:
        oskeyring.read()
    assert caught.value.code == "wallet_locked"
    assert "unlock" in (caught.value.hint or "")


def test_an_error_of_the_backend_that_repeats_the_secret_is_not_repeated(use):
    use(BrokenKeyring(ValueError(f"cannot store {SECRET}")))
    with pytest.raises(WalletError) as caught:
        oskeyring.write(SECRET)
    error = caught.value
    assert SECRET not in f"{error!r} {error} {error.hint} {error.__cause__!r} {error.__context__!r}"


def test_a_keyring_that_never_answers_is_given_up(use, monkeypatch):
    use(SilentKeyring())
    monkeypatch.setattr(oskeyring, "PATIENCE", 0.2)
    begun = time.monotonic()
    with pytest.raises(WalletError, match="did not answer") as caught:
        oskeyring.read()
    assert time.monotonic() - begun < 5
    assert caught.value.code == "wallet_locked"


def test_a_plain_text_backend_that_was_merely_detected_is_no_keyring(use, monkeypatch):
    backend = PlaintextKeyring()
    monkeypatch.setattr(keyring.backend, "get_all_keyring", lambda: [backend, null.Keyring(), fail.Keyring()])
    use(None)
    assert keyring.get_keyring() is backend
    with pytest.raises(WalletError, match="no usable keyring"):
        oskeyring.write(SECRET)
    assert backend.kept == {}


def test_a_plain_text_backend_that_the_user_named_is_the_users_choice(use, monkeypatch):
    named = PlaintextKeyring()
    use(PlaintextKeyring())
    monkeypatch.setattr(keyring.core, "load_env", lambda: named)
    oskeyring.write(SECRET)
    assert named.kept
    assert oskeyring.read() == SECRET


def test_a_backend_that_cannot_be_imported_makes_the_keyring_unusable(use, monkeypatch):
    use(None)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "no.such.module.Keyring")
    with pytest.raises(WalletError) as caught:
        oskeyring.read()
    assert caught.value.code == "keyring_unusable"


def test_ctrl_c_ends_the_wait_for_a_keyring_that_blocks_in_native_code():
    program = textwrap.dedent("""
        import ctypes, keyring
        from keyring.backend import KeyringBackend
        from ando_cli.keys import oskeyring

        class Native(KeyringBackend):
            priority = 1
            def get_password(self, service, username):
                print("waiting", flush=True)
                libc = ctypes.CDLL(None)
                while True:  # a native wait that takes a signal for nothing, as those of the platforms do
                    libc.sleep(60)
            def set_password(self, service, username, password):
                raise NotImplementedError

        keyring.set_keyring(Native())
        oskeyring.read()
    """)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"waiting\n"
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=10)
    assert b"KeyboardInterrupt" in stderr
