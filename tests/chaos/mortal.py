"""``ando``, killed by SIGKILL at one of its moments: a commit, a signature, something sent, an answer.

Runs as a script in place of the installed one. ``CHAOS_FUSE`` says at which moment, counted from 1; 0 is never.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def _fuse(at: int) -> Callable[[], None]:
    touched = 0

    def touch() -> None:
        nonlocal touched
        touched += 1
        if touched == at:
            os.kill(os.getpid(), signal.SIGKILL)

    return touch


def _arm(owner: type, name: str, touch: Callable[[], None]) -> None:
    """Touch the fuse before each call of a method, and after it."""
    whole: Any = getattr(owner, name)

    def mortal(*arguments: Any, **named: Any) -> Any:
        touch()
        done = whole(*arguments, **named)
        touch()
        return done

    setattr(owner, name, mortal)


def _arm_commits(touch: Callable[[], None]) -> None:
    import sqlite3

    class Mortal(sqlite3.Connection):
        def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
            if sql != "COMMIT":
                return super().execute(sql, *arguments)
            touch()
            cursor = super().execute(sql)
            touch()
            return cursor

    connect = sqlite3.connect
    sqlite3.connect = lambda *arguments, **named: connect(*arguments, factory=Mortal, **named)  # type: ignore[assignment]


def main() -> None:
    """Arm the fuse where one is set, and run the command."""
    at = int(os.environ.pop("CHAOS_FUSE", "0"))
    if at:
        from ando_cli.http.wire import Wire
        from ando_cli.tempo.keys import PrivateKey
        from ando_cli.tempo.rpc import Rpc

        touch = _fuse(at)
        _arm_commits(touch)
        _arm(PrivateKey, "sign", touch)
        _arm(Wire, "handle_request", touch)
        _arm(Rpc, "broadcast", touch)
    from ando_cli.__main__ import main as ando

    ando()


if __name__ == "__main__":
    main()
