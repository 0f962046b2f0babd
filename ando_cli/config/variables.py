"""The environment variables that ``ando`` knows, and what is said of those that look like one and are none.

A limit that is misspelt must not silently be no limit, in the environment as in ``config.toml``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ando_cli.config.settings import KEYS
from ando_cli.errors import UsageError
from ando_cli.redact import clean

if TYPE_CHECKING:
    from collections.abc import Mapping

_PREFIX = "ANDO_"
_TESTS = "ANDO_TEST_"
"""What our own tests set."""

OTHERS = (
    "ANDO_HOME",
    "ANDO_PRIVATE_KEY",
    "ANDO_KEYSTORE_PASSWORD",
    "ANDO_VIRTUAL_KEY",
    "ANDO_NO_AUTO_JSON",
    "ANDO_SANDBOX_PAYEE_KEY",
    "ANDO_REQUIRE_INTEGRATION",
)
"""Those that no key of the configuration goes with."""

KNOWN = frozenset({key.variable for key in KEYS.values()} | set(OTHERS))

_LIMITS = ("BUDGET", "MAX", "SPEND", "LIMIT", "DEPOSIT")
"""What the name of a limit has in it."""


def check_variables(environ: Mapping[str, str]) -> str | None:
    """Look for variables that are set and unknown; returns the warning about them, if there are any.

    Raises:
        UsageError: one of them was probably meant to be a limit.
    """
    named = [name for name, value in environ.items() if value and name.upper().startswith(_PREFIX)]
    unknown = sorted(name for name in named if name not in KNOWN and not name.startswith(_TESTS))
    if not unknown:
        return None
    for name in unknown:
        if any(word in name.upper() for word in _LIMITS):
            meant = _meant(name)
            raise UsageError(
                f"{clean(name, 64)} is set, but ando has no such setting, so it limits nothing",
                hint=f"did you mean {meant}?"
                if meant
                else "unset it; `ando config list` shows the limits that there are",
            )
    said = [
        f"{clean(name, 64)} (did you mean {meant}?)" if (meant := _meant(name)) else clean(name, 64) for name in unknown
    ]
    return f"ando does not know these environment variables, and ignores them: {', '.join(said[:8])}"


def _meant(name: str) -> str | None:
    """The variable that was probably meant."""
    from difflib import get_close_matches  # only where something is wrong

    return next(iter(get_close_matches(name.upper(), sorted(KNOWN), n=1, cutoff=0.75)), None)
