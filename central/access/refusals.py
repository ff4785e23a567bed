"""Refuses at an even pace: a sender without a good key, or beyond its limit, waits, and nobody else has to."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

PER_SECOND: Final = 500
BURST: Final = 50
"""Refusals at once after a quiet time."""
MOST_SECONDS: Final = 2.0
"""A refusal waits no longer. What would wait longer is answered at once: a connection that waits is held open."""


class Refusals:
    """One pace for all: an address says little, since behind a proxy all clients have the same. For tests: the rest."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._next = 0.0
        """When the next refusal is due, if all before it come one by one."""

    async def wait(self) -> None:
        """Return when it is this refusal's turn."""
        now = self._clock()
        due = max(self._next, now - BURST / PER_SECOND)
        if due - now > MOST_SECONDS:
            return
        self._next = due + 1 / PER_SECOND
        if due > now:
            await self._sleep(due - now)
