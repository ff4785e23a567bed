"""Write slots: several commits run at once, or one change alone while no commit runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager


class WriteSlots:
    """``count`` slots. Callers get them in the order of their calls."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._free = asyncio.Semaphore(count)
        self._taking_all = asyncio.Lock()

    @asynccontextmanager
    async def one(self, seconds: float | None = None) -> AsyncIterator[None]:
        """Hold one slot for the block. Raises TimeoutError if none is free within ``seconds``."""
        async with asyncio.timeout(seconds):
            await self._free.acquire()
        try:
            yield
        finally:
            self._free.release()

    @asynccontextmanager
    async def all(self) -> AsyncIterator[None]:
        """Hold all slots for the block, so that nothing else writes meanwhile."""
        async with AsyncExitStack() as stack:
            async with self._taking_all:
                for _ in range(self._count):
                    await self._free.acquire()
                    stack.callback(self._free.release)
            yield
