"""Add a request id to every answer, and answer the sandbox's own failures without a traceback."""

from __future__ import annotations

import traceback
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from ando_cli.sandbox.problems import CODES, render

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.typedefs import Handler, Middleware

    AccessLog = Callable[[str], None]

REQUEST_ID_HEADER = "x-request-id"
SANDBOX = Path(__file__).parents[1]


def new_request_id() -> str:
    """Return an id for a request."""
    return f"req_{uuid.uuid4().hex}"


async def identify(request: web.Request, response: web.StreamResponse) -> None:
    """Add a request id to the headers of an answer that lacks one."""
    response.headers.setdefault(REQUEST_ID_HEADER, new_request_id())


def answer_failures(access_log: AccessLog | None) -> Middleware:
    """Return a middleware that answers 500 if a handler fails, and logs where it failed."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException:
            raise
        except Exception as error:
            if access_log is not None:
                # The message of an error can repeat what was sent; its type and place cannot.
                access_log(f"{request.method} {request.path} failed: {type(error).__name__} at {_place(error)}")
            body = render("server_error", CODES["server_error"].message, 500, "openai", {})
            return web.Response(status=500, body=body.data, content_type=body.content_type)

    return middleware


def _place(error: Exception) -> str:
    """Return the last line of the sandbox's code that an error passed through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if SANDBOX in Path(frame.filename).parents]
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
