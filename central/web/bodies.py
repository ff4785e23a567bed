"""Reads a request's body within its bounds of size and time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from central.errors import unavailable
from central.ingest.body import expand, too_large
from protocol.limits import MAX_BODY_BYTES

BODY_SECONDS: Final = 30.0
"""How long a body may take to arrive."""
_LARGE: Final = 65_536
ReadBody = Callable[[web.Request], Awaitable[bytes]]


async def read_body(request: web.Request, seconds: float = BODY_SECONDS) -> bytes:
    """The body, expanded, within both bounds. Raises ApiError, also when it takes too long to come."""
    length = request.content_length
    if length is not None and length > MAX_BODY_BYTES:
        raise too_large()
    try:
        # The application's client_max_size is MAX_BODY_BYTES. A body that is here already needs no timer.
        if request.content.is_eof():
            body = await request.read()
        else:
            async with asyncio.timeout(seconds):
                body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise too_large() from None
    except TimeoutError:
        raise unavailable(f"the body did not arrive within {seconds:g} s; send it again") from None
    encoding = ", ".join(request.headers.getall("Content-Encoding", ()))
    if not encoding:
        return body
    if len(body) < _LARGE:
        return expand(body, encoding)
    return await asyncio.get_running_loop().run_in_executor(None, expand, body, encoding)
