"""Checks whether writes can be acknowledged now. It writes, because a read also works on a full disk."""

import asyncio
import os
from collections.abc import Callable
from typing import Any, Final

from central.store.base import Group, OutcomeUnknown, Store, StoreError
from central.write.group_commit import GroupCommit

GOOD_SECONDS: Final = 5.0
"""For how many seconds a successful write counts, unless another one fails. Otherwise probes write no more often."""
LATE_SECONDS: Final = 2.0
_DAY: Final = 86_400


class WriteCheck:
    """Stores an empty group, of which the store keeps only the id. At most one check runs at a time.

    A check writes when ``commits`` has a free slot. Its result is not used again once a group has failed there.
    ``clock`` is UTC seconds, ``ticks`` monotonic seconds.
    """

    def __init__(
        self,
        store: Store,
        commits: GroupCommit,
        clock: Callable[[], float],
        ticks: Callable[[], float],
    ) -> None:
        self._store = store
        self._commits = commits
        self._clock = clock
        self._ticks = ticks
        self._good_until = ticks()
        self._failed_groups = 0
        self._running: asyncio.Task[str | None] | None = None

    async def fault(self) -> str | None:
        """Why nothing can be written; None if a recent write succeeded."""
        if self._ticks() < self._good_until and self._commits.counts.failed_groups == self._failed_groups:
            return None
        if self._running is None:
            self._running = asyncio.create_task(self._write(), name="write-check")
            self._running.add_done_callback(self._ended)
        running = self._running
        done, _ = await asyncio.wait([running], timeout=LATE_SECONDS)  # a commit is never cancelled
        return running.result() if done else f"a write takes longer than {LATE_SECONDS:g} s"

    async def _write(self) -> str | None:
        group = Group(os.urandom(16), int(self._clock() // _DAY))
        failed = self._commits.counts.failed_groups
        try:
            await self._commits.in_slot(lambda: self._store.commit(group))
        except (StoreError, OutcomeUnknown) as error:
            return f"nothing can be written: {error}"
        self._good_until, self._failed_groups = self._ticks() + GOOD_SECONDS, failed
        return None

    def _ended(self, _: Any) -> None:
        self._running = None
