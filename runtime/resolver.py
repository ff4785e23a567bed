"""Finds the addresses of a name, in a thread that nobody waits for at the end of the process.

A server of names that does not answer holds such a thread for ten seconds and more. The threads of an event loop are
waited for when the loop ends, so a stop would take as long.
"""

import asyncio
import errno
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from runtime.addresses import is_ip

Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]
"""As socket.getaddrinfo gives it."""


async def find_addresses(
    host: str, port: int, kind: socket.SocketKind, look: Callable[..., Sequence[Address]] = socket.getaddrinfo
) -> Sequence[Address]:
    """The addresses of a name, at least one. May be cancelled. Raises OSError when the name is not known."""
    if is_ip(host):
        return look(host, port, type=kind)
    loop = asyncio.get_running_loop()
    found: asyncio.Future[Sequence[Address]] = loop.create_future()

    def hand_over(result: Sequence[Address] | Exception) -> None:
        if found.done():
            return
        if isinstance(result, Exception):
            found.set_exception(result)
        else:
            found.set_result(result)

    def ask() -> None:
        try:
            result: Sequence[Address] | Exception = look(host, port, type=kind)
        except Exception as error:
            result = error
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(hand_over, result)

    try:
        threading.Thread(target=ask, name=f"addresses of {host}", daemon=True).start()
    except RuntimeError as error:
        raise OSError(errno.EAGAIN, "there is no room for another thread") from error
    return await found
