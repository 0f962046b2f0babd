"""The connections below the client: httpcore's, with waits that end when the exchange's time is over."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import httpcore

from ando_cli.http.deadline import pace_in_force

if TYPE_CHECKING:
    from collections.abc import Iterable

_WRITTEN_AT_ONCE = 16 * 1024
"""Bytes between two looks at the clock."""


class UntrustedError(Exception):
    """The other end's certificate is not to be trusted; the text says why. Trying again does not help."""


class PacedStream(httpcore.NetworkStream):
    """A connection whose reads and writes together take no longer than the pace in force allows."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what is there, at most ``max_bytes``; waits for some of it.

        Raises:
            httpcore.ReadTimeout: the time is over.
        """
        left = pace_in_force().left(timeout)
        if left == 0:
            raise httpcore.ReadTimeout("the time for this answer is over")
        return self._inner.read(max_bytes, left)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of ``buffer``.

        Raises:
            httpcore.WriteTimeout: the time is over.
        """
        for start in range(0, len(buffer), _WRITTEN_AT_ONCE):
            left = pace_in_force().left(timeout)
            if left == 0:
                raise httpcore.WriteTimeout("the time for this answer is over")
            self._inner.write(buffer[start : start + _WRITTEN_AT_ONCE], left)

    def close(self) -> None:
        """Close the connection."""
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Return the connection with TLS on it.

        Raises:
            UntrustedError: the certificate is not to be trusted.
            httpcore.ConnectTimeout: the time is over.
        """
        left = pace_in_force().left_to_connect(timeout)
        if left == 0:
            raise httpcore.ConnectTimeout("the time for this command is over")
        try:
            return PacedStream(self._inner.start_tls(ssl_context, server_hostname, left))
        except httpcore.ConnectError as error:
            cause = error.__cause__
            if isinstance(cause, ssl.SSLCertVerificationError):
                raise UntrustedError(cause.verify_message) from None
            raise

    def get_extra_info(self, info: str) -> Any:
        """Return what httpcore asks of a connection."""
        return self._inner.get_extra_info(info)


class PacedBackend(httpcore.NetworkBackend):
    """Makes connections that keep to the pace in force."""

    def __init__(self) -> None:
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to a port of a host.

        Raises:
            httpcore.ConnectTimeout: the time is over.
        """
        left = pace_in_force().left_to_connect(timeout)
        if left == 0:
            raise httpcore.ConnectTimeout("the time for this command is over")
        return PacedStream(self._inner.connect_tcp(host, port, left, local_address, socket_options))

    def sleep(self, seconds: float) -> None:
        """Wait before connecting again."""
        self._inner.sleep(min(seconds, pace_in_force().left_to_connect(seconds) or 0.0))
