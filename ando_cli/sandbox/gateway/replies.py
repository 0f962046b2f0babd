"""Send answers: whole, broken off, or far too long."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiohttp import web

from ando_cli.sandbox.faults.streams import spoil

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ando_cli.sandbox.wire import Reply

CHUNK = b" " * 65_536


def send(reply: Reply) -> web.StreamResponse:
    """Build the whole answer."""
    return _with_headers(web.Response(status=reply.status, body=reply.body), reply)


def drop(request: web.Request) -> web.StreamResponse:
    """Close the connection without an answer."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()


async def send_events(request: web.Request, reply: Reply, fault: Mapping[str, Any]) -> web.StreamResponse:
    """Send a stream of events one by one, spoilt as the fault says.

    Raises:
        ConnectionError: The client hung up.
    """
    spoilt = spoil(reply.events, reply.pace, fault)
    response = _with_headers(web.StreamResponse(status=reply.status), reply)
    await response.prepare(request)
    for event, pause in zip(spoilt.events, spoilt.pauses, strict=True):
        if pause:
            await asyncio.sleep(pause)
        await response.write(event)
    if spoilt.broken:
        drop(request)
    return response


async def send_half(request: web.Request, reply: Reply) -> web.StreamResponse:
    """Send the headers and half of the body, then close the connection."""
    response = _with_headers(web.StreamResponse(status=reply.status), reply)
    response.content_length = max(len(reply.body), 2)
    await response.prepare(request)
    await response.write(reply.body[: len(reply.body) // 2] or b" ")
    drop(request)
    return response


async def send_huge(request: web.Request, reply: Reply, size: int) -> web.StreamResponse:
    """Send a body of ``size`` bytes, or as much of it as the client reads."""
    response = _with_headers(web.StreamResponse(status=reply.status), reply)
    response.content_length = size
    await response.prepare(request)
    try:
        for start in range(0, size, len(CHUNK)):
            await response.write(CHUNK[: size - start])
    except ConnectionError:
        drop(request)
    return response


def _with_headers(response: web.StreamResponse, reply: Reply) -> web.StreamResponse:
    if reply.status != 204:
        response.headers["Content-Type"] = reply.content_type
    response.headers["Cache-Control"] = "no-store"
    for name, value in reply.headers:
        response.headers.add(name, value)
    return response
