"""Counts the requests that are being answered, so that a stop can wait for them."""

import asyncio
from contextlib import suppress


class OpenRequests:
    """The requests being answered. A stop waits for them first, because a stopping aiohttp reads no more bodies."""

    def __init__(self) -> None:
        self._count = 0
        self._none = asyncio.Event()
        self._none.set()
        self.closing = False

    def __enter__(self) -> None:
        self._count += 1
        self._none.clear()

    def __exit__(self, *_: object) -> None:
        self._count -= 1
        if not self._count:
            self._none.set()

    async def end(self, seconds: float) -> None:
        """Wait at most ``seconds`` until no request is open. From now on, each answer closes its connection."""
        self.closing = True
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._none.wait()
