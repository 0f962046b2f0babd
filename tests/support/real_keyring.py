"""A real Secret Service for the tests: GNOME's keyring daemon on a session bus of its own, in a throwaway home."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support import real_parts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PASSWORD = "a password for tests"

# Runs inside the bus as: sh -c SCRIPT sh OUTPUT ERRORS COMMAND…, with the keyring's password in UNLOCK, if it has one.
# The command's output goes into files of its own, because the bus and what it starts talk on the inherited ones.
# The daemon stays in the foreground, of a background job, so that it ends here: one that leaves for the background
# does not notice when its bus is gone before it joined.
SCRIPT = """
output=$1 errors=$2
shift 2
if [ -n "${UNLOCK+set}" ]; then
    printf %s "$UNLOCK" | gnome-keyring-daemon --foreground --unlock --components=secrets >/dev/null &
    daemon=$!
    unset UNLOCK
else
    gnome-keyring-daemon --foreground --components=secrets </dev/null >/dev/null &
    daemon=$!
fi
trap 'kill "$daemon"' EXIT
until dbus-send --session --print-reply --dest=org.freedesktop.DBus / \
    org.freedesktop.DBus.NameHasOwner string:org.freedesktop.secrets | grep -q 'boolean true'; do
    kill -0 "$daemon" || exit 125
    sleep 0.02
done
"$@" >"$output" 2>"$errors"
"""


@dataclass(frozen=True)
class SecretService:
    """A key store in a folder. Each ``run`` starts the daemon anew on what the runs before have stored."""

    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """All that a command sees of the machine: no desktop to ask on, and a home of its own."""
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(self.home / "run"),
            "XDG_DATA_HOME": str(self.home / "data"),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "XDG_STATE_HOME": str(self.home / "state"),
        }

    def run(
        self,
        command: Sequence[str | Path],
        *,
        stdin: str = "",
        env: Mapping[str, str] | None = None,
        password: str | None = PASSWORD,
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command that can reach the Secret Service.

        Args:
            stdin: what the command reads.
            env: variables on top of ``environment``.
            password: what unlocks the keyring. The first one given creates it. A wrong one leaves it locked; ``None``
                leaves it locked, or, before the first unlocked run, absent.
        """
        with tempfile.TemporaryDirectory(dir=self.home) as folder:
            output, errors, session_log = (Path(folder, name) for name in ("output", "errors", "session.log"))
            inside = ["sh", "-c", SCRIPT, "sh", output, errors, *command]
            # A file takes the session's own talk: a pipe would stay open for as long as some daemon lives.
            with session_log.open("w") as log:
                process = subprocess.Popen(
                    ["dbus-run-session", "--", *inside],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    text=True,
                    env=self.environment | ({} if password is None else {"UNLOCK": password}) | dict(env or {}),
                    start_new_session=True,
                )
            try:
                process.communicate(stdin, timeout=timeout)
            except BaseException:
                # The bus, the daemon and the command are one process group.
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise
            assert errors.exists(), f"the session did not start: {session_log.read_text()}"
            return subprocess.CompletedProcess(command, process.returncode, output.read_text(), errors.read_text())


def secret_service(home: Path) -> SecretService:
    """An empty key store in a new folder."""
    packages = {"dbus-run-session": "dbus", "dbus-send": "dbus", "gnome-keyring-daemon": "gnome-keyring"}
    for name, package in packages.items():
        real_parts.program(name, f"install the Debian package {package}, or what holds it elsewhere")
    (home / "run").mkdir(parents=True, mode=0o700)
    return SecretService(home)
