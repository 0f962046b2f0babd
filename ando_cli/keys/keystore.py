"""The encrypted keystore, version 3 ("Web3 Secret Storage"): a private key as JSON under a password.

``eth_account`` does the cryptography (scrypt at its default cost, AES-128-CTR, a MAC over both). It is imported only
when a key is really encrypted or decrypted.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any, Literal

from ando_cli.errors import Code, WalletError
from ando_cli.files import TooLargeError, make_private_folder, read_bounded
from ando_cli.tempo.keys import PrivateKey
from ando_cli.tempo.recursion import kept_recursion_limit

if TYPE_CHECKING:
    from pathlib import Path

_SIZE_LIMIT = 64 * 1024
_ADDRESS = re.compile(r"(?:0x)?([0-9a-f]{40})")


def encrypt(key: PrivateKey, password: str) -> str:
    """Encrypt ``key`` under ``password``, as keystore JSON. Takes about a second, on purpose.

    Raises:
        WalletError: ``wallet_password``, the password is empty.
    """
    if not password:
        raise WalletError("an empty password protects nothing", hint="choose a password", code=Code.WALLET_PASSWORD)
    with kept_recursion_limit():
        from eth_account import Account

    document = Account.encrypt(key.secret, password, kdf="scrypt")
    return json.dumps(document, indent=2) + "\n"


def decrypt(text: str, password: str) -> PrivateKey:
    """Decrypt the key in the keystore JSON ``text``.

    Raises:
        WalletError: ``wallet_password``, the password is wrong; ``wallet_malformed``, ``text`` is not a keystore v3, or
            its key does not match its address.
    """
    document = _parse(text)
    with kept_recursion_limit():
        from eth_account import Account

    try:
        key = PrivateKey.parse(bytes(Account.decrypt(document, password)).hex())
    except (
        Exception
    ) as error:  # the library raises various errors for a damaged file: KeyError, TypeError, AssertionError
        if "MAC mismatch" in str(error):
            raise WalletError(
                "wrong password for the keystore",
                hint="type it again, or correct ANDO_KEYSTORE_PASSWORD",
                code=Code.WALLET_PASSWORD,
            ) from None
        raise _malformed("is damaged") from None
    if _stated(document) not in (None, key.address):
        raise _malformed("holds a key that does not match its address")
    return key


def stated_address(text: str) -> str | None:
    """Return the address in clear text in the keystore JSON ``text``, as lower-case hex, or ``None``.

    Raises:
        WalletError: ``wallet_malformed``, ``text`` is not a keystore v3.
    """
    return _stated(_parse(text))


def read(path: Path) -> str:
    """Return the text of the keystore file at ``path``.

    Raises:
        WalletError: ``wallet_unreadable``, the file is absent or cannot be read; ``wallet_malformed``, it is not text
            or longer than a keystore is.
    """
    try:
        text = read_bounded(path, _SIZE_LIMIT).decode("utf-8-sig")
    except OSError as error:
        raise io_error("read", path, error) from None
    except TooLargeError:
        raise _malformed("is too long") from None
    except UnicodeDecodeError:
        raise _malformed("is not text") from None
    return text


def write_new(path: Path, text: str) -> None:
    """Write ``text`` to the new file ``path`` with mode 0600: the whole file or nothing.

    Raises:
        WalletError: ``wallet_exists``, ``path`` exists; ``wallet_unwritable``, it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    try:
        try:
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            _publish(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except FileExistsError:
        raise WalletError(
            f"{path.name} exists, and is not overwritten",
            hint="move it away, or name another file",
            code=Code.WALLET_EXISTS,
        ) from None
    except OSError as error:
        raise io_error("write", path, error) from None


def make_folder(path: Path) -> None:
    """Create the folder ``path`` with mode 0700; an existing folder keeps its mode.

    Raises:
        WalletError: ``wallet_unwritable``, it cannot be created.
    """
    try:
        make_private_folder(path)
    except OSError as error:
        raise io_error("write", path, error) from None


def delete(path: Path) -> None:
    """Delete the keystore file at ``path``.

    Raises:
        WalletError: ``wallet_unwritable``, it cannot be deleted.
    """
    try:
        path.unlink()
    except OSError as error:
        raise io_error("delete", path, error) from None


def io_error(action: Literal["read", "write", "delete"], path: Path, error: OSError) -> WalletError:
    """Return the ``WalletError`` for an operating system's error at ``path``."""
    reason = error.strerror or type(error).__name__
    return WalletError(
        f"cannot {action} {path.name}: {reason}",
        hint=f"check {path}",
        code=Code.WALLET_UNREADABLE if action == "read" else Code.WALLET_UNWRITABLE,
    )


def _publish(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)  # unlike a rename, it fails if the file exists
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links, such as a USB stick's
        if os.path.lexists(path):
            raise FileExistsError from None
        temporary.rename(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":  # elsewhere a folder cannot be opened
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _parse(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise _malformed("is not JSON") from None
    if not isinstance(document, dict):
        raise _malformed("is not a JSON object")
    document = {key.lower(): value for key, value in document.items()}
    if document.get("version") != 3 or not isinstance(document.get("crypto"), dict):
        raise _malformed("is not a keystore of version 3")
    return document


def _stated(document: dict[str, Any]) -> str | None:
    found = _ADDRESS.fullmatch(str(document.get("address", "")).lower())
    return f"0x{found[1]}" if found else None


def _malformed(what: str) -> WalletError:
    return WalletError(f"the keystore file {what}", hint="restore the file from a backup", code=Code.WALLET_MALFORMED)
