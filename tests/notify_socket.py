"""systemd's end of sd_notify: a datagram socket that a service under test talks to."""

import asyncio
import os
import socket
from pathlib import Path


class NotifySocket:
    """Bound to ``path``, or to an abstract name made of it. ``said`` grows by a word at a time."""

    def __init__(self, path: Path, *, abstract: bool = False) -> None:
        self.said: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        name = f"fiesta-test-{os.getpid()}-{path.name}"
        self._socket.bind(f"\0{name}" if abstract else str(path))
        self.environ = {"NOTIFY_SOCKET": f"@{name}" if abstract else str(path)}

    async def until(self, word: str) -> None:
        """Wait for a word that begins so; it may have been said before."""
        async with asyncio.timeout(60):
            while not any(said.startswith(word) for said in self.said):
                await self._hear()

    def so_far(self) -> list[str]:
        """All that was said."""
        while self._take():
            pass
        return self.said

    async def again(self, word: str) -> None:
        """Wait for a word that is said from now on."""
        self.so_far().clear()
        await self.until(word)

    async def _hear(self) -> None:
        heard = await asyncio.get_running_loop().sock_recv(self._socket, 65_536)
        self.said += heard.decode().split("\n")

    def _take(self) -> bool:
        try:
            self.said += self._socket.recv(65_536).decode().split("\n")
        except BlockingIOError:
            return False
        return True

    def __enter__(self) -> "NotifySocket":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
