"""The certificate authorities that connections are checked against.

Reading the list takes 40 ms, a fifth of a short command, so it is read once, and only for https.
"""

from __future__ import annotations

import functools
import ssl

import httpx


def context(scheme: str) -> ssl.SSLContext:
    """For connections to URLs with this scheme. One that is not for https trusts nobody, should it ever be asked to."""
    return _authorities() if scheme == "https" else _nobody()


@functools.cache
def _authorities() -> ssl.SSLContext:
    return httpx.create_ssl_context()


@functools.cache
def _nobody() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
