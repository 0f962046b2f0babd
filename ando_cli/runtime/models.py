"""The names of the models that were listed last, for completion, which must not ask the gateway."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

from ando_cli.config.settings import MODELS_FILE
from ando_cli.files import make_private_folder, parse_json, read_bounded, replace_private

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ando_cli.config.settings import Folders

_LARGEST = 1024 * 1024


def remember_models(folders: Folders, names: Sequence[str]) -> None:
    """Store the names; a failure is no error, because completion can offer nothing."""
    with suppress(OSError):
        make_private_folder(folders.state)
        replace_private(folders.state / MODELS_FILE, json.dumps({"models": list(names)}).encode())


def known_models(folders: Folders) -> list[str]:
    """Return the stored names; none if the file is absent or damaged."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        names = parse_json(read_bounded(folders.state / MODELS_FILE, _LARGEST))["models"]
        return [name for name in names if isinstance(name, str)]
    return []
