"""How the service stops listening without failing a request that is on its way.

A proxy sends the next request over a connection that it has open already, or makes one. Both can meet the end of a
process. So what the kernel has accepted for us is answered, and then each answer closes its connection. Only what still
idles after a while is closed.
"""

import asyncio
import socket
from contextlib import suppress
from typing import Final

from aiohttp import web

from central.web.connections import Connections
from central.web.open_requests import OpenRequests

LINGER_SECONDS: Final = 0.5
"""How long connections that a client keeps open may still bring a request."""


async def stop_listening(
    runner: web.AppRunner, connections: Connections, open_requests: OpenRequests, seconds: float
) -> None:
    """Accept no new connections, and answer all requests that came before. Wait at most ``seconds`` for open ones."""
    for site in list(runner.sites):
        await _stop(runner, site)
    open_requests.closing = True
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            await connections.none()
    await open_requests.end(seconds)
    await runner.cleanup()


async def _stop(runner: web.AppRunner, site: web.BaseSite) -> None:
    """Stop one site. What its socket's queue holds is accepted first: the kernel would reset it."""
    server, factory = getattr(site, "_server", None), runner.server
    held = [listening.dup() for listening in server.sockets] if server is not None else []
    await site.stop()  # closes its own descriptors; ours keep the sockets open
    late: list[socket.socket] = []
    for listening in held:
        listening.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                late.append(listening.accept()[0])
        listening.close()
    loop = asyncio.get_running_loop()
    for connection in late:
        connection.setblocking(False)
        if factory is None:
            connection.close()
        else:
            await loop.connect_accepted_socket(factory, connection)
