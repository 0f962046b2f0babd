"""The reference values in ``tests/vectors``: computed with viem, ox and mppx, not with our code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).parents[1] / "vectors"


def session_vectors() -> dict[str, Any]:
    """Read ``tempo-session.json``: channel ids, voucher digests and signatures, transactions, body digests."""
    values: dict[str, Any] = json.loads((VECTORS / "tempo-session.json").read_text(encoding="utf-8"))
    return values


def charge_vectors() -> dict[str, Any]:
    """Read ``tempo-charge.json``: transfers, memos, proofs, hand-off envelopes, a v2 close."""
    values: dict[str, Any] = json.loads((VECTORS / "tempo-charge.json").read_text(encoding="utf-8"))
    return values
