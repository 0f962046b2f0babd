"""The user's editor, on a file."""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import TYPE_CHECKING

from ando_cli.errors import AndoError, Code, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def edit(path: Path, environ: Mapping[str, str]) -> None:
    """Edit the file at ``path`` in ``$VISUAL``, ``$EDITOR`` or a default editor, and return when the editor ends.

    Raises:
        UsageError: the editor cannot be started.
        AndoError: the editor ended with an error.
    """
    command = environ.get("VISUAL") or environ.get("EDITOR") or ("notepad" if os.name == "nt" else "vi")
    try:
        words = [word.strip('"') for word in shlex.split(command, posix=os.name != "nt")]
        code = subprocess.call([*words, str(path)])
    except (OSError, ValueError):
        raise UsageError(
            "the editor cannot be started", hint="set EDITOR to another editor", code=Code.NO_EDITOR
        ) from None
    if code:
        raise AndoError("the editor ended with an error", hint="nothing was changed", code=Code.EDITOR_FAILED)
