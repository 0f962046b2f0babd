"""``ando voucher``: sign one by hand, check one, and decode what travels between a client and a gateway."""

from __future__ import annotations

from ando_cli.cli.lazy import lazy_app

app = lazy_app(
    __name__, ("sign", "verify", "inspect"), help="Sign and check vouchers by hand; decode what is sent to pay."
)
