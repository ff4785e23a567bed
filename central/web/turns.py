"""Whose turn it is: work that would take much from others is done by few at once, and each key in turn.

However much one key asks for, another key waits for one piece of its work at most. What would wait too long is turned
away at once, and counted.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from central.errors import unavailable


@dataclass(frozen=True, slots=True)
class TurnBounds:
    """How many turns there are at once, and how many may wait for one, in all and of one key."""

    at_once: int
    of_one_key: int
    waiting: int
    waiting_of_one_key: int


class Turns:
    """Turns of one kind of work. ``busy`` counts those that were turned away, under ``kind``."""

    def __init__(self, kind: str, bounds: TurnBounds, busy: Counter[str]) -> None:
        busy[kind] += 0
        self._kind = kind
        self._bounds = bounds
        self._busy = busy
        self._running: Counter[int] = Counter()
        self._waiting: dict[int, deque[asyncio.Future[None]]] = {}  # the key that comes next is first

    @asynccontextmanager
    async def turn(self, key_id: int) -> AsyncIterator[None]:
        """Wait for a turn of the key, and keep it for the block. Raises ApiError, 503, where too many wait."""
        if self._may_run(key_id):
            self._running[key_id] += 1
        else:
            await self._wait(key_id)
        try:
            yield
        finally:
            self._end(key_id)

    def _may_run(self, key_id: int) -> bool:
        bounds = self._bounds
        return self._running.total() < bounds.at_once and self._running[key_id] < bounds.of_one_key

    async def _wait(self, key_id: int) -> None:
        mine = self._waiting.get(key_id, ())
        if len(mine) >= self._bounds.waiting_of_one_key or self._count_waiting() >= self._bounds.waiting:
            self._busy[self._kind] += 1
            raise unavailable(f"too many {self._kind} wait, {len(mine)} of them of this key; try again later")
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key_id, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it was given in the same moment
                self._end(key_id)
            else:
                self._leave(key_id, turn)
            raise

    def _count_waiting(self) -> int:
        return sum(map(len, self._waiting.values()))

    def _leave(self, key_id: int, turn: asyncio.Future[None]) -> None:
        self._waiting[key_id].remove(turn)
        if not self._waiting[key_id]:
            del self._waiting[key_id]

    def _end(self, key_id: int) -> None:
        self._running[key_id] -= 1
        if not self._running[key_id]:
            del self._running[key_id]
        for waiting in list(self._waiting):
            if self._may_run(waiting):
                turns = self._waiting.pop(waiting)
                turns.popleft().set_result(None)
                self._running[waiting] += 1
                if turns:
                    self._waiting[waiting] = turns  # behind the other keys
