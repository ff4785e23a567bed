"""Answers refusals at a fixed pace. Senders without a valid key, or over their limit, wait; nobody else has to."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

PER_SECOND: Final = 500
BURST: Final = 50
"""How many refusals are answered at once after a quiet time."""
MOST_SECONDS: Final = 2.0
"""If a refusal would wait for longer, it is answered at once, because a waiting refusal keeps a connection open."""


class Refusals:
    """One pace for all clients together, because behind a proxy all have the same address.

    The arguments are for tests.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._next = 0.0
        """When the next refusal is due."""

    async def wait(self) -> None:
        """Return when it is this refusal's turn."""
        now = self._clock()
        due = max(self._next, now - BURST / PER_SECOND)
        if due - now > MOST_SECONDS:
            return
        self._next = due + 1 / PER_SECOND
        if due > now:
            await self._sleep(due - now)
