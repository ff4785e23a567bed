"""Which requests are being answered, so that a stop can let them end."""

import asyncio
from contextlib import suppress


class OpenRequests:
    """The requests being answered. A stop lets them end first: aiohttp reads no more of a body once it is told to."""

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
        """Wait until none is open, at most ``seconds``. From now on each answer closes its connection."""
        self.closing = True
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._none.wait()
