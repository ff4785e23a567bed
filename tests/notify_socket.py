"""systemd's end of sd_notify: a datagram socket that a service under test talks to."""

import asyncio
import os
import socket
from pathlib import Path

from tests.patience import PATIENCE


class NotifySocket:
    """Bound to ``path``, or to an abstract name made of it. ``said`` grows by a word at a time.

    Read whenever the loop turns, as systemd does: the kernel holds ten datagrams, and a service does not wait long.
    """

    def __init__(self, path: Path, *, abstract: bool = False) -> None:
        self.said: list[str] = []
        self._news = asyncio.Event()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        name = f"fiesta-test-{os.getpid()}-{path.name}"
        self._socket.bind(f"\0{name}" if abstract else str(path))
        self.environ = {"NOTIFY_SOCKET": f"@{name}" if abstract else str(path)}

    async def until(self, word: str) -> None:
        """Wait for a word that begins so; it may have been said before."""
        async with asyncio.timeout(PATIENCE):
            while not any(said.startswith(word) for said in self.so_far()):
                self._news.clear()
                await self._news.wait()

    def so_far(self) -> list[str]:
        """All that was said."""
        while self._take():
            pass
        return self.said

    async def again(self, word: str) -> None:
        """Wait for a word that is said from now on."""
        self.so_far().clear()
        await self.until(word)

    def _take(self) -> bool:
        try:
            self.said += self._socket.recv(65_536).decode().split("\n")
        except BlockingIOError:
            return False
        self._news.set()
        return True

    def __enter__(self) -> "NotifySocket":
        asyncio.get_running_loop().add_reader(self._socket, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
