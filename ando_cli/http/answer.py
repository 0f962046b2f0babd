"""An answer as the client's callers see it. It is httpx's, which nobody above this package names."""

from __future__ import annotations

from httpx import Response

__all__ = ["Response"]
