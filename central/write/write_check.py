"""Checks whether writes can be acknowledged now. It writes, because a read also works on a full disk."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any, Final

from central.store.base import Group, OutcomeUnknown, Store, StoreError

GOOD_SECONDS: Final = 5.0
"""For how many seconds a successful write counts. Probes write no more often than this."""
LATE_SECONDS: Final = 2.0
_DAY: Final = 86_400


class WriteCheck:
    """Stores an empty group, of which the store keeps only the id. At most one check runs at a time.

    ``in_turn`` runs a call when a write slot is free. ``clock`` is UTC seconds, ``ticks`` monotonic seconds.
    """

    def __init__(
        self,
        store: Store,
        in_turn: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]],
        clock: Callable[[], float],
        ticks: Callable[[], float],
    ) -> None:
        self._store = store
        self._in_turn = in_turn
        self._clock = clock
        self._ticks = ticks
        self._good_until = ticks()
        self._running: asyncio.Task[str | None] | None = None

    async def fault(self) -> str | None:
        """Why nothing can be written; None if a recent write succeeded."""
        if self._ticks() < self._good_until:
            return None
        if self._running is None:
            self._running = asyncio.create_task(self._write(), name="write-check")
            self._running.add_done_callback(self._ended)
        running = self._running
        done, _ = await asyncio.wait([running], timeout=LATE_SECONDS)  # a commit is never cancelled
        return running.result() if done else f"a write takes longer than {LATE_SECONDS:g} s"

    async def _write(self) -> str | None:
        group = Group(os.urandom(16), int(self._clock() // _DAY))
        try:
            await self._in_turn(lambda: self._store.commit(group))
        except (StoreError, OutcomeUnknown) as error:
            return f"nothing can be written: {error}"
        self._good_until = self._ticks() + GOOD_SECONDS
        return None

    def _ended(self, _: Any) -> None:
        self._running = None
