"""``ando config``: show and change the configuration."""

from __future__ import annotations

from ando_cli.cli.lazy import lazy_app

app = lazy_app(__name__, ("list", "get", "set", "unset", "path", "edit"), help="Show and change the configuration.")
