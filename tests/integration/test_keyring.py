"""The Secret Service that other tests use, and what ``keyring`` raises where it is locked or absent."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.real_keyring import PASSWORD

if TYPE_CHECKING:
    from tests.support.real_keyring import SecretService

pytestmark = pytest.mark.integration

# Prints what a call of keyring returns, or the class of what it raises.
ASK = """
import sys, keyring
method, *arguments = sys.argv[1:]
try:
    print(getattr(keyring, method)(*arguments))
except keyring.errors.KeyringError as error:
    print(type(error).__name__)
"""


def ask(service: SecretService, *arguments: str, password: str | None = PASSWORD) -> str:
    done = service.run([sys.executable, "-c", ASK, *arguments], password=password)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_secret_outlives_the_session_that_stored_it(secret_service: SecretService) -> None:
    assert ask(secret_service, "set_password", "ando", "wallet", "a secret") == "None"

    assert ask(secret_service, "get_password", "ando", "wallet") == "a secret"
    assert ask(secret_service, "get_password", "ando", "another") == "None"

    assert ask(secret_service, "delete_password", "ando", "wallet") == "None"
    assert ask(secret_service, "get_password", "ando", "wallet") == "None"
    assert ask(secret_service, "delete_password", "ando", "wallet") == "PasswordDeleteError"


def test_the_backend_is_the_secret_service(secret_service: SecretService) -> None:
    assert "SecretService" in ask(secret_service, "get_keyring")


def test_nothing_can_be_done_with_a_locked_collection(secret_service: SecretService) -> None:
    ask(secret_service, "set_password", "ando", "wallet", "a secret")

    assert ask(secret_service, "get_password", "ando", "wallet", password="wrong") == "KeyringLocked"
    assert ask(secret_service, "set_password", "ando", "wallet", "another", password="wrong") == "KeyringLocked"
    assert ask(secret_service, "delete_password", "ando", "wallet", password="wrong") == "KeyringLocked"
    assert ask(secret_service, "get_password", "ando", "wallet", password=None) == "KeyringLocked"


def test_without_a_collection_the_backend_is_chosen_and_then_fails(secret_service: SecretService) -> None:
    assert "SecretService" in ask(secret_service, "get_keyring", password=None)
    assert ask(secret_service, "get_password", "ando", "wallet", password=None) == "InitError"
    assert ask(secret_service, "set_password", "ando", "wallet", "a secret", password=None) == "InitError"


def test_without_a_bus_keyring_falls_back_to_a_backend_that_always_fails(secret_service: SecretService) -> None:
    nowhere = {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent"}
    command = ["env", *(f"{name}={value}" for name, value in nowhere.items()), sys.executable, "-c", ASK]

    assert "fail.Keyring" in secret_service.run([*command, "get_keyring"]).stdout
    assert secret_service.run([*command, "get_password", "ando", "wallet"]).stdout == "NoKeyringError\n"


def test_a_command_sees_its_own_input_output_and_exit_code(secret_service: SecretService) -> None:
    done = secret_service.run(
        ["sh", "-c", 'read -r line; echo "out: $line $EXTRA"; echo "err: ${UNLOCK-unset}" >&2; exit 3'],
        stdin="from here\n",
        env={"EXTRA": "too"},
    )

    assert (done.returncode, done.stdout, done.stderr) == (3, "out: from here too\n", "err: unset\n")
