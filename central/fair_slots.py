"""Fair slots: only a few expensive pieces of work run at once, and the keys take turns.

However much one key asks for, another key waits for at most one piece of its work. When too many wait, the next one
is refused at once and counted.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from central.errors import unavailable


@dataclass(frozen=True, slots=True)
class SlotBounds:
    """How many pieces of work may run at once and how many may wait: for all keys together, and for one key."""

    at_once: int
    of_one_key: int
    waiting: int
    waiting_of_one_key: int


class FairSlots:
    """The slots of one kind of work. ``busy`` counts refused requests under ``kind``."""

    def __init__(self, kind: str, bounds: SlotBounds, busy: Counter[str]) -> None:
        busy[kind] += 0
        self._kind = kind
        self._bounds = bounds
        self._busy = busy
        self._running: Counter[Hashable] = Counter()
        self._waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}  # the first key gets the next slot

    @asynccontextmanager
    async def slot(self, key_id: Hashable) -> AsyncIterator[None]:
        """Wait for a slot for the key, and hold it for the block. Raises ApiError 503 if too many wait."""
        if self._may_run(key_id):
            self._running[key_id] += 1
        else:
            await self._wait(key_id)
        try:
            yield
        finally:
            self._end(key_id)

    def _may_run(self, key_id: Hashable) -> bool:
        bounds = self._bounds
        return self._running.total() < bounds.at_once and self._running[key_id] < bounds.of_one_key

    async def _wait(self, key_id: Hashable) -> None:
        mine = self._waiting.get(key_id, ())
        if len(mine) >= self._bounds.waiting_of_one_key or self._count_waiting() >= self._bounds.waiting:
            self._busy[self._kind] += 1
            raise unavailable(f"too many {self._kind} wait, {len(mine)} of them of this key; try again later")
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key_id, deque()).append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():  # the slot was given just before the cancellation
                self._end(key_id)
            else:
                self._leave(key_id, waiter)
            raise

    def _count_waiting(self) -> int:
        return sum(map(len, self._waiting.values()))

    def _leave(self, key_id: Hashable, waiter: asyncio.Future[None]) -> None:
        self._waiting[key_id].remove(waiter)
        if not self._waiting[key_id]:
            del self._waiting[key_id]

    def _end(self, key_id: Hashable) -> None:
        self._running[key_id] -= 1
        if not self._running[key_id]:
            del self._running[key_id]
        for waiting in list(self._waiting):
            if self._may_run(waiting):
                waiters = self._waiting.pop(waiting)
                # One that was cancelled in this turn of the loop is still here. It leaves by itself.
                first = next((waiter for waiter in waiters if not waiter.done()), None)
                if first is not None:
                    waiters.remove(first)
                    first.set_result(None)
                    self._running[waiting] += 1
                if waiters:
                    self._waiting[waiting] = waiters  # this key is now the last
