"""The two places for groups: the store, and the spill for groups that the store does not take.

A request's id is searched in the spill first and in the store second. So a request that moves meanwhile is found.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from central.histogram import SECONDS, Histogram
from central.spill.record import SpilledGroup
from central.spill.spill import Spill, SpillInDoubt, SpillRefused
from central.store.base import Group, NotStored, OutcomeUnknown, Refused, Remembered, Store, StoreError

REQUESTS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
POINTS: Final = (1, 4, 16, 64, 256, 1_000, 2_500, 5_000, 10_000)
_RETRY_FIRST: Final = 0.05
_RETRY_MOST: Final = 2.0
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class WriteCounts:
    """Counts of the group commit since the start; plain numbers, read at scrape."""

    points: int = 0
    counters: int = 0
    """How many of the points are counters."""
    overflow_points: int = 0
    """How many of the points are in an overflow series because their metric is full."""
    replays: int = 0
    failed_groups: int = 0
    unknown_outcomes: int = 0
    turned_away: int = 0
    spilled_groups: int = 0
    spilled_requests: int = 0
    spilled_points: int = 0
    commit_seconds: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    group_requests: Histogram = field(default_factory=lambda: Histogram(REQUESTS))
    """Requests in each group that was committed."""
    group_points: Histogram = field(default_factory=lambda: Histogram(POINTS))

    @property
    def groups(self) -> int:
        """The number of groups committed."""
        return self.group_requests.count

    @property
    def requests(self) -> int:
        """The number of requests in committed groups."""
        return int(self.group_requests.total)


class StoreOrSpill:
    """A store, with or without a spill beside it."""

    def __init__(self, store: Store, spill: Spill | None, counts: WriteCounts) -> None:
        self._store = store
        self._spill = spill
        self._counts = counts

    @property
    def has_spill(self) -> bool:
        """Whether the service has a spill."""
        return self._spill is not None

    async def find_requests(self, ids: Sequence[bytes]) -> dict[bytes, Remembered]:
        """Those of these request ids that are stored or spilled. Raises StoreError if some cannot be searched for."""
        found: dict[bytes, Remembered] = {}
        asked = self._spill is not None and self._spill.holds
        if asked:
            found = await self._ask_spill(ids)
        rest = [key for key in ids if key not in found]
        if not rest:
            return found
        try:
            return found | await self._store.find_requests(rest)
        except StoreError:
            late = {} if asked else await self._ask_spill(rest)
            if len(late) < len(rest):
                raise
            return found | late

    async def find_spilled_requests(self, ids: Sequence[bytes]) -> dict[bytes, Remembered]:
        """Those of these request ids that wait in the spill. Raises SpillRefused."""
        return {} if self._spill is None else await self._spill.find_requests(ids)

    async def spill(self, record: SpilledGroup) -> None:
        """Put a group in the spill. Raises SpillRefused or SpillInDoubt."""
        if self._spill is None:
            raise SpillRefused("there is no spill")
        if not record.requests:
            return
        await self._spill.put(record)
        self._counts.spilled_groups += 1
        self._counts.spilled_requests += len(record.requests)
        self._counts.spilled_points += record.rows

    async def commit(self, group: Group, record: Callable[[], SpilledGroup]) -> bool:
        """Commit the group until the outcome is known. Returns True if the store has the group.

        If the outcome is unknown twice, this puts the group in the spill under its id and returns False. Raises
        StoreError if certainly nothing is stored.
        """
        doubts = 0
        pause = _RETRY_FIRST
        while True:
            try:
                await self._store.commit(group, again=doubts > 0)
                return True
            except OutcomeUnknown as error:
                self._counts.unknown_outcomes += 1
                _log.error("commit_in_doubt_asking_again", error=str(error), group=group.id.hex())
            except StoreError as error:
                if not doubts or isinstance(error, Refused | NotStored):
                    raise
                _log.error("commit_still_in_doubt", error=str(error), group=group.id.hex(), next_try_seconds=pause)
            # The outcome is unknown, so no request may be answered yet. It is safe to commit or spill the same group
            # under the same id again: the first to store the id stores the group, and all later ones find the id.
            doubts += 1
            if self._spill is not None and doubts > 1:
                try:
                    await self.spill(record())
                    return False
                except (SpillRefused, SpillInDoubt) as error:
                    _log.error("group_in_doubt_not_spilled", error=str(error), group=group.id.hex())
            await asyncio.sleep(pause)
            pause = min(pause * 2, _RETRY_MOST)

    async def _ask_spill(self, ids: Sequence[bytes]) -> dict[bytes, Remembered]:
        """Those of these ids that the spill has; empty if it does not answer. Then the drain leaves out duplicates."""
        try:
            return await self.find_spilled_requests(ids)
        except SpillRefused:
            return {}
