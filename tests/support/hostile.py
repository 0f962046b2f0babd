"""Servers on loopback that mean harm below HTTP: they drip, they flood, they refuse to be a proxy."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

DRIP_SECONDS = 0.1
LONG_SECONDS = 40.0
"""How long a server drips that nobody stops: longer than any limit that a test sets."""


class Seen(list[bytes]):
    """The requests that a server was sent, each up to its blank line and its body as far as it came at once."""


@contextmanager
def server(
    answer: Callable[[socket.socket, bytes], None], tls: ssl.SSLContext | None = None
) -> Iterator[tuple[int, Seen]]:
    """A server on loopback, as its port and what it was sent; ``answer`` writes to a connection, then it is closed."""
    listener = socket.create_server(("127.0.0.1", 0))
    seen = Seen()

    def serve(connection: socket.socket) -> None:
        try:
            with connection if tls is None else tls.wrap_socket(connection, server_side=True) as talking:
                request = b""
                while b"\r\n\r\n" not in request:
                    piece = talking.recv(65536)
                    if not piece:
                        return
                    request += piece
                seen.append(request)
                answer(talking, request)
        except OSError:
            pass  # the client hung up, which is what most of these tests are about

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1], seen
    finally:
        listener.close()


def says(*parts: bytes) -> Callable[[socket.socket, bytes], None]:
    """Answers with these bytes."""
    return lambda connection, _: connection.sendall(b"".join(parts))


def drips(first: bytes, again: bytes | Iterable[bytes]) -> Callable[[socket.socket, bytes], None]:
    """Answers with ``first`` at once, and then every tenth of a second with ``again``, longer than anybody waits."""

    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(first)
        if not isinstance(again, bytes):
            for piece in again:
                time.sleep(DRIP_SECONDS)
                connection.sendall(piece)
            return
        ends = time.monotonic() + LONG_SECONDS
        while time.monotonic() < ends:
            time.sleep(DRIP_SECONDS)
            connection.sendall(again)

    return answer


OK = b"HTTP/1.1 200 OK\r\n"
DRIPPING = {
    "headers": drips(OK, b"X-Drip: 1\r\n"),
    "one header": drips(OK + b"X-Drip: ", b"x"),
    "1xx": drips(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"),
    "body": drips(OK + b"Content-Length: 100000\r\n\r\n", b" "),
    "chunks": drips(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "error body": drips(b"HTTP/1.1 500 Oops\r\nContent-Length: 100000\r\n\r\n", b" "),
}
"""Ways to keep a client busy without end, of which none is silent for long."""


def self_signed(folder: Path, *, name: str = "127.0.0.1", valid: bool = True) -> tuple[ssl.SSLContext, Path]:
    """A context to serve TLS with a certificate for ``name`` that nobody vouches for, and that certificate's file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody")])
    try:
        who: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        who = x509.DNSName(name)
    now = datetime.datetime.now(datetime.UTC)
    until = now + datetime.timedelta(days=1 if valid else -1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=2))
        .not_valid_after(until)
        .add_extension(x509.SubjectAlternativeName([who]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file, secret = folder / f"{name}-{valid}.pem", folder / f"{name}-{valid}.key"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, secret)
    return context, file
