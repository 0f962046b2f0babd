"""``ando wallet``: create, import, show, export or remove the key that pays. No command prints it in clear."""

from __future__ import annotations

from ando_cli.cli.lazy import lazy_app

app = lazy_app(
    __name__,
    ("create", "import", "address", "balance", "export", "remove"),
    help="Create, import, show, export or remove the wallet key.",
)
