"""The entry point of the ``ando`` command."""

from __future__ import annotations

import gc
import sys

from ando_cli import __version__

_ALLOCATIONS_BEFORE_COLLECTION = 100_000
"""Starting up makes many objects and hardly any garbage; with 700, Python would scan them all again and again."""


def main() -> None:
    """Run the command line and leave with its exit code."""
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["-V"]):  # answered before anything heavier than this module is loaded
        sys.stdout.write(f"ando {__version__}\n")
        return
    gc.set_threshold(_ALLOCATIONS_BEFORE_COLLECTION)
    # Where click is installed beside ando, httpx loads its own command line, and with it rich, at every start.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
    from ando_cli.app import run

    sys.exit(run(arguments))


if __name__ == "__main__":
    main()
