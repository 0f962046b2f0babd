"""A keyring for the tests' commands, which keeps its secrets in a file, and notes which accounts were read.

Not imported by the tests: their commands find it by ``PYTHONPATH``, as ``cli_box.keyring_in`` says.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import NoReturn

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError

KEPT, READ = Path(os.environ["FILE_KEYRING"]), Path(os.environ["FILE_KEYRING"] + ".read")


class Keyring(KeyringBackend):
    priority = 1

    def _kept(self) -> dict[str, str]:
        return dict(json.loads(KEPT.read_text())) if KEPT.exists() else {}

    def get_password(self, service: str, username: str) -> str | None:
        with READ.open("a") as log:
            log.write(f"{username}\n")
        return self._kept().get(f"{service}/{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        KEPT.write_text(json.dumps(self._kept() | {f"{service}/{username}": password}))

    def delete_password(self, service: str, username: str) -> None:
        kept = self._kept()
        if kept.pop(f"{service}/{username}", None) is None:
            raise PasswordDeleteError
        KEPT.write_text(json.dumps(kept))


class Locked(Keyring):
    def get_password(self, service: str, username: str) -> NoReturn:
        raise KeyringLocked("the prompt was dismissed")


class Deadly(Keyring):
    """Kills the process that has just stored a channel's own key."""

    def set_password(self, service: str, username: str, password: str) -> None:
        super().set_password(service, username, password)
        if username.startswith("delegate:"):
            os.kill(os.getpid(), signal.SIGKILL)
