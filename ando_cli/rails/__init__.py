"""The two ways to pay, each an ``httpx.Auth``."""
