"""The way to systemd's notification socket; the words are in protocol.notify."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from protocol.notify import Notifier

SEND_SECONDS: Final = 0.1
"""systemd reads at once; where it does not, our work goes on."""


def send_datagram(address: str, message: bytes) -> None:
    """One datagram to a unix socket, a path or abstract. Raises OSError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(SEND_SECONDS)
        sock.sendto(message, address)


async def show_life(notify: Notifier, running: Callable[[], bool], stop: asyncio.Event) -> None:
    """Until ``stop``, tell the watchdog that the event loop turns; nothing while what matters is not ``running``."""
    while not stop.is_set():
        if running():
            notify.alive()
        with suppress(TimeoutError):
            async with asyncio.timeout(notify.pause):
                await stop.wait()
